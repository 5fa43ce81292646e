//! Assets: what there is, how it stands, and why.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::input::{LARGEST_LIMIT, Listed, Paging, Parameters, at_most, up_to};
use super::kept;
use super::problem::Problem;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::Ordinal;
use crate::core::time::TimeWindow;
use crate::service::{
    AssetDetailView, AssetPicture, AssetStatusView, AssetView, AutomationView, CheckView, ColumnLineageView, GraphView,
    HeatCell, HeatState, MaterializationView, SeriesView, WhyView, asks_for_states, asset_views, graph, heat,
    list_assets,
};
use crate::web::App;
use crate::web::access::Viewer;

/// How many cells a heat bar has unless it is said.
const USUAL_CELLS: u32 = 200;

/// Of how many partitions it is told what automation makes of them unless it is said, and at most.
const USUAL_EVALUATIONS: u32 = 10;
const MOST_EVALUATIONS: u32 = 50;

/// How many figures are told unless one is named; of how many points each is made unless it is said, and at most.
const USUAL_FIGURES: usize = 8;
const USUAL_POINTS: u32 = 90;
const MOST_POINTS: u32 = 400;

/// Which assets.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Selected {
    /// The assets, as a selection such as `+gold.daily_active_users` or `layer:gold state:stale`; all without it.
    selection: Option<String>,
}

/// The assets
///
/// As they are declared, upstream before downstream.
#[utoipa::path(get, path = "/assets", tag = "assets", params(Selected),
    responses((status = 200, description = "The assets", body = Listed<AssetView>)),
    extensions(("x-command" = json!("ls [SELECTION]")), ("x-kept" = json!(true))))]
async fn assets(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Parameters(selected): Parameters<Selected>,
) -> Result<Response, Problem> {
    let (definitions, selection) = (app.service.definitions(), selected.selection.as_deref());
    if let Some(selection) = selection.filter(|selection| asks_for_states(selection)) {
        let picture = app.newest_picture().await;
        return kept::unless_known(&headers, Some(picture.generation), async || {
            let specs = picture.select(definitions, selection)?;
            Ok::<_, Problem>(Listed::whole(asset_views(definitions, &specs)))
        })
        .await;
    }
    kept::unless_known(&headers, None, async || Ok(Listed::whole(list_assets(definitions, selection)?))).await
}

/// An asset
///
/// Its columns, checks, versions and how it stands. The asset by its key, or its table where that is unambiguous.
#[utoipa::path(get, path = "/assets/{asset}", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users")),
    responses((status = 200, description = "The asset", body = AssetDetailView)),
    extensions(("x-command" = json!("asset show ASSET"))))]
async fn asset(Viewer(_): Viewer, State(app): State<Arc<App>>, Path(asset): Path<String>) -> Answer<AssetDetailView> {
    let spec = spec(&app, &asset)?;
    let picture = app.newest_picture().await;
    Ok(Json(app.service.asset_as_pictured(&spec, pictured(picture.asset(&spec.key))?).await?))
}

/// A page of how assets stand.
#[derive(Debug, Serialize, ToSchema)]
struct StatusPage {
    /// When this was so.
    at: DateTime<Utc>,
    /// Whether nothing is failed, missing, stale or overdue: of all selected assets, on this page or not.
    is_fresh: bool,
    /// The assets, upstream before downstream.
    items: Vec<AssetStatusView>,
    /// The cursor of the page after this one; `null` on the last.
    next: Option<String>,
}

/// How assets stand
///
/// The partitions of each asset by how they stand, as ranges, with reasons; upstream before downstream.
#[utoipa::path(get, path = "/status", tag = "assets", params(Selected, Paging),
    responses((status = 200, description = "A page of how they stand", body = StatusPage)),
    extensions(("x-command" = json!("status [SELECTION]")), ("x-kept" = json!(true))))]
async fn status(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Parameters(selected): Parameters<Selected>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Response, Problem> {
    let definitions = app.service.definitions();
    let told = assets_told(&paging, "status", definitions)?;
    let picture = app.newest_picture().await;
    kept::unless_known(&headers, Some(picture.generation), async || {
        let specs = picture.select(definitions, selected.selection.as_deref().unwrap_or("*"))?;
        let rest = specs.iter().filter(|spec| !told.contains(&spec.key));
        let some = rest.take(usize::try_from(paging.one_more()).unwrap_or(usize::MAX));
        let assets = picture.status(definitions, some).assets;
        let Listed { items, next } = paging.page("status", assets, |asset| asset.asset.clone());
        Ok::<_, Problem>(StatusPage { at: picture.at, is_fresh: picture.is_fresh(&specs), items, next })
    })
    .await
}

/// The assets that the pages before this one of a `list` of assets told, or passed over.
pub(super) fn assets_told<'d>(
    paging: &Paging,
    list: &str,
    definitions: &'d Definitions,
) -> Result<BTreeSet<&'d AssetKey>, Problem> {
    let Some(last) = paging.after::<AssetKey>(list)? else { return Ok(BTreeSet::new()) };
    let order = definitions.graph().topological_order();
    let place = order.iter().position(|key| *key == last).ok_or_else(|| {
        Problem::bad_request(format!("The cursor is of {last}, which is not declared any more: begin the list again."))
    })?;
    Ok(order.iter().take(place + 1).collect())
}

/// How an asset stands
#[utoipa::path(get, path = "/assets/{asset}/status", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users")),
    responses((status = 200, description = "How it stands", body = AssetStatusView)),
    extensions(("x-command" = json!("status ASSET")), ("x-kept" = json!(true))))]
async fn asset_status(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(asset): Path<String>,
) -> Result<Response, Problem> {
    let spec = spec(&app, &asset)?;
    let picture = app.newest_picture().await;
    kept::unless_known(&headers, Some(picture.generation), async || {
        let zone = app.service.definitions().calendar().zone;
        Ok::<_, Problem>(pictured(picture.asset(&spec.key))?.view(&spec, zone))
    })
    .await
}

/// Who reads whom
#[utoipa::path(get, path = "/lineage", tag = "assets", params(Selected),
    responses((status = 200, description = "The assets and the dependencies between them", body = GraphView)),
    extensions(("x-command" = json!("graph [SELECTION] --format json")), ("x-kept" = json!(true))))]
async fn lineage(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Parameters(selected): Parameters<Selected>,
) -> Result<Response, Problem> {
    let definitions = app.service.definitions();
    let Some(selection) = selected.selection.as_deref().filter(|selection| asks_for_states(selection)) else {
        return kept::unless_known(&headers, None, async || {
            Ok::<_, Problem>(graph(definitions, selected.selection.as_deref())?)
        })
        .await;
    };
    let picture = app.newest_picture().await;
    kept::unless_known(&headers, Some(picture.generation), async || {
        let keys: Vec<String> =
            picture.select(definitions, selection)?.iter().map(|spec| spec.key.to_string()).collect();
        Ok::<_, Problem>(graph(definitions, Some(&keys.join(" ")))?)
    })
    .await
}

/// Which partitions of an asset.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PartitionsWanted {
    /// Only those that stand so.
    #[param(inline)]
    state: Option<HeatState>,
    /// Only those of this range or list, such as `2026-01..2026-03`.
    partitions: Option<String>,
}

/// A partition and how it stands.
#[derive(Debug, Serialize, ToSchema)]
struct PartitionView {
    /// The partition.
    partition: PartitionKey,
    /// Its window, when it is one of time.
    window: Option<TimeWindow>,
    /// How it stands.
    state: HeatState,
    /// Why it is stale, or was not built.
    reasons: Vec<String>,
}

/// The partitions of an asset
///
/// One by one, in their order, each with how it stands. For ranges, which cost little however many partitions there are,
/// see the asset's status.
#[utoipa::path(get, path = "/assets/{asset}/partitions", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users"), PartitionsWanted, Paging),
    responses((status = 200, description = "A page of partitions", body = Listed<PartitionView>)),
    extensions(("x-command" = json!("status ASSET"))))]
async fn partitions(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(asset): Path<String>,
    Parameters(wanted): Parameters<PartitionsWanted>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<PartitionView>> {
    let spec = spec(&app, &asset)?;
    let after: Option<Ordinal> = paging.after("partitions")?;
    let picture = app.newest_picture().await;
    let pictured = pictured(picture.asset(&spec.key))?;
    let mut subset = match wanted.state {
        Some(state) => pictured.in_state(state),
        None => pictured.existing.clone(),
    };
    if let Some(text) = &wanted.partitions {
        let within = spec
            .partitions
            .parse_selection(text, app.service.now())
            .map_err(|error| Problem::bad_request(format!("{}: {error}", spec.key)))?;
        subset = subset.intersection(&within);
    }
    if let Some(after) = after {
        subset = subset.clip(after.saturating_add(1), Ordinal::MAX);
    }
    let zone = app.service.definitions().calendar().zone;
    let ordinals: Vec<Ordinal> = subset.iter().take(usize::try_from(paging.one_more()).unwrap_or(1)).collect();
    let page = paging.page("partitions", ordinals, |ordinal| *ordinal);
    let items = page.items.into_iter().map(|ordinal| PartitionView {
        partition: spec.partitions.key(ordinal),
        window: spec.partitions.window(ordinal),
        state: pictured.state_of(ordinal),
        reasons: pictured.reasons(ordinal, zone),
    });
    Ok(Json(Listed { items: items.collect(), next: page.next }))
}

/// How a heat bar is cut.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Cells {
    /// At most so many cells.
    #[param(minimum = 1, maximum = 500, default = 200)]
    cells: Option<u32>,
    /// Only this range, such as `2026-01..2026-03`.
    partitions: Option<String>,
}

/// The heat bar of an asset
///
/// The whole history in a few hundred cells: how many partitions of each stand how, and the worst among them.
#[utoipa::path(get, path = "/assets/{asset}/heat", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users"), Cells),
    responses((status = 200, description = "The cells, in order", body = Listed<HeatCell>)),
    extensions(("x-command" = json!("status ASSET")), ("x-kept" = json!(true))))]
async fn heat_bar(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(asset): Path<String>,
    Parameters(wanted): Parameters<Cells>,
) -> Result<Response, Problem> {
    let spec = spec(&app, &asset)?;
    let cells = up_to(LARGEST_LIMIT, "cells", wanted.cells.unwrap_or(USUAL_CELLS))?;
    let cells = usize::try_from(cells).unwrap_or(1);
    let range = range(&app, &spec, wanted.partitions.as_deref())?;
    let picture = app.newest_picture().await;
    kept::unless_known(&headers, Some(picture.generation), async || {
        Ok::<_, Problem>(Listed::whole(heat(pictured(picture.asset(&spec.key))?, &spec.partitions, range, cells)))
    })
    .await
}

/// A partition.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OnePartition {
    /// The partition; the newest that has ended without it.
    partition: Option<String>,
}

/// Why a partition is as it is
///
/// What built it, what changed since, what keeps it from being built, and what will happen by itself.
#[utoipa::path(get, path = "/assets/{asset}/why", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users"), OnePartition),
    responses((status = 200, description = "The explanation", body = WhyView)),
    extensions(("x-command" = json!("why ASSET [PARTITION]"))))]
async fn why(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(asset): Path<String>,
    Parameters(wanted): Parameters<OnePartition>,
) -> Answer<WhyView> {
    Ok(Json(app.service.why(&asset, wanted.partition.as_deref()).await?))
}

/// Of which partition, and how much.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryWanted {
    /// Only of this partition.
    partition: Option<String>,
    /// At most so many, the newest.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
}

/// The versions of an asset
///
/// The newest first, of all partitions or of one. Replaced ones are kept as long as the history is.
#[utoipa::path(get, path = "/assets/{asset}/materializations", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users"), HistoryWanted),
    responses((status = 200, description = "The versions", body = Listed<MaterializationView>)),
    extensions(("x-command" = json!("asset show ASSET"))))]
async fn materializations(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(asset): Path<String>,
    Parameters(wanted): Parameters<HistoryWanted>,
) -> Answer<Listed<MaterializationView>> {
    let limit = at_most(wanted.limit)?;
    Ok(Json(Listed::whole(app.service.materializations(&asset, wanted.partition.as_deref(), limit).await?)))
}

/// Which results of checks.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChecksWanted {
    /// Only of this partition.
    partition: Option<String>,
    /// Only those that did not pass.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    failed: bool,
    /// At most so many, the newest.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
}

/// What the checks of an asset found
///
/// The newest first, of all partitions or of one.
#[utoipa::path(get, path = "/assets/{asset}/checks", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users"), ChecksWanted),
    responses((status = 200, description = "The results", body = Listed<CheckView>)),
    extensions(("x-command" = json!("asset show ASSET"))))]
async fn checks(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(asset): Path<String>,
    Parameters(wanted): Parameters<ChecksWanted>,
) -> Answer<Listed<CheckView>> {
    let limit = at_most(wanted.limit)?;
    let partition = wanted.partition.as_deref();
    Ok(Json(Listed::whole(app.service.check_results(&asset, partition, wanted.failed, limit).await?)))
}

/// What automation is asked about.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Evaluated {
    /// At most so many partitions, the newest.
    #[param(minimum = 1, maximum = 50, default = 10)]
    count: Option<u32>,
}

/// What automation makes of an asset
///
/// Of its newest partitions that are not fresh: whether they are built by themselves, and what they wait for. How many are
/// not fresh is told of all.
#[utoipa::path(get, path = "/assets/{asset}/automation", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users"), Evaluated),
    responses((status = 200, description = "What it makes of them", body = AutomationView)))]
async fn automation(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(asset): Path<String>,
    Parameters(wanted): Parameters<Evaluated>,
) -> Answer<AutomationView> {
    let count = up_to(MOST_EVALUATIONS, "count", wanted.count.unwrap_or(USUAL_EVALUATIONS))?;
    let count = usize::try_from(count).unwrap_or(1);
    let spec = spec(&app, &asset)?;
    let picture = app.newest_picture().await;
    let stands = pictured(picture.asset(&spec.key))?;
    Ok(Json(app.service.automation(spec.key.as_str(), stands, count).await?))
}

/// Where the columns of an asset come from
///
/// The column of an upstream that each is taken over from, and the columns of upstreams that decide what the rows are, as
/// PostgreSQL reads the SQL.
#[utoipa::path(get, path = "/assets/{asset}/columns", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users")),
    responses((status = 200, description = "Where they come from", body = ColumnLineageView)))]
async fn columns(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(asset): Path<String>,
) -> Answer<ColumnLineageView> {
    let lineage = app.service.column_lineage(&asset).await?;
    Ok(Json(ColumnLineageView::clone(&lineage)))
}

/// Which figures, and of which partitions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FiguresWanted {
    /// Only this one: `rows`, `seconds`, or the name under which the asset notes it. The first eight without it.
    figure: Option<String>,
    /// Only this range, such as `2026-01..2026-03`.
    partitions: Option<String>,
    /// At most so many points for each; neighbouring partitions are taken together.
    #[param(minimum = 1, maximum = 400, default = 90)]
    points: Option<u32>,
}

/// The figures of an asset.
#[derive(Debug, Serialize, ToSchema)]
struct FiguresView {
    /// The asset.
    asset: AssetKey,
    /// The names of all figures there are: `rows`, `seconds`, and the numbers that the asset notes.
    figures: Vec<String>,
    /// Those that were asked for, over the partitions.
    series: Vec<SeriesView>,
}

/// The figures of an asset over its partitions
///
/// Rows, how long building took, and every number that the asset notes. Made of the newest thousand versions. One that
/// was never noted has no points.
#[utoipa::path(get, path = "/assets/{asset}/figures", tag = "assets",
    params(("asset" = String, Path, description = "The asset's key or table", example = "gold.daily_active_users"), FiguresWanted),
    responses((status = 200, description = "The figures", body = FiguresView)))]
async fn figures(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(asset): Path<String>,
    Parameters(wanted): Parameters<FiguresWanted>,
) -> Answer<FiguresView> {
    let points = up_to(MOST_POINTS, "points", wanted.points.unwrap_or(USUAL_POINTS))?;
    let spec = spec(&app, &asset)?;
    let range = range(&app, &spec, wanted.partitions.as_deref())?;
    let figures = app.service.figures(spec.key.as_str()).await?;
    let chosen: Vec<String> = match wanted.figure {
        Some(figure) => vec![figure],
        None => figures.iter().take(USUAL_FIGURES).cloned().collect(),
    };
    let series = app.service.series(spec.key.as_str(), &chosen, range, points).await?;
    Ok(Json(FiguresView { asset: spec.key.clone(), figures, series }))
}

/// The first and the last partition of a range that a request names.
fn range(app: &App, spec: &AssetSpec, text: Option<&str>) -> Result<Option<(Ordinal, Ordinal)>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let subset = spec
        .partitions
        .parse_selection(text, app.service.now())
        .map_err(|error| Problem::bad_request(format!("{}: {error}", spec.key)))?;
    let ends = subset.first().zip(subset.last());
    ends.map(Some).ok_or_else(|| Problem::bad_request(format!("{} has no partition in `{text}`", spec.key)))
}

fn spec(app: &App, asset: &str) -> Result<Arc<AssetSpec>, Problem> {
    let spec = app.service.definitions().find(asset).map_err(crate::service::ServiceError::from)?;
    Ok(spec.clone())
}

fn pictured(picture: Option<&Arc<AssetPicture>>) -> Result<&AssetPicture, Problem> {
    picture.map(|picture| &**picture).ok_or_else(super::still_loading)
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(assets))
        .routes(routes!(asset))
        .routes(routes!(status))
        .routes(routes!(asset_status))
        .routes(routes!(lineage))
        .routes(routes!(partitions))
        .routes(routes!(heat_bar))
        .routes(routes!(why))
        .routes(routes!(materializations))
        .routes(routes!(checks))
        .routes(routes!(automation))
        .routes(routes!(columns))
        .routes(routes!(figures))
}
