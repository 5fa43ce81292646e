//! What the first page says besides how partitions stand.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::error::Context;
use super::{Store, StoreError};

/// How many of the newest failures of a check are looked at.
const LOOKED_AT_FAILURES: i64 = 50;

/// A check whose newest result in some partition is a failure.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct UnpassedCheck {
    /// The asset.
    pub asset_key: String,
    /// The check.
    pub check_name: String,
    /// In how many partitions, at most fifty.
    pub partitions: i64,
    /// The one of them that was checked last.
    pub partition_key: String,
    /// What was found there.
    pub message: String,
}

impl Store {
    /// Which of the `checks` (asset and name) that keep no version back fail at the moment.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unpassed_checks(&self, checks: &[(&str, &str)]) -> Result<Vec<UnpassedCheck>, StoreError> {
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let (assets, names): (Vec<&str>, Vec<&str>) = checks.iter().copied().unzip();
        sqlx::query_as(include_str!("sql/unpassed_checks.sql"))
            .bind(assets)
            .bind(names)
            .bind(LOOKED_AT_FAILURES)
            .fetch_all(self.pool())
            .await
            .context("reading which checks fail")
    }

    /// How many runs ended since then by outcome, at most `limit` of them, and how many are `live`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn ran_since(&self, since: DateTime<Utc>, limit: i64) -> Result<Vec<(String, i64)>, StoreError> {
        sqlx::query_as(include_str!("sql/ran.sql"))
            .bind(since)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .context("counting the runs of the last day")
    }
}
