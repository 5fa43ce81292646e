//! Looking: lists, states, explanations.

use super::exit::{Exit, Failure};
use super::output::{grouped, one_line, shortened, table, time_text, toned};
use super::session::Session;
use super::verb::{SelectionArguments, StatusArguments, selection_text};
use crate::service::{AssetStatusView, AssetView, StatusView, asks_for_states, list_assets};

/// How much of a description a list shows.
const DESCRIPTION_CHARACTERS: usize = 60;

pub(super) async fn ls(session: &Session, arguments: &SelectionArguments) -> Result<Exit, Failure> {
    let selection = selection_text(&arguments.selection, &arguments.exclude);
    let assets = match &selection {
        Some(selection) if asks_for_states(selection) => {
            session.connected(async |connected| Ok(connected.service.assets(Some(selection)).await?)).await?
        }
        selection => list_assets(&*session.definitions()?, selection.as_deref())?,
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
            asset.automation.clone(),
            shortened(&one_line(asset.description.lines().next().unwrap_or_default()), DESCRIPTION_CHARACTERS),
        ]
    });
    table(&["ASSET", "KIND", "PARTITIONS", "AUTOMATION", "DESCRIPTION"], &[], rows)
}

pub(super) async fn status(session: &Session, arguments: &StatusArguments) -> Result<Exit, Failure> {
    let selection = selection_text(&arguments.selection.selection, &arguments.selection.exclude);
    let status = session.connected(async |connected| Ok(connected.service.status(selection.as_deref()).await?)).await?;
    session.output.result(&status, |status| status_text(session, status))?;
    Ok(if arguments.exit_code && !status.is_fresh { Exit::NotFresh } else { Exit::Ok })
}

fn status_text(session: &Session, status: &StatusView) -> String {
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
            .map(|stale| format!("{} {}: {}", toned("stale"), stale.partitions.text, stale.sentence))
            .collect();
        for (word, partitions) in [("missing", &asset.missing), ("failed", &asset.failed), ("open", &asset.open)] {
            if !partitions.is_empty() {
                lines.push(format!("{} {}", toned(word), partitions.text));
            }
        }
        if let Some(since) = asset.freshness.as_ref().and_then(|freshness| freshness.overdue_since) {
            lines.push(format!("{} since {}", toned("overdue"), time_text(since, zone)));
        }
        if !lines.is_empty() {
            text.push_str(&format!("\n\n{}\n  {}", asset.asset, lines.join("\n  ")));
        }
    }
    text.push_str(&next_steps(session, status));
    text
}

/// An external asset has no state of its own beyond whether rows ever landed.
fn state_word(asset: &AssetStatusView) -> &'static str {
    match asset.kind {
        crate::asset::spec::AssetKind::External if asset.state.as_str() == "fresh" => "external",
        _ => asset.state.as_str(),
    }
}

fn next_steps(session: &Session, status: &StatusView) -> String {
    let any = |test: fn(&AssetStatusView) -> bool| status.assets.iter().any(test);
    let mut commands = Vec::new();
    if any(|asset| !asset.missing.is_empty()) {
        commands.push("backfill '*' --missing");
    }
    if any(|asset| !asset.stale.is_empty()) {
        commands.push("backfill '*' --stale");
    }
    if any(|asset| !asset.failed.is_empty()) {
        commands.push("backfill '*' --failed");
    }
    if commands.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = commands.into_iter().map(|command| format!("  {}", session.command(command))).collect();
    format!("\n\nTo put it right:\n{}", lines.join("\n"))
}
