//! What happened to one partition or one run, in detail: for people.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// A step with its newest attempt.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct StepRecord {
    /// The step.
    pub step_id: i64,
    /// Its run.
    pub run_id: Uuid,
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// Its ordinal.
    pub ordinal: i64,
    /// The state.
    pub state: String,
    /// Why it was skipped, failed, blocked or canceled.
    pub reason: Option<String>,
    /// Attempts that count.
    pub attempts: i32,
    /// The pool it counts against.
    pub pool: Option<String>,
    /// The earliest time of the next attempt.
    pub retry_at: Option<DateTime<Utc>>,
    /// The worker that holds or held it.
    pub worker_id: Option<Uuid>,
    /// When its newest attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// An attempt.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct AttemptHistory {
    /// The step.
    pub step_id: i64,
    /// Which attempt.
    pub lease_epoch: i64,
    /// Who made it.
    pub worker_id: Uuid,
    /// How many steps ran together.
    pub range_size: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How.
    pub outcome: String,
    /// What kind of error.
    pub error_kind: Option<String>,
    /// The error.
    pub error: Option<String>,
    /// Where a panic came from.
    pub backtrace: Option<String>,
}

/// A published version.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct MaterializationRecord {
    /// Its id.
    pub materialization_id: i64,
    /// The partition.
    pub partition_key: String,
    /// The run that published it.
    pub run_id: Uuid,
    /// Rows.
    pub row_count: i64,
    /// Hash of the content.
    pub data_version: String,
    /// Hash of the declaration.
    pub code_version: String,
    /// Whether the content differs from the version before.
    pub content_changed: bool,
    /// Published before its window closed.
    pub open: bool,
    /// Missing inputs, when forced.
    pub incomplete_inputs: Option<Value>,
    /// What the asset said of itself.
    pub metadata: Option<Value>,
    /// When.
    pub materialized_at: DateTime<Utc>,
    /// Whether it is the one that can be seen.
    pub current: bool,
}

/// A check result.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct CheckRecord {
    /// The step.
    pub step_id: i64,
    /// The partition.
    pub partition_key: String,
    /// The check.
    pub check_name: String,
    /// Whether it blocks.
    pub blocking: bool,
    /// Whether it passed.
    pub passed: bool,
    /// Offending rows.
    pub offending_rows: i64,
    /// In words.
    pub message: String,
    /// When.
    pub checked_at: DateTime<Utc>,
}

/// The newest step of a partition that ended or runs, for its status.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct NewestStep {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// Its ordinal.
    pub ordinal: i64,
    /// The state.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// The run.
    pub run_id: Uuid,
    /// When its newest attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

const STEP_COLUMNS: &str = "step_id, run_id, asset_key, partition_key, ordinal, state, reason, attempts, pool, retry_at, \
     worker_id, started_at, finished_at";

impl Store {
    /// The first steps of a run in one of `states`, which are those of steps that are open, failed or blocked; upstream
    /// first, as far as that shows in the first thousand of each state.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_steps(&self, run_id: Uuid, states: &[&str], limit: i64) -> Result<Vec<StepRecord>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select {STEP_COLUMNS}
             from unnest($2::text[]) as wanted (wanted_state)
             cross join lateral (
                 select * from karat.step
                 where run_id = $1 and state = wanted_state
                   and state in ('pending', 'ready', 'running', 'failed', 'blocked')
                 order by asset_key, ordinal limit 1000
             ) s
             order by rank, asset_key, ordinal limit $3"
        )))
        .bind(run_id)
        .bind(states)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading the steps of the run")
    }

    /// The steps of a run by asset and partition after the one given, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn steps_after(
        &self,
        run_id: Uuid,
        state: Option<&str>,
        after: Option<(&str, i64)>,
        limit: i64,
    ) -> Result<Vec<StepRecord>, StoreError> {
        let (asset_key, ordinal) = after.unzip();
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select {STEP_COLUMNS} from karat.step
             where run_id = $1 and ($2::text is null or state = $2)
               and ($3::text is null or (asset_key, ordinal) > ($3, $4))
             order by asset_key, ordinal limit $5"
        )))
        .bind(run_id)
        .bind(state)
        .bind(asset_key)
        .bind(ordinal)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading the steps of the run")
    }

    /// The partitions of these runs whose newest step in them is in one of `states`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn partitions_in(&self, runs: &[Uuid], states: &[&str]) -> Result<Vec<NewestStep>, StoreError> {
        sqlx::query_as(
            "select asset_key, partition_key, ordinal, state, reason, run_id, started_at, finished_at
             from (
                 select distinct on (asset_key, partition_key) asset_key, partition_key, ordinal, state, reason, run_id, started_at, finished_at
                 from karat.step
                 where run_id = any($1)
                 order by asset_key, partition_key, step_id desc
             ) newest
             where state = any($2)
             order by asset_key, ordinal",
        )
        .bind(runs)
        .bind(states)
        .fetch_all(&self.pool)
        .await
        .context("reading the newest steps of the runs")
    }

    /// The newest step of each of these partitions of an asset; those without any are left out.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn newest_steps(
        &self,
        asset_key: &str,
        partition_keys: &[String],
    ) -> Result<Vec<NewestStep>, StoreError> {
        let partitions: Vec<(&str, &str)> = partition_keys.iter().map(|key| (asset_key, key.as_str())).collect();
        self.newest_steps_of(&partitions).await
    }

    /// The same for partitions (asset, partition) of several assets.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn newest_steps_of(&self, partitions: &[(&str, &str)]) -> Result<Vec<NewestStep>, StoreError> {
        sqlx::query_as(
            // The lists are questions of their own: the server then plans once, not at each call for their length.
            "select newest.*
             from unnest((select $1::text[]), (select $2::text[])) as wanted (asset_key, partition_key)
             cross join lateral (
                 select asset_key, partition_key, ordinal, state, reason, run_id, started_at, finished_at
                 from karat.step
                 where asset_key = wanted.asset_key and partition_key = wanted.partition_key
                 order by step_id desc limit 1
             ) newest",
        )
        .bind(partitions.iter().map(|(asset, _)| *asset).collect::<Vec<_>>())
        .bind(partitions.iter().map(|(_, partition)| *partition).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
        .context("reading the newest steps of partitions")
    }

    /// The newest steps of one partition, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn partition_steps(
        &self,
        asset_key: &str,
        partition_key: &str,
        limit: i64,
    ) -> Result<Vec<StepRecord>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select {STEP_COLUMNS} from karat.step where asset_key = $1 and partition_key = $2
             order by step_id desc limit $3"
        )))
        .bind(asset_key)
        .bind(partition_key)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading the steps of the partition")
    }

    /// The newest step of each partition of `assets` when it failed, is blocked or is open.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unsettled_partitions(&self, assets: &[&str]) -> Result<Vec<NewestStep>, StoreError> {
        sqlx::query_as(
            "select asset_key, partition_key, ordinal, state, reason, run_id, started_at, finished_at
             from (
                 select distinct on (asset_key, partition_key) asset_key, partition_key, ordinal, state, reason, run_id, started_at, finished_at
                 from karat.step
                 where asset_key = any($1)
                 order by asset_key, partition_key, step_id desc
             ) newest
             where state in ('pending', 'ready', 'running', 'failed', 'blocked')
             order by asset_key, ordinal",
        )
        .bind(assets)
        .fetch_all(&self.pool)
        .await
        .context("reading the newest steps")
    }

    /// The newest versions of an asset, of one partition when given, newest first. Those of a whole asset are what its
    /// newest thousand runs published, and the present ones of the last partitions.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn materializations(
        &self,
        asset_key: &str,
        partition_key: Option<&str>,
        limit: i64,
    ) -> Result<Vec<MaterializationRecord>, StoreError> {
        let statement = match partition_key {
            Some(_) => include_str!("sql/versions_of_partition.sql"),
            None => include_str!("sql/versions_of_asset.sql"),
        };
        sqlx::query_as(statement)
            .bind(asset_key)
            .bind(partition_key)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .context("reading the materializations")
    }

    /// The attempts of steps, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn attempts(&self, steps: &[i64]) -> Result<Vec<AttemptHistory>, StoreError> {
        let Some(span) = self.span_of_steps(steps).await? else { return Ok(Vec::new()) };
        sqlx::query_as(
            "select step_id, lease_epoch, worker_id, range_size, started_at, finished_at, outcome, error_kind, error, backtrace
             from karat.attempt
             where step_id = any($1) and finished_at >= $2 and finished_at <= $3
             order by step_id, lease_epoch",
        )
        .persistent(false)
        .bind(steps)
        .bind(span.first)
        .bind(span.last)
        .fetch_all(&self.pool)
        .await
        .context("reading the attempts")
    }

    /// The newest check results of an asset, of one partition when given, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn check_results(
        &self,
        asset_key: &str,
        partition_key: Option<&str>,
        failed_only: bool,
        limit: i64,
    ) -> Result<Vec<CheckRecord>, StoreError> {
        // One index for each: the planner is left no choice.
        let stretch = match (partition_key, failed_only) {
            (Some(_), _) => "partition_key = $2 and (not $3 or not passed)",
            (None, true) => "not passed",
            (None, false) => "true",
        };
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select step_id, partition_key, check_name, blocking, passed, offending_rows, message, checked_at
             from karat.check_result
             where asset_key = $1 and {stretch}
             order by check_result_id desc limit $4"
        )))
        .bind(asset_key)
        .bind(partition_key)
        .bind(failed_only)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading the check results")
    }
}
