//! Looking: lists, states, explanations.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::exit::{Exit, Failure};
use super::instance::Instance;
use super::output::{counted, grouped, one_line, shortened, table, time_text, toned};
use super::remote::{Call, PAGE, Remote};
use super::session::Session;
use super::verb::{GraphArguments, GraphFormat, SelectionArguments, StatusArguments, selection_text};
use crate::asset::spec::AssetKind;
use crate::core::freshness::FreshnessState;
use crate::core::key::AssetKey;
use crate::service::{
    self, AssetStatusView, AssetView, Extent, GraphNode, GraphView, PartitionState, Request, Service, StatusView,
    asks_for_states, list_assets,
};

/// How much of a description a list shows.
const DESCRIPTION_CHARACTERS: usize = 60;

/// How much of a reason of failure is shown.
const REASON_CHARACTERS: usize = 300;

pub(super) async fn ls(session: &Session, arguments: &SelectionArguments) -> Result<Exit, Failure> {
    let selection = selection_text(&arguments.selection, &arguments.exclude);
    let selected = selection.as_deref();
    let assets = if session.is_remote() || selected.is_some_and(asks_for_states) {
        let there = Call::get(["assets"]).with("selection", selected);
        session.list(None, async |service| service.assets(selected).await, there).await?
    } else {
        list_assets(&*session.definitions()?, selected)?
    };
    session.output.result(&assets, |assets| assets_text(assets))?;
    Ok(Exit::Ok)
}

fn assets_text(assets: &[AssetView]) -> String {
    if assets.is_empty() {
        return "There are no assets yet: declare one and register it in the definitions.".to_owned();
    }
    let rows = assets.iter().map(|asset| {
        vec![
            asset.asset.to_string(),
            asset.kind.as_str().to_owned(),
            asset.partitioned.to_owned(),
            asset.automation.to_string(),
            shortened(&one_line(asset.description.lines().next().unwrap_or_default()), DESCRIPTION_CHARACTERS),
        ]
    });
    table(&["ASSET", "KIND", "PARTITIONS", "AUTOMATION", "DESCRIPTION"], &[], rows)
}

pub(super) async fn status(session: &Session, arguments: &StatusArguments) -> Result<Exit, Failure> {
    let selection = selection_text(&arguments.selection.selection, &arguments.selection.exclude);
    let status = session
        .instance(async |instance| match instance {
            Instance::Here(connected) => Ok(connected.service.status(selection.as_deref()).await?),
            Instance::There(remote) => remote_status(remote, selection.as_deref()).await,
        })
        .await?;
    session.output.result(&status, |status| status_text(session, status, selection.as_deref()))?;
    Ok(if arguments.exit_code && !status.is_fresh { Exit::NotFresh } else { Exit::Ok })
}

/// A page of how assets stand, as a server tells it.
#[derive(Deserialize)]
struct StatusPage {
    at: DateTime<Utc>,
    /// Of all assets, on this page or not.
    is_fresh: bool,
    items: Vec<AssetStatusView>,
    next: Option<String>,
}

/// All pages of how assets stand; at the time of the first, and fresh when each page says so.
async fn remote_status(remote: &Remote, selection: Option<&str>) -> Result<StatusView, Failure> {
    let page = Call::get(["status"]).with("selection", selection).with("limit", Some(PAGE));
    let StatusPage { at, mut is_fresh, items: mut assets, mut next } = remote.call(&page).await?;
    while let Some(cursor) = next {
        let more: StatusPage = remote.call(&page.clone().with("cursor", Some(cursor))).await?;
        is_fresh &= more.is_fresh;
        assets.extend(more.items);
        next = more.next;
    }
    Ok(StatusView { at, assets, is_fresh })
}

fn status_text(session: &Session, status: &StatusView, selection: Option<&str>) -> String {
    if status.assets.is_empty() {
        return "There are no assets yet: declare one and register it in the definitions.".to_owned();
    }
    let zone = session.calendar().zone;
    let count = |count: u64| if count == 0 { "·".to_owned() } else { grouped(count) };
    let rows = status.assets.iter().map(|asset| {
        vec![
            asset.asset.to_string(),
            toned(state_word(asset)),
            count(asset.fresh.count),
            count(asset.stale.count),
            count(asset.missing.count),
            count(asset.failed.count),
            count(asset.running.count + asset.queued.count),
            grouped(u64::try_from(asset.row_count).unwrap_or(0)),
            asset.newest_at.map_or_else(|| "never".to_owned(), |instant| time_text(instant, zone)),
        ]
    });
    let numbers = ["FRESH", "STALE", "MISSING", "FAILED", "ACTIVE", "ROWS"];
    let header = ["ASSET", "STATE", "FRESH", "STALE", "MISSING", "FAILED", "ACTIVE", "ROWS", "NEWEST"];
    let mut text = table(&header, &numbers, rows);
    for asset in &status.assets {
        let mut lines: Vec<String> = asset
            .stale_reasons
            .iter()
            .map(|stale| format!("{} {}: {}", toned("stale"), stale.partitions.text, stale.reason.sentence))
            .collect();
        lines.extend(asset.failed_reasons.iter().map(|failed| {
            let reason = failed.reason.as_deref().unwrap_or("no reason is known");
            let reason = shortened(&one_line(reason), REASON_CHARACTERS);
            format!("{} {}: {reason}", toned(&failed.state), failed.partitions.text)
        }));
        for (word, partitions) in [("missing", &asset.missing), ("open", &asset.open)] {
            if !partitions.is_empty() {
                lines.push(format!("{} {}", toned(word), partitions.text));
            }
        }
        if asset.quarantined > 0 {
            let rows = counted(asset.quarantined, "row");
            let command = session.command(&format!("quarantine ls {}", asset.asset));
            lines.push(format!("{} {rows} that came too late: {command}", toned("quarantined")));
        }
        if let Some((freshness, due_at)) = asset.freshness.as_ref().and_then(|view| Some((view, view.due_at?))) {
            match freshness.state {
                FreshnessState::Fail => {
                    lines.push(format!("{} since {}: {}", toned("overdue"), time_text(due_at, zone), freshness.policy));
                }
                FreshnessState::Warn => {
                    lines.push(format!("{} at {}: {}", toned("due"), time_text(due_at, zone), freshness.policy));
                }
                FreshnessState::Pass | FreshnessState::Unknown => {}
            }
        }
        if !lines.is_empty() {
            text.push_str(&format!("\n\n{}\n  {}", asset.asset, lines.join("\n  ")));
        }
    }
    text.push_str(&next_steps(session, status, selection));
    text
}

/// An external asset has no state of its own beyond whether rows ever landed.
fn state_word(asset: &AssetStatusView) -> &'static str {
    match asset.kind {
        AssetKind::External if asset.state.as_str() == "fresh" => "external",
        _ => asset.state.as_str(),
    }
}

fn next_steps(session: &Session, status: &StatusView, selection: Option<&str>) -> String {
    let any = |test: fn(&AssetStatusView) -> bool| status.assets.iter().any(test);
    let states = [
        (PartitionState::Missing, any(|asset| !asset.missing.is_empty())),
        (PartitionState::Stale, any(|asset| !asset.stale.is_empty())),
        (PartitionState::Failed, any(|asset| !asset.failed.is_empty())),
    ];
    let commands: Vec<String> = states
        .into_iter()
        .filter(|(_, holds)| *holds)
        .map(|(state, _)| {
            let all = Request::new(selection.unwrap_or("*"), Extent::Newest);
            let request = Request { states: BTreeSet::from([state]), ..all };
            format!("\n  {}", session.command(&request.command_line("backfill")))
        })
        .collect();
    if commands.is_empty() { String::new() } else { format!("\n\nTo put it right:{}", commands.concat()) }
}

pub(super) async fn graph(session: &Session, arguments: &GraphArguments) -> Result<Exit, Failure> {
    let selection = selection_text(&arguments.selection.selection, &arguments.selection.exclude);
    let selected = selection.as_deref();
    let graph = if session.is_remote() || selected.is_some_and(asks_for_states) {
        let here = async |service: &Service| {
            // States are in the database: which assets they mean is looked up first.
            let assets = service.assets(selected).await?;
            let names: Vec<&str> = assets.iter().map(|asset| asset.asset.as_str()).collect();
            service::graph(service.definitions(), Some(&names.join(" ")))
        };
        session.ask(here, Call::get(["lineage"]).with("selection", selected)).await?
    } else {
        service::graph(&*session.definitions()?, selected)?
    };
    match arguments.format {
        GraphFormat::Json => session.output.json(&graph)?,
        GraphFormat::Dot => session.output.result(&graph, dot_text)?,
        GraphFormat::Text => session.output.result(&graph, tree_text)?,
    }
    Ok(Exit::Ok)
}

fn dot_text(graph: &GraphView) -> String {
    let mut text = "digraph assets {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for node in &graph.assets {
        text.push_str(&format!("  \"{}\" [tooltip=\"{}, {}\"];\n", node.asset, node.kind.as_str(), node.partitioned));
    }
    for edge in &graph.edges {
        let label = if edge.mapping == "overlap" { String::new() } else { format!(" [label=\"{}\"]", edge.mapping) };
        text.push_str(&format!("  \"{}\" -> \"{}\"{label};\n", edge.upstream, edge.downstream));
    }
    text.push('}');
    text
}

/// From what reads nothing down to what nobody reads; what has been shown once is only named again.
fn tree_text(graph: &GraphView) -> String {
    if graph.assets.is_empty() {
        return "There are no assets yet: declare one and register it in the definitions.".to_owned();
    }
    let nodes: BTreeMap<&AssetKey, &GraphNode> = graph.assets.iter().map(|node| (&node.asset, node)).collect();
    let mut children: BTreeMap<&AssetKey, Vec<(&AssetKey, &str)>> = BTreeMap::new();
    let mut has_parent: BTreeSet<&AssetKey> = BTreeSet::new();
    for edge in &graph.edges {
        children.entry(&edge.upstream).or_default().push((&edge.downstream, &edge.mapping));
        has_parent.insert(&edge.downstream);
    }
    let mut shown: BTreeSet<&AssetKey> = BTreeSet::new();
    let mut text = String::new();
    // An explicit stack: a chain of assets may be deeper than threads' stacks are.
    let roots = graph.assets.iter().filter(|node| !has_parent.contains(&node.asset));
    let mut stack: Vec<Branch<'_>> = roots
        .rev()
        .map(|node| Branch { key: &node.asset, mapping: "overlap", prefix: String::new(), place: Place::Root })
        .collect();
    while let Some(Branch { key, mapping, prefix, place }) = stack.pop() {
        let (joint, below) = match place {
            Place::Root => ("", ""),
            Place::Between => ("├─ ", "│  "),
            Place::Last => ("└─ ", "   "),
        };
        let kind =
            nodes.get(key).map_or_else(String::new, |node| format!("{}, {}", node.kind.as_str(), node.partitioned));
        let mapping = if mapping == "overlap" { String::new() } else { format!(" by {mapping}") };
        let below_children = children.get(key).map_or(&[][..], Vec::as_slice);
        let again = !shown.insert(key) && !below_children.is_empty();
        let note = if again { ", shown above" } else { "" };
        text.push_str(&format!("{prefix}{joint}{key}  ({kind}{mapping}{note})\n"));
        if again {
            continue;
        }
        let last = below_children.len().saturating_sub(1);
        for (index, (child, mapping)) in below_children.iter().enumerate().rev() {
            let place = if index == last { Place::Last } else { Place::Between };
            stack.push(Branch { key: child, mapping, prefix: format!("{prefix}{below}"), place });
        }
    }
    text
}

/// A line of the tree that is still to be written.
struct Branch<'a> {
    key: &'a AssetKey,
    mapping: &'a str,
    prefix: String,
    place: Place,
}

/// Where a line hangs below its parent.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Between,
    Last,
}
