//! Who reads whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ServiceError;
use super::select::select_declared;
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::core::key::AssetKey;
use crate::core::word::{self, Word};

/// Some assets and the dependencies between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GraphView {
    /// The assets, upstream before downstream.
    pub assets: Vec<GraphNode>,
    /// Which of them read which.
    pub edges: Vec<GraphEdge>,
}

/// An asset in a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GraphNode {
    /// The asset.
    pub asset: AssetKey,
    /// How it is computed.
    pub kind: AssetKind,
    /// `daily`, `static`, …
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub partitioned: Word,
    /// The number of steps on the longest way to it from an asset that reads nothing.
    pub rank: usize,
}

/// A dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GraphEdge {
    /// What is read.
    pub upstream: AssetKey,
    /// What reads it.
    pub downstream: AssetKey,
    /// Which partitions: `overlap`, `window(-6, 0)`, `all`, `latest`.
    pub mapping: String,
}

/// The graph of the assets that `selection` means, or of all. The selection must not ask for states.
///
/// # Errors
/// When the selection selects nothing.
pub fn graph(definitions: &Definitions, selection: Option<&str>) -> Result<GraphView, ServiceError> {
    let specs = select_declared(definitions, selection.unwrap_or("*"), Default::default())?;
    Ok(graph_of(definitions, &specs))
}

/// The graph of these assets, which stand upstream before downstream.
#[must_use]
pub fn graph_of(definitions: &Definitions, specs: &[Arc<AssetSpec>]) -> GraphView {
    let shown: BTreeSet<&AssetKey> = specs.iter().map(|spec| &spec.key).collect();
    let edges = specs
        .iter()
        .flat_map(|spec| spec.upstreams.iter().map(move |upstream| (spec, upstream)))
        .filter(|(_, upstream)| shown.contains(&upstream.key))
        .map(|(spec, upstream)| GraphEdge {
            upstream: upstream.key.clone(),
            downstream: spec.key.clone(),
            mapping: upstream.mapping.to_string(),
        })
        .collect();
    let assets = specs
        .iter()
        .map(|spec| GraphNode {
            asset: spec.key.clone(),
            kind: spec.kind,
            partitioned: spec.partitions.as_str(),
            rank: definitions.graph().rank(&spec.key).unwrap_or(0),
        })
        .collect();
    GraphView { assets, edges }
}
