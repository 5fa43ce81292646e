//! What has happened since one looked last.
//!
//! "Since" is a comparison of transaction ids with a snapshot. Ids from sequences are drawn before their transactions
//! commit and times come from many clocks: both would miss what commits late.

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
    /// Whether there was more than could be told: whoever keeps something must look at everything again.
    pub truncated: bool,
}

/// A partition that something happened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPartition {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// Its ordinal as stored.
    pub ordinal: i64,
    /// Whether its content is another one now; always for rows that landed.
    pub content_changed: bool,
}

#[derive(FromRow)]
struct ChangeRow {
    kind: String,
    asset_key: String,
    partition_key: String,
    ordinal: i64,
    detail: String,
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
            let partition = |content_changed| ChangedPartition {
                asset_key: row.asset_key.clone(),
                partition_key: row.partition_key.clone(),
                ordinal: row.ordinal,
                content_changed,
            };
            match row.kind.as_str() {
                "snapshot" => changes.snapshot = row.detail,
                "ended" => changes.ended_runs.extend(row.detail.parse::<Uuid>().ok()),
                "landed" => changes.landed.push(partition(true)),
                kind => changes.published.push(partition(kind == "published")),
            }
        }
        changes.truncated = changes.published.len() >= limit || changes.landed.len() >= limit;
        Ok(changes)
    }
}
