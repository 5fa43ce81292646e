//! What people write reaches no table, no report and no log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use chrono_tz::Europe::Berlin;
use community::collect::ingest::Source;

use crate::ingest::{CHAT, CS2, GATEWAY, LINKS};
use crate::support::Platform;

/// Stands in the fixtures wherever people write, and where secrets and addresses are.
const PLANTED: &str = "planted";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Every row of every table of the database, as text. What waits in a connection's temporary tables is gone with its
/// transaction, and no other connection can read it.
async fn dump(platform: &Platform) -> Vec<(String, String)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', n.nspname, c.relname) from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'm', 'v') and c.relpersistence <> 't' and n.nspname not in ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&platform.pool)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let statement = sqlx::AssertSqlSafe(format!("select row_to_json(t)::text from {table} as t"));
        let found: Vec<String> = sqlx::query_scalar(statement).fetch_all(&platform.pool).await.unwrap();
        rows.extend(found.into_iter().map(|row| (table.clone(), row)));
    }
    rows
}

#[tokio::test]
async fn nothing_that_was_planted_is_found() {
    let log = Captured::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    // Everything in this process, the workers' threads included: each test has a process of its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
    let platform = Platform::new(Berlin, "2026-01-10", "2026-01-13T12:00:00Z").await;
    let mut reports = String::new();
    for (source, text) in [(Source::Discord, GATEWAY), (Source::Cs2, CS2), (Source::Irc, CHAT), (Source::Links, LINKS)]
    {
        assert!(text.contains(PLANTED));
        // Also as some other source: what is misread must not be kept either.
        for pretended in [source, Source::Discord, Source::Cs2, Source::Irc, Source::Links] {
            let report = platform.ingest_in(pretended, Berlin, text).await;
            reports += &format!("{report}{report:?}{}", serde_json::to_string(&report).unwrap());
        }
    }
    platform.build().await;
    let rows = dump(&platform).await;
    assert!(rows.iter().any(|(table, _)| table == "bronze.discord_messages"), "the dump must hold something");
    assert!(rows.iter().any(|(table, _)| table == "karat.materialization"));
    for (table, row) in &rows {
        assert!(!row.contains(PLANTED), "{table}: {row}");
        // Addresses of players, the remote console's included.
        assert!(!row.contains("198.51.100."), "{table}: {row}");
    }
    assert!(!reports.is_empty());
    assert!(!reports.contains(PLANTED), "{reports}");
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("sqlx"), "the log must hold something");
    assert!(!log.contains(PLANTED), "the log repeats it");
}
