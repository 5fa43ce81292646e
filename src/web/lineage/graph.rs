//! A graph as an SVG with a link in each box.

use std::collections::BTreeSet;

use askama::Template;

use super::layout::{Layout, Measures};
use crate::core::key::AssetKey;
use crate::service::{AssetCondition, GraphView, Picture};
use crate::web::page::Page;
use crate::web::words;

/// A graph as an SVG with a link in each box.
#[derive(Template)]
#[template(path = "lineage/graph.html")]
pub(super) struct Graph<'a> {
    id: &'static str,
    title: String,
    layout: &'a Layout,
    lanes: Vec<LaneView>,
    nodes: Vec<Node<'a>>,
    /// Lines between members, drawn over the others.
    member_lines: Vec<String>,
    /// Whether some assets are members and others are not.
    is_divided: bool,
    is_dense: bool,
}

impl askama::filters::HtmlSafe for Graph<'_> {}

struct LaneView {
    name: String,
    assets: usize,
    x: f64,
    width: f64,
}

struct Node<'a> {
    asset: &'a AssetKey,
    /// The table, in the middle shortened if it is long.
    name: String,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    standing: Standing,
    partitioned: &'static str,
    is_member: bool,
    is_center: bool,
}

/// How an asset is doing, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    pub(super) word: &'static str,
}

impl Standing {
    /// `None` is what is not known yet.
    pub(super) fn new(page: &Page, condition: Option<AssetCondition>) -> Self {
        match condition {
            Some(condition) => Self {
                class: words::condition_class(condition),
                sign: words::condition_sign(condition),
                word: words::condition(page, condition),
            },
            None => Self { class: "state-queued", sign: "…", word: page.t("loading", "lädt") },
        }
    }

    pub(super) fn of(page: &Page, picture: &Picture, asset: &AssetKey) -> Self {
        Self::new(page, picture.asset(asset).map(|asset| asset.condition()))
    }
}

/// What a picture of a graph is made of.
pub(super) struct Subject<'a> {
    pub(super) page: &'a Page,
    pub(super) id: &'static str,
    pub(super) graph: &'a GraphView,
    pub(super) layout: &'a Layout,
    pub(super) measures: &'a Measures,
    pub(super) picture: &'a Picture,
    /// What is highlighted; everything is when it is `None`.
    pub(super) members: Option<&'a BTreeSet<AssetKey>>,
    /// The asset that it is about.
    pub(super) center: Option<&'a AssetKey>,
}

impl<'a> Subject<'a> {
    pub(super) fn drawn(&self) -> Graph<'a> {
        let is_member = |asset: &AssetKey| self.members.is_none_or(|members| members.contains(asset));
        let is_dense = *self.measures == Measures::DENSE;
        let nodes: Vec<Node<'a>> = self
            .graph
            .assets
            .iter()
            .zip(&self.layout.boxes)
            .map(|(node, place)| Node {
                asset: &node.asset,
                name: shortened(node.asset.table(), self.measures.characters()),
                x: place.x,
                y: place.y,
                width: place.width,
                height: place.height,
                standing: Standing::of(self.page, self.picture, &node.asset),
                partitioned: words::partitioned(self.page, node.partitioned),
                is_member: is_member(&node.asset),
                is_center: self.center == Some(&node.asset),
            })
            .collect();
        let is_divided = self.members.is_some() && nodes.iter().any(|node| !node.is_member);
        let lines = self.layout.lines.iter().filter(|_| is_divided);
        let member_lines = lines.filter(|line| nodes[line.from].is_member && nodes[line.to].is_member);
        Graph {
            id: self.id,
            title: format!(
                "{} {}, {} {}",
                self.page.number(nodes.len()),
                if nodes.len() == 1 { "Asset" } else { "Assets" },
                self.page.number(self.layout.lines.len()),
                self.page.t("dependencies", "Abhängigkeiten"),
            ),
            layout: self.layout,
            lanes: self
                .layout
                .lanes
                .iter()
                .map(|lane| LaneView {
                    name: lane.schemas.join(" · "),
                    assets: lane.assets,
                    x: lane.x,
                    width: lane.width,
                })
                .collect(),
            member_lines: member_lines.map(|line| line.path()).collect(),
            is_divided,
            is_dense,
            nodes,
        }
    }
}

/// A name that fits: its beginning and its end tell names of one family apart.
fn shortened(name: &str, characters: usize) -> String {
    let length = name.chars().count();
    if length <= characters {
        return name.to_owned();
    }
    let end = characters / 3;
    let beginning: String = name.chars().take(characters - end - 1).collect();
    let end: String = name.chars().skip(length - end).collect();
    format!("{beginning}…{end}")
}
