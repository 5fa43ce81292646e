//! Looking after the database.

use super::exit::{Exit, Failure};
use super::output::{counted, time_text};
use super::session::Session;
use super::verb::{GcArguments, MigrateArguments};
use crate::service::{GarbageView, MigrationView};

pub(super) async fn check(session: &Session) -> Result<Exit, Failure> {
    let connected = session.connect_unverified().await?;
    let report = connected.service.check().await;
    connected.close().await;
    let report = report?;
    session.output.result(&report, |report| report.to_string())?;
    Ok(if report.is_passed() { Exit::Ok } else { Exit::Definitions })
}

pub(super) async fn migrate(session: &Session, arguments: &MigrateArguments) -> Result<Exit, Failure> {
    let connected = session.connect_unverified().await?;
    let migrated = connected.service.migrate(arguments.dry_run).await;
    connected.close().await;
    session.output.result(&migrated?, migration_text)?;
    Ok(Exit::Ok)
}

fn migration_text(view: &MigrationView) -> String {
    let mut text = if view.migrations.is_empty() {
        "The database is up to date.".to_owned()
    } else {
        let what = if view.applied { "Applied" } else { "To be applied:" };
        format!("{what} {}\n  {}", counted(view.migrations.len(), "migration"), view.migrations.join("\n  "))
    };
    if !view.marked_tables.is_empty() {
        text.push_str("\nWhoever writes into these tables makes their readers stale:\n  ");
        text.push_str(&view.marked_tables.join("\n  "));
    }
    for (table, reason) in &view.unmarked_tables {
        text.push_str(&format!("\nRows that other programs write into {table} make nothing stale, because {reason}"));
    }
    text
}

pub(super) async fn gc(session: &Session, arguments: &GcArguments) -> Result<Exit, Failure> {
    let retention = arguments.keep.retention();
    let garbage = session
        .connected(async |connected| Ok(connected.service.collect_garbage(retention, arguments.dry_run).await?))
        .await?;
    session.output.result(&garbage, |garbage| garbage_text(session, garbage))?;
    Ok(Exit::Ok)
}

fn garbage_text(session: &Session, garbage: &GarbageView) -> String {
    let zone = session.calendar().zone;
    let (logs_before, history_before) = (time_text(garbage.logs_before, zone), time_text(garbage.history_before, zone));
    if garbage.is_empty() {
        return format!(
            "Nothing has expired: no logs from before {logs_before}, no history from before {history_before}."
        );
    }
    let mut lines = vec![if garbage.removed { "Removed:" } else { "To be removed:" }.to_owned()];
    if !garbage.day_tables.is_empty() {
        lines.push(format!(
            "  {} of logs, events, attempts and ticks from before {logs_before}, {} kB: {}",
            counted(garbage.day_tables.len(), "table"),
            garbage.day_table_bytes.div_ceil(1024),
            garbage.day_tables.join(", ")
        ));
    }
    for rows in &garbage.rows {
        let before = if rows.kind == "stray_log_rows" { &logs_before } else { &history_before };
        lines.push(format!(
            "  {} from before {before}, {} kB",
            counted(rows.count, rows.noun),
            rows.bytes.div_ceil(1024)
        ));
    }
    if !garbage.removed {
        lines.push("Data and everything current stay. To remove it, leave out --dry-run.".to_owned());
    }
    lines.join("\n")
}
