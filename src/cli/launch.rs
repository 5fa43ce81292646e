//! Planning, launching and going on.

use serde::Deserialize;
use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::foreground::{Work, work_off_as};
use super::instance::Instance;
use super::output::{counted, grouped, short_id, table};
use super::remote::{Call, PAGE, Remote};
use super::session::Session;
use super::verb::{BackfillArguments, LaunchArguments, ModeArguments, PlanArguments, ResumeArguments};
use crate::service::{Extent, LaunchKind, LaunchedView, PlanView, PlannedBecause, Request};

pub(super) async fn plan(session: &Session, arguments: &PlanArguments) -> Result<Exit, Failure> {
    let request = arguments.request.request(&arguments.selection, arguments.partitions.as_deref());
    session.instance(async |instance| preview(session, instance, &request).await).await
}

pub(super) async fn materialize(session: &Session, arguments: &LaunchArguments) -> Result<Exit, Failure> {
    let request = arguments.request.request(&arguments.selection, arguments.partitions.as_deref());
    start(session, &request, arguments.mode, LaunchKind::Materialize).await
}

pub(super) async fn backfill(session: &Session, arguments: &BackfillArguments) -> Result<Exit, Failure> {
    let partitions = arguments.partitions.as_deref();
    let selection = arguments.selection.as_deref().unwrap_or_default();
    if !arguments.request.says_partitions(partitions) {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "which partitions? Write a range or list, such as `{}`, or one of --all, --missing, --failed, --stale",
                session.command(
                    &Request::new(selection, Extent::Text("2026-01..2026-03".to_owned())).command_line("backfill")
                )
            ),
        ));
    }
    let request = arguments.request.request(selection, partitions);
    start(session, &request, arguments.mode, LaunchKind::Backfill).await
}

async fn start(session: &Session, request: &Request, mode: ModeArguments, kind: LaunchKind) -> Result<Exit, Failure> {
    session
        .instance(async |instance| {
            if mode.dry_run {
                return preview(session, instance, request).await;
            }
            let there = match kind {
                LaunchKind::Materialize => Call::post(["runs"]),
                LaunchKind::Backfill => Call::post(["backfills"]),
            };
            let launched =
                instance.ask(async |service| service.launch(request, kind).await, there.body(request)).await?;
            carry_out(session, instance, &launched, request.concurrency_limit, mode.detach).await
        })
        .await
}

/// Says what was launched, and works it off unless that is left to others.
pub(super) async fn carry_out(
    session: &Session,
    instance: &Instance,
    launched: &LaunchedView,
    concurrency: Option<u32>,
    detach: bool,
) -> Result<Exit, Failure> {
    let work = Work::of(launched.backfill_id, launched.run_id);
    let said = launched_text(session, launched, &work);
    if detach {
        session.output.result(launched, |_| format!("{said}\n  work on {}", session.command(&work.resume())))?;
        return Ok(Exit::Ok);
    }
    session.output.text(&said)?;
    let finished = work_off_as(session, instance, &work, &[launched.run_id], concurrency).await?;
    finished.print(session, &work, Some(launched))
}

fn launched_text(session: &Session, launched: &LaunchedView, work: &Work) -> String {
    let what = match &launched.plan {
        Some(plan) => {
            format!("{} of {}", counted(launched.steps, "partition"), counted(plan.assets.len(), "asset"))
        }
        None => counted(launched.steps, "partition"),
    };
    let mut text = format!(
        "Launched {}: {what}.\n  watch   {}\n  undo    {}",
        work.name(),
        session.command(&work.show()),
        session.command(&work.cancel())
    );
    if let Some(plan) = launched.plan.as_ref().filter(|plan| !plan.missing_upstream.is_empty()) {
        text.push_str(&format!("\n  Built by force with inputs missing: {}.", missing_text(plan)));
    }
    text
}

fn missing_text(plan: &PlanView) -> String {
    let missing: Vec<String> =
        plan.missing_upstream.iter().map(|missing| format!("{} {}", missing.asset, missing.partitions.text)).collect();
    missing.join("; ")
}

async fn preview(session: &Session, instance: &Instance, request: &Request) -> Result<Exit, Failure> {
    let plan = match instance {
        Instance::Here(connected) => connected.service.plan(request).await?,
        Instance::There(remote) => remote_plan(remote, request).await?,
    };
    session.output.result(&plan, |plan| plan_text(session, plan))?;
    Ok(if plan.missing_upstream.is_empty() || request.force { Exit::Ok } else { Exit::Failure })
}

/// The plan of a server, which comes in pages.
#[derive(Deserialize)]
struct PlanPage {
    #[serde(flatten)]
    plan: PlanView,
    next: Option<String>,
}

/// All pages of a plan; its counts and what is missing upstream are the first page's.
async fn remote_plan(remote: &Remote, request: &Request) -> Result<PlanView, Failure> {
    let page = Call::post(["plan"]).with("limit", Some(PAGE)).body(request);
    let PlanPage { mut plan, mut next } = remote.call(&page).await?;
    while let Some(cursor) = next {
        let more: PlanPage = remote.call(&page.clone().with("cursor", Some(cursor))).await?;
        plan.assets.extend(more.plan.assets);
        next = more.next;
    }
    Ok(plan)
}

fn plan_text(session: &Session, plan: &PlanView) -> String {
    let rows = plan.assets.iter().map(|planned| {
        let note = match (planned.because, planned.only_if_stale) {
            (PlannedBecause::Upstream, _) => "missing upstream",
            (PlannedBecause::Affected, _) => "if its inputs change",
            (PlannedBecause::Selected, _) if planned.built_before > 0 => "rebuilt",
            (PlannedBecause::Selected, _) => "",
        };
        vec![
            planned.asset.to_string(),
            planned.kind.as_str().to_owned(),
            grouped(planned.partitions.count),
            planned.partitions.text.clone(),
            grouped(planned.built_before),
            note.to_owned(),
        ]
    });
    let mut text =
        table(&["ASSET", "KIND", "COUNT", "PARTITIONS", "BUILT BEFORE", "NOTE"], &["COUNT", "BUILT BEFORE"], rows);
    text.push_str(&format!(
        "\n\n{} of {}.",
        counted(plan.partition_count, "partition"),
        counted(plan.assets.len(), "asset")
    ));
    if !plan.external.is_empty() {
        let external: Vec<&str> = plan.external.iter().map(|key| key.as_str()).collect();
        text.push_str(&format!(" Not built, because their rows come from outside: {}.", external.join(", ")));
    }
    if !plan.missing_upstream.is_empty() {
        text.push_str(&format!("\nMissing upstream: {}.", missing_text(plan)));
        text.push_str(match plan.request.force {
            true => "\nIt will be built without them, which is recorded.",
            false => "\nIt cannot be launched like this: add --upstream to build them first, or --force to build without them.",
        });
    }
    let ready = plan.missing_upstream.is_empty() || plan.request.force;
    if ready {
        // A backfill wants to be told which partitions.
        let says_partitions = plan.request.extent != Extent::Newest || !plan.request.states.is_empty();
        let verb = if says_partitions { "backfill" } else { "materialize" };
        text.push_str(&format!("\nTo build it: {}", session.command(&plan.request.command_line(verb))));
    }
    text
}

/// Works off what was resumed, unless that is left to others.
pub(super) async fn go_on(
    session: &Session,
    instance: &Instance,
    work: &Work,
    live: &[Uuid],
    arguments: &ResumeArguments,
) -> Result<Exit, Failure> {
    if arguments.detach {
        let resumed = serde_json::json!({ "resumed": live });
        session.output.result(&resumed, |_| {
            format!(
                "Resumed {}.\n  watch   {}\n  undo    {}",
                work.name(),
                session.command(&work.show()),
                session.command(&work.cancel())
            )
        })?;
        return Ok(Exit::Ok);
    }
    if matches!(instance, Instance::There(_)) && arguments.concurrency.is_some() {
        let message = "--concurrency is about this process, and workers elsewhere carry it out: leave it out";
        return Err(Failure::new(Exit::Usage, message));
    }
    session.output.text(&format!("Going on with {}.", work.name()))?;
    work_off_as(session, instance, work, live, arguments.concurrency).await?.print(session, work, None)
}

impl Work {
    /// A backfill where there is one, else the run.
    pub(super) fn of(backfill_id: Option<Uuid>, run_id: Uuid) -> Self {
        match backfill_id {
            Some(backfill_id) => Self { thing: "backfill", id: short_id(backfill_id) },
            None => Self { thing: "run", id: short_id(run_id) },
        }
    }
}
