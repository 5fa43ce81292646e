//! Removing what was kept for people and has been kept long enough.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::accounts::{Done, Role};
use super::{Service, ServiceError};
pub use crate::store::garbage::Retention;
use crate::store::garbage::{Amount, Removable};

/// What was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GarbageView {
    /// Whether it has been removed.
    pub removed: bool,
    /// Logs, events, attempts and ticks from before this.
    pub logs_before: DateTime<Utc>,
    /// History from before this.
    pub history_before: DateTime<Utc>,
    /// Tables of days of logs, events, attempts and ticks.
    pub day_tables: Vec<String>,
    /// What these take on disk.
    pub day_table_bytes: u64,
    /// What goes row by row, kinds without any left out.
    pub rows: Vec<GarbageRows>,
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GarbageRows {
    /// What one of them is called.
    #[serde(skip)]
    pub noun: &'static str,
    /// `stray_log_rows` (what lies in no day's table), `replaced_materializations`, `check_results`, `steps`, `runs`,
    /// `backfills`, `released_rows` (of the quarantine), `alerts` (that have ended), `sessions`, `tokens` (that are not
    /// valid any more) or `audit_records`.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
    /// What they take, indexes aside; their room is used again, not given back to the file system.
    pub bytes: u64,
}

impl GarbageView {
    /// Whether there is nothing to remove.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.day_tables.is_empty() && self.rows.is_empty()
    }

    fn add(&mut self, kind: &'static str, noun: &'static str, amount: Amount) {
        let (count, bytes) = (u64::try_from(amount.rows).unwrap_or(0), u64::try_from(amount.bytes).unwrap_or(0));
        if count > 0 {
            self.rows.push(GarbageRows { noun, kind, count, bytes });
        }
    }
}

impl Service {
    /// Removes what is older than `retention`, or with `dry_run` only says what that is.
    ///
    /// Data are never touched, nor the present version of a partition and the run that made it, nor the newest step of a
    /// partition that failed or was canceled. May be repeated and interrupted at any time.
    ///
    /// # Errors
    /// When the state cannot be used; what was removed before stays removed.
    pub async fn collect_garbage(&self, retention: Retention, dry_run: bool) -> Result<GarbageView, ServiceError> {
        self.authorize(Role::Operator)?;
        let cutoffs = retention.cutoffs(self.now());
        let begun = match dry_run {
            true => None,
            false => Some(self.begin(Done { action: "gc", command: Some("gc"), ..Done::default() }).await?),
        };
        let tables = self.store.expired_day_tables(&cutoffs).await?;
        let mut view = GarbageView {
            removed: !dry_run,
            logs_before: cutoffs.logs_before,
            history_before: cutoffs.history_before,
            day_tables: Vec::new(),
            day_table_bytes: 0,
            rows: Vec::new(),
        };
        for table in tables {
            if dry_run || self.store.drop_day_table(&table).await? {
                view.day_table_bytes += u64::try_from(table.bytes).unwrap_or(0);
                view.day_tables.push(table.name);
            }
        }
        let stray = self.store.measure_stray_rows(&cutoffs).await?;
        view.add("stray_log_rows", "stray log row", stray);
        while !dry_run && stray.rows > 0 && self.store.remove_stray_rows(&cutoffs).await? > 0 {}
        for removable in Removable::ALL {
            let amount = self.store.measure_removable(removable, &cutoffs).await?;
            view.add(removable.as_str(), removable.noun(), amount);
            while !dry_run && amount.rows > 0 && self.store.remove_batch(removable, &cutoffs).await? > 0 {}
        }
        if let Some(begun) = begun {
            let rows: u64 = view.rows.iter().map(|rows| rows.count).sum();
            self.ended(begun, serde_json::json!({ "day_tables": view.day_tables.len(), "rows": rows })).await;
        }
        Ok(view)
    }
}
