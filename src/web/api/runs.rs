//! Runs: listing, showing, steering and repeating them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::input::{Body, Listed, Paging, Parameters, at_most};
use super::problem::Problem;
use super::{Answer, acting};
use crate::service::{
    ControlledView, LaunchedView, RunDetailView, RunQuery, RunStepView, RunVersionView, RunView, SummaryView,
};
use crate::web::App;
use crate::web::access::{Operator, Viewer};

/// How many runs are looked at together.
const TOGETHER: usize = 50;

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RunsWanted {
    /// Only those that have not ended.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    live: bool,
    /// Only those that stand, or ended, so.
    #[param(inline)]
    state: Option<RunState>,
    /// Only those that exist for this reason.
    #[param(inline)]
    cause: Option<Cause>,
    /// Only those of this backfill: its id, or at least four characters of its beginning or end.
    backfill: Option<String>,
    /// Only those that build this asset, by its key or table.
    asset: Option<String>,
    /// Only those that build this partition of the asset.
    partition: Option<String>,
    /// Only those asked for at this time or later.
    since: Option<DateTime<Utc>>,
    /// Only those asked for before this time.
    until: Option<DateTime<Utc>>,
    /// Only those that this account, or user of an operating system, asked for.
    user: Option<String>,
    /// Only those older than this run: its id, or at least four characters of its beginning or end.
    before: Option<String>,
}

/// How a run stands, or ended.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RunState {
    /// It has steps to begin, and none was begun.
    Queued,
    /// It is carried out.
    Running,
    /// Nothing new of it is begun until it is resumed.
    Paused,
    /// It was asked to stop, and has not yet.
    Canceling,
    /// Everything was built, or fresh already.
    Succeeded,
    /// Something was not built.
    Failed,
    /// It was stopped.
    Canceled,
}

impl RunState {
    /// The word for it while it is live.
    const fn live(self) -> Option<&'static str> {
        match self {
            Self::Queued => Some("queued"),
            Self::Running => Some("running"),
            Self::Paused => Some("paused"),
            Self::Canceling => Some("canceling"),
            Self::Succeeded | Self::Failed | Self::Canceled => None,
        }
    }

    /// The word for how it ended.
    const fn outcome(self) -> Option<&'static str> {
        match self {
            Self::Succeeded => Some("succeeded"),
            Self::Failed => Some("failed"),
            Self::Canceled => Some("canceled"),
            Self::Queued | Self::Running | Self::Paused | Self::Canceling => None,
        }
    }
}

/// Why a run exists.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Cause {
    /// Somebody materialized something.
    Manual,
    /// It belongs to a backfill.
    Backfill,
    /// It repeats what was not built.
    Retry,
    /// A schedule's tick.
    Schedule,
    /// Automation found something to do.
    Automation,
    /// A sensor asked for it.
    Sensor,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::Retry => "retry",
            Self::Schedule => "schedule",
            Self::Automation => "automation",
            Self::Sensor => "sensor",
        }
    }
}

/// The runs
///
/// The newest first. Where few fit, a page may have fewer than asked for, or none, although the list goes on.
#[utoipa::path(get, path = "/runs", tag = "runs", params(RunsWanted, Paging),
    responses((status = 200, description = "A page of runs", body = Listed<RunView>)),
    extensions(("x-command" = json!("run ls"))))]
async fn runs(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<RunsWanted>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<RunView>> {
    if wanted.partition.is_some() && wanted.asset.is_none() {
        return Err(Problem::bad_request("Runs of a partition are those of an asset: name it as well."));
    }
    let backfill_id = match &wanted.backfill {
        Some(id) => Some(app.service.backfill_id(id).await?),
        None => None,
    };
    let before = match (&wanted.before, paging.after("runs")?) {
        (Some(id), None) => Some(app.service.run_id(id).await?),
        (_, after) => after,
    };
    let query = RunQuery {
        live: wanted.live,
        state: wanted.state.and_then(RunState::live).map(str::to_owned),
        outcome: wanted.state.and_then(RunState::outcome).map(str::to_owned),
        cause: wanted.cause.map(|cause| cause.as_str().to_owned()),
        backfill_id,
        asset: wanted.asset,
        partition: wanted.partition,
        since: wanted.since,
        until: wanted.until,
        requested_by: wanted.user,
        before,
        limit: paging.limit,
    };
    let page = app.service.run_page(&query).await?;
    Ok(Json(paging.page_before("runs", page.runs, page.next)))
}

/// A run
///
/// By its id, or at least four characters of its beginning or end.
#[utoipa::path(get, path = "/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "The run", body = RunDetailView)),
    extensions(("x-command" = json!("run show RUN"))))]
async fn run(Viewer(_): Viewer, State(app): State<Arc<App>>, Path(run): Path<String>) -> Answer<RunDetailView> {
    Ok(Json(app.service.run(app.service.run_id(&run).await?).await?))
}

/// Which steps.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StepsWanted {
    /// Only those in this state.
    #[param(inline)]
    state: Option<StepState>,
}

/// The state of a step.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StepState {
    /// Waits for other steps.
    Pending,
    /// Waits for a slot or a delay.
    Ready,
    /// Is carried out.
    Running,
    /// Is published.
    Succeeded,
    /// Was fresh already.
    Skipped,
    /// Was given up.
    Failed,
    /// Could not run because of something upstream.
    Blocked,
    /// Was stopped.
    Canceled,
}

impl StepState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Canceled => "canceled",
        }
    }
}

/// The steps of a run
///
/// One for each partition, by asset and partition.
#[utoipa::path(get, path = "/runs/{run}/steps", tag = "runs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c"), StepsWanted, Paging),
    responses((status = 200, description = "A page of steps", body = Listed<RunStepView>)),
    extensions(("x-command" = json!("run show RUN"))))]
async fn steps(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Parameters(wanted): Parameters<StepsWanted>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<RunStepView>> {
    let run_id = app.service.run_id(&run).await?;
    let state = wanted.state.map(StepState::as_str);
    let steps = app.service.run_steps(run_id, state, paging.after("steps")?, paging.one_more()).await?;
    Ok(Json(paging.page("steps", steps, RunStepView::place)))
}

/// How many versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct VersionsWanted {
    /// Of at most so many partitions.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
}

/// What a run published and read
///
/// The versions that it published, upstream first, each with the versions of its inputs. Replaced ones are kept as long as the
/// history is.
#[utoipa::path(get, path = "/runs/{run}/versions", tag = "runs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c"), VersionsWanted),
    responses((status = 200, description = "The versions", body = Listed<RunVersionView>)))]
async fn versions(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Parameters(wanted): Parameters<VersionsWanted>,
) -> Answer<Listed<RunVersionView>> {
    let limit = at_most(wanted.limit)?;
    let run_id = app.service.run_id(&run).await?;
    Ok(Json(Listed::whole(app.service.run_versions(run_id, limit).await?)))
}

/// Go on with a run
///
/// Ends its pause; workers go on with it. A run that is not paused stays as it is.
#[utoipa::path(post, path = "/runs/{run}/resume", tag = "runs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "What changed", body = ControlledView)),
    extensions(("x-command" = json!("run resume RUN --detach"))))]
async fn resume(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
) -> Answer<ControlledView> {
    let service = acting(&app, caller);
    Ok(Json(service.resume_run(service.run_id(&run).await?).await?))
}

/// Cancel a run
///
/// Starts nothing new of it ever, and stops what runs. What was built stays.
#[utoipa::path(post, path = "/runs/{run}/cancel", tag = "runs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "What changed", body = ControlledView)),
    extensions(("x-command" = json!("run cancel RUN"))))]
async fn cancel(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
) -> Answer<ControlledView> {
    let service = acting(&app, caller);
    Ok(Json(service.cancel_run(service.run_id(&run).await?).await?))
}

/// What to repeat.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(super) struct Retry {
    /// Also what was canceled.
    pub(super) canceled: bool,
}

/// Retry a run
///
/// Launches what failed or was blocked in a run of its own, which belongs to the same backfill.
#[utoipa::path(post, path = "/runs/{run}/retry", tag = "runs", request_body(content = Retry, description = "What to repeat"),
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 201, description = "The run that was launched", body = LaunchedView)),
    extensions(("x-command" = json!("run retry RUN --detach"))))]
async fn retry(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Body(what): Body<Retry>,
) -> Result<(StatusCode, Json<LaunchedView>), Problem> {
    let service = acting(&app, caller);
    let launched = service.retry_run(service.run_id(&run).await?, what.canceled).await?;
    Ok((StatusCode::CREATED, Json(launched)))
}

/// Some runs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Together {
    /// The ids of at most fifty runs, with commas between them.
    #[param(example = "019a3f2c-7c1e-7d30-8f6e-1f6f2f0a9b11")]
    runs: String,
}

/// How far runs are
///
/// Some runs taken together: their steps by state, the first failures, and when the last of them ended.
#[utoipa::path(get, path = "/progress", tag = "runs", params(Together),
    responses((status = 200, description = "How far they are", body = SummaryView)),
    extensions(("x-command" = json!("run show RUN"))))]
async fn progress(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<Together>,
) -> Answer<SummaryView> {
    let runs: Result<Vec<Uuid>, _> = wanted.runs.split(',').take(TOGETHER + 1).map(str::parse).collect();
    match runs {
        Ok(runs) if runs.len() <= TOGETHER => Ok(Json(app.service.summary(&runs).await?)),
        _ => Err(Problem::bad_request(format!("runs are the whole ids of 1 to {TOGETHER} runs, with commas between."))),
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(runs))
        .routes(routes!(run))
        .routes(routes!(steps))
        .routes(routes!(versions))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(progress))
}
