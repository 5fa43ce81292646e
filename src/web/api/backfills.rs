//! Backfills: listing, showing and steering them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::{Body, Listed, Paging, Parameters};
use super::problem::Problem;
use super::runs::Retry;
use super::{Answer, acting};
use crate::service::{BackfillDetailView, BackfillView, ControlledView, LaunchedView};
use crate::web::App;
use crate::web::access::{Operator, Viewer};

/// The backfills
///
/// The newest first.
#[utoipa::path(get, path = "/backfills", tag = "backfills", params(Paging),
    responses((status = 200, description = "A page of backfills", body = Listed<BackfillView>)),
    extensions(("x-command" = json!("backfill ls"))))]
async fn backfills(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<BackfillView>> {
    let backfills = app.service.backfills(paging.after("backfills")?, paging.one_more()).await?;
    Ok(Json(paging.page("backfills", backfills, |backfill| backfill.backfill_id)))
}

/// A backfill
#[utoipa::path(get, path = "/backfills/{backfill}", tag = "backfills",
    params(("backfill" = String, Path, description = "The backfill's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "The backfill", body = BackfillDetailView)),
    extensions(("x-command" = json!("backfill show BACKFILL"))))]
async fn backfill(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(backfill): Path<String>,
) -> Answer<BackfillDetailView> {
    Ok(Json(app.service.backfill(app.service.backfill_id(&backfill).await?).await?))
}

/// Pause a backfill
///
/// Starts nothing new of it until it is resumed. What runs goes on.
#[utoipa::path(post, path = "/backfills/{backfill}/pause", tag = "backfills",
    params(("backfill" = String, Path, description = "The backfill's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "What changed", body = ControlledView)),
    extensions(("x-command" = json!("backfill pause BACKFILL"))))]
async fn pause(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(backfill): Path<String>,
) -> Answer<ControlledView> {
    let service = acting(&app, caller);
    Ok(Json(service.pause_backfill(service.backfill_id(&backfill).await?).await?))
}

/// Go on with a backfill
///
/// Ends its pause; workers go on with it. One that is not paused stays as it is.
#[utoipa::path(post, path = "/backfills/{backfill}/resume", tag = "backfills",
    params(("backfill" = String, Path, description = "The backfill's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "What changed", body = ControlledView)),
    extensions(("x-command" = json!("backfill resume BACKFILL --detach"))))]
async fn resume(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(backfill): Path<String>,
) -> Answer<ControlledView> {
    let service = acting(&app, caller);
    Ok(Json(service.resume_backfill(service.backfill_id(&backfill).await?).await?))
}

/// Cancel a backfill
///
/// Starts nothing new of it ever, and stops what runs. What was built stays.
#[utoipa::path(post, path = "/backfills/{backfill}/cancel", tag = "backfills",
    params(("backfill" = String, Path, description = "The backfill's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "What changed", body = ControlledView)),
    extensions(("x-command" = json!("backfill cancel BACKFILL"))))]
async fn cancel(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(backfill): Path<String>,
) -> Answer<ControlledView> {
    let service = acting(&app, caller);
    Ok(Json(service.cancel_backfill(service.backfill_id(&backfill).await?).await?))
}

/// Retry a backfill
///
/// Launches what failed or was blocked as a further run of the backfill.
#[utoipa::path(post, path = "/backfills/{backfill}/retry", tag = "backfills", request_body(content = Retry, description = "What to repeat"),
    params(("backfill" = String, Path, description = "The backfill's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 201, description = "The run that was launched", body = LaunchedView)),
    extensions(("x-command" = json!("backfill retry BACKFILL --detach"))))]
async fn retry(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(backfill): Path<String>,
    Body(what): Body<Retry>,
) -> Result<(StatusCode, Json<LaunchedView>), Problem> {
    let service = acting(&app, caller);
    let launched = service.retry_backfill(service.backfill_id(&backfill).await?, what.canceled).await?;
    Ok((StatusCode::CREATED, Json(launched)))
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(backfills))
        .routes(routes!(backfill))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}
