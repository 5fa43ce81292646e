//! An asset between what it reads and what reads it.

use std::sync::Arc;

use askama::Template;

use super::graph::{Graph, Subject};
use super::layout::{Measures, lay_out};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::service::{Picture, graph_of};
use crate::web::page::Page;

/// How many neighbours are drawn on each side.
const DRAWN: usize = 12;

/// An asset between what it reads and what reads it: a part of a page, with the style sheet `css/lineage.css`.
#[derive(Template)]
#[template(path = "lineage/neighbourhood.html")]
pub(crate) struct Neighbourhood {
    page: Page,
    asset: AssetKey,
    /// The rendered picture.
    graph: String,
    more_upstream: usize,
    more_downstream: usize,
}

impl askama::filters::HtmlSafe for Neighbourhood {}

impl Neighbourhood {
    /// The neighbourhood of an asset of the definitions.
    ///
    /// # Errors
    /// When the picture cannot be rendered.
    pub(crate) fn new(
        page: &Page,
        definitions: &Definitions,
        picture: &Picture,
        asset: &AssetKey,
    ) -> Result<Self, askama::Error> {
        let (upstream, downstream) = (definitions.graph().upstream(asset), definitions.graph().downstream(asset));
        let shown: Vec<&AssetKey> =
            upstream.iter().take(DRAWN).chain(&[asset]).chain(downstream.iter().take(DRAWN)).copied().collect();
        let order = definitions.graph().topological_order().iter().filter(|key| shown.contains(key));
        let specs: Vec<Arc<AssetSpec>> = order.filter_map(|key| definitions.asset(key).cloned()).collect();
        let graph = graph_of(definitions, &specs);
        let layout = lay_out(&graph, &Measures::ROOMY);
        let subject = Subject {
            page,
            id: "neighbourhood",
            graph: &graph,
            layout: &layout,
            measures: &Measures::ROOMY,
            picture,
            members: None,
            center: Some(asset),
        };
        let graph: Graph<'_> = subject.drawn();
        Ok(Self {
            graph: graph.render()?,
            page: page.clone(),
            asset: asset.clone(),
            more_upstream: upstream.len().saturating_sub(DRAWN),
            more_downstream: downstream.len().saturating_sub(DRAWN),
        })
    }
}
