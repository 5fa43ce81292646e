//! What whoever keeps an installation running looks at: how long things take, what runs where, and what it takes on disk.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::audit::{NewAudit, record};
use super::error::Context;
use super::run::StepCounts;
use super::signal::{self, Signal};
use super::{Store, StoreError};

/// How many ready steps are looked at for who waits for a pool.
pub const WAITING_LIMIT: i64 = 10_000;

/// How long the newest versions of an asset took.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct DurationRecord {
    /// The asset.
    pub asset_key: String,
    /// How many partitions it is about: those whose versions were looked at, and what the oldest was built together with.
    pub partitions: i64,
    /// How long they took; what was built together counts once.
    pub seconds: f64,
}

/// The partitions of one asset in a backfill.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct BackfillAssetRecord {
    /// The asset.
    pub asset_key: String,
    /// Its partitions by the state of their newest step.
    #[sqlx(flatten)]
    pub steps: StepCounts,
}

/// A run as a stretch of time.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct RunSpan {
    /// The run.
    pub run_id: Uuid,
    /// Why it exists.
    pub cause: String,
    /// Why it exists, in data that depends on the cause.
    pub cause_detail: Option<Value>,
    /// What was asked for.
    pub request: Value,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When its last step ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: Option<String>,
}

/// Steps that wait for a pool.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct PoolWaiting {
    /// The pool.
    pub pool: String,
    /// The asset.
    pub asset_key: String,
    /// The run.
    pub run_id: Uuid,
    /// How many.
    pub steps: i64,
}

/// What a table takes.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct TableSize {
    /// Schema and name.
    pub name: String,
    /// Whether it holds orchestration state, and not the rows of an asset.
    pub own: bool,
    /// What it takes on disk with its indexes.
    pub bytes: i64,
    /// How many rows the server thinks there are.
    pub rows: i64,
    /// Into how many tables of a day it is divided.
    pub parts: i64,
}

impl Store {
    /// How long the newest versions of these assets took: of each `newest` are looked at, and what the oldest of these was
    /// built together with. By asset, how many partitions are built together at most.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn durations(
        &self,
        assets: &BTreeMap<&str, i64>,
        newest: i64,
    ) -> Result<Vec<DurationRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/durations.sql"))
            .bind(assets.keys().copied().collect::<Vec<_>>())
            .bind(assets.values().copied().collect::<Vec<_>>())
            .bind(newest)
            .fetch_all(&self.pool)
            .await
            .context("reading how long partitions took")
    }

    /// How far a backfill's runs are, by asset.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn backfill_assets(&self, runs: &[Uuid]) -> Result<Vec<BackfillAssetRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/backfill_assets.sql"))
            .bind(runs)
            .fetch_all(&self.pool)
            .await
            .context("reading the progress of the backfill")
    }

    /// How many steps of the run may run at once; `None` is as many as there are slots.
    ///
    /// # Errors
    /// When the database cannot be used, or there is no such run.
    pub async fn concurrency_limit(&self, run_id: Uuid) -> Result<Option<i32>, StoreError> {
        sqlx::query_scalar("select concurrency_limit from karat.run where run_id = $1")
            .bind(run_id)
            .fetch_one(&self.pool)
            .await
            .context("reading the limit of the run")
    }

    /// Says how many steps of each of the live ones of `runs` may run at once, from the next claim on; returns those for
    /// which that is another number than before. What runs already goes on. `audit` is recorded if there are such.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn limit_runs(
        &self,
        runs: &[Uuid],
        limit: Option<i32>,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.pool.begin().await.context("limiting runs")?;
        let changed: Vec<Uuid> = sqlx::query_scalar(
            "update karat.run set concurrency_limit = $2
             where run_id = any($1) and finished_at is null and concurrency_limit is distinct from $2
             returning run_id",
        )
        .bind(runs)
        .bind(limit)
        .fetch_all(&mut *transaction)
        .await
        .context("limiting runs")?;
        sqlx::query(
            "insert into karat.event (occurred_at, kind, run_id, detail)
             select $2, 'run_limited', run_id, jsonb_build_object('concurrency', $3::integer)
             from unnest($1::uuid[]) as r (run_id)",
        )
        .bind(&changed)
        .bind(now)
        .bind(limit)
        .execute(&mut *transaction)
        .await
        .context("recording the limit")?;
        if !changed.is_empty() {
            signal::send(&mut *transaction, Signal::Work).await?;
            record(&mut transaction, audit).await?;
        }
        transaction.commit().await.context("limiting runs")?;
        Ok(changed)
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn newest_run_spans(&self, limit: i64) -> Result<Vec<RunSpan>, StoreError> {
        sqlx::query_as(
            "select run_id, cause, cause_detail, request, requested_at, finished_at, outcome
             from karat.run order by run_id desc limit $1",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading when runs ran")
    }

    /// Who waits for pools, of the first [`WAITING_LIMIT`] ready steps.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn waiting_in_pools(&self) -> Result<Vec<PoolWaiting>, StoreError> {
        sqlx::query_as(include_str!("sql/waiting_in_pools.sql"))
            .bind(WAITING_LIMIT)
            .fetch_all(&self.pool)
            .await
            .context("reading who waits for pools")
    }

    /// What the tables of the state take, and those of these assets; the largest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn table_sizes(&self, tables: &[&str]) -> Result<Vec<TableSize>, StoreError> {
        sqlx::query_as(include_str!("sql/table_sizes.sql"))
            .bind(tables)
            .fetch_all(&self.pool)
            .await
            .context("measuring the tables")
    }

    /// What the server says of its version.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn server_version(&self) -> Result<String, StoreError> {
        sqlx::query_scalar("select current_setting('server_version')")
            .fetch_one(&self.pool)
            .await
            .context("reading the server's version")
    }
}
