//! Late data: marks by hand, and the rows that came too late.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::{Body, Listed, Paging, Parameters};
use super::problem::{Problem, ProblemKind};
use super::{Answer, acting};
use crate::service::{DecidedView, MarkedView, QuarantineScope, QuarantinedView};
use crate::web::App;
use crate::web::access::{Operator, Viewer};

/// How many rows a decision names.
const NAMED_ROWS: usize = 1_000;

/// What changed where nobody saw it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(example = json!({ "asset": "raw.events", "partitions": "2026-03-01..2026-03-05", "reason": "imported by hand" }))]
struct NewMark {
    /// The external asset, by its key or table.
    asset: String,
    /// Its partitions, such as `2026-03-01..2026-03-05`.
    partitions: String,
    /// Why, for those who ask later.
    #[schema(min_length = 1, pattern = r"\S")]
    reason: String,
    /// Only say what would become stale.
    #[serde(default)]
    dry_run: bool,
}

/// Mark partitions of an external asset
///
/// Says that they changed where nobody saw it: what reads them becomes stale.
#[utoipa::path(post, path = "/marks", tag = "late data", request_body(content = NewMark, description = "What changed"),
    responses((status = 200, description = "What was marked, and what is stale by it", body = MarkedView)),
    extensions(("x-command" = json!("mark ASSET --from PARTITION [--to PARTITION] --reason TEXT"))))]
async fn mark(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Body(mark): Body<NewMark>,
) -> Answer<MarkedView> {
    if mark.reason.trim().is_empty() {
        return Err(Problem::new(ProblemKind::WrongShape, "reason: say why, for those who ask later."));
    }
    let service = acting(&app, caller);
    Ok(Json(service.mark(&mark.asset, &mark.partitions, &mark.reason, mark.dry_run).await?))
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RowsWanted {
    /// Only rows of this asset, by its key or table.
    asset: Option<String>,
    /// Only those with numbers below this.
    before: Option<i64>,
}

/// The rows in quarantine
///
/// Rows that came later than their asset allows and wait for a decision, the newest first.
#[utoipa::path(get, path = "/quarantine", tag = "late data", params(RowsWanted, Paging),
    responses((status = 200, description = "A page of rows", body = Listed<QuarantinedView>)),
    extensions(("x-command" = json!("quarantine ls [ASSET]"))))]
async fn quarantine(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<RowsWanted>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<QuarantinedView>> {
    let before = paging.after("quarantine")?.or(wanted.before);
    let rows = app.service.quarantine(wanted.asset.as_deref(), before, paging.one_more()).await?;
    Ok(Json(paging.page("quarantine", rows, |row| row.id)))
}

/// A row that is or was in quarantine
#[utoipa::path(get, path = "/quarantine/{row}", tag = "late data",
    params(("row" = i64, Path, description = "The row's number", example = 17)),
    responses((status = 200, description = "The row", body = QuarantinedView)),
    extensions(("x-command" = json!("quarantine show ROW"))))]
async fn row(Viewer(_): Viewer, State(app): State<Arc<App>>, Path(row): Path<i64>) -> Answer<QuarantinedView> {
    Ok(Json(app.service.quarantined_row(row).await?))
}

/// Which rows a decision is about: either these, or all that wait for an asset.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({ "rows": [17, 18] }))]
struct Decision {
    /// The rows' numbers.
    #[schema(max_items = 1000)]
    rows: Vec<i64>,
    /// An asset, by its key or table: all rows that wait for it.
    asset: Option<String>,
}

impl Decision {
    fn scope(self) -> Result<QuarantineScope, Problem> {
        match (self.asset, self.rows) {
            (Some(asset), rows) if rows.is_empty() => Ok(QuarantineScope::Asset(asset)),
            (None, rows) if (1..=NAMED_ROWS).contains(&rows.len()) => Ok(QuarantineScope::Rows(rows)),
            _ => Err(Problem::new(
                ProblemKind::WrongShape,
                format!("Name either an asset or 1 to {NAMED_ROWS} rows by their numbers."),
            )),
        }
    }
}

/// Let rows in
///
/// Puts them into their tables after all, with marks: what reads their partitions becomes stale.
#[utoipa::path(post, path = "/quarantine/release", tag = "late data", request_body(content = Decision, description = "Which rows"),
    responses((status = 200, description = "What was done", body = DecidedView)),
    extensions(("x-command" = json!("quarantine release ROW"))))]
async fn release(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Body(decision): Body<Decision>,
) -> Answer<DecidedView> {
    Ok(Json(acting(&app, caller).release_quarantined(&decision.scope()?).await?))
}

/// Refuse rows for good
///
/// They stay recorded, and do not come back when their file is read again.
#[utoipa::path(post, path = "/quarantine/discard", tag = "late data", request_body(content = Decision, description = "Which rows"),
    responses((status = 200, description = "What was done", body = DecidedView)),
    extensions(("x-command" = json!("quarantine discard ROW"))))]
async fn discard(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    Body(decision): Body<Decision>,
) -> Answer<DecidedView> {
    Ok(Json(acting(&app, caller).discard_quarantined(&decision.scope()?).await?))
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(mark))
        .routes(routes!(quarantine))
        .routes(routes!(row))
        .routes(routes!(release))
        .routes(routes!(discard))
}
