//! Schedules: what there is, when they fire, and steering them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::{Body, Listed, Paging, Parameters, up_to};
use super::{Answer, acting};
use crate::service::{ScheduleView, SwitchedView, TickPlanView, TickView, TriggeredView, UpcomingView};
use crate::web::App;
use crate::web::access::{Operator, Viewer};

/// How many ticks are shown unless it is said, and at most.
const USUAL_TICKS: u32 = 6;
const MOST_TICKS: u32 = 1_000;

/// The schedules
///
/// With their newest and their next tick.
#[utoipa::path(get, path = "/schedules", tag = "schedules",
    responses((status = 200, description = "The schedules", body = Listed<ScheduleView>)),
    extensions(("x-command" = json!("schedule ls"))))]
async fn schedules(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Answer<Listed<ScheduleView>> {
    Ok(Json(Listed::whole(app.service.schedules().await?)))
}

/// Which ticks.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TicksWanted {
    /// Only those of this schedule.
    schedule: Option<String>,
    /// About this local date instead of from now on, such as a day on which the clock is changed.
    around: Option<NaiveDate>,
    /// How many; about a date, of each schedule.
    #[param(minimum = 1, maximum = 1000, default = 6)]
    count: Option<u32>,
}

/// When schedules fire
///
/// The ticks to come, or those about a date, with what changes of the clock do to them.
#[utoipa::path(get, path = "/ticks", tag = "schedules", params(TicksWanted),
    responses((status = 200, description = "The ticks", body = UpcomingView)),
    extensions(("x-command" = json!("schedule next [SCHEDULE] [--around DATE]"))))]
async fn ticks(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<TicksWanted>,
) -> Answer<UpcomingView> {
    let count = up_to(MOST_TICKS, "count", wanted.count.unwrap_or(USUAL_TICKS))?;
    let count = usize::try_from(count).unwrap_or(1);
    Ok(Json(app.service.upcoming_ticks(wanted.schedule.as_deref(), wanted.around, count).await?))
}

/// The ticks of a schedule that were
///
/// The newest first, with what came of each; also of a schedule that is not declared any more. They are kept as long as the
/// history is.
#[utoipa::path(get, path = "/schedules/{schedule}/ticks", tag = "schedules",
    params(("schedule" = String, Path, description = "The schedule's name", example = "nightly"), Paging),
    responses((status = 200, description = "A page of ticks", body = Listed<TickView>)))]
async fn past_ticks(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(schedule): Path<String>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<TickView>> {
    let after = paging.after("past ticks")?;
    let schedule = app.service.schedule_named(&schedule).await?;
    let ticks = app.service.ticks(&schedule.schedule, after.as_ref(), paging.one_more()).await?;
    Ok(Json(paging.page("past ticks", ticks, TickView::place)))
}

/// Of which instant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Instant {
    /// The instant of the tick; now without it.
    at: Option<DateTime<Utc>>,
}

/// What a tick would build
///
/// Nothing is launched.
#[utoipa::path(get, path = "/schedules/{schedule}/plan", tag = "schedules",
    params(("schedule" = String, Path, description = "The schedule's name", example = "nightly"), Instant),
    responses((status = 200, description = "What it would build", body = TickPlanView)),
    extensions(("x-command" = json!("schedule trigger SCHEDULE [--at TIME] --dry-run"))))]
async fn plan(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(schedule): Path<String>,
    Parameters(wanted): Parameters<Instant>,
) -> Answer<TickPlanView> {
    Ok(Json(app.service.plan_trigger(&schedule, wanted.at).await?))
}

/// Pause a schedule
///
/// None of its ticks fires until it is resumed. What it launched goes on.
#[utoipa::path(post, path = "/schedules/{schedule}/pause", tag = "schedules",
    params(("schedule" = String, Path, description = "The schedule's name", example = "nightly")),
    responses((status = 200, description = "The schedule, and whether it was on", body = SwitchedView)),
    extensions(("x-command" = json!("schedule pause SCHEDULE"))))]
async fn pause(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(schedule): Path<String>,
) -> Answer<SwitchedView> {
    Ok(Json(acting(&app, caller).pause_schedule(&schedule).await?))
}

/// Switch a schedule on
///
/// Ticks that fell into the pause never fire.
#[utoipa::path(post, path = "/schedules/{schedule}/resume", tag = "schedules",
    params(("schedule" = String, Path, description = "The schedule's name", example = "nightly")),
    responses((status = 200, description = "The schedule, and whether it was paused", body = SwitchedView)),
    extensions(("x-command" = json!("schedule resume SCHEDULE"))))]
async fn resume(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(schedule): Path<String>,
) -> Answer<SwitchedView> {
    Ok(Json(acting(&app, caller).resume_schedule(&schedule).await?))
}

/// A tick to carry out.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
struct Trigger {
    /// The instant of the tick; now without it.
    at: Option<DateTime<Utc>>,
}

/// Carry out a tick
///
/// Paused or not: what the tick at that instant would build, or one that came now. Scheduled ticks fire as if nothing had
/// happened, and find fresh what this builds.
#[utoipa::path(post, path = "/schedules/{schedule}/trigger", tag = "schedules", request_body(content = Trigger, description = "Which tick"),
    params(("schedule" = String, Path, description = "The schedule's name", example = "nightly")),
    responses((status = 200, description = "What came of it", body = TriggeredView)),
    extensions(("x-command" = json!("schedule trigger SCHEDULE [--at TIME] --detach"))))]
async fn trigger(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(schedule): Path<String>,
    Body(wanted): Body<Trigger>,
) -> Answer<TriggeredView> {
    Ok(Json(acting(&app, caller).trigger_schedule(&schedule, wanted.at).await?))
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(schedules))
        .routes(routes!(ticks))
        .routes(routes!(past_ticks))
        .routes(routes!(plan))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(trigger))
}
