//! Planning and launching.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::assets::assets_told;
use super::input::{Body, Listed, Paging, Parameters};
use super::problem::Problem;
use super::{Answer, acting};
use crate::service::{LaunchKind, LaunchedView, PlanView, Request};
use crate::web::App;
use crate::web::access::{Operator, Viewer};

/// What a request would build, a page of it.
#[derive(Debug, Serialize, ToSchema)]
struct PlanPage {
    /// The plan: of what would be built the assets of this page, everything else as a whole.
    #[serde(flatten)]
    plan: PlanView,
    /// The cursor of the page after this one; `null` on the last.
    next: Option<String>,
}

/// What a request would build
///
/// Nothing is launched. What is missing upstream is in the answer, and would keep it from being launched.
#[utoipa::path(post, path = "/plan", tag = "launch", params(Paging),
    request_body(content = Request, description = "What is to be built, and how"),
    responses((status = 200, description = "A page of what would be built", body = PlanPage)),
    extensions(("x-command" = json!("plan SELECTION [PARTITIONS]")), ("x-safe" = json!(true))))]
async fn plan(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Parameters(paging): Parameters<Paging>,
    Body(request): Body<Request>,
) -> Answer<PlanPage> {
    let told = assets_told(&paging, "plan", app.service.definitions())?;
    let picture = app.newest_picture().await;
    let limit = usize::try_from(paging.one_more()).unwrap_or(usize::MAX);
    let mut plan = app.service.plan_in_part(&picture, &request, &told, limit).await?.plan;
    let Listed { items, next } = paging.page("plan", plan.assets, |planned| planned.asset.clone());
    plan.assets = items;
    Ok(Json(PlanPage { plan, next }))
}

/// Materialize partitions
///
/// Launches a run, which workers carry out. A partition that another run builds meanwhile is not built twice.
#[utoipa::path(post, path = "/runs", tag = "launch", request_body(content = Request, description = "What is to be built, and how"),
    responses((status = 201, description = "The run that was launched", body = LaunchedView)),
    extensions(("x-command" = json!("materialize SELECTION [PARTITIONS] --detach"))))]
async fn materialize(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<LaunchedView>), Problem> {
    let launched = acting(&app, caller).launch(&request, LaunchKind::Materialize).await?;
    Ok((StatusCode::CREATED, Json(launched)))
}

/// Begin a backfill
///
/// Launches a set of partitions that can be paused, resumed, canceled and retried by its own id. Workers carry it out.
#[utoipa::path(post, path = "/backfills", tag = "launch", request_body(content = Request, description = "What is to be built, and how"),
    responses((status = 201, description = "The backfill that was launched", body = LaunchedView)),
    extensions(("x-command" = json!("backfill SELECTION PARTITIONS --detach"))))]
async fn backfill(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<LaunchedView>), Problem> {
    let launched = acting(&app, caller).launch(&request, LaunchKind::Backfill).await?;
    Ok((StatusCode::CREATED, Json(launched)))
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(plan)).routes(routes!(materialize)).routes(routes!(backfill))
}
