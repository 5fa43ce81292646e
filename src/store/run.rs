//! Runs: reading them, steering them, and moving their steps on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{NewAudit, record};
use super::error::Context;
use super::signal::{self, Signal};
use super::{Store, StoreError};

/// How many steps are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
pub struct StepCounts {
    /// All steps.
    pub total: i64,
    /// Waiting for other steps.
    pub pending: i64,
    /// Waiting for a slot or a delay.
    pub ready: i64,
    /// Being carried out.
    pub running: i64,
    /// Published.
    pub succeeded: i64,
    /// Fresh already.
    pub skipped: i64,
    /// Given up.
    pub failed: i64,
    /// Kept from running by a failure or gap upstream.
    pub blocked: i64,
    /// Stopped on request.
    pub canceled: i64,
}

impl StepCounts {
    /// All steps of a run by state.
    #[must_use]
    pub fn of(ranges: &[StepRange]) -> Self {
        let mut counts = Self::default();
        for range in ranges {
            let steps = range.last - range.first + 1;
            counts.total += steps;
            match range.state.as_str() {
                "pending" => counts.pending += steps,
                "ready" => counts.ready += steps,
                "running" => counts.running += steps,
                "succeeded" => counts.succeeded += steps,
                "skipped" => counts.skipped += steps,
                "failed" => counts.failed += steps,
                "blocked" => counts.blocked += steps,
                "canceled" => counts.canceled += steps,
                _ => {}
            }
        }
        counts
    }

    /// Steps in a final state.
    #[must_use]
    pub const fn finished(&self) -> i64 {
        self.succeeded + self.skipped + self.failed + self.blocked + self.canceled
    }
}

/// A run as it stands.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct RunRecord {
    /// Its id.
    pub run_id: Uuid,
    /// The backfill it belongs to.
    pub backfill_id: Option<Uuid>,
    /// The run whose failures it repeats.
    pub retry_of: Option<Uuid>,
    /// Why it exists.
    pub cause: String,
    /// Why it exists, in data that depends on the cause.
    pub cause_detail: Option<Value>,
    /// What was asked for.
    pub request: Value,
    /// Build in spite of missing inputs.
    pub force: bool,
    /// Who asked for it; `None` when nobody did.
    pub requested_by: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it was paused, if it is.
    pub paused_at: Option<DateTime<Utc>>,
    /// When it was asked to stop.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// When its last step ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Its steps.
    #[sqlx(flatten)]
    pub steps: StepCounts,
    /// Whether the steps were counted by state to the end; if not, there are more than a list counts, and only the total
    /// is exact.
    pub all_counted: bool,
}

impl RunRecord {
    /// The state in one word: `queued`, `running`, `paused`, `canceling`, `succeeded`, `failed` or `canceled`.
    #[must_use]
    pub fn state(&self) -> &str {
        match (&self.outcome, self.cancel_requested_at, self.paused_at) {
            (Some(outcome), _, _) => outcome,
            (None, Some(_), _) => "canceling",
            (None, None, Some(_)) => "paused",
            (None, None, None) if self.steps.running + self.steps.finished() == 0 => "queued",
            (None, None, None) => "running",
        }
    }
}

/// A maximal stretch of consecutive ordinals of an asset's steps in one state.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct StepRange {
    /// The asset.
    pub asset_key: String,
    /// The state.
    pub state: String,
    /// First ordinal.
    pub first: i64,
    /// Last ordinal, inclusive.
    pub last: i64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct EndedRun {
    /// `succeeded`, `failed` or `canceled`.
    pub outcome: String,
    /// Why there was a run.
    pub cause: String,
}

/// A stretch of pending steps that moves on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMove {
    /// The asset.
    pub asset_key: String,
    /// First ordinal.
    pub first: i64,
    /// Last ordinal, inclusive.
    pub last: i64,
    /// `ready`, `blocked` or `canceled`.
    pub state: &'static str,
    /// Why, for states other than `ready`.
    pub reason: Option<String>,
}

/// A request that steers live runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Start nothing new until resumed; what runs goes on.
    Pause,
    /// Undo a pause.
    Resume,
    /// Start nothing new ever, stop what runs.
    Cancel,
}

impl Store {
    /// Whether any run has not ended.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn has_live_runs(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar("select exists (select from karat.run where finished_at is null)")
            .fetch_one(&self.pool)
            .await
            .context("asking whether a run lives")
    }

    /// The steps of a run, as stretches of equal state, by asset and ordinal.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn step_ranges(&self, run_id: Uuid) -> Result<Vec<StepRange>, StoreError> {
        // The stretches are made here: with ranges the server would take twice as long.
        let sets: Vec<(String, String, Vec<i64>)> = sqlx::query_as(
            "select asset_key, state, array_agg(ordinal) from karat.step where run_id = $1 group by asset_key, state",
        )
        .bind(run_id)
        .fetch_all(&self.pool)
        .await
        .context("reading the progress of the run")?;
        let mut ranges: Vec<StepRange> = Vec::with_capacity(sets.len());
        for (asset_key, state, mut ordinals) in sets {
            ordinals.sort_unstable();
            for stretch in ordinals.chunk_by(|left, right| left + 1 == *right) {
                let (Some(&first), Some(&last)) = (stretch.first(), stretch.last()) else { continue };
                ranges.push(StepRange { asset_key: asset_key.clone(), state: state.clone(), first, last });
            }
        }
        ranges.sort_by(|left, right| (&left.asset_key, left.first).cmp(&(&right.asset_key, right.first)));
        Ok(ranges)
    }

    /// Moves pending steps on. Steps that are not pending any more stay as they are, so that any number of processes
    /// may do this at once. Returns how many moved.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn move_pending_steps(
        &self,
        run_id: Uuid,
        moves: &[StepMove],
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        if moves.is_empty() {
            return Ok(0);
        }
        Ok(sqlx::query(
            "update karat.step s
             set state = m.state, reason = m.reason,
                 ready_at = case when m.state = 'ready' then $2::timestamptz end,
                 finished_at = case when m.state <> 'ready' then $2::timestamptz end
             from unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
                  as m (asset_key, first, last, state, reason)
             where s.run_id = $1 and s.asset_key = m.asset_key and s.ordinal between m.first and m.last and s.state = 'pending'",
        )
        .bind(run_id)
        .bind(now)
        .bind(moves.iter().map(|step_move| step_move.asset_key.as_str()).collect::<Vec<_>>())
        .bind(moves.iter().map(|step_move| step_move.first).collect::<Vec<_>>())
        .bind(moves.iter().map(|step_move| step_move.last).collect::<Vec<_>>())
        .bind(moves.iter().map(|step_move| step_move.state).collect::<Vec<_>>())
        .bind(moves.iter().map(|step_move| step_move.reason.as_deref()).collect::<Vec<_>>())
        .execute(&self.pool)
        .await
        .context("moving steps on")?
        .rows_affected())
    }

    /// Ends the steps that wait in live runs and belong to none of the `defined` assets; returns how many by asset.
    ///
    /// Those that run are left to their workers, which know the asset.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn end_steps_of_retired_assets(
        &self,
        defined: &[&str],
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        sqlx::query_as(include_str!("sql/end_steps_of_retired_assets.sql"))
            .bind(defined)
            .bind(now)
            .fetch_all(&self.pool)
            .await
            .context("ending steps of retired assets")
    }

    /// Ends the run when none of its steps is open any more; returns how when this call ended it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn finish_run(&self, run_id: Uuid, now: DateTime<Utc>) -> Result<Option<EndedRun>, StoreError> {
        sqlx::query_as(include_str!("sql/finish_run.sql"))
            .bind(run_id)
            .bind(now)
            .fetch_optional(&self.pool)
            .await
            .context("ending the run")
    }

    /// Steers the live ones of `runs` and returns those that changed; `audit` is recorded if any did.
    ///
    /// After a pause or cancellation has committed, no step of these runs is claimed (see [`Store::claim`]). A
    /// cancellation also ends the steps that wait; running ones are stopped by their workers.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn control_runs(
        &self,
        runs: &[Uuid],
        control: Control,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<Vec<Uuid>, StoreError> {
        let (statement, kind) = match control {
            Control::Pause => (
                "update karat.run set paused_at = $2
                 where run_id = any($1) and finished_at is null and paused_at is null and cancel_requested_at is null
                 returning run_id",
                "run_paused",
            ),
            Control::Resume => (
                "update karat.run set paused_at = null
                 where run_id = any($1) and finished_at is null and paused_at is not null
                   and $2::timestamptz is not null
                 returning run_id",
                "run_resumed",
            ),
            Control::Cancel => (
                "update karat.run set cancel_requested_at = $2
                 where run_id = any($1) and finished_at is null and cancel_requested_at is null
                 returning run_id",
                "run_cancel_requested",
            ),
        };
        let mut transaction = self.pool.begin().await.context("steering runs")?;
        let changed: Vec<Uuid> = sqlx::query_scalar(statement)
            .bind(runs)
            .bind(now)
            .fetch_all(&mut *transaction)
            .await
            .context("steering runs")?;
        if control == Control::Cancel {
            sqlx::query(
                "update karat.step set state = 'canceled', reason = 'the run was canceled', finished_at = $2
                 where run_id = any($1) and state in ('pending', 'ready')",
            )
            .bind(&changed)
            .bind(now)
            .execute(&mut *transaction)
            .await
            .context("canceling steps")?;
        }
        sqlx::query(
            "insert into karat.event (occurred_at, kind, run_id, detail) select $2, $3, run_id, '{}' from unnest($1::uuid[]) as r (run_id)",
        )
        .bind(&changed)
        .bind(now)
        .bind(kind)
        .execute(&mut *transaction)
        .await
        .context("recording the request")?;
        if !changed.is_empty() {
            // Steering is rare; it may wait for others that notify.
            let news = if control == Control::Cancel { Signal::Cancel } else { Signal::Work };
            signal::send(&mut *transaction, news).await?;
            record(&mut transaction, audit).await?;
        }
        transaction.commit().await.context("steering runs")?;
        Ok(changed)
    }
}
