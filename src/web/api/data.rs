//! Data: rows of assets' tables, dashboards with their figures, and where rows come from.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::input::{Listed, Parameters, up_to};
use super::problem::Problem;
use crate::core::key::AssetKey;
use crate::service::{
    ChartView, DashboardRequest, DashboardSummaryView, DashboardView, FreshnessView, MOST_ROWS, RowsRequest, RowsView,
};
use crate::web::App;
use crate::web::access::Viewer;

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RowsWanted {
    /// Only these columns, with commas between them; all without it.
    columns: Option<String>,
    /// Only these partitions, such as `2026-03` or `2026-03-01..2026-03-14`.
    partitions: Option<String>,
    /// The first local day.
    from: Option<NaiveDate>,
    /// The last local day.
    to: Option<NaiveDate>,
    /// Only rows with this value in that column, such as `kind=voice`; several with commas between them.
    #[serde(rename = "where")]
    #[param(example = "kind=voice")]
    equals: Option<String>,
    /// The column that the rows are in the order of, with `-` before it for the greatest first; the newest first without
    /// it.
    sort: Option<String>,
    /// At most so many rows.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
}

impl RowsWanted {
    fn request(self) -> Result<RowsRequest, Problem> {
        let limit = self.limit.map(|limit| up_to(MOST_ROWS, "limit", limit)).transpose()?;
        let list = |text: Option<String>| {
            text.into_iter()
                .flat_map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>())
                .filter(|part| !part.is_empty())
        };
        let equals = list(self.equals).map(|pair| match pair.split_once('=') {
            Some((column, value)) => Ok((column.to_owned(), value.to_owned())),
            None => Err(Problem::bad_request("where is a column, `=` and a value, such as `kind=voice`.")),
        });
        Ok(RowsRequest {
            columns: list(self.columns).collect(),
            partitions: self.partitions,
            from: self.from,
            to: self.to,
            equals: equals.collect::<Result<_, _>>()?,
            sort: self.sort,
            limit,
            cursor: self.cursor,
        })
    }
}

/// The rows of an asset
///
/// Of any asset's table, page by page: figures of gold, records of collectors by kind and time. With them comes how far they
/// can be relied on.
#[utoipa::path(get, path = "/assets/{asset}/rows", tag = "data",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users"), RowsWanted),
    responses((status = 200, description = "A page of rows", body = RowsView)),
    extensions(("x-command" = json!("asset show ASSET"))))]
async fn rows(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(asset): Path<String>,
    Parameters(wanted): Parameters<RowsWanted>,
) -> Answer<RowsView> {
    let request = wanted.request()?;
    Ok(Json(app.service.rows(&*app.newest_picture().await, &asset, &request).await?))
}

/// The dashboards
///
/// Those with something to show. Others appear when the assets they show are declared.
#[utoipa::path(get, path = "/dashboards", tag = "data",
    responses((status = 200, description = "The dashboards", body = Listed<DashboardSummaryView>)),
    extensions(("x-command" = json!("ls layer:gold"))))]
async fn dashboards(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Json<Listed<DashboardSummaryView>> {
    Json(Listed::whole(app.service.dashboards().dashboards))
}

/// What of a dashboard is looked at.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LookedAt {
    /// The first local day; the dashboard's own span before its newest figures without it.
    from: Option<NaiveDate>,
    /// The last local day.
    to: Option<NaiveDate>,
    /// The choice of the dashboard's switch; the first without it.
    choice: Option<String>,
}

impl LookedAt {
    fn request(self) -> DashboardRequest {
        DashboardRequest { from: self.from, to: self.to, choice: self.choice, ..DashboardRequest::default() }
    }
}

/// A dashboard
///
/// With the figures of its charts as they are in the tables, what each of them is, and which may still change.
#[utoipa::path(get, path = "/dashboards/{dashboard}", tag = "data",
    params(("dashboard" = String, Path, description = "The dashboard's name", example = "people"), LookedAt),
    responses((status = 200, description = "The dashboard", body = DashboardView)),
    extensions(("x-command" = json!("ls layer:gold"))))]
async fn dashboard(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(dashboard): Path<String>,
    Parameters(wanted): Parameters<LookedAt>,
) -> Answer<DashboardView> {
    Ok(Json(app.service.dashboard(&*app.newest_picture().await, &dashboard, &wanted.request()).await?))
}

/// A chart of a dashboard
#[utoipa::path(get, path = "/dashboards/{dashboard}/charts/{chart}", tag = "data",
    params(
        ("dashboard" = String, Path, description = "The dashboard's name", example = "people"),
        ("chart" = String, Path, description = "The chart's name", example = "active"),
        LookedAt
    ),
    responses((status = 200, description = "The chart", body = ChartView)),
    extensions(("x-command" = json!("ls layer:gold"))))]
async fn chart(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path((dashboard, chart)): Path<(String, String)>,
    Parameters(wanted): Parameters<LookedAt>,
) -> Answer<ChartView> {
    Ok(Json(app.service.chart(&*app.newest_picture().await, &dashboard, &chart, &wanted.request()).await?))
}

/// An asset that is filled from outside.
#[derive(Serialize, ToSchema)]
struct CollectorView {
    /// The asset.
    asset: AssetKey,
    /// What it is.
    description: String,
    /// When rows last landed.
    newest_at: Option<DateTime<Utc>>,
    /// Rows known to have landed.
    row_count: i64,
    /// Rows that came too late and wait for a decision.
    quarantined: i64,
    /// How it keeps its freshness policy, if it has one.
    freshness: Option<FreshnessView>,
}

/// What is collected
///
/// The assets that are filled from outside, and when rows last landed in them.
#[utoipa::path(get, path = "/collectors", tag = "data",
    responses((status = 200, description = "The assets", body = Listed<CollectorView>)),
    extensions(("x-command" = json!("status kind:external"))))]
async fn collectors(Viewer(_): Viewer, State(app): State<Arc<App>>) -> Json<Listed<CollectorView>> {
    let picture = app.newest_picture().await;
    let definitions = app.service.definitions();
    let external = definitions.assets().filter(|spec| !spec.is_materializable());
    let views = external.filter_map(|spec| {
        let status = picture.asset(&spec.key)?.view(spec, definitions.calendar().zone);
        Some(CollectorView {
            asset: spec.key.clone(),
            description: spec.description.clone(),
            newest_at: status.newest_at,
            row_count: status.row_count,
            quarantined: status.quarantined,
            freshness: status.freshness,
        })
    });
    Json(Listed::whole(views.collect()))
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(rows))
        .routes(routes!(dashboards))
        .routes(routes!(dashboard))
        .routes(routes!(chart))
        .routes(routes!(collectors))
}
