//! Backfills: listing, showing and steering them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::{Body, Listed, Paging, Parameters};
use super::problem::{Problem, ProblemKind};
use super::runs::Retry;
use super::{Answer, acting};
use crate::service::{BackfillDetailView, BackfillView, ControlledView, LaunchedView};
use crate::web::App;
use crate::web::access::{Operator, Viewer};

/// Most partitions at once.
const MOST_AT_ONCE: u32 = 1_000;

/// Which backfills.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct BackfillsWanted {
    /// Only those older than this one: its id, or at least four characters of its beginning or end.
    before: Option<String>,
}

/// The backfills
///
/// The newest first.
#[utoipa::path(get, path = "/backfills", tag = "backfills", params(BackfillsWanted, Paging),
    responses((status = 200, description = "A page of backfills", body = Listed<BackfillView>)),
    extensions(("x-command" = json!("backfill ls"))))]
async fn backfills(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<BackfillsWanted>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<BackfillView>> {
    let before = match (&wanted.before, paging.after("backfills")?) {
        (Some(id), None) => Some(app.service.backfill_id(id).await?),
        (_, after) => after,
    };
    let backfills = app.service.backfills(before, paging.one_more()).await?;
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

/// How much of a backfill is built at once.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({ "partitions": 4 }))]
struct NewLimit {
    /// Most partitions at once; as many as there are slots without it.
    #[schema(minimum = 1, maximum = 1000)]
    partitions: Option<u32>,
}

/// Limit a backfill
///
/// From now on so many of its partitions at once, or as many as there are slots. What runs goes on.
#[utoipa::path(post, path = "/backfills/{backfill}/limit", tag = "backfills", request_body(content = NewLimit, description = "The limit"),
    params(("backfill" = String, Path, description = "The backfill's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "What changed", body = ControlledView)),
    extensions(("x-command" = json!("backfill limit BACKFILL [PARTITIONS]"))))]
async fn limit(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Path(backfill): Path<String>,
    Body(wanted): Body<NewLimit>,
) -> Answer<ControlledView> {
    if wanted.partitions.is_some_and(|partitions| !(1..=MOST_AT_ONCE).contains(&partitions)) {
        let detail = format!("partitions is a number from 1 to {MOST_AT_ONCE}, or null.");
        return Err(Problem::new(ProblemKind::WrongShape, detail));
    }
    let service = acting(&app, caller);
    Ok(Json(service.limit_backfill(service.backfill_id(&backfill).await?, wanted.partitions).await?))
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
        .routes(routes!(limit))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}
