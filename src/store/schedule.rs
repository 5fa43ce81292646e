//! Schedules and their ticks: the switch, the watermark, and what became of each tick.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::audit::{NewAudit, record};
use super::error::Context;
use super::launch::{NewRun, NewSteps, launch_in};
use super::{Store, StoreError};

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ScheduleRecord {
    /// Its name.
    pub name: String,
    /// Its cron expression when it was last evaluated.
    pub expression: String,
    /// The zone of the calendar then.
    pub zone: String,
    /// The watermark: no tick at or before it fires.
    pub evaluated_until: DateTime<Utc>,
    /// Since when it is switched off.
    pub paused_at: Option<DateTime<Utc>>,
    /// Since when it is not declared any more.
    pub retired_at: Option<DateTime<Utc>>,
}

/// Why a tick was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickKind {
    /// Its instant came.
    Scheduled,
    /// Somebody asked for it.
    Manual,
}

impl TickKind {
    /// The word in the database and in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
        }
    }
}

/// What came of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// A run.
    Launched,
    /// There was nothing to build.
    Nothing,
    /// It was missed and left out.
    Skipped,
    /// It could not be made out what to build.
    Failed,
}

impl TickOutcome {
    /// The word in the database and in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Launched => "launched",
            Self::Nothing => "nothing",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// A tick to be recorded.
#[derive(Clone, Debug)]
pub struct NewTick<'a> {
    /// The schedule.
    pub schedule: &'a str,
    /// Its instant.
    pub tick_at: DateTime<Utc>,
    /// Why it was carried out.
    pub kind: TickKind,
    /// What came of it.
    pub outcome: TickOutcome,
    /// What was left out, or why nothing was launched.
    pub message: Option<String>,
    /// When it was carried out.
    pub recorded_at: DateTime<Utc>,
}

/// A recorded tick.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct TickRecord {
    /// The schedule.
    pub schedule: String,
    /// Its instant.
    pub tick_at: DateTime<Utc>,
    /// `scheduled` or `manual`.
    pub kind: String,
    /// `launched`, `nothing`, `skipped` or `failed`.
    pub outcome: String,
    /// The run it launched.
    pub run_id: Option<Uuid>,
    /// What was left out, or why nothing was launched.
    pub message: Option<String>,
    /// When it was carried out.
    pub recorded_at: DateTime<Utc>,
}

impl Store {
    /// All schedules that were ever seen, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn schedules(&self) -> Result<Vec<ScheduleRecord>, StoreError> {
        sqlx::query_as(
            "select name, expression, zone, evaluated_until, paused_at, retired_at from karat.schedule order by name",
        )
        .fetch_all(&self.pool)
        .await
        .context("reading the schedules")
    }

    /// Makes a schedule known that is not: it begins at `now`, switched on if `enabled`. One that is known stays as it is.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn register_schedule(
        &self,
        name: &str,
        expression: &str,
        zone: &str,
        enabled: bool,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into karat.schedule (name, expression, zone, evaluated_until, paused_at)
             values ($1, $2, $3, $5, case when not $4 then $5 end)
             on conflict (name) do nothing",
        )
        .bind(name)
        .bind(expression)
        .bind(zone)
        .bind(enabled)
        .bind(now)
        .execute(&self.pool)
        .await
        .context("recording the schedule")?;
        Ok(())
    }

    /// Records that a known schedule is declared so now, and returns it. With another expression or zone, or when it was
    /// retired, it goes on from `now`. The watermark never moves back.
    ///
    /// # Errors
    /// When the database cannot be used, or the schedule is not known.
    pub async fn declare_schedule(
        &self,
        name: &str,
        expression: &str,
        zone: &str,
        now: DateTime<Utc>,
    ) -> Result<ScheduleRecord, StoreError> {
        sqlx::query_as(
            "update karat.schedule
             set expression = $2, zone = $3, retired_at = null,
                 evaluated_until = case when (expression, zone) = ($2, $3) and retired_at is null
                                        then evaluated_until else greatest(evaluated_until, $4) end
             where name = $1
             returning name, expression, zone, evaluated_until, paused_at, retired_at",
        )
        .bind(name)
        .bind(expression)
        .bind(zone)
        .bind(now)
        .fetch_one(&self.pool)
        .await
        .context("recording the schedule")
    }

    /// Records that a schedule is not declared any more.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn retire_schedule(&self, name: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query("update karat.schedule set retired_at = $2 where name = $1 and retired_at is null")
            .bind(name)
            .bind(now)
            .execute(&self.pool)
            .await
            .context("retiring the schedule")?;
        Ok(())
    }

    /// Switches a schedule off, if it is on; returns whether it was. `audit` is recorded if so.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn pause_schedule(
        &self,
        name: &str,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<bool, StoreError> {
        let statement = "update karat.schedule set paused_at = $2 where name = $1 and paused_at is null";
        self.switch_schedule(statement, name, now, audit).await
    }

    /// Switches a schedule on, if it is off; returns whether it was. It goes on from `now`: what fell into the pause never
    /// fires, and a watermark that a wrong clock left in the future is put right. Ticks on record do not fire again.
    /// `audit` is recorded if it was off.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn resume_schedule(
        &self,
        name: &str,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<bool, StoreError> {
        let statement = "update karat.schedule set paused_at = null, evaluated_until = $2 where name = $1 and paused_at is not null";
        self.switch_schedule(statement, name, now, audit).await
    }

    async fn switch_schedule(
        &self,
        statement: &'static str,
        name: &str,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<bool, StoreError> {
        let switch = sqlx::query(statement).bind(name).bind(now);
        self.change_on_record("switching the schedule", switch, audit).await
    }

    /// Records a scheduled tick and launches its run, if it has one; both or neither. `schedule` is as it was when the
    /// tick was found due.
    ///
    /// False, and nothing is launched, when the tick is not due any more: somebody else carried it or a later one out, or
    /// the schedule was paused or changed meanwhile. Of any number of callers one at most carries a tick out. Either way
    /// the watermark of a schedule that stands as given is at the tick or beyond it afterwards.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn carry_out_tick(
        &self,
        schedule: &ScheduleRecord,
        tick: &NewTick<'_>,
        launch: Option<(&NewRun, &[NewSteps])>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await.context("carrying out a tick")?;
        // Takes the row's lock: whoever comes second finds the watermark moved.
        let moved = sqlx::query(
            "update karat.schedule set evaluated_until = $2
             where name = $1 and evaluated_until < $2 and paused_at is null and retired_at is null
               and expression = $3 and zone = $4",
        )
        .bind(&schedule.name)
        .bind(tick.tick_at)
        .bind(&schedule.expression)
        .bind(&schedule.zone)
        .execute(&mut *transaction)
        .await
        .context("carrying out a tick")?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        let recorded = record_tick(&mut transaction, tick, launch).await?;
        transaction.commit().await.context("carrying out a tick")?;
        Ok(recorded)
    }

    /// Records a manual tick and `audit` and launches its run, if it has one; all or nothing. False, and nothing happens,
    /// when the schedule was triggered at that very instant already.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn trigger_tick(
        &self,
        tick: &NewTick<'_>,
        launch: Option<(&NewRun, &[NewSteps])>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await.context("triggering the schedule")?;
        let recorded = record_tick(&mut transaction, tick, launch).await?;
        if recorded {
            record(&mut transaction, audit).await?;
            transaction.commit().await.context("triggering the schedule")?;
        }
        Ok(recorded)
    }

    /// Ticks of a schedule, newest first: at most `limit`, at instants before `before` when that is given.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn ticks(
        &self,
        schedule: &str,
        after: Option<(DateTime<Utc>, &str)>,
        limit: i64,
    ) -> Result<Vec<TickRecord>, StoreError> {
        let (at, kind) = after.unzip();
        sqlx::query_as(
            "select schedule, tick_at, kind, outcome, run_id, message, recorded_at from karat.tick
             where schedule = $1 and ($2::timestamptz is null or tick_at <= $2 and (tick_at < $2 or kind > $4))
             order by tick_at desc, kind limit $3",
        )
        .bind(schedule)
        .bind(at)
        .bind(limit)
        .bind(kind)
        .fetch_all(&self.pool)
        .await
        .context("reading the ticks")
    }

    /// The ticks of all schedules since `since`, newest first; at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn ticks_since(&self, since: DateTime<Utc>, limit: i64) -> Result<Vec<TickRecord>, StoreError> {
        sqlx::query_as(
            "select schedule, tick_at, kind, outcome, run_id, message, recorded_at from karat.tick
             where tick_at >= $1 order by tick_at desc, schedule, kind limit $2",
        )
        .bind(since)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading the ticks")
    }

    /// The newest tick of each schedule that has any.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn newest_ticks(&self) -> Result<Vec<TickRecord>, StoreError> {
        sqlx::query_as(
            "select t.schedule, t.tick_at, t.kind, t.outcome, t.run_id, t.message, t.recorded_at
             from karat.schedule s
             cross join lateral (
                 select * from karat.tick t where t.schedule = s.name order by t.tick_at desc, t.kind limit 1
             ) t
             order by t.schedule",
        )
        .fetch_all(&self.pool)
        .await
        .context("reading the ticks")
    }
}

/// False when a tick of that kind is recorded for the instant already.
async fn record_tick(
    transaction: &mut PgConnection,
    tick: &NewTick<'_>,
    launch: Option<(&NewRun, &[NewSteps])>,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "insert into karat.tick (schedule, tick_at, kind, outcome, run_id, message, recorded_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(tick.schedule)
    .bind(tick.tick_at)
    .bind(tick.kind.as_str())
    .bind(tick.outcome.as_str())
    .bind(launch.map(|(run, _)| run.run_id))
    .bind(&tick.message)
    .bind(tick.recorded_at)
    .execute(&mut *transaction)
    .await
    .context("recording the tick")?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    if let Some((run, steps)) = launch {
        launch_in(transaction, run, steps).await?;
    }
    Ok(true)
}
