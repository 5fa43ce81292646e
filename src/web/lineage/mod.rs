//! The graph of all assets as a picture.

mod graph;
pub mod layout;
mod neighbourhood;
mod order;
mod panel;
mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Deserialize;

use self::graph::{Graph, Standing, Subject};
use self::layout::{Layout, Measures, lay_out};
pub(crate) use self::neighbourhood::Neighbourhood;
use self::panel::Panel;
use super::App;
use super::access::Viewer;
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::selection::SelectionError;
use crate::service::{AssetCondition, GraphView, Picture, ServiceError, graph_of};

/// With more assets than these, a box has one line of text.
const ROOMY_ASSETS: usize = 40;

/// The longest selection that is read, in bytes: somebody typed it.
const LONGEST_SELECTION: usize = 2_000;

/// The graph of all assets, which never changes while the process runs, with its layout.
#[derive(Default)]
struct Whole(OnceLock<Arc<Drawn>>);

struct Drawn {
    graph: GraphView,
    layout: Layout,
    measures: Measures,
}

impl Drawn {
    fn new(definitions: &Definitions, specs: &[Arc<AssetSpec>]) -> Self {
        let graph = graph_of(definitions, specs);
        let measures = if graph.assets.len() <= ROOMY_ASSETS { Measures::ROOMY } else { Measures::DENSE };
        Self { layout: lay_out(&graph, &measures), graph, measures }
    }
}

impl Whole {
    fn get(&self, definitions: &Definitions) -> Arc<Drawn> {
        let drawn = self.0.get_or_init(|| {
            let order = definitions.graph().topological_order().iter();
            let specs: Vec<Arc<AssetSpec>> = order.filter_map(|key| definitions.asset(key).cloned()).collect();
            Arc::new(Drawn::new(definitions, &specs))
        });
        drawn.clone()
    }
}

#[derive(Deserialize)]
struct Asked {
    /// What is highlighted.
    #[serde(default)]
    select: String,
    /// Whether nothing else is shown.
    only: Option<String>,
    /// The asset of the panel.
    asset: Option<String>,
}

#[derive(Template)]
#[template(path = "lineage.html")]
struct Lineage<'a> {
    page: &'a Page,
    select: &'a str,
    only: bool,
    problem: Option<Problem>,
    /// How many are highlighted, if not all.
    selected: Option<String>,
    /// How many there are.
    assets: usize,
    legend: Vec<(Standing, usize)>,
    graph: Option<Graph<'a>>,
    panel: Option<Panel>,
}

/// Why a selection selects nothing.
struct Problem {
    sentence: String,
    /// The selection that was probably meant.
    meant: Option<String>,
}

impl Problem {
    fn new(selection: &str, error: &ServiceError) -> Self {
        let meant = match error {
            ServiceError::Selection(SelectionError::UnknownAsset { name, suggestion: Some(meant) }) => {
                Some(selection.replacen(name.as_str(), meant, 1))
            }
            ServiceError::Selection(SelectionError::UnknownValue { value, suggestion: Some(meant), .. }) => {
                Some(selection.replacen(value.as_str(), meant, 1))
            }
            _ => None,
        };
        Self { sentence: error.to_string(), meant }
    }
}

async fn lineage(
    _: Viewer,
    State(app): State<Arc<App>>,
    Extension(whole): Extension<Arc<Whole>>,
    Query(asked): Query<Asked>,
    page: Page,
) -> PageResult {
    let definitions = app.service.definitions();
    let picture = app.picture.current();
    let select = asked.select.trim();
    if select.len() > LONGEST_SELECTION {
        let sentence = page.t("The selection is too long.", "Die Auswahl ist zu lang.");
        return Err(PageError::BadRequest(sentence.to_owned()));
    }
    let (specs, problem) = match select {
        "" => (None, None),
        select => match picture.select(definitions, select) {
            Ok(specs) => (Some(specs), None),
            Err(error @ ServiceError::Selection(_)) => (None, Some(Problem::new(select, &error))),
            Err(error) => return Err(error.into()),
        },
    };
    let drawn = match &specs {
        Some(specs) if asked.only.is_some() => Arc::new(Drawn::new(definitions, specs)),
        _ => whole.get(definitions),
    };
    let members: Option<BTreeSet<AssetKey>> =
        specs.as_ref().map(|specs| specs.iter().map(|spec| spec.key.clone()).collect());
    let panel = match &asked.asset {
        Some(name) => Some(Panel::new(&app, &page, &picture, name).await?),
        None => None,
    };
    let center = panel.as_ref().map(|panel| panel.asset().clone());
    let subject = Subject {
        page: &page,
        id: "lineage-graph",
        graph: &drawn.graph,
        layout: &drawn.layout,
        measures: &drawn.measures,
        picture: &picture,
        members: members.as_ref(),
        center: center.as_ref(),
    };
    let graph = (!drawn.graph.assets.is_empty()).then(|| subject.drawn());
    rendered(&Lineage {
        page: &page,
        select,
        only: asked.only.is_some(),
        problem,
        selected: members.as_ref().map(|members| page.number(members.len())),
        assets: definitions.graph().len(),
        legend: legend(&page, &picture, &drawn.graph),
        graph,
        panel,
    })
}

/// How many of the assets are doing how, what matters most first.
fn legend(page: &Page, picture: &Picture, graph: &GraphView) -> Vec<(Standing, usize)> {
    let mut counts: BTreeMap<Option<AssetCondition>, usize> = BTreeMap::new();
    for node in &graph.assets {
        *counts.entry(picture.asset(&node.asset).map(|asset| asset.condition())).or_default() += 1;
    }
    let conditions = AssetCondition::ALL.into_iter().map(Some).chain([None]);
    conditions.map(|condition| (Standing::new(page, condition), counts.get(&condition).copied().unwrap_or(0))).collect()
}

/// The class of each asset's state.
async fn states(_: Viewer, State(app): State<Arc<App>>) -> Json<BTreeMap<String, &'static str>> {
    let picture = app.picture.current();
    let classes = picture.assets.iter().map(|(key, asset)| {
        let class = super::words::condition_class(asset.condition());
        (key.as_str().to_owned(), class)
    });
    Json(classes.collect())
}

async fn panel(_: Viewer, State(app): State<Arc<App>>, Path(asset): Path<String>, page: Page) -> PageResult {
    rendered(&Panel::new(&app, &page, &app.picture.current(), &asset).await?)
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/lineage", get(lineage))
        .route("/lineage/states", get(states))
        .route("/lineage/panel/{asset}", get(panel))
        .layer(Extension(Arc::new(Whole::default())))
}
