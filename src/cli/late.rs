//! Late data: marking by hand, and the rows that came too late.

use super::exit::{Exit, Failure};
use super::output::{counted, one_line, shortened, table, time_text};
use super::remote::Call;
use super::session::Session;
use super::verb::{
    MarkArguments, QuarantineDecisionArguments, QuarantineListArguments, QuarantineShowArguments, QuarantineVerb,
};
use crate::service::{DecidedView, MarkedView, QuarantineScope, QuarantinedView};

/// How much of a row a list shows.
const ROW_CHARACTERS: usize = 80;

pub(super) async fn mark(session: &Session, arguments: &MarkArguments) -> Result<Exit, Failure> {
    let partitions = match &arguments.to {
        Some(to) => format!("{}..{to}", arguments.from),
        None => arguments.from.clone(),
    };
    let MarkArguments { asset, reason, dry_run, .. } = arguments;
    let there = Call::post(["marks"])
        .body(&serde_json::json!({ "asset": asset, "partitions": partitions, "reason": reason, "dry_run": dry_run }));
    let marked = session.ask(async |service| service.mark(asset, &partitions, reason, *dry_run).await, there).await?;
    session.output.result(&marked, |marked| marked_text(session, marked))?;
    Ok(Exit::Ok)
}

fn marked_text(session: &Session, view: &MarkedView) -> String {
    let verb = if view.marked { "Marked" } else { "To be marked:" };
    let mut text = format!("{verb} {} {}", view.asset, view.partitions.text);
    if view.stale.is_empty() {
        text.push_str("\nNothing that was built reads it: nothing becomes stale.");
        return text;
    }
    text.push_str(if view.marked { "\nStale by it:" } else { "\nIt would make stale:" });
    for stale in &view.stale {
        text.push_str(&format!("\n  {} {}", stale.asset, stale.partitions.text));
    }
    if view.marked {
        let assets: Vec<&str> = view.stale.iter().map(|stale| stale.asset.as_str()).collect();
        let command = format!("backfill '{}' --stale", assets.join(" "));
        text.push_str(&format!("\nTo build these again: {}", session.command(&command)));
    }
    text
}

pub(super) async fn quarantine(session: &Session, verb: &QuarantineVerb) -> Result<Exit, Failure> {
    match verb {
        QuarantineVerb::Ls(arguments) => list(session, arguments).await,
        QuarantineVerb::Show(arguments) => show(session, arguments).await,
        QuarantineVerb::Release(arguments) => {
            let scope = scope(arguments);
            let there = decision("release", arguments);
            let decided = session.ask(async |service| service.release_quarantined(&scope).await, there).await?;
            session.output.result(&decided, decided_text)?;
            Ok(Exit::Ok)
        }
        QuarantineVerb::Discard(arguments) => {
            let scope = scope(arguments);
            let there = decision("discard", arguments);
            let decided = session.ask(async |service| service.discard_quarantined(&scope).await, there).await?;
            session.output.result(&decided, decided_text)?;
            Ok(Exit::Ok)
        }
    }
}

fn scope(arguments: &QuarantineDecisionArguments) -> QuarantineScope {
    match &arguments.asset {
        Some(asset) => QuarantineScope::Asset(asset.clone()),
        None => QuarantineScope::Rows(arguments.ids.clone()),
    }
}

fn decision(verb: &str, arguments: &QuarantineDecisionArguments) -> Call {
    let body = match &arguments.asset {
        Some(asset) => serde_json::json!({ "asset": asset }),
        None => serde_json::json!({ "rows": arguments.ids }),
    };
    Call::post(["quarantine", verb]).body(&body)
}

async fn list(session: &Session, arguments: &QuarantineListArguments) -> Result<Exit, Failure> {
    let (asset, before, limit) = (arguments.asset.as_deref(), arguments.before, arguments.limit);
    let there = Call::get(["quarantine"]).with("asset", asset).with("before", before);
    let rows = session.list(Some(limit), async |service| service.quarantine(asset, before, limit).await, there).await?;
    session.output.result(&rows, |rows| list_text(session, arguments, rows))?;
    Ok(Exit::Ok)
}

fn list_text(session: &Session, arguments: &QuarantineListArguments, rows: &[QuarantinedView]) -> String {
    if rows.is_empty() {
        return "No row waits in quarantine.".to_owned();
    }
    let zone = session.calendar().zone;
    let cells = rows.iter().map(|row| {
        vec![
            row.id.to_string(),
            row.asset.to_string(),
            row.partition.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string),
            time_text(row.quarantined_at, zone),
            row.writer.clone(),
            shortened(&one_line(&row.row.to_string()), ROW_CHARACTERS),
        ]
    });
    let mut text = table(&["ID", "ASSET", "PARTITION", "SINCE", "WRITER", "ROW"], &["ID"], cells);
    if rows.len() == usize::try_from(arguments.limit).unwrap_or(usize::MAX)
        && let Some(last) = rows.last()
    {
        let asset = arguments.asset.as_ref().map_or_else(String::new, |asset| format!(" {asset}"));
        let command = format!("quarantine ls{asset} --before {}", last.id);
        text.push_str(&format!("\n\nThere may be more: {}", session.command(&command)));
    }
    let (release, discard) = (session.command("quarantine release ID"), session.command("quarantine discard ID"));
    text.push_str(&format!("\n\nTo let a row in: {release}\nTo refuse it for good: {discard}"));
    text
}

async fn show(session: &Session, arguments: &QuarantineShowArguments) -> Result<Exit, Failure> {
    let there = Call::get(["quarantine", &arguments.id.to_string()]);
    let row = session.ask(async |service| service.quarantined_row(arguments.id).await, there).await?;
    session.output.result(&row, |row| row_text(session, row))?;
    Ok(Exit::Ok)
}

fn row_text(session: &Session, row: &QuarantinedView) -> String {
    let zone = session.calendar().zone;
    let partition = row.partition.as_ref().map_or_else(String::new, |key| format!(", partition {key}"));
    let mut text = format!(
        "Row {} of {}{partition}: {}.\n  {}; it came at {} from {}.",
        row.id,
        row.asset,
        row.state,
        row.reason,
        time_text(row.quarantined_at, zone),
        row.writer,
    );
    if let Some(at) = row.decided_at {
        text.push_str(&format!("\n  It was {} at {}.", row.state, time_text(at, zone)));
    }
    text.push('\n');
    for (column, value) in row.row.as_object().into_iter().flatten() {
        text.push_str(&format!("\n  {column}: {value}"));
    }
    text
}

fn decided_text(view: &DecidedView) -> String {
    if view.rows == 0 {
        return "No row waits there.".to_owned();
    }
    if view.decision == "discarded" {
        return format!("Discarded {}.", counted(view.rows, "row"));
    }
    let mut text = format!("Released {}", counted(view.rows, "row"));
    if view.duplicates > 0 {
        text.push_str(&format!(", of which {} in the table already", view.duplicates));
    }
    text.push('.');
    for landed in &view.partitions {
        text.push_str(&format!("\n  {} {}", landed.asset, landed.partitions.text));
    }
    text
}
