//! Sensors: cursor, switch, what their evaluations came to, and the keys of what they requested.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::audit::NewAudit;
use super::error::Context;
use super::launch::{NewRun, NewSteps, launch_in};
use super::text::storable;
use super::{Store, StoreError};

/// How many ticks of a sensor are kept.
const KEPT_TICKS: i64 = 1_000;

/// A sensor as it stands.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct SensorRecord {
    /// Its name.
    pub name: String,
    /// How far it came.
    pub cursor: Option<String>,
    /// When it is evaluated next.
    pub due_at: DateTime<Utc>,
    /// When an evaluation last took effect.
    pub evaluated_at: Option<DateTime<Utc>>,
    /// Since when its evaluations fail.
    pub failing_since: Option<DateTime<Utc>>,
    /// Since when it is switched off.
    pub paused_at: Option<DateTime<Utc>>,
    /// Which state this is.
    pub version: i64,
}

/// What an evaluation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationOutcome {
    /// It requested runs.
    Requested,
    /// It requested nothing, or nothing that was not requested before.
    Skipped,
    /// It failed.
    Failed,
}

impl EvaluationOutcome {
    /// The word in the database and in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// A run that an evaluation requested, with its key.
pub struct RequestedRun {
    /// Once and never again.
    pub run_key: Option<String>,
    /// The run.
    pub run: NewRun,
    /// Its steps.
    pub steps: Vec<NewSteps>,
}

/// An evaluation that is to take effect.
pub struct NewEvaluation<'a> {
    /// The sensor as it was when the evaluation began.
    pub sensor: &'a SensorRecord,
    /// When it began.
    pub tick_at: DateTime<Utc>,
    /// What it came to.
    pub outcome: EvaluationOutcome,
    /// Why it was skipped or failed.
    pub message: Option<String>,
    /// How far it came; `None` leaves the cursor as it was.
    pub cursor: Option<String>,
    /// When the next one is due.
    pub due_at: DateTime<Utc>,
    /// The runs that it requested.
    pub runs: Vec<RequestedRun>,
}

/// What evaluations came to.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct SensorTickRecord {
    /// When the evaluation began, the first of several equal ones.
    pub tick_at: DateTime<Utc>,
    /// When the last of them did.
    pub until_at: DateTime<Utc>,
    /// `requested`, `skipped` or `failed`.
    pub outcome: String,
    /// Why.
    pub message: Option<String>,
    /// The runs that were launched.
    pub run_ids: Vec<Uuid>,
}

/// A change that a person makes to a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SensorChange {
    /// Off.
    Pause,
    /// On, due at once.
    Resume,
    /// Due at once.
    Trigger,
    /// From here on, due at once.
    Cursor(Option<String>),
}

impl Store {
    /// Makes sensors known that are not: due at once, switched on if the flag beside the name says so. Returns all that
    /// are known, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn sensors(
        &self,
        declared: &[(&str, bool)],
        now: DateTime<Utc>,
    ) -> Result<Vec<SensorRecord>, StoreError> {
        let read = || async {
            sqlx::query_as::<_, SensorRecord>(
                "select name, cursor, due_at, evaluated_at, failing_since, paused_at, version
                 from karat.sensor order by name",
            )
            .fetch_all(&self.pool)
            .await
            .context("reading the sensors")
        };
        let known = read().await?;
        let missing: Vec<&(&str, bool)> =
            declared.iter().filter(|(name, _)| !known.iter().any(|record| record.name == *name)).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        sqlx::query(
            "insert into karat.sensor (name, due_at, paused_at)
             select d.name, $3, case when not d.enabled then $3 end
             from unnest($1::text[], $2::boolean[]) as d (name, enabled)
             on conflict (name) do nothing",
        )
        .bind(missing.iter().map(|(name, _)| *name).collect::<Vec<_>>())
        .bind(missing.iter().map(|(_, enabled)| *enabled).collect::<Vec<_>>())
        .bind(now)
        .execute(&self.pool)
        .await
        .context("recording the sensors")?;
        read().await
    }

    /// Those of `run_keys` that the sensor used before.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn used_run_keys(&self, sensor: &str, run_keys: &[&str]) -> Result<Vec<String>, StoreError> {
        if run_keys.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_scalar("select run_key from karat.sensor_run_key where sensor = $1 and run_key = any($2)")
            .bind(sensor)
            .bind(run_keys)
            .fetch_all(&self.pool)
            .await
            .context("reading what was requested before")
    }

    /// Lets an evaluation take effect: its cursor, its record and its runs, all or nothing. Returns how many runs were
    /// launched; `None`, and nothing happens, when the sensor is not as it was any more: somebody else evaluated it, or
    /// it was paused or reset meanwhile.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn record_evaluation(&self, evaluation: NewEvaluation<'_>) -> Result<Option<usize>, StoreError> {
        let mut transaction = self.pool.begin().await.context("recording an evaluation")?;
        let failed = evaluation.outcome == EvaluationOutcome::Failed;
        // Takes the row's lock: whoever comes second finds another version.
        let changed = sqlx::query(
            "update karat.sensor
             set cursor = coalesce($3, cursor), due_at = $4, evaluated_at = case when $5 then evaluated_at else $6 end,
                 failing_since = case when $5 then coalesce(failing_since, $6) end, version = version + 1
             where name = $1 and version = $2 and paused_at is null",
        )
        .bind(&evaluation.sensor.name)
        .bind(evaluation.sensor.version)
        .bind(&evaluation.cursor)
        .bind(evaluation.due_at)
        .bind(failed)
        .bind(evaluation.tick_at)
        .execute(&mut *transaction)
        .await
        .context("recording an evaluation")?;
        if changed.rows_affected() == 0 {
            return Ok(None);
        }
        let mut run_ids = Vec::new();
        for requested in &evaluation.runs {
            if launch_once(&mut transaction, &evaluation, requested).await? {
                run_ids.push(requested.run.run_id);
            }
        }
        record_tick(&mut transaction, &evaluation, &run_ids).await?;
        transaction.commit().await.context("recording an evaluation")?;
        Ok(Some(run_ids.len()))
    }

    /// Changes a sensor that is known and records `audit`; false, and nothing is recorded, when it is in that state already.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn change_sensor(
        &self,
        name: &str,
        change: &SensorChange,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<bool, StoreError> {
        let (statement, cursor) = match change {
            SensorChange::Pause => (
                "update karat.sensor set paused_at = $2, version = version + 1
                 where name = $1 and paused_at is null and $3::text is null",
                None,
            ),
            SensorChange::Resume => (
                "update karat.sensor set paused_at = null, due_at = $2, version = version + 1
                 where name = $1 and paused_at is not null and $3::text is null",
                None,
            ),
            SensorChange::Trigger => (
                "update karat.sensor set due_at = $2, version = version + 1 where name = $1 and $3::text is null",
                None,
            ),
            SensorChange::Cursor(cursor) => (
                "update karat.sensor set cursor = $3, due_at = $2, version = version + 1 where name = $1",
                cursor.as_deref(),
            ),
        };
        let change = sqlx::query(statement).bind(name).bind(now).bind(cursor);
        self.change_on_record("changing the sensor", change, audit).await
    }

    /// The newest ticks of a sensor, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn sensor_ticks(&self, sensor: &str, limit: i64) -> Result<Vec<SensorTickRecord>, StoreError> {
        sqlx::query_as(
            "select tick_at, until_at, outcome, message, run_ids from karat.sensor_tick
             where sensor = $1 order by tick_at desc limit $2",
        )
        .bind(sensor)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading the evaluations")
    }
}

/// False when the key was used before.
async fn launch_once(
    transaction: &mut PgConnection,
    evaluation: &NewEvaluation<'_>,
    requested: &RequestedRun,
) -> Result<bool, StoreError> {
    if let Some(run_key) = &requested.run_key {
        let inserted = sqlx::query(
            "insert into karat.sensor_run_key (sensor, run_key, run_id, requested_at) values ($1, $2, $3, $4)
             on conflict do nothing",
        )
        .bind(&evaluation.sensor.name)
        .bind(run_key)
        .bind(requested.run.run_id)
        .bind(evaluation.tick_at)
        .execute(&mut *transaction)
        .await
        .context("recording what was requested")?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
    }
    launch_in(transaction, &requested.run, &requested.steps).await?;
    Ok(true)
}

async fn record_tick(
    transaction: &mut PgConnection,
    evaluation: &NewEvaluation<'_>,
    run_ids: &[Uuid],
) -> Result<(), StoreError> {
    let repeated = sqlx::query(
        "update karat.sensor_tick t set until_at = greatest(t.until_at, $2)
         where t.sensor = $1 and cardinality(t.run_ids) = 0 and cardinality($5::uuid[]) = 0
           and t.tick_at = (select max(tick_at) from karat.sensor_tick where sensor = $1)
           and t.outcome = $3 and t.message is not distinct from $4",
    )
    .bind(&evaluation.sensor.name)
    .bind(evaluation.tick_at)
    .bind(evaluation.outcome.as_str())
    .bind(evaluation.message.as_deref().map(storable))
    .bind(run_ids)
    .execute(&mut *transaction)
    .await
    .context("recording an evaluation")?;
    if repeated.rows_affected() > 0 {
        return Ok(());
    }
    // An instant may come again, when the clock was set back: that runs were requested at it stays.
    sqlx::query(
        "insert into karat.sensor_tick as t (sensor, tick_at, until_at, outcome, message, run_ids)
         values ($1, $2, $2, $3, $4, $5)
         on conflict (sensor, tick_at) do update
         set until_at = excluded.until_at, message = excluded.message,
             outcome = case when cardinality(t.run_ids) > 0 then t.outcome else excluded.outcome end,
             run_ids = t.run_ids || excluded.run_ids",
    )
    .bind(&evaluation.sensor.name)
    .bind(evaluation.tick_at)
    .bind(evaluation.outcome.as_str())
    .bind(evaluation.message.as_deref().map(storable))
    .bind(run_ids)
    .execute(&mut *transaction)
    .await
    .context("recording an evaluation")?;
    sqlx::query(
        "delete from karat.sensor_tick
         where sensor = $1 and tick_at < (
             select tick_at from karat.sensor_tick where sensor = $1 order by tick_at desc offset $2 - 1 limit 1
         )",
    )
    .bind(&evaluation.sensor.name)
    .bind(KEPT_TICKS)
    .execute(&mut *transaction)
    .await
    .context("forgetting old evaluations")?;
    Ok(())
}
