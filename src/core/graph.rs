//! Which asset reads which: a directed graph without cycles.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::core::key::AssetKey;

/// The dependencies between assets. Edges lead from what is read to what reads it.
#[derive(Clone, Debug, Default)]
pub struct AssetGraph {
    graph: DiGraph<AssetKey, ()>,
    nodes: HashMap<AssetKey, NodeIndex>,
    ranks: Vec<usize>,
    order: Vec<AssetKey>,
}

/// One thing that keeps dependencies from being a graph to work by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GraphProblem {
    /// An asset occurs twice.
    DuplicateAsset(AssetKey),
    /// An asset reads one that is not there.
    UnknownUpstream {
        /// The asset that reads.
        asset: AssetKey,
        /// What it reads.
        upstream: AssetKey,
    },
    /// Each of these reads the one after it, and the last reads the first. The alphabetically first comes first.
    Cycle(Vec<AssetKey>),
}

impl fmt::Display for GraphProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateAsset(key) => write!(formatter, "`{key}` is declared twice: give one of them another key"),
            Self::UnknownUpstream { asset, upstream } => {
                write!(
                    formatter,
                    "`{asset}` reads `{upstream}`, which is not among the assets: add it or do not read it"
                )
            }
            Self::Cycle(keys) => {
                formatter.write_str("assets read each other in a circle: ")?;
                for key in keys {
                    write!(formatter, "`{key}` reads ")?;
                }
                let first = keys.first().map_or("", AssetKey::as_str);
                write!(formatter, "`{first}`; take one of these dependencies away")
            }
        }
    }
}

/// Everything that is wrong with the dependencies, at least one problem, in a fixed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// The problems; of assets that all read each other one shortest circle is named.
    pub problems: Vec<GraphProblem>,
}

impl fmt::Display for GraphError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for GraphError {}

impl AssetGraph {
    /// The graph of these assets, each with what it reads. Reading the same asset twice is one dependency.
    ///
    /// # Errors
    /// All duplicates, unknown upstreams and cycles at once.
    pub fn build<Upstreams>(assets: impl IntoIterator<Item = (AssetKey, Upstreams)>) -> Result<Self, GraphError>
    where
        Upstreams: IntoIterator<Item = AssetKey>,
    {
        let mut graph = DiGraph::new();
        let mut nodes = HashMap::new();
        let mut reads = Vec::new();
        let mut problems = Vec::new();
        for (key, upstreams) in assets {
            if nodes.contains_key(&key) {
                problems.push(GraphProblem::DuplicateAsset(key));
                continue;
            }
            let node = graph.add_node(key.clone());
            nodes.insert(key, node);
            let mut upstreams: Vec<AssetKey> = upstreams.into_iter().collect();
            upstreams.sort_unstable();
            upstreams.dedup();
            reads.push((node, upstreams));
        }
        for (node, upstreams) in reads {
            for upstream in upstreams {
                match nodes.get(&upstream) {
                    Some(&from) => {
                        graph.add_edge(from, node, ());
                    }
                    None => problems.push(GraphProblem::UnknownUpstream { asset: graph[node].clone(), upstream }),
                }
            }
        }
        // Components come in reverse topological order. (Tarjan's algorithm is recursive in petgraph: a long chain of
        // assets would overflow the stack.)
        let components = kosaraju_scc(&graph);
        let circular = components.iter().filter(|component| match component[..] {
            [node] => graph.contains_edge(node, node),
            _ => true,
        });
        problems.extend(circular.filter_map(|component| cycle_in(&graph, component)));
        if !problems.is_empty() {
            problems.sort();
            problems.dedup();
            return Err(GraphError { problems });
        }
        let mut ranks = vec![0; graph.node_count()];
        for node in components.into_iter().rev().flatten() {
            ranks[node.index()] = graph
                .neighbors_directed(node, Direction::Incoming)
                .map(|upstream| ranks[upstream.index()] + 1)
                .max()
                .unwrap_or(0);
        }
        let mut order: Vec<NodeIndex> = graph.node_indices().collect();
        order.sort_by(|left, right| graph[*left].cmp(&graph[*right]));
        order.sort_by_key(|node| ranks[node.index()]);
        let order = order.into_iter().map(|node| graph[node].clone()).collect();
        Ok(Self { graph, nodes, ranks, order })
    }

    /// How many assets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no asset.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether the asset is in the graph.
    #[must_use]
    pub fn contains(&self, key: &AssetKey) -> bool {
        self.nodes.contains_key(key)
    }

    /// All assets, each after everything it reads; by rank and within a rank alphabetically, hence always the same.
    #[must_use]
    pub fn topological_order(&self) -> &[AssetKey] {
        &self.order
    }

    /// The number of steps on the longest way to the asset from one that reads nothing; `None` for an unknown key.
    #[must_use]
    pub fn rank(&self, key: &AssetKey) -> Option<usize> {
        self.nodes.get(key).map(|node| self.ranks[node.index()])
    }

    /// What the asset reads directly, alphabetically; nothing for an unknown key.
    #[must_use]
    pub fn upstream(&self, key: &AssetKey) -> Vec<&AssetKey> {
        self.neighbors(key, Direction::Incoming)
    }

    /// What reads the asset directly, alphabetically; nothing for an unknown key.
    #[must_use]
    pub fn downstream(&self, key: &AssetKey) -> Vec<&AssetKey> {
        self.neighbors(key, Direction::Outgoing)
    }

    /// What these assets read, directly or through others, at most `depth` steps away (`None`: however far).
    ///
    /// One of `keys` itself is in the result only when another of them reads it. Unknown keys have no ancestors.
    #[must_use]
    pub fn ancestors<'key>(
        &self,
        keys: impl IntoIterator<Item = &'key AssetKey>,
        depth: Option<usize>,
    ) -> BTreeSet<AssetKey> {
        self.reached(keys, depth, Direction::Incoming)
    }

    /// What reads these assets, directly or through others, at most `depth` steps away (`None`: however far).
    ///
    /// One of `keys` itself is in the result only when it reads another of them. Unknown keys have no descendants.
    #[must_use]
    pub fn descendants<'key>(
        &self,
        keys: impl IntoIterator<Item = &'key AssetKey>,
        depth: Option<usize>,
    ) -> BTreeSet<AssetKey> {
        self.reached(keys, depth, Direction::Outgoing)
    }

    fn neighbors(&self, key: &AssetKey, direction: Direction) -> Vec<&AssetKey> {
        let Some(&node) = self.nodes.get(key) else { return Vec::new() };
        let mut keys: Vec<&AssetKey> =
            self.graph.neighbors_directed(node, direction).map(|neighbor| &self.graph[neighbor]).collect();
        keys.sort_unstable();
        keys
    }

    /// Breadth first from all keys at once, so that each asset is met by its shortest way.
    fn reached<'key>(
        &self,
        keys: impl IntoIterator<Item = &'key AssetKey>,
        depth: Option<usize>,
        direction: Direction,
    ) -> BTreeSet<AssetKey> {
        let mut queued = vec![false; self.graph.node_count()];
        let mut queue = VecDeque::new();
        for node in keys.into_iter().filter_map(|key| self.nodes.get(key)) {
            if !std::mem::replace(&mut queued[node.index()], true) {
                queue.push_back((*node, 0));
            }
        }
        let mut reached = BTreeSet::new();
        while let Some((node, distance)) = queue.pop_front() {
            if depth.is_some_and(|depth| distance >= depth) {
                continue;
            }
            for neighbor in self.graph.neighbors_directed(node, direction) {
                reached.insert(neighbor);
                if !std::mem::replace(&mut queued[neighbor.index()], true) {
                    queue.push_back((neighbor, distance + 1));
                }
            }
        }
        reached.into_iter().map(|node| self.graph[node].clone()).collect()
    }
}

/// A shortest circle through the alphabetically first asset of a strongly connected component that has one.
fn cycle_in(graph: &DiGraph<AssetKey, ()>, component: &[NodeIndex]) -> Option<GraphProblem> {
    let first = *component.iter().min_by_key(|node| &graph[**node])?;
    let members: BTreeSet<NodeIndex> = component.iter().copied().collect();
    let mut reached_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(node) = queue.pop_front() {
        let mut upstreams: Vec<NodeIndex> =
            graph.neighbors_directed(node, Direction::Incoming).filter(|node| members.contains(node)).collect();
        upstreams.sort_by_key(|node| &graph[*node]);
        for upstream in upstreams {
            if upstream == first {
                let mut cycle = vec![graph[node].clone()];
                let mut at = node;
                while let Some(&reader) = reached_from.get(&at) {
                    cycle.push(graph[reader].clone());
                    at = reader;
                }
                cycle.reverse();
                return Some(GraphProblem::Cycle(cycle));
            }
            if let Entry::Vacant(entry) = reached_from.entry(upstream) {
                entry.insert(node);
                queue.push_back(upstream);
            }
        }
    }
    None
}
