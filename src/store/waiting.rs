//! What a step waits for: for people.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// How many steps before another are counted at most.
pub const COUNTED_BEFORE: i64 = 10_000;

/// How many running steps are read.
const RUNNING_LIMIT: i64 = 1_000;

/// What surrounds a step that is not begun.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Surroundings {
    /// Since when its run is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// When its run was asked to stop.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// How many steps of its run may run at once.
    pub concurrency_limit: Option<i32>,
    /// How many of them run.
    pub running_in_run: i64,
    /// How many workers are alive and not about to end.
    pub workers: i64,
    /// How many units these carry out at once.
    pub slots: i64,
    /// How many steps that can be claimed come before it, counted up to [`COUNTED_BEFORE`].
    pub before: i64,
}

/// A step that is being carried out.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct RunningStep {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// The pool it counts against.
    pub pool: Option<String>,
    /// Its run.
    pub run_id: Uuid,
    /// When its attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// The worker that holds it.
    pub worker_id: Option<Uuid>,
    /// The machine of that worker.
    pub host: Option<String>,
    /// The process there.
    pub process_id: Option<i32>,
}

impl Store {
    /// What surrounds a step at `now`; `None` when there is no such step.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn surroundings(&self, step_id: i64, now: DateTime<Utc>) -> Result<Option<Surroundings>, StoreError> {
        sqlx::query_as(include_str!("sql/waiting.sql"))
            .bind(step_id)
            .bind(now)
            .bind(COUNTED_BEFORE)
            .fetch_optional(&self.pool)
            .await
            .context("looking for what a step waits for")
    }

    /// The steps that are being carried out, the oldest first; at most a thousand.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn running_steps(&self) -> Result<Vec<RunningStep>, StoreError> {
        sqlx::query_as(
            "select s.asset_key, s.partition_key, s.pool, s.run_id, s.started_at, s.worker_id, w.host, w.process_id
             from karat.step s left join karat.worker w using (worker_id)
             where s.state = 'running' order by s.started_at, s.step_id limit $1",
        )
        .bind(RUNNING_LIMIT)
        .fetch_all(&self.pool)
        .await
        .context("reading the running steps")
    }
}
