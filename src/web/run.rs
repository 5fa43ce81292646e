//! One run: what failed first, what it did when, what it said, and why there is one.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use tokio::try_join;
use uuid::Uuid;

use super::App;
use super::access::{Operator, Viewer};
use super::address::address;
use super::chart::{Caption, Gantt, GanttBar, GanttRow};
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use super::run_log::{LogForm, LogPart, last_lines};
use super::words;
use crate::service::{FailedStepView, RunDetailView, RunTimesView, RunVersionView};

/// How many failed steps are told with their attempts.
const TOLD_FAILURES: u32 = 3;

/// How many published versions are told.
const TOLD_VERSIONS: u32 = 50;

/// How much of an error is told.
const ERROR_CHARACTERS: usize = 4_000;

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    page: Page,
    part: RunPart,
    log: LogPart,
}

#[derive(Template)]
#[template(path = "run/part.html")]
struct RunPart {
    page: Page,
    detail: RunDetailView,
    failed: Vec<FailedStepView>,
    times: RunTimesView,
    gantt: Gantt,
    versions: Vec<RunVersionView>,
}

impl askama::filters::HtmlSafe for RunPart {}

impl RunPart {
    fn is_live(&self) -> bool {
        self.detail.run.finished_at.is_none()
    }

    /// Whether something was not built that a retry would build.
    fn can_retry(&self) -> bool {
        !self.is_live() && self.detail.run.steps.failed + self.detail.run.steps.blocked > 0
    }

    fn took(&self) -> String {
        let run = &self.detail.run;
        self.page.duration_precise(run.finished_at.unwrap_or(self.page.now) - run.requested_at)
    }

    fn word<'a>(&'a self, state: &'a str) -> &'a str {
        words::state(&self.page, state)
    }

    fn why(&self, asset: &str, partition: &str) -> String {
        address(&format!("/assets/{asset}/why"), [("partition", partition)])
    }

    fn shortened(&self, text: &str) -> String {
        self.page.shortened(text, ERROR_CHARACTERS)
    }

    /// How many versions there are that are not told.
    fn more_versions(&self) -> i64 {
        (self.detail.run.steps.succeeded - i64::try_from(self.versions.len()).unwrap_or(0)).max(0)
    }
}

/// The attempts as bars: a row for what was carried out together, again and again where it was repeated.
fn gantt(page: &Page, times: &RunTimesView) -> Gantt {
    let mut rows: Vec<GanttRow> = Vec::new();
    for entry in &times.entries {
        let label = format!("{} {}", entry.asset, page.told(&entry.partitions));
        let outcome = words::state(page, &entry.outcome);
        let text = match (times.is_by_asset, entry.attempt) {
            (true, _) => format!("{} {outcome}", page.number(entry.count)),
            (false, 1) => outcome.to_owned(),
            (false, attempt) => format!("{} {attempt}, {outcome}", page.t("attempt", "Versuch")),
        };
        let bar = GanttBar {
            start: entry.started_at,
            end: entry.finished_at,
            state: words::state_class(&entry.outcome).trim_start_matches("state-"),
            text,
        };
        match rows.last_mut() {
            Some(row) if row.label == label => row.bars.push(bar),
            _ => rows.push(GanttRow { label, link: Some(format!("/assets/{}", entry.asset)), bars: vec![bar] }),
        }
    }
    let caption = Caption {
        id: "times",
        title: page.t("What was carried out when", "Was wann ausgeführt wurde"),
        language: page.language,
    };
    Gantt::new(&caption, page.t("Steps", "Schritte"), &rows, page.zone, page.now)
}

/// What changes while the run is live. Its parts are independent of each other and asked for at the same time.
async fn part(app: &App, page: &Page, detail: RunDetailView) -> Result<RunPart, PageError> {
    let (service, run) = (&app.service, &detail.run);
    let failed = async {
        match run.steps.failed {
            0 => Ok(Vec::new()),
            _ => service.failed_steps(run.run_id, TOLD_FAILURES).await,
        }
    };
    let versions = async {
        match run.steps.succeeded {
            0 => Ok(Vec::new()),
            _ => service.run_versions(run.run_id, TOLD_VERSIONS).await,
        }
    };
    let (failed, times, versions) = try_join!(failed, service.run_times(run), versions)?;
    Ok(RunPart { gantt: gantt(page, &times), page: page.clone(), detail, failed, times, versions })
}

/// The run, by its id or as much of it as is enough.
async fn found(app: &App, id: &str) -> Result<Uuid, PageError> {
    match Uuid::parse_str(id) {
        Ok(run_id) => Ok(run_id),
        Err(_) => Ok(app.service.run_id(id).await?),
    }
}

async fn run(
    _: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(id): Path<String>,
    axum::extract::Query(form): axum::extract::Query<LogForm>,
) -> PageResult {
    let run_id = found(&app, &id).await?;
    let part = async { part(&app, &page, app.service.run(run_id).await?).await };
    if page.is_part {
        return rendered(&part.await?);
    }
    let (part, lines) = try_join!(part, last_lines(&app, run_id, &form))?;
    let log = LogPart::new(&page, run_id, form, part.is_live(), lines);
    rendered(&RunPage { page, part, log })
}

async fn cancel(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(run_id): Path<Uuid>,
) -> Result<Redirect, PageError> {
    operator.service(&app).cancel_run(run_id).await?;
    Ok(Redirect::to(&format!("/runs/{run_id}")))
}

async fn resume(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(run_id): Path<Uuid>,
) -> Result<Redirect, PageError> {
    operator.service(&app).resume_run(run_id).await?;
    Ok(Redirect::to(&format!("/runs/{run_id}")))
}

async fn retry(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(run_id): Path<Uuid>,
) -> Result<Redirect, PageError> {
    let launched = operator.service(&app).retry_run(run_id, false).await?;
    Ok(Redirect::to(&format!("/runs/{}", launched.run_id)))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/runs/{run_id}", get(run))
        .route("/runs/{run_id}/cancel", post(cancel))
        .route("/runs/{run_id}/resume", post(resume))
        .route("/runs/{run_id}/retry", post(retry))
        .merge(super::run_log::routes())
}
