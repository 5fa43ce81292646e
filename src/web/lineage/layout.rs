//! Where the boxes and lines of a graph are: lanes and columns from left to right, each asset right of all it reads.
//!
//! A lane is a schema. Its columns are as many as the longest way inside it is long; the lanes stand in the order in
//! which they read each other, and schemas that read each other both ways share one. So every line leads to the right.
//! A line that passes a column has a place of its own in it, between the boxes, and bends only in the gaps between
//! columns: it never runs through a box. All lines of an asset share their places.
//!
//! Within a column, places are ordered by the middle of their neighbours, sweep after sweep, and the order with the fewest
//! crossings is kept (`order`); then each place moves as near to its neighbours as the others let it
//! (`settle`). The same graph always gives the same picture. Two general layouts were tried for this: one knows
//! no lanes and takes seconds for 500 assets; the other runs lines through boxes.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::order::{self, Columns};
use super::settle::{self, Place};
use crate::core::key::AssetKey;
use crate::service::GraphView;

/// How much room everything has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measures {
    /// The height of a box.
    pub box_height: f64,
    /// Between two boxes of a column.
    pub box_gap: f64,
    /// Between two lines that pass a column, and between a line and a box.
    pub line_gap: f64,
    /// Between two columns of a lane.
    pub column_gap: f64,
    /// The width of a character of a table's name, at most.
    pub character: f64,
    /// What a box has beside the name.
    pub beside_name: f64,
    /// The narrowest and the widest box.
    pub width: (f64, f64),
}

impl Measures {
    /// Two lines of text in each box.
    pub const ROOMY: Self = Self {
        box_height: 44.0,
        box_gap: 14.0,
        line_gap: 10.0,
        column_gap: 64.0,
        character: 7.7,
        beside_name: 46.0,
        // The second line needs as much.
        width: (200.0, 270.0),
    };

    /// One line of text in each box.
    pub const DENSE: Self = Self {
        box_height: 26.0,
        box_gap: 8.0,
        line_gap: 8.0,
        column_gap: 80.0,
        beside_name: 40.0,
        width: (150.0, 270.0),
        ..Self::ROOMY
    };

    /// How many characters of a name a box shows at most.
    #[must_use]
    pub fn characters(&self) -> usize {
        ((self.width.1 - self.beside_name) / self.character) as usize
    }
}

/// Around the picture, and around the columns of a lane.
const MARGIN: f64 = 16.0;

/// Between two lanes, with the margins of both.
const LANE_GAP: f64 = 12.0;

/// Over the boxes, for the names of the lanes.
const HEADING: f64 = 44.0;

/// A picture of a graph, in pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// The lanes from left to right.
    pub lanes: Vec<Lane>,
    /// The boxes in the order of the assets of the graph.
    pub boxes: Vec<AssetBox>,
    /// The lines in the order of the edges of the graph.
    pub lines: Vec<Line>,
    /// For each asset that is read, all its lines in one path, shared parts once.
    pub fans: Vec<String>,
}

/// A lane, over the whole height.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// The schemas in it.
    pub schemas: Vec<String>,
    /// How many assets are in it.
    pub assets: usize,
    /// Its left edge.
    pub x: f64,
    /// Its width.
    pub width: f64,
}

/// A box.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetBox {
    /// The asset.
    pub asset: AssetKey,
    /// Its left edge.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// A line from the right edge of a box to the left edge of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The box where it begins.
    pub from: usize,
    /// The box where it ends.
    pub to: usize,
    /// Where it leaves and meets the edges of columns: from each second point to the next it is straight, between them it
    /// bends.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// The line as the data of an SVG path.
    #[must_use]
    pub fn path(&self) -> String {
        let start = self.points.first().map(|(x, y)| format!("M{x} {y}"));
        start.into_iter().chain(self.pieces().map(|(_, way)| way)).collect()
    }

    /// The bends and straights one after the other: where each begins, and its way from there.
    fn pieces(&self) -> impl Iterator<Item = ((f64, f64), String)> {
        self.points.windows(2).enumerate().filter_map(|(index, pair)| {
            let &[from, to] = pair else { return None };
            Some((from, if index.is_multiple_of(2) { bend(from, to) } else { format!("h{}", to.0 - from.0) }))
        })
    }
}

/// A curve that leaves and arrives level.
fn bend(from: (f64, f64), to: (f64, f64)) -> String {
    let (right, down) = (to.0 - from.0, to.1 - from.1);
    if down == 0.0 {
        return format!("h{right}");
    }
    let middle = (right / 2.0).round();
    format!("c{middle} 0 {middle} {down} {right} {down}")
}

/// The picture of the graph, whose assets stand upstream before downstream.
#[must_use]
pub fn lay_out(graph: &GraphView, measures: &Measures) -> Layout {
    let numbers: BTreeMap<&AssetKey, usize> =
        graph.assets.iter().enumerate().map(|(number, node)| (&node.asset, number)).collect();
    let edges: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .filter_map(|edge| Some((*numbers.get(&edge.upstream)?, *numbers.get(&edge.downstream)?)))
        .collect();
    let keys: Vec<&AssetKey> = graph.assets.iter().map(|node| &node.asset).collect();
    let lanes = lanes(&keys, &edges);
    let places = Places::new(&lanes, &edges, keys.len());
    let columns = order::ordered(&places.columns, &places.is_alone(keys.len()));
    let heights = settle::settled(&columns, |slot| place(slot, keys.len(), measures));
    Drawing { keys: &keys, edges: &edges, lanes: &lanes, places: &places, middles: &heights, measures }.layout()
}

fn place(slot: usize, boxes: usize, measures: &Measures) -> Place {
    if slot < boxes {
        Place { height: measures.box_height, gap: measures.box_gap, weight: 1.0 }
    } else {
        // A line is best where it is straight.
        Place { height: 0.0, gap: measures.line_gap, weight: 4.0 }
    }
}

/// The lanes and the column of each asset.
struct Lanes {
    lanes: Vec<LaneColumns>,
    /// The column of each asset, counted over all lanes.
    column_of: Vec<usize>,
}

struct LaneColumns {
    schemas: Vec<String>,
    assets: usize,
    first: usize,
    count: usize,
}

fn lanes(keys: &[&AssetKey], edges: &[(usize, usize)]) -> Lanes {
    let groups = schema_groups(keys, edges);
    let lane_of_schema: BTreeMap<&str, usize> = groups
        .iter()
        .enumerate()
        .flat_map(|(lane, schemas)| schemas.iter().map(move |schema| (*schema, lane)))
        .collect();
    let lane_of: Vec<usize> = keys.iter().map(|key| lane_of_schema.get(key.schema()).copied().unwrap_or(0)).collect();
    let mut within = vec![0; keys.len()];
    // Upstream stands before downstream, so what an asset reads has its column already.
    let mut by_reader: Vec<&(usize, usize)> = edges.iter().collect();
    by_reader.sort_unstable_by_key(|(_, to)| *to);
    for &&(from, to) in &by_reader {
        if lane_of[from] == lane_of[to] {
            within[to] = within[to].max(within[from] + 1);
        }
    }
    let mut first = 0;
    let lanes: Vec<LaneColumns> = groups
        .iter()
        .enumerate()
        .map(|(lane, schemas)| {
            let members = || lane_of.iter().zip(&within).filter(|(of, _)| **of == lane).map(|(_, column)| *column);
            let count = members().max().map_or(0, |last| last + 1);
            let columns = LaneColumns {
                schemas: schemas.iter().map(|schema| (*schema).to_owned()).collect(),
                assets: members().count(),
                first,
                count,
            };
            first += count;
            columns
        })
        .collect();
    let column_of = lane_of.iter().zip(&within).map(|(lane, column)| lanes[*lane].first + column).collect();
    Lanes { lanes, column_of }
}

/// The schemas, those that read each other both ways together, each group after all that it reads.
fn schema_groups<'k>(keys: &[&'k AssetKey], edges: &[(usize, usize)]) -> Vec<Vec<&'k str>> {
    let mut graph: DiGraph<&str, ()> = DiGraph::new();
    let mut nodes: BTreeMap<&str, NodeIndex> = BTreeMap::new();
    for schema in keys.iter().map(|key| key.schema()).collect::<BTreeSet<_>>() {
        nodes.insert(schema, graph.add_node(schema));
    }
    for &(from, to) in edges {
        if let (Some(&from), Some(&to)) = (nodes.get(keys[from].schema()), nodes.get(keys[to].schema()))
            && from != to
        {
            graph.update_edge(from, to, ());
        }
    }
    // Components come in reverse topological order.
    let components: Vec<Vec<NodeIndex>> = kosaraju_scc(&graph).into_iter().rev().collect();
    let group_of: BTreeMap<NodeIndex, usize> = components
        .iter()
        .enumerate()
        .flat_map(|(group, members)| members.iter().map(move |member| (*member, group)))
        .collect();
    let mut ranks = vec![0; components.len()];
    for (group, members) in components.iter().enumerate() {
        let read = members.iter().flat_map(|member| graph.neighbors_directed(*member, petgraph::Direction::Incoming));
        let read = read.filter_map(|schema| group_of.get(&schema)).filter(|read| **read != group);
        ranks[group] = read.map(|read| ranks[*read] + 1).max().unwrap_or(0);
    }
    let mut groups: Vec<(usize, Vec<&str>)> = components
        .iter()
        .zip(ranks)
        .map(|(members, rank)| {
            let mut schemas: Vec<&str> = members.iter().map(|member| graph[*member]).collect();
            schemas.sort_unstable();
            (rank, schemas)
        })
        .collect();
    groups.sort();
    groups.into_iter().map(|(_, schemas)| schemas).collect()
}

/// The places of all columns: boxes, and lines on their way past.
///
/// Places are numbered: those of the boxes as the assets, then those of the lines.
struct Places {
    columns: Columns,
    /// The place of each asset's lines in each column that they pass.
    passing: BTreeMap<(usize, usize), usize>,
    column_of: Vec<usize>,
}

impl Places {
    fn new(lanes: &Lanes, edges: &[(usize, usize)], boxes: usize) -> Self {
        let count = lanes.lanes.iter().map(|lane| lane.count).sum();
        let mut columns = Columns { places: vec![Vec::new(); count], left: vec![Vec::new(); boxes], right: Vec::new() };
        for (asset, column) in lanes.column_of.iter().enumerate() {
            columns.places[*column].push(asset);
        }
        let mut passing = BTreeMap::new();
        let mut links = BTreeSet::new();
        for &(from, to) in edges {
            let mut at = from;
            for column in lanes.column_of[from] + 1..lanes.column_of[to] {
                let place = *passing.entry((from, column)).or_insert_with(|| {
                    let place = columns.left.len();
                    columns.left.push(Vec::new());
                    columns.places[column].push(place);
                    place
                });
                links.insert((at, place));
                at = place;
            }
            links.insert((at, to));
        }
        columns.right = vec![Vec::new(); columns.left.len()];
        for (from, to) in links {
            columns.right[from].push(to);
            columns.left[to].push(from);
        }
        Self { columns, passing, column_of: lanes.column_of.clone() }
    }

    /// Which boxes have no line.
    fn is_alone(&self, boxes: usize) -> Vec<bool> {
        let lines = self.columns.left.iter().zip(&self.columns.right).enumerate();
        lines.map(|(place, (left, right))| place < boxes && left.is_empty() && right.is_empty()).collect()
    }
}

/// Everything that is known before there are coordinates, and the middle of each place.
struct Drawing<'a> {
    keys: &'a [&'a AssetKey],
    edges: &'a [(usize, usize)],
    lanes: &'a Lanes,
    places: &'a Places,
    middles: &'a [f64],
    measures: &'a Measures,
}

impl Drawing<'_> {
    fn layout(&self) -> Layout {
        let half = self.measures.box_height / 2.0;
        let spans = self.columns();
        let bottom = self.middles.iter().copied().fold(0.0, f64::max) + half;
        let boxes: Vec<AssetBox> = self
            .keys
            .iter()
            .enumerate()
            .map(|(number, asset)| {
                let (x, width) = spans[self.places.column_of[number]];
                let height = self.measures.box_height;
                AssetBox { asset: (*asset).clone(), x, y: self.middle(number) - half, width, height }
            })
            .collect();
        let lines: Vec<Line> = self.edges.iter().map(|&(from, to)| self.line(from, to, &spans)).collect();
        let lanes: Vec<Lane> = self.lanes.lanes.iter().filter_map(|lane| self.lane(lane, &spans)).collect();
        Layout {
            width: lanes.last().map_or(0.0, |lane| lane.x + lane.width) + MARGIN,
            height: if boxes.is_empty() { 0.0 } else { (HEADING + bottom + 2.0 * MARGIN).round() },
            fans: fans(&lines, self.keys.len()),
            lanes,
            boxes,
            lines,
        }
    }

    /// Left edge and width of each column.
    fn columns(&self) -> Vec<(f64, f64)> {
        let (narrowest, widest) = self.measures.width;
        let mut spans = Vec::new();
        let mut x = MARGIN;
        for lane in &self.lanes.lanes {
            x += MARGIN;
            for column in lane.first..lane.first + lane.count {
                let boxes = self.places.columns.places[column].iter().filter_map(|place| self.keys.get(*place));
                let longest = boxes.map(|key| key.table().chars().count()).max().unwrap_or(0);
                let width = (longest as f64 * self.measures.character + self.measures.beside_name).round();
                let width = width.clamp(narrowest, widest);
                spans.push((x, width));
                x += width + self.measures.column_gap;
            }
            // Lines bend between lanes as they do between columns.
            x += MARGIN + LANE_GAP;
        }
        spans
    }

    fn lane(&self, lane: &LaneColumns, spans: &[(f64, f64)]) -> Option<Lane> {
        let (first, last) = (spans.get(lane.first)?, spans.get(lane.first + lane.count - 1)?);
        let x = first.0 - MARGIN;
        Some(Lane { schemas: lane.schemas.clone(), assets: lane.assets, x, width: last.0 + last.1 + MARGIN - x })
    }

    fn middle(&self, place: usize) -> f64 {
        (HEADING + MARGIN + self.middles[place]).round()
    }

    fn line(&self, from: usize, to: usize, spans: &[(f64, f64)]) -> Line {
        let (start, end) = (self.places.column_of[from], self.places.column_of[to]);
        let mut points = vec![(spans[start].0 + spans[start].1, self.middle(from))];
        for (column, (x, width)) in spans.iter().enumerate().take(end).skip(start + 1) {
            let y = self.places.passing.get(&(from, column)).map_or(0.0, |place| self.middle(*place));
            points.extend([(*x, y), (x + width, y)]);
        }
        points.push((spans[end].0, self.middle(to)));
        Line { from, to, points }
    }
}

/// For each asset with lines all of them in one path.
fn fans(lines: &[Line], assets: usize) -> Vec<String> {
    let mut fans: Vec<BTreeSet<String>> = vec![BTreeSet::new(); assets];
    for line in lines {
        fans[line.from].extend(line.pieces().map(|((x, y), way)| format!("M{x} {y}{way}")));
    }
    fans.into_iter().filter(|pieces| !pieces.is_empty()).map(|pieces| pieces.into_iter().collect()).collect()
}
