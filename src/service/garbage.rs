//! Removing what was kept for people and has been kept long enough.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Service, ServiceError};
use crate::store::garbage::{Cutoffs, Removable};

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Log lines and events.
    pub logs: Duration,
    /// Replaced versions, and attempts and check results that newer ones followed.
    pub history: Duration,
}

impl Default for Retention {
    /// Thirty days of logs, ninety of history.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self { logs: DAY * 30, history: DAY * 90 }
    }
}

/// What was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GarbageView {
    /// Whether it has been removed.
    pub removed: bool,
    /// Logs from before this.
    pub logs_before: DateTime<Utc>,
    /// History from before this.
    pub history_before: DateTime<Utc>,
    /// Tables of days of logs.
    pub log_tables: Vec<String>,
    /// What these take on disk.
    pub log_bytes: u64,
    /// Log lines and events outside such tables.
    pub stray_log_rows: u64,
    /// Replaced versions of partitions.
    pub materializations: u64,
    /// Attempts that newer steps followed.
    pub attempts: u64,
    /// Check results that newer steps followed.
    pub check_results: u64,
}

impl GarbageView {
    /// Whether there is nothing to remove.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.log_tables.is_empty()
            && self.stray_log_rows + self.materializations + self.attempts + self.check_results == 0
    }
}

impl Service {
    /// Removes what is older than `retention`, or with `dry_run` only says what that is.
    ///
    /// Data are never touched, nor what is said about the present version of a partition or about its newest step.
    /// May be repeated and interrupted at any time.
    ///
    /// # Errors
    /// When the state cannot be used; what was removed before stays removed.
    pub async fn collect_garbage(&self, retention: Retention, dry_run: bool) -> Result<GarbageView, ServiceError> {
        let now = self.now();
        let before = |kept: Duration| {
            let kept = TimeDelta::from_std(kept).unwrap_or(TimeDelta::MAX);
            now.checked_sub_signed(kept).unwrap_or(DateTime::<Utc>::MIN_UTC)
        };
        let cutoffs = Cutoffs { logs_before: before(retention.logs), history_before: before(retention.history) };
        let tables = self.store.expired_log_tables(&cutoffs).await?;
        let mut view = GarbageView {
            removed: !dry_run,
            logs_before: cutoffs.logs_before,
            history_before: cutoffs.history_before,
            log_tables: tables.iter().map(|table| table.name.clone()).collect(),
            log_bytes: tables.iter().map(|table| u64::try_from(table.bytes).unwrap_or(0)).sum(),
            stray_log_rows: 0,
            materializations: 0,
            attempts: 0,
            check_results: 0,
        };
        if !dry_run {
            self.store.drop_log_tables(&tables).await?;
        }
        for removable in Removable::ALL {
            let count = match dry_run {
                true => self.store.count_removable(removable, &cutoffs).await?,
                false => self.store.remove(removable, &cutoffs).await?,
            };
            *match removable {
                Removable::StrayEvents | Removable::StrayLogLines => &mut view.stray_log_rows,
                Removable::Materializations => &mut view.materializations,
                Removable::Attempts => &mut view.attempts,
                Removable::CheckResults => &mut view.check_results,
            } += count;
        }
        Ok(view)
    }
}
