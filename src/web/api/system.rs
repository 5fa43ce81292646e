//! The installation itself: what answers, who works, and what wants attention.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::{Body, Listed, Paging, Parameters};
use super::problem::{Problem, ProblemKind};
use super::{Answer, acting};
use crate::service::{
    AlertDetailView, AlertView, HealthView, InstanceView, OverviewView, PoolView, TableSizeView, TestedChannelView,
    TimelineView, WorkerView,
};
use crate::web::App;
use crate::web::access::{Admin, Viewer};

/// What answers here
///
/// The program, its version, and its calendar.
#[utoipa::path(get, path = "/instance", tag = "installation",
    responses((status = 200, description = "What answers", body = InstanceView)),
    extensions(("x-command" = json!("--version"))))]
async fn instance(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Json<InstanceView> {
    Json(app.service.instance(app.program, app.version))
}

/// Whether the process can do its work
///
/// Part by part. The answer is 200 also when something is wrong; `/readyz` says it with its status.
#[utoipa::path(get, path = "/health", tag = "installation",
    responses((status = 200, description = "How the process is", body = HealthView)),
    extensions(("x-command" = json!("worker ls"))))]
async fn health(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Json<HealthView> {
    Json(app.observer.health().await)
}

/// The workers
///
/// The processes on this database, the oldest first.
#[utoipa::path(get, path = "/workers", tag = "installation",
    responses((status = 200, description = "The workers", body = Listed<WorkerView>)),
    extensions(("x-command" = json!("worker ls"))))]
async fn workers(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Answer<Listed<WorkerView>> {
    Ok(Json(Listed::whole(app.service.workers().await?)))
}

/// The pools
///
/// How many steps of each may run at once, who holds it and who waits for it.
#[utoipa::path(get, path = "/pools", tag = "installation",
    responses((status = 200, description = "The pools, by name", body = Listed<PoolView>)))]
async fn pools(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Answer<Listed<PoolView>> {
    Ok(Json(Listed::whole(app.service.load().await?.pools)))
}

/// The tables and what they take.
#[derive(Debug, Serialize, ToSchema)]
struct TablesMeasured {
    /// When they were measured.
    measured_at: DateTime<Utc>,
    /// The tables.
    items: Vec<TableSizeView>,
    /// Always `null`: the list comes as a whole.
    next: Option<String>,
}

/// What tables take
///
/// Those of the state and those of the assets, the largest first, measured once a minute at most. Rows are what the server
/// thinks there are.
#[utoipa::path(get, path = "/tables", tag = "installation",
    responses((status = 200, description = "The tables", body = TablesMeasured)))]
async fn tables(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Answer<TablesMeasured> {
    let sizes = app.observer.table_sizes().await?;
    Ok(Json(TablesMeasured { measured_at: sizes.measured_at, items: sizes.tables.clone(), next: None }))
}

/// What ran and what is due
///
/// From the beginning of the local day before this one to the end of the next, by what launches it. At most the newest five
/// hundred runs are looked at.
#[utoipa::path(get, path = "/timeline", tag = "installation",
    responses((status = 200, description = "What ran and what is due", body = TimelineView)))]
async fn timeline(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Answer<TimelineView> {
    Ok(Json(app.service.timeline().await?))
}

/// What ran in the last day
///
/// How many runs are under way and how those of the last day ended, and which checks that keep no version back fail at the
/// moment. How assets stand is told by their status.
#[utoipa::path(get, path = "/overview", tag = "installation",
    responses((status = 200, description = "What ran, and which checks fail", body = OverviewView)))]
async fn overview(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Answer<OverviewView> {
    Ok(Json(app.service.overview().await?))
}

/// Which alerts.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AlertsWanted {
    /// Only those that last.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    open: bool,
    /// Only those with numbers below this.
    before: Option<i64>,
}

/// The alerts
///
/// The newest first.
#[utoipa::path(get, path = "/alerts", tag = "alerts", params(AlertsWanted, Paging),
    responses((status = 200, description = "A page of alerts", body = Listed<AlertView>)),
    extensions(("x-command" = json!("alert ls [--open]"))))]
async fn alerts(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<AlertsWanted>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<AlertView>> {
    let alerts = app.service.alerts(wanted.open, paging.after("alerts")?.or(wanted.before), paging.one_more()).await?;
    Ok(Json(paging.page("alerts", alerts, |alert| alert.alert_id)))
}

/// An alert
///
/// With what was and is to be said about it on each channel.
#[utoipa::path(get, path = "/alerts/{alert}", tag = "alerts",
    params(("alert" = i64, Path, description = "The alert's number", example = 3)),
    responses((status = 200, description = "The alert", body = AlertDetailView)),
    extensions(("x-command" = json!("alert show ALERT"))))]
async fn alert(Viewer(_): Viewer, State(app): State<Arc<App>>, Path(alert): Path<i64>) -> Answer<AlertDetailView> {
    Ok(Json(app.service.alert(alert).await?))
}

/// Which channels to test.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
struct Tested {
    /// The channel; all without it.
    channel: Option<String>,
}

/// Test whether alerts arrive
///
/// Sends a test message on every channel of the server, or on one, and tells the answers.
#[utoipa::path(post, path = "/alerts/test", tag = "alerts", request_body(content = Tested, description = "Which channels"),
    responses((status = 200, description = "What became of the messages", body = Listed<TestedChannelView>)),
    extensions(("x-command" = json!("alert test [CHANNEL]"))))]
async fn test_alerts(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Body(wanted): Body<Tested>,
) -> Answer<Listed<TestedChannelView>> {
    let names = || app.channels.iter().map(|channel| channel.name()).collect::<Vec<_>>().join(", ");
    let is_wanted = |name: &str| wanted.channel.as_deref().is_none_or(|channel| channel == name);
    let service = acting(&app, caller);
    let mut tested = Vec::new();
    for channel in app.channels.iter().filter(|channel| is_wanted(channel.name())) {
        tested.push(service.test_channel(app.program, &**channel).await?);
    }
    match (&wanted.channel, tested.is_empty()) {
        (_, false) => Ok(Json(Listed::whole(tested))),
        (Some(_), true) if !app.channels.is_empty() => Err(Problem::new(
            ProblemKind::NothingFound,
            format!("Alerts do not go there: the channels are {}.", names()),
        )),
        (_, true) => Err(Problem::new(
            ProblemKind::Refused,
            "Alerts go nowhere: the server was started without the URL of a webhook, --alert-webhook.",
        )),
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(instance))
        .routes(routes!(health))
        .routes(routes!(workers))
        .routes(routes!(pools))
        .routes(routes!(tables))
        .routes(routes!(timeline))
        .routes(routes!(overview))
        .routes(routes!(alerts))
        .routes(routes!(alert))
        .routes(routes!(test_alerts))
}
