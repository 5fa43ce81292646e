//! What has happened since one looked last.
//!
//! "Since" is a comparison of transaction ids with a snapshot. Ids from sequences are drawn before their transactions
//! commit and times come from many clocks: both would miss what commits late. Ends of runs are numbered from a sequence:
//! who asks for them asks again for some that it knows.

use std::collections::BTreeMap;

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

/// What happened to runs between two looks, and what waits in quarantine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunChanges {
    /// The runs that are live.
    pub live: Vec<Uuid>,
    /// Runs that ended after the number that was asked with, each with its own.
    pub finished: Vec<(i64, Uuid)>,
    /// The highest number of an end there is.
    pub newest_end: i64,
    /// Rows that wait in quarantine, by asset.
    pub quarantined: BTreeMap<String, i64>,
}

/// What runs have open, and as much of it in detail as was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepChanges {
    /// Everything that is open.
    pub open: Vec<OpenDigest>,
    /// Steps of what was not known.
    pub stretches: Vec<StepStretch>,
}

/// Which steps of a run are open in an asset, and which of them run, in one number: it is another one when they are others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDigest {
    /// The run.
    pub run_id: Uuid,
    /// The asset.
    pub asset_key: String,
    /// The number; what it is made of is the server's business.
    pub digest: i64,
}

/// Steps of a run that stand alike: a stretch of ordinals, or one key of an asset not partitioned by time.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct StepStretch {
    /// The run.
    pub run_id: Uuid,
    /// The asset.
    pub asset_key: String,
    /// `waiting`, `running` or `ended`.
    pub state: String,
    /// First ordinal as stored.
    pub first: i64,
    /// Last ordinal as stored, inclusive.
    pub last: i64,
    /// The partition's key, of an asset not partitioned by time.
    pub key: Option<String>,
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
        Ok(changes_of(rows, limit, &mut RunChanges::default()))
    }

    /// What was published and what landed since `snapshot`, and which runs are live and ended after `end`; at most `limit`
    /// of each. One statement.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn all_changes_since(
        &self,
        snapshot: &str,
        end: i64,
        limit: usize,
    ) -> Result<(Changes, RunChanges), StoreError> {
        const STATEMENT: &str = concat!(include_str!("sql/changes.sql"), include_str!("sql/run_changes.sql"));
        let rows: Vec<ChangeRow> = sqlx::query_as(STATEMENT)
            .bind(snapshot)
            .bind(&[] as &[Uuid])
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(end)
            .fetch_all(&self.pool)
            .await
            .context("reading what has changed")?;
        let mut runs = RunChanges::default();
        let mut changes = changes_of(rows, limit, &mut runs);
        changes.truncated |= runs.finished.len() >= limit;
        Ok((changes, runs))
    }

    /// Digests of the open steps of the runs `live`, and these steps wherever the digest is not in `known`; all steps, as
    /// `ended`, of the runs `unknown`. Steps as stretches, of `keyed_assets` one by one. One statement: a digest is that of
    /// the steps that come with it.
    ///
    /// What nothing happened to is not read again, only its index is.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn steps_of_runs(
        &self,
        live: &[Uuid],
        known: &[OpenDigest],
        unknown: &[Uuid],
        keyed_assets: &[&str],
    ) -> Result<StepChanges, StoreError> {
        let rows: Vec<StepStretch> = sqlx::query_as(include_str!("sql/steps_of_runs.sql"))
            .bind(live)
            .bind(unknown)
            .bind(keyed_assets)
            .bind(known.iter().map(|known| known.run_id).collect::<Vec<_>>())
            .bind(known.iter().map(|known| known.asset_key.as_str()).collect::<Vec<_>>())
            .bind(known.iter().map(|known| known.digest).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await
            .context("reading the steps of runs")?;
        let mut changes = StepChanges::default();
        for row in rows {
            if row.state == "open" {
                let StepStretch { run_id, asset_key, first: digest, .. } = row;
                changes.open.push(OpenDigest { run_id, asset_key, digest });
            } else {
                changes.stretches.push(row);
            }
        }
        Ok(changes)
    }
}

fn changes_of(rows: Vec<ChangeRow>, limit: usize, runs: &mut RunChanges) -> Changes {
    let mut changes = Changes::default();
    for row in rows {
        match row.kind.as_str() {
            "snapshot" => changes.snapshot = row.detail,
            "ended" => changes.ended_runs.extend(row.detail.parse::<Uuid>().ok()),
            "restored" => changes.truncated = true,
            "landed" => changes.landed.extend(row.partition(true)),
            "published" => changes.published.extend(row.partition(true)),
            "confirmed" => changes.published.extend(row.partition(false)),
            "live" => runs.live.extend(row.detail.parse::<Uuid>().ok()),
            "finished" => runs.finished.extend(row.asset_key.parse().ok().zip(row.detail.parse().ok())),
            "newest_end" => runs.newest_end = row.detail.parse().unwrap_or_default(),
            "quarantined" => {
                runs.quarantined.insert(row.asset_key, row.detail.parse().unwrap_or_default());
            }
            _ => {}
        }
    }
    changes.truncated |= changes.published.len() >= limit || changes.landed.len() >= limit;
    changes
}
