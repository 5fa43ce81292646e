//! Runs and backfills that there are: listing, showing, steering, repeating.

use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::foreground::{Work, number};
use super::instance::Instance;
use super::launch::{carry_out, go_on};
use super::output::{grouped, one_line, short_id, shortened, table, time_text, toned};
use super::remote::Call;
use super::session::Session;
use super::verb::{
    BackfillVerb, IdArguments, LimitArguments, ListArguments, LogsArguments, ResumeArguments, RetryArguments,
    RunListArguments, RunVerb,
};
use crate::service::{
    BackfillDetailView, BackfillView, ControlledView, FailureView, LogLineView, LogQuery, RunDetailView, RunQuery,
    RunView,
};
use crate::store::run::StepCounts;

/// How many lines of a log a server tells.
const MOST_REMOTE_LINES: u32 = 10_000;

/// How much of a command a list shows.
const COMMAND_CHARACTERS: usize = 60;

/// How much of a cause a list shows.
const CAUSE_CHARACTERS: usize = 60;

/// How much of a reason is shown.
const REASON_CHARACTERS: usize = 500;

pub(super) async fn backfill(session: &Session, verb: &BackfillVerb) -> Result<Exit, Failure> {
    session.instance(async |instance| backfill_verb(session, instance, verb).await).await
}

/// The backfill that a part of its id names.
async fn backfill_id(instance: &Instance, text: &str) -> Result<Uuid, Failure> {
    match instance {
        Instance::Here(connected) => Ok(connected.service.backfill_id(text).await?),
        Instance::There(remote) => {
            let named: BackfillDetailView = remote.call(&Call::get(["backfills", text])).await?;
            Ok(named.backfill.backfill_id)
        }
    }
}

/// The run that a part of its id names.
async fn run_id(instance: &Instance, text: &str) -> Result<Uuid, Failure> {
    match instance {
        Instance::Here(connected) => Ok(connected.service.run_id(text).await?),
        Instance::There(remote) => {
            let named: RunDetailView = remote.call(&Call::get(["runs", text])).await?;
            Ok(named.run.run_id)
        }
    }
}

async fn backfill_verb(session: &Session, instance: &Instance, verb: &BackfillVerb) -> Result<Exit, Failure> {
    let text = match verb {
        BackfillVerb::Ls(arguments) => return list_backfills(session, instance, arguments).await,
        BackfillVerb::Show(IdArguments { id })
        | BackfillVerb::Pause(IdArguments { id })
        | BackfillVerb::Resume(ResumeArguments { id, .. })
        | BackfillVerb::Limit(LimitArguments { id, .. })
        | BackfillVerb::Cancel(IdArguments { id })
        | BackfillVerb::Retry(RetryArguments { id, .. }) => id,
    };
    let id = backfill_id(instance, text).await?;
    let (name, work) = (id.to_string(), Work::of(Some(id), id));
    let post = |verb| Call::post(["backfills", &name, verb]);
    match verb {
        BackfillVerb::Ls(_) | BackfillVerb::Show(_) => {
            let there = Call::get(["backfills", &name]);
            let backfill = instance.ask(async |service| service.backfill(id).await, there).await?;
            session.output.result(&backfill, |backfill| backfill_text(session, backfill))?;
            Ok(Exit::Ok)
        }
        BackfillVerb::Pause(_) => {
            let controlled = instance.ask(async |service| service.pause_backfill(id).await, post("pause")).await?;
            let undo = ("resume", work.resume());
            controlled_text(session, &controlled, &work, "Paused", "was paused already", undo)
        }
        BackfillVerb::Resume(arguments) => {
            let resumed = instance.ask(async |service| service.resume_backfill(id).await, post("resume")).await?;
            go_on(session, instance, &work, &resumed.live, arguments).await
        }
        BackfillVerb::Limit(LimitArguments { partitions, .. }) => {
            let there = post("limit").body(&serde_json::json!({ "partitions": partitions }));
            let controlled = instance.ask(async |service| service.limit_backfill(id, *partitions).await, there).await?;
            let undo = ("undo", format!("backfill limit {id}"));
            controlled_text(session, &controlled, &work, "Limited", "has that limit already", undo)
        }
        BackfillVerb::Cancel(_) => {
            let controlled = instance.ask(async |service| service.cancel_backfill(id).await, post("cancel")).await?;
            let undo = ("undo", format!("{} --canceled", work.retry()));
            controlled_text(session, &controlled, &work, "Canceled", "was asked to stop already", undo)
        }
        BackfillVerb::Retry(RetryArguments { canceled, detach, .. }) => {
            let there = post("retry").body(&serde_json::json!({ "canceled": canceled }));
            let launched = instance.ask(async |service| service.retry_backfill(id, *canceled).await, there).await?;
            carry_out(session, instance, &launched, None, *detach).await
        }
    }
}

pub(super) async fn run(session: &Session, verb: &RunVerb) -> Result<Exit, Failure> {
    session.instance(async |instance| run_verb(session, instance, verb).await).await
}

async fn run_verb(session: &Session, instance: &Instance, verb: &RunVerb) -> Result<Exit, Failure> {
    let text = match verb {
        RunVerb::Ls(arguments) => return list_runs(session, instance, arguments).await,
        RunVerb::Logs(arguments) => &arguments.id,
        RunVerb::Show(IdArguments { id })
        | RunVerb::Resume(ResumeArguments { id, .. })
        | RunVerb::Cancel(IdArguments { id })
        | RunVerb::Retry(RetryArguments { id, .. }) => id,
    };
    let id = run_id(instance, text).await?;
    let (name, work) = (id.to_string(), Work::of(None, id));
    let post = |verb| Call::post(["runs", &name, verb]);
    match verb {
        RunVerb::Ls(_) | RunVerb::Show(_) => {
            let run = instance.ask(async |service| service.run(id).await, Call::get(["runs", &name])).await?;
            session.output.result(&run, |run| run_text(session, run))?;
            Ok(Exit::Ok)
        }
        RunVerb::Logs(arguments) => logs(session, instance, id, arguments).await,
        RunVerb::Resume(arguments) => {
            let resumed = instance.ask(async |service| service.resume_run(id).await, post("resume")).await?;
            go_on(session, instance, &work, &resumed.live, arguments).await
        }
        RunVerb::Cancel(_) => {
            let controlled = instance.ask(async |service| service.cancel_run(id).await, post("cancel")).await?;
            let undo = ("undo", format!("{} --canceled", work.retry()));
            controlled_text(session, &controlled, &work, "Canceled", "was asked to stop already", undo)
        }
        RunVerb::Retry(RetryArguments { canceled, detach, .. }) => {
            let there = post("retry").body(&serde_json::json!({ "canceled": canceled }));
            let launched = instance.ask(async |service| service.retry_run(id, *canceled).await, there).await?;
            carry_out(session, instance, &launched, None, *detach).await
        }
    }
}

fn controlled_text(
    session: &Session,
    controlled: &ControlledView,
    work: &Work,
    done: &str,
    already: &str,
    (undo, undo_command): (&str, String),
) -> Result<Exit, Failure> {
    session.output.result(controlled, |controlled| {
        let said = match controlled.changed.is_empty() {
            true => format!("The {} {already}.", work.name()),
            false => format!("{done} {}.", work.name()),
        };
        format!("{said}\n  watch   {}\n  {undo:<7} {}", session.command(&work.show()), session.command(&undo_command))
    })?;
    Ok(Exit::Ok)
}

async fn list_backfills(session: &Session, instance: &Instance, arguments: &ListArguments) -> Result<Exit, Failure> {
    let limit = arguments.limit;
    let before = match &arguments.before {
        Some(id) => Some(backfill_id(instance, id).await?),
        None => None,
    };
    let there = Call::get(["backfills"]).with("before", before);
    let backfills = instance.list(Some(limit), async |service| service.backfills(before, limit).await, there).await?;
    session.output.result(&backfills, |backfills| backfills_text(session, backfills))?;
    Ok(Exit::Ok)
}

fn backfills_text(session: &Session, backfills: &[BackfillView]) -> String {
    if backfills.is_empty() {
        return format!("There are no backfills. To begin one: {}", session.command("backfill '*' --missing"));
    }
    let zone = session.calendar().zone;
    let rows = backfills.iter().map(|backfill| {
        let mut row = vec![short_id(backfill.backfill_id), toned(backfill.state)];
        row.extend(counts_cells(&backfill.steps));
        row.push(time_text(backfill.created_at, zone));
        row.push(shortened(&one_line(&backfill.command), COMMAND_CHARACTERS));
        row
    });
    table(&["BACKFILL", "STATE", "DONE", "TOTAL", "FAILED", "CREATED", "REQUEST"], &["DONE", "TOTAL", "FAILED"], rows)
}

fn counts_cells(steps: &StepCounts) -> [String; 3] {
    let failed = steps.failed + steps.blocked;
    [steps.finished(), steps.total, failed].map(|count| grouped(number(count)))
}

async fn list_runs(session: &Session, instance: &Instance, arguments: &RunListArguments) -> Result<Exit, Failure> {
    let before = match &arguments.list.before {
        Some(id) => Some(run_id(instance, id).await?),
        None => None,
    };
    let backfill_id = match &arguments.backfill {
        Some(id) => Some(backfill_id(instance, id).await?),
        None => None,
    };
    let query = RunQuery {
        live: arguments.live,
        outcome: arguments.state.clone(),
        cause: arguments.cause.clone(),
        backfill_id,
        asset: arguments.asset.clone(),
        requested_by: arguments.user.clone(),
        before,
        limit: arguments.list.limit,
        ..RunQuery::default()
    };
    let there = Call::get(["runs"])
        .with("live", Some(query.live))
        .with("state", query.outcome.as_deref())
        .with("cause", query.cause.as_deref())
        .with("backfill", backfill_id)
        .with("asset", query.asset.as_deref())
        .with("user", query.requested_by.as_deref())
        .with("before", before);
    let runs = instance.list(Some(query.limit), async |service| service.runs(&query).await, there).await?;
    let filtered = query.live
        || query.outcome.is_some()
        || query.cause.is_some()
        || query.requested_by.is_some()
        || backfill_id.is_some()
        || query.asset.is_some()
        || before.is_some();
    session.output.result(&runs, |runs| runs_text(session, runs, filtered))?;
    Ok(Exit::Ok)
}

fn runs_text(session: &Session, runs: &[RunView], filtered: bool) -> String {
    if runs.is_empty() {
        return match filtered {
            true => format!("There are no such runs. All of them: {}", session.command("run ls")),
            false => format!("There are no runs. To begin one: {}", session.command("materialize SELECTION")),
        };
    }
    let zone = session.calendar().zone;
    let rows = runs.iter().map(|run| {
        let mut row =
            vec![short_id(run.run_id), toned(&run.state), shortened(&one_line(&run.because), CAUSE_CHARACTERS)];
        row.extend(counts_cells(&run.steps));
        row.push(time_text(run.requested_at, zone));
        row.push(shortened(&one_line(&run.command), COMMAND_CHARACTERS));
        row
    });
    let header = ["RUN", "STATE", "CAUSE", "DONE", "TOTAL", "FAILED", "REQUESTED", "REQUEST"];
    table(&header, &["DONE", "TOTAL", "FAILED"], rows)
}

/// The steps in words: `120 of 365 partitions done: 110 succeeded, 4 skipped, 6 failed; 2 running, 243 waiting`.
fn counts_text(steps: &StepCounts) -> String {
    let part = |count: i64, what: &str| (count > 0).then(|| format!("{} {}", grouped(number(count)), toned(what)));
    let parts: Vec<String> = [
        part(steps.succeeded, "succeeded"),
        part(steps.skipped, "skipped"),
        part(steps.failed, "failed"),
        part(steps.blocked, "blocked"),
        part(steps.canceled, "canceled"),
        part(steps.running, "running"),
        part(steps.pending + steps.ready, "waiting"),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("{} of {} done: {}", grouped(number(steps.finished())), grouped(number(steps.total)), parts.join(", "))
}

fn failures_text(failures: &[FailureView]) -> String {
    let lines = failures.iter().map(|failure| {
        let reason = shortened(&one_line(failure.reason.as_deref().unwrap_or("no reason is known")), REASON_CHARACTERS);
        format!("\n  {} {} {}: {reason}", failure.asset, failure.partition, toned(&failure.state))
    });
    let text: String = lines.collect();
    if text.is_empty() { text } else { format!("\nNot built:{text}") }
}

fn backfill_text(session: &Session, detail: &BackfillDetailView) -> String {
    let backfill = &detail.backfill;
    let zone = session.calendar().zone;
    let runs: Vec<String> = backfill.runs.iter().map(|run| short_id(*run)).collect();
    let mut text = format!(
        "backfill   {}\nstate      {}\nrequest    {}\ncreated    {}\nruns       {}\npartitions {}",
        backfill.backfill_id,
        toned(backfill.state),
        session.command(&backfill.command),
        time_text(backfill.created_at, zone),
        runs.join(", "),
        counts_text(&backfill.steps)
    );
    text.push_str(&failures_text(&detail.failures));
    let work = Work::of(Some(backfill.backfill_id), backfill.backfill_id);
    text.push_str(&hints(session, &work, backfill.state, backfill.runs.last().copied()));
    text
}

fn run_text(session: &Session, detail: &RunDetailView) -> String {
    let run = &detail.run;
    let zone = session.calendar().zone;
    let mut text = format!(
        "run        {}\nstate      {}\ncause      {}\nrequest    {}\nrequested  {}",
        run.run_id,
        toned(&run.state),
        run.because,
        request_text(session, &run.cause, &run.command),
        time_text(run.requested_at, zone),
    );
    if let Some(finished_at) = run.finished_at {
        text.push_str(&format!("\nfinished   {}", time_text(finished_at, zone)));
    }
    if let Some(backfill_id) = run.backfill_id {
        text.push_str(&format!("\nbackfill   {}", short_id(backfill_id)));
    }
    if let Some(retry_of) = run.retry_of {
        text.push_str(&format!("\nretry of   {}", short_id(retry_of)));
    }
    text.push_str(&format!("\npartitions {}\n\n", counts_text(&run.steps)));
    let rows = detail
        .partitions
        .iter()
        .map(|partitions| vec![partitions.asset.clone(), toned(&partitions.state), partitions.partitions.text.clone()]);
    text.push_str(&table(&["ASSET", "STATE", "PARTITIONS"], &[], rows));
    text.push_str(&failures_text(&detail.failures));
    text.push_str(&hints(session, &Work::of(None, run.run_id), &run.state, Some(run.run_id)));
    text
}

/// What a run was asked for: as a command, unless nobody gave one.
pub(super) fn request_text(session: &Session, cause: &str, command: &str) -> String {
    match cause {
        "automation" | "sensor" => command.to_owned(),
        _ => session.command(command),
    }
}

fn hints(session: &Session, work: &Work, state: &str, newest_run: Option<Uuid>) -> String {
    let mut hints = Vec::new();
    match state {
        "queued" | "running" | "paused" => {
            hints.push(("go on", work.resume()));
            hints.push(("cancel", work.cancel()));
        }
        "failed" => hints.push(("retry", work.retry())),
        "canceled" => hints.push(("retry", format!("{} --canceled", work.retry()))),
        _ => {}
    }
    if let Some(run_id) = newest_run {
        hints.push(("logs", format!("run logs {}", short_id(run_id))));
    }
    hints.into_iter().map(|(what, command)| format!("\n  {what:<7} {}", session.command(&command))).collect()
}

async fn logs(
    session: &Session,
    instance: &Instance,
    run_id: Uuid,
    arguments: &LogsArguments,
) -> Result<Exit, Failure> {
    let LogsArguments { asset, partition, limit, .. } = arguments;
    let query = LogQuery { asset: asset.clone(), partition: partition.clone(), limit: *limit };
    let there = Call::get(["runs", &run_id.to_string(), "logs"])
        .with("asset", asset.as_deref())
        .with("partition", partition.as_deref())
        .with("limit", Some((*limit).min(MOST_REMOTE_LINES)));
    if session.is_remote() && *limit > MOST_REMOTE_LINES {
        session
            .output
            .message(&format!("A server tells the last {} lines at most.", grouped(MOST_REMOTE_LINES.into())));
    }
    let lines = instance.list(None, async |service| service.run_logs(run_id, &query).await, there).await?;
    session.output.result(&lines, |lines| logs_text(session, lines))?;
    Ok(Exit::Ok)
}

fn logs_text(session: &Session, lines: &[LogLineView]) -> String {
    if lines.is_empty() {
        return "The assets said nothing.".to_owned();
    }
    let zone = session.calendar().zone;
    let text = lines.iter().map(|line| {
        let fields: Vec<String> = line
            .fields
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| format!(" {name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        format!(
            "{} {:<5} {} {}: {}{}",
            time_text(line.at, zone),
            line.level,
            line.asset,
            line.partition,
            line.message,
            fields.concat()
        )
    });
    text.collect::<Vec<_>>().join("\n")
}
