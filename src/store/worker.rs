//! Workers: the processes that carry out steps, and what happens to the steps of one that died.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// The start of the `application_name` of every connection of a worker; its id follows.
///
/// Another worker finds by it whether a process still has connections, and ends those of one whose lease is over.
pub const APPLICATION_NAME_PREFIX: &str = "karat worker ";

/// The `application_name` of a worker's connections: within PostgreSQL's 63 bytes.
#[must_use]
pub fn application_name(worker_id: Uuid) -> String {
    format!("{APPLICATION_NAME_PREFIX}{worker_id}")
}

/// What a worker says of itself with every sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its id.
    pub worker_id: Uuid,
    /// The machine it runs on, for people.
    pub host: String,
    /// Its process there.
    pub process_id: i32,
    /// How many units it carries out at once; 0 for a process that only reconciles.
    pub slots: i32,
}

/// A worker as it is registered.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct WorkerRecord {
    /// Its id.
    pub worker_id: Uuid,
    /// The machine it runs on.
    pub host: String,
    /// Its process there.
    pub process_id: i32,
    /// How many units it carries out at once.
    pub slots: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub heartbeat_at: DateTime<Utc>,
    /// When its lease ends.
    pub expires_at: DateTime<Utc>,
    /// Since when it claims nothing more because it was asked to end.
    pub stopping_at: Option<DateTime<Utc>>,
    /// How many steps it holds.
    pub running: i64,
    /// Whether its reconcilers are the ones that run.
    pub leads: bool,
    /// Whether a connection of it is left, of those that only wait; a process without any is dead.
    pub connected: bool,
}

/// What a worker sees when it looks for something to do.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Look {
    /// When the first ready step may be claimed, perhaps in the past; `None` when there is none. It may have to wait
    /// for a pool, a limit, or another step of its partition all the same.
    pub claimable_at: Option<DateTime<Utc>>,
    /// Whether steps are recorded as running here that the worker does not know of.
    pub unknown: bool,
    /// Whether a worker is dead.
    pub dead: bool,
    /// The live runs with steps that wait for others, or with none that is open.
    pub movable: Vec<Uuid>,
}

/// A step that was taken from a dead worker.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LostStep {
    /// The step.
    pub step_id: i64,
    /// Its run.
    pub run_id: Uuid,
    /// Its asset.
    pub asset_key: String,
    /// Its partition.
    pub partition_key: String,
    /// `ready` again, or `failed` after too many losses.
    pub state: String,
}

/// The `application_name` of the connection on which a worker builds a step, so that it can be found and stopped.
#[must_use]
pub fn attempt_name(worker_id: Uuid, step_id: i64) -> String {
    format!("{}/{step_id}", application_name(worker_id))
}

impl Store {
    /// Asks the server to stop what the connection named `name` is doing now (`pg_cancel_backend`); with `end`, to end
    /// the connection itself. Stopping the client side alone would leave a statement running.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn stop_attempt(&self, name: &str, end: bool) -> Result<(), StoreError> {
        sqlx::query(
            "select case when $2 then pg_terminate_backend(pid) else pg_cancel_backend(pid) end
             from pg_stat_activity where datname = current_database() and application_name = $1",
        )
        .bind(name)
        .bind(end)
        .execute(&self.pool)
        .await
        .context("stopping a statement")?;
        Ok(())
    }

    /// Whether the server still has the connection named `name`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn has_attempt(&self, name: &str) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and application_name = $1)",
        )
        .bind(name)
        .fetch_one(&self.pool)
        .await
        .context("looking whether an attempt has its connection")
    }

    /// Registers a worker whose lease ends at `expires_at`; returns the database's own time, so that the caller can
    /// compare clocks. Registering again renews.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn register_worker(
        &self,
        worker: &Registration,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError> {
        sqlx::query_scalar(
            "insert into karat.worker (worker_id, host, process_id, slots, started_at, heartbeat_at, expires_at)
             values ($1, $2, $3, $4, $5, $5, $6)
             on conflict (worker_id) do update set heartbeat_at = excluded.heartbeat_at, expires_at = excluded.expires_at
             returning clock_timestamp()",
        )
        .bind(worker.worker_id)
        .bind(&worker.host)
        .bind(worker.process_id)
        .bind(worker.slots)
        .bind(now)
        .bind(expires_at)
        .fetch_one(&self.pool)
        .await
        .context("registering this worker")
    }

    /// Notes for people that the worker was asked to end and claims nothing more.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn worker_stopping(&self, worker_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query("update karat.worker set stopping_at = $2 where worker_id = $1 and stopping_at is null")
            .bind(worker_id)
            .bind(now)
            .execute(&self.pool)
            .await
            .context("noting that this worker ends")?;
        Ok(())
    }

    /// The registered workers, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/workers.sql"))
            .bind(APPLICATION_NAME_PREFIX)
            .fetch_all(&self.pool)
            .await
            .context("listing the workers")
    }

    /// Looks for something to do, in one cheap statement: among `runs`, or any when `None`; for `assets`, or any. The
    /// workers that died are looked for only if `look_for_dead`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn look(
        &self,
        worker_id: Uuid,
        known: &[i64],
        runs: Option<&[Uuid]>,
        assets: Option<&[String]>,
        look_for_dead: bool,
        now: DateTime<Utc>,
    ) -> Result<Look, StoreError> {
        let dead = if look_for_dead { include_str!("sql/dead_workers.sql") } else { "select where false" };
        let statement = include_str!("sql/look.sql")
            .replace("{runs}", if runs.is_some() { "and r.run_id = any ($5)" } else { "" })
            .replace("{assets}", if assets.is_some() { "and s.asset_key = any ($6)" } else { "" });
        sqlx::query_as(sqlx::AssertSqlSafe(format!("with dead as ({dead}) {statement}")))
            .bind(worker_id)
            .bind(now)
            .bind(APPLICATION_NAME_PREFIX)
            .bind(known)
            .bind(runs)
            .bind(assets)
            .fetch_one(&self.pool)
            .await
            .context("looking for work")
    }

    /// Removes a worker that has no running steps any more.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unregister_worker(&self, worker_id: Uuid) -> Result<(), StoreError> {
        sqlx::query("delete from karat.worker where worker_id = $1")
            .bind(worker_id)
            .execute(&self.pool)
            .await
            .context("unregistering this worker")?;
        Ok(())
    }

    /// Gives back the steps that are recorded as running here but are not among `known`, and returns how many. Those of
    /// runs that were asked to cancel are canceled.
    ///
    /// They come about when the connection breaks after a claim was committed and before this worker heard of it. To be
    /// called only when no claim of this worker is under way.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn give_back_unknown_steps(
        &self,
        worker_id: Uuid,
        known: &[i64],
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        Ok(sqlx::query(include_str!("sql/give_back_unknown_steps.sql"))
            .bind(worker_id)
            .bind(known)
            .bind(now)
            .execute(&self.pool)
            .await
            .context("giving back steps that this worker does not know of")?
            .rows_affected())
    }

    /// The running steps of this worker whose run was asked to cancel.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn steps_to_cancel(&self, worker_id: Uuid) -> Result<Vec<i64>, StoreError> {
        sqlx::query_scalar(
            "select s.step_id from karat.step s join karat.run r using (run_id)
             where s.worker_id = $1 and s.state = 'running' and r.cancel_requested_at is not null",
        )
        .bind(worker_id)
        .fetch_all(&self.pool)
        .await
        .context("looking for cancellations")
    }

    /// Whether a worker that carries out steps shows signs of life.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn has_live_worker(&self, now: DateTime<Utc>) -> Result<bool, StoreError> {
        sqlx::query_scalar("select exists (select from karat.worker where expires_at >= $1 and slots > 0)")
            .bind(now)
            .fetch_one(&self.pool)
            .await
            .context("looking for live workers")
    }

    /// Takes the running steps of dead workers back and returns them.
    ///
    /// A worker is dead when its lease is over, or when none of its connections is left but those that build a partition:
    /// the server may still be at a statement of a process that is gone. The remaining connections are ended first, so
    /// that they hold no locks on the rows they were replacing and publish nothing. A step that was lost `lost_attempts_limit` times
    /// in a row of claims fails instead of running again: it may be what kills the process. Steps whose run was
    /// asked to cancel are canceled.
    ///
    /// Safe to call from any number of processes at once.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn take_back_lost_steps(
        &self,
        own_worker_id: Option<Uuid>,
        lost_attempts_limit: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<LostStep>, StoreError> {
        let dead: Vec<Uuid> = sqlx::query_scalar(include_str!("sql/dead_workers.sql"))
            .bind(own_worker_id)
            .bind(now)
            .bind(APPLICATION_NAME_PREFIX)
            .fetch_all(&self.pool)
            .await
            .context("looking for dead workers")?;
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = dead.iter().map(|&worker_id| application_name(worker_id)).collect();
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database()
               and exists (select from unnest($1::text[]) as dead (name) where starts_with(application_name, dead.name))",
        )
        .bind(&names)
        .execute(&self.pool)
        .await
        .context("ending the connections of dead workers")?;
        let lost = sqlx::query_as(include_str!("sql/take_back_lost_steps.sql"))
            .bind(&dead)
            .bind(now)
            .bind(lost_attempts_limit)
            .fetch_all(&self.pool)
            .await
            .context("taking back the steps of dead workers")?;
        sqlx::query(
            "delete from karat.worker w where worker_id = any($1)
             and not exists (select from karat.step s where s.worker_id = w.worker_id and s.state = 'running')",
        )
        .bind(&dead)
        .execute(&self.pool)
        .await
        .context("removing dead workers")?;
        Ok(lost)
    }
}
