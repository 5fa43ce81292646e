//! Sensors: what there is, what they came to, and steering them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::{Body, Listed};
use super::{Answer, acting};
use crate::service::{ChangedSensorView, SensorChange, SensorDetailView, SensorView};
use crate::web::App;
use crate::web::access::{Caller, Operator, Viewer};

/// The sensors
#[utoipa::path(get, path = "/sensors", tag = "sensors",
    responses((status = 200, description = "The sensors", body = Listed<SensorView>)),
    extensions(("x-command" = json!("sensor ls"))))]
async fn sensors(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Answer<Listed<SensorView>> {
    Ok(Json(Listed::whole(app.service.sensors().await?)))
}

/// A sensor
///
/// With its newest evaluations.
#[utoipa::path(get, path = "/sensors/{sensor}", tag = "sensors",
    params(("sensor" = String, Path, description = "The sensor's name", example = "files")),
    responses((status = 200, description = "The sensor", body = SensorDetailView)),
    extensions(("x-command" = json!("sensor show SENSOR"))))]
async fn sensor(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(sensor): Path<String>,
) -> Answer<SensorDetailView> {
    Ok(Json(app.service.sensor(&sensor).await?))
}

async fn change(app: &App, caller: Caller, sensor: &str, change: SensorChange) -> Answer<ChangedSensorView> {
    Ok(Json(acting(app, caller).change_sensor(sensor, &change).await?))
}

/// Pause a sensor
///
/// It is not evaluated until it is resumed. What it launched goes on.
#[utoipa::path(post, path = "/sensors/{sensor}/pause", tag = "sensors",
    params(("sensor" = String, Path, description = "The sensor's name", example = "files")),
    responses((status = 200, description = "The sensor, and whether this changed it", body = ChangedSensorView)),
    extensions(("x-command" = json!("sensor pause SENSOR"))))]
async fn pause(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(sensor): Path<String>,
) -> Answer<ChangedSensorView> {
    change(&app, caller, &sensor, SensorChange::Pause).await
}

/// Switch a sensor on
///
/// It is evaluated at once.
#[utoipa::path(post, path = "/sensors/{sensor}/resume", tag = "sensors",
    params(("sensor" = String, Path, description = "The sensor's name", example = "files")),
    responses((status = 200, description = "The sensor, and whether this changed it", body = ChangedSensorView)),
    extensions(("x-command" = json!("sensor resume SENSOR"))))]
async fn resume(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(sensor): Path<String>,
) -> Answer<ChangedSensorView> {
    change(&app, caller, &sensor, SensorChange::Resume).await
}

/// Evaluate a sensor at once
#[utoipa::path(post, path = "/sensors/{sensor}/trigger", tag = "sensors",
    params(("sensor" = String, Path, description = "The sensor's name", example = "files")),
    responses((status = 200, description = "The sensor, and whether this changed it", body = ChangedSensorView)),
    extensions(("x-command" = json!("sensor trigger SENSOR"))))]
async fn trigger(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(sensor): Path<String>,
) -> Answer<ChangedSensorView> {
    change(&app, caller, &sensor, SensorChange::Trigger).await
}

/// Where a sensor is to go on.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
struct NewCursor {
    /// The cursor; the beginning without it.
    to: Option<String>,
}

/// Set how far a sensor came
///
/// Requests with a run key are not repeated.
#[utoipa::path(post, path = "/sensors/{sensor}/cursor", tag = "sensors", request_body(content = NewCursor, description = "The cursor"),
    params(("sensor" = String, Path, description = "The sensor's name", example = "files")),
    responses((status = 200, description = "The sensor, and whether this changed it", body = ChangedSensorView)),
    extensions(("x-command" = json!("sensor reset-cursor SENSOR [--to CURSOR]"))))]
async fn cursor(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(sensor): Path<String>,
    Body(wanted): Body<NewCursor>,
) -> Answer<ChangedSensorView> {
    change(&app, caller, &sensor, SensorChange::Cursor(wanted.to)).await
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(sensors))
        .routes(routes!(sensor))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(trigger))
        .routes(routes!(cursor))
}
