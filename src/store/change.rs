//! What has happened since one looked last.
//!
//! "Since" is a comparison of transaction ids with a snapshot. Ids from sequences are drawn before their transactions
//! commit and times come from many clocks: both would miss what commits late.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// What happened between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What this look could see; the next one asks for what came after it.
    pub snapshot: String,
    /// Partitions that were published.
    pub published: Vec<ChangedPartition>,
    /// Partitions of external assets that rows landed in.
    pub landed: Vec<ChangedPartition>,
    /// Those of the watched runs that are not live any more.
    pub ended_runs: Vec<Uuid>,
    /// Whether there was more than could be told, or the database was restored on a server with lower transaction ids:
    /// whoever keeps something must look at everything again.
    pub truncated: bool,
}

/// A partition that something happened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPartition {
    /// The asset.
    pub asset_key: String,
    /// Where.
    pub place: ChangedPlace,
    /// Whether its content is another one now; always for rows that landed.
    pub content_changed: bool,
}

/// Where something happened in an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedPlace {
    /// In this partition.
    Partition(String),
    /// In the partitions that hold these values of the partition column: instants, or dates as midnight in UTC.
    Between(DateTime<Utc>, DateTime<Utc>),
}

#[derive(FromRow)]
struct ChangeRow {
    kind: String,
    asset_key: String,
    partition_key: Option<String>,
    first_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    detail: String,
}

impl ChangeRow {
    fn partition(self, content_changed: bool) -> Option<ChangedPartition> {
        let place = match (self.partition_key, self.first_at.zip(self.last_at)) {
            (Some(key), _) => ChangedPlace::Partition(key),
            (None, Some((first, last))) => ChangedPlace::Between(first, last),
            (None, None) => return None,
        };
        Some(ChangedPartition { asset_key: self.asset_key, place, content_changed })
    }
}

impl Store {
    /// What the database holds at this moment, as a snapshot to ask [`Self::changes_since`] with.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn snapshot(&self) -> Result<String, StoreError> {
        sqlx::query_scalar("select pg_current_snapshot()::text")
            .fetch_one(&self.pool)
            .await
            .context("taking a snapshot")
    }

    /// What was published and what landed since `snapshot`, at most `limit` partitions of each, and which of
    /// `watched_runs` have ended.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn changes_since(
        &self,
        snapshot: &str,
        watched_runs: &[Uuid],
        limit: usize,
    ) -> Result<Changes, StoreError> {
        let rows: Vec<ChangeRow> = sqlx::query_as(include_str!("sql/changes.sql"))
            .bind(snapshot)
            .bind(watched_runs)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await
            .context("reading what has changed")?;
        let mut changes = Changes::default();
        for row in rows {
            match row.kind.as_str() {
                "snapshot" => changes.snapshot = row.detail,
                "ended" => changes.ended_runs.extend(row.detail.parse::<Uuid>().ok()),
                "restored" => changes.truncated = true,
                "landed" => changes.landed.extend(row.partition(true)),
                "published" => changes.published.extend(row.partition(true)),
                _ => changes.published.extend(row.partition(false)),
            }
        }
        changes.truncated |= changes.published.len() >= limit || changes.landed.len() >= limit;
        Ok(changes)
    }
}
