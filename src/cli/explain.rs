//! One partition, and one asset, in detail.

use chrono_tz::Tz;

use super::exit::{Exit, Failure};
use super::output::{counted, grouped, one_line, short_id, shortened, table, time_text, toned};
use super::remote::Call;
use super::runs::request_text;
use super::session::Session;
use super::verb::{AssetShowArguments, WhyArguments};
use crate::service::{AssetDetailView, MaterializationView, PartitionStanding, StepView, WhyView};

/// How much of an error is shown.
const ERROR_CHARACTERS: usize = 1_000;

/// How much of a description a table shows.
const DESCRIPTION_CHARACTERS: usize = 60;

pub(super) async fn why(session: &Session, arguments: &WhyArguments) -> Result<Exit, Failure> {
    let (asset, partition) = (arguments.asset.as_str(), arguments.partition.as_deref());
    let there = Call::get(["assets", asset, "why"]).with("partition", partition);
    let why = session.ask(async |service| service.why(asset, partition).await, there).await?;
    session.output.result(&why, |why| why_text(session, why))?;
    Ok(Exit::Ok)
}

fn why_text(session: &Session, why: &WhyView) -> String {
    let zone = session.calendar().zone;
    let mut text = format!("{} {} is {}.", why.asset, why.partition, toned(why.standing.as_str()));
    for sentence in sentences(session, why, zone) {
        text.push_str(&format!("\n  {sentence}"));
    }
    if !why.inputs.is_empty() {
        let rows = why.inputs.iter().map(|input| {
            let change = match (input.changed, input.newer.is_empty()) {
                (true, true) => "changed".to_owned(),
                (true, false) => format!("changed; published since: {}", input.newer.text),
                (false, false) => format!("published since with equal content: {}", input.newer.text),
                (false, true) => String::new(),
            };
            vec![input.asset.to_string(), input.mapping.clone(), input.partitions.text.clone(), change]
        });
        text.push_str("\n\nIt reads:\n");
        text.push_str(&indented(&table(&["ASSET", "MAPPING", "PARTITIONS", "SINCE IT WAS BUILT"], &[], rows)));
    }
    if !why.steps.is_empty() {
        text.push_str("\n\nWhat was done, newest first:");
        for step in &why.steps {
            text.push_str(&step_text(session, step, zone));
        }
    }
    let failed: Vec<_> = why.checks.iter().filter(|check| !check.passed).collect();
    if !why.checks.is_empty() {
        let passed = why.checks.len() - failed.len();
        text.push_str(&format!("\n\nIts newest checks: {passed} passed, {} failed.", failed.len()));
        for check in failed {
            let weight = if check.blocking { "blocking" } else { "not blocking" };
            text.push_str(&format!("\n  {} ({weight}): {}", check.check, one_line(&check.message)));
        }
    }
    text
}

/// What there is to say, the most important first.
fn sentences(session: &Session, why: &WhyView, zone: Tz) -> Vec<String> {
    let mut sentences = Vec::new();
    match why.standing {
        PartitionStanding::External => sentences.push(format!(
            "Its rows come from outside; {} are known to have landed in the asset.",
            counted(why.landed_rows.unwrap_or(0), "row")
        )),
        PartitionStanding::Running => {
            let step = why.steps.first().and_then(|step| Some((step, step.started_at?)));
            sentences.push(match step {
                Some((step, at)) => {
                    format!("It is being built, by run {} since {}.", short_id(step.run_id), time_text(at, zone))
                }
                None => "It is being built.".to_owned(),
            });
        }
        PartitionStanding::Queued if why.obstacles.is_empty() => {
            sentences.push("A run has it to build, and it waits for nothing but its turn.".to_owned());
        }
        PartitionStanding::Queued => sentences.push("A run has it to build.".to_owned()),
        PartitionStanding::Failed | PartitionStanding::Blocked => {
            let reason = why.steps.first().and_then(|step| step.reason.as_deref()).unwrap_or("no reason is known");
            sentences.push(format!("Because: {}", shortened(&one_line(reason), ERROR_CHARACTERS)));
        }
        PartitionStanding::Stale | PartitionStanding::Fresh => {}
        PartitionStanding::Missing => sentences.push("Its window has ended and it was never built.".to_owned()),
        PartitionStanding::NotDue => {}
    }
    for obstacle in &why.obstacles {
        let sentence = shortened(&one_line(&obstacle.sentence), ERROR_CHARACTERS);
        let command = obstacle.command.as_ref().map(|command| format!("\n    {}", session.command(command)));
        sentences.push(format!("{sentence}{}", command.unwrap_or_default()));
    }
    sentences.extend(why.stale.iter().map(|reason| format!("Stale, because {}.", reason.sentence)));
    if let Some(version) = &why.version {
        sentences.push(version_text(version, zone));
        if let Some(run) = &why.built_by {
            sentences.push(format!(
                "That was run {} ({}): {}",
                short_id(run.run_id),
                run.because,
                request_text(session, &run.cause, &run.command)
            ));
        }
    }
    if let Some(window) = why.window {
        let (start, end) = (time_text(window.start, zone), time_text(window.end, zone));
        sentences.push(match why.is_closed {
            true => format!("Its window was {start} to {end}."),
            false => format!("It is not due: its window, {start} to {end}, has not ended."),
        });
    }
    // What is queued says itself what it waits for, and what runs had what it needs, or was told to do without.
    let is_under_way = matches!(why.standing, PartitionStanding::Queued | PartitionStanding::Running);
    for missing in why.missing_upstream.iter().filter(|_| !is_under_way) {
        sentences.push(format!("It cannot be built: {} {} is missing.", missing.asset, missing.partitions.text));
    }
    sentences.extend(what_comes(why, zone));
    if let Some(command) = next_command(why) {
        sentences.push(format!("To build it: {}", session.command(&command)));
    }
    sentences
}

/// What will happen by itself, and how the asset keeps its freshness policy.
fn what_comes(why: &WhyView, zone: Tz) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(automation) = &why.automation {
        let conditions: String = automation.conditions.iter().map(|condition| format!("; {condition}")).collect();
        // The conditions say when they are met.
        let next = automation.next_at.filter(|_| automation.conditions.is_empty());
        let next = next.map_or_else(String::new, |at| format!("; at {}", time_text(at, zone)));
        sentences.push(format!("Automation: {}{conditions}{next}.", automation.verdict));
    }
    for tick in &why.schedules {
        sentences.push(match tick.at {
            Some(at) => format!("Schedule {}: next at {}.", tick.schedule, time_text(at, zone)),
            None => format!("Schedule {}: paused.", tick.schedule),
        });
    }
    if let Some(freshness) = &why.freshness {
        let due = match (freshness.overdue_since, freshness.due_at) {
            (Some(since), _) => format!(", overdue since {}", time_text(since, zone)),
            (None, Some(at)) => format!(", due at {}", time_text(at, zone)),
            (None, None) => String::new(),
        };
        sentences.push(format!("Freshness: {} ({}{due}).", freshness.state.as_str(), freshness.policy));
    }
    sentences
}

fn next_command(why: &WhyView) -> Option<String> {
    let upstream = if why.missing_upstream.is_empty() { "" } else { " --upstream" };
    match why.standing {
        PartitionStanding::Missing
        | PartitionStanding::Stale
        | PartitionStanding::Failed
        | PartitionStanding::Blocked
        | PartitionStanding::NotDue => Some(format!("materialize {} {}{upstream}", why.asset, why.partition)),
        PartitionStanding::External
        | PartitionStanding::Running
        | PartitionStanding::Queued
        | PartitionStanding::Fresh => None,
    }
}

fn version_text(version: &MaterializationView, zone: Tz) -> String {
    let mut text = format!("Its version of {} has {}", time_text(version.at, zone), counted(version.row_count, "row"));
    if version.open {
        text.push_str(", and was built before the window ended");
    }
    if let Some(missing) = &version.incomplete_inputs {
        let missing: Vec<String> = missing.iter().map(|(asset, partitions)| format!("{asset} {partitions}")).collect();
        text.push_str(&format!(", and was built by force without {}", missing.join("; ")));
    }
    text.push('.');
    text
}

fn step_text(session: &Session, step: &StepView, zone: Tz) -> String {
    let when = step.finished_at.or(step.started_at).unwrap_or(step.requested_at);
    let mut text = format!(
        "\n  {} {} in run {} ({}): {}",
        time_text(when, zone),
        toned(&step.state),
        short_id(step.run_id),
        step.because,
        request_text(session, &step.cause, &step.command)
    );
    if let Some(reason) = &step.reason {
        text.push_str(&format!("\n    {}", shortened(&one_line(reason), ERROR_CHARACTERS)));
    }
    for attempt in step.attempts.iter().filter(|attempt| attempt.error.is_some()) {
        let error = attempt.error.as_deref().unwrap_or_default();
        if step.reason.as_deref() == Some(error) {
            continue;
        }
        text.push_str(&format!(
            "\n    attempt of {}: {}: {}",
            time_text(attempt.started_at, zone),
            attempt.error_kind.as_deref().unwrap_or("error"),
            shortened(&one_line(error), ERROR_CHARACTERS)
        ));
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

pub(super) async fn asset(session: &Session, arguments: &AssetShowArguments) -> Result<Exit, Failure> {
    let there = Call::get(["assets", &arguments.asset]);
    let asset = session.ask(async |service| service.asset(&arguments.asset).await, there).await?;
    session.output.result(&asset, |asset| asset_text(session, asset))?;
    Ok(Exit::Ok)
}

fn asset_text(session: &Session, detail: &AssetDetailView) -> String {
    let zone = session.calendar().zone;
    let (asset, status) = (&detail.asset, &detail.status);
    let mut text = format!("{}  {}\n", asset.asset, toned(status.state.as_str()));
    if !asset.description.is_empty() {
        text.push_str(&indented(&asset.description));
        text.push('\n');
    }
    let newest = status.newest_at.map_or_else(|| "never".to_owned(), |at| time_text(at, zone));
    let list = |keys: &[crate::core::key::AssetKey]| keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ");
    let reads: Vec<String> = detail.reads.iter().map(|read| format!("{} ({})", read.key, read.mapping)).collect();
    let partitions = match asset.zone {
        Some(zone) => format!("{} in {zone}, from {}", asset.partitioned, asset.first_partition),
        None => asset.partitioned.to_owned(),
    };
    for (name, value) in [
        ("kind", asset.kind.as_str().to_owned()),
        ("partitions", partitions),
        ("reads", reads.join(", ")),
        ("read by", list(&asset.downstream)),
        ("automation", asset.automation.to_string()),
        ("owner", asset.owner.clone().unwrap_or_default()),
        ("tags", asset.tags.join(", ")),
        ("pool", asset.pool.clone().unwrap_or_default()),
        ("rows", grouped(u64::try_from(status.row_count).unwrap_or(0))),
        ("newest", newest),
        ("version", detail.code_version.clone()),
        ("source", detail.source_file.to_owned()),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{name:<11}{value}\n"));
        }
    }
    let rows = detail.columns.iter().map(|column| {
        vec![
            column.name.clone(),
            column.sql_type.to_owned(),
            if column.nullable { "nullable" } else { "" }.to_owned(),
            shortened(&one_line(&column.description), DESCRIPTION_CHARACTERS),
        ]
    });
    text.push_str(&format!("\n{}\n", table(&["COLUMN", "TYPE", "NULL", "DESCRIPTION"], &[], rows)));
    if !detail.assertions.is_empty() {
        let rows = detail.assertions.iter().map(|check| {
            let newest = detail.check_results.iter().find(|result| result.check == check.name);
            vec![
                check.name.clone(),
                if check.blocking { "blocking" } else { "" }.to_owned(),
                newest.map_or_else(String::new, |result| toned(if result.passed { "ok" } else { "failed" })),
                newest.map_or_else(
                    || "never evaluated".to_owned(),
                    |result| format!("{} at {}", result.partition, time_text(result.at, zone)),
                ),
            ]
        });
        text.push_str(&format!("\n{}\n", table(&["CHECK", "", "NEWEST", "OF PARTITION"], &[], rows)));
    }
    if detail.materializations.is_empty() {
        if detail.asset.kind != crate::asset::spec::AssetKind::External {
            text.push_str(&format!(
                "\nNever built. To build it: {}\n",
                session.command(&format!("materialize {}", asset.asset))
            ));
        }
    } else {
        let rows = detail.materializations.iter().map(|version| {
            let mut notes = Vec::new();
            notes.extend(version.current.then_some("current"));
            notes.extend((!version.content_changed).then_some("same content"));
            notes.extend(version.open.then_some("open"));
            notes.extend(version.incomplete_inputs.as_ref().map(|_| "incomplete"));
            vec![
                version.partition.clone(),
                grouped(u64::try_from(version.row_count).unwrap_or(0)),
                time_text(version.at, zone),
                short_id(version.run_id),
                notes.join(", "),
            ]
        });
        text.push_str(&format!("\n{}\n", table(&["PARTITION", "ROWS", "BUILT", "RUN", "NOTE"], &["ROWS"], rows)));
    }
    if let Some(metadata) = &detail.metadata {
        text.push_str(&format!("\nmetadata   {metadata}\n"));
    }
    text
}
