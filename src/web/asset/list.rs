//! All assets, some at a time.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use serde::Deserialize;

use crate::core::key::AssetKey;
use crate::service::AssetCondition;
use crate::web::App;
use crate::web::access::Viewer;
use crate::web::address::address;
use crate::web::page::{Page, PageResult, rendered};
use crate::web::words;

/// How many assets a page has.
const PAGE_ASSETS: usize = 100;

/// Which assets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    layer: String,
    state: String,
    text: String,
    /// Those that follow this one.
    after: String,
}

#[derive(Template)]
#[template(path = "assets.html")]
struct List {
    page: Page,
    filter: Filter,
    layers: Vec<String>,
    rows: Vec<Row>,
    total: usize,
    next: Option<String>,
}

struct Row {
    key: AssetKey,
    condition: Option<AssetCondition>,
    kind: &'static str,
    partitioned: &'static str,
    description: String,
}

impl List {
    fn conditions(&self) -> [AssetCondition; 7] {
        AssetCondition::ALL
    }

    fn word(&self, condition: &AssetCondition) -> &'static str {
        words::condition(&self.page, *condition)
    }

    fn class(&self, condition: &AssetCondition) -> &'static str {
        words::condition_class(*condition)
    }
}

async fn assets(_: Viewer, State(app): State<Arc<App>>, page: Page, Query(filter): Query<Filter>) -> PageResult {
    let definitions = app.service.definitions();
    let picture = app.picture.current();
    let order = definitions.graph().topological_order();
    let mut layers: Vec<String> = order.iter().map(|key| key.schema().to_owned()).collect();
    layers.sort_unstable();
    layers.dedup();
    let text = filter.text.trim().to_lowercase();
    let found: Vec<Row> = order
        .iter()
        .filter(|key| filter.layer.is_empty() || key.schema() == filter.layer)
        .filter(|key| text.is_empty() || key.as_str().contains(&text))
        .filter_map(|key| {
            let spec = definitions.asset(key)?;
            Some(Row {
                key: key.clone(),
                condition: picture.asset(key).map(|asset| asset.condition()),
                kind: words::state(&page, spec.kind.as_str()),
                partitioned: words::partitioned(&page, spec.partitions.as_str()),
                description: spec.description.lines().next().unwrap_or_default().to_owned(),
            })
        })
        .filter(|row| filter.state.is_empty() || row.condition.is_some_and(|one| one.as_str() == filter.state))
        .collect();
    let total = found.len();
    let start = found.iter().position(|row| row.key.as_str() == filter.after).map_or(0, |index| index + 1);
    let rows: Vec<Row> = found.into_iter().skip(start).take(PAGE_ASSETS).collect();
    let last = rows.last().filter(|_| start + rows.len() < total);
    let next = last.map(|last| {
        let pairs = [
            ("layer", filter.layer.as_str()),
            ("state", &filter.state),
            ("text", &filter.text),
            ("after", last.key.as_str()),
        ];
        address("/assets", pairs)
    });
    rendered(&List { page, filter, layers, rows, total, next })
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/assets", get(assets))
}
