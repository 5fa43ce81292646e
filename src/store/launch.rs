//! Launching: a plan becomes a run and its steps, in one transaction.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::audit::{NewAudit, record};
use super::error::Context;
use super::signal::{self, Signal};
use super::text::storable;
use super::{Store, StoreError};

/// Why a run exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunCause {
    /// Somebody asked for partitions.
    Manual,
    /// A backfill.
    Backfill,
    /// What failed in another run.
    Retry,
    /// A tick of a schedule.
    Schedule,
    /// The automation of an asset.
    Automation,
    /// A sensor asked for it.
    Sensor,
}

impl RunCause {
    /// The word in the database and in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::Retry => "retry",
            Self::Schedule => "schedule",
            Self::Automation => "automation",
            Self::Sensor => "sensor",
        }
    }
}

/// A run to be launched.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id.
    pub run_id: Uuid,
    /// The backfill it belongs to; made when it does not exist.
    pub backfill_id: Option<Uuid>,
    /// The run whose failures it repeats.
    pub retry_of: Option<Uuid>,
    /// Why it exists.
    pub cause: RunCause,
    /// Why, in data: the tick, the sensor's key, the late rows.
    pub cause_detail: Option<Value>,
    /// What was asked for, in words and data, for people.
    pub request: Value,
    /// Build in spite of missing inputs.
    pub force: bool,
    /// One statement per partition.
    pub per_partition: bool,
    /// Most steps running at once.
    pub concurrency_limit: Option<i32>,
    /// Who asked for it; `None` when nobody did.
    pub requested_by: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
}

/// Steps of a run: partitions of one asset.
#[derive(Clone, Debug)]
pub struct NewSteps {
    /// The asset.
    pub asset_key: String,
    /// Position in the graph.
    pub rank: i32,
    /// Higher runs earlier.
    pub priority: i32,
    /// The pool they count against.
    pub pool: Option<String>,
    /// Skip those that are fresh when their turn comes.
    pub only_if_stale: bool,
    /// One for each partition.
    pub partitions: Vec<NewStep>,
}

/// One partition to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStep {
    /// The partition.
    pub partition_key: String,
    /// Its ordinal.
    pub ordinal: i64,
    /// Whether it may begin at once; otherwise it is pending until what it reads has been built.
    pub ready: bool,
}

impl Store {
    /// Writes a run with all its steps, and `audit`; all of it or nothing. Returns the number of steps.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn launch(
        &self,
        run: &NewRun,
        steps: &[NewSteps],
        audit: Option<NewAudit<'_>>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin().await.context("launching the run")?;
        let inserted = launch_in(&mut transaction, run, steps).await?;
        record(&mut transaction, audit).await?;
        transaction.commit().await.context("launching the run")?;
        Ok(inserted)
    }
}

/// As [`Store::launch`] inside a transaction of the caller, which records beside the run why it exists: both are there or
/// neither. The run is there for workers when the transaction commits.
///
/// # Errors
/// When the database cannot be used; the transaction can only be rolled back then.
pub(super) async fn launch_in(
    transaction: &mut PgConnection,
    run: &NewRun,
    steps: &[NewSteps],
) -> Result<u64, StoreError> {
    if let Some(backfill_id) = run.backfill_id {
        sqlx::query(
            "insert into karat.backfill (backfill_id, created_at, request) values ($1, $2, $3)
             on conflict (backfill_id) do nothing",
        )
        .bind(backfill_id)
        .bind(run.requested_at)
        .bind(&run.request)
        .execute(&mut *transaction)
        .await
        .context("recording the backfill")?;
    }
    sqlx::query(
        "insert into karat.run (run_id, backfill_id, retry_of, cause, request, force, per_partition, concurrency_limit, requested_at,
                                cause_detail, requested_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(run.run_id)
    .bind(run.backfill_id)
    .bind(run.retry_of)
    .bind(run.cause.as_str())
    .bind(&run.request)
    .bind(run.force)
    .bind(run.per_partition)
    .bind(run.concurrency_limit)
    .bind(run.requested_at)
    .bind(&run.cause_detail)
    .bind(run.requested_by.as_deref().map(storable))
    .execute(&mut *transaction)
    .await
    .context("recording the run")?;
    let mut inserted = 0;
    for asset in steps {
        inserted += sqlx::query(
            "insert into karat.step
                 (run_id, asset_key, partition_key, ordinal, rank, priority, pool, only_if_stale, state, ready_at)
             select $1, $2, p.partition_key, p.ordinal, $3, $4, $5, $6,
                    case when p.ready then 'ready' else 'pending' end, case when p.ready then $7 end
             from unnest($8::text[], $9::bigint[], $10::boolean[]) as p (partition_key, ordinal, ready)",
        )
        .bind(run.run_id)
        .bind(&asset.asset_key)
        .bind(asset.rank)
        .bind(asset.priority)
        .bind(&asset.pool)
        .bind(asset.only_if_stale)
        .bind(run.requested_at)
        .bind(asset.partitions.iter().map(|step| step.partition_key.as_str()).collect::<Vec<_>>())
        .bind(asset.partitions.iter().map(|step| step.ordinal).collect::<Vec<_>>())
        .bind(asset.partitions.iter().map(|step| step.ready).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await
        .context("recording the steps")?
        .rows_affected();
    }
    let counts = |asset: &NewSteps| i32::try_from(asset.partitions.len()).unwrap_or(i32::MAX);
    sqlx::query(
        "with built as (
             insert into karat.run_asset (run_id, asset_key, requested_at, step_count)
             select $2, asset_key, $1, step_count from unnest($4::text[], $5::integer[]) as a (asset_key, step_count)
         )
         insert into karat.event (occurred_at, kind, run_id, detail) values ($1, 'run_launched', $2, $3)",
    )
    .bind(run.requested_at)
    .bind(run.run_id)
    .bind(serde_json::json!({ "cause": run.cause.as_str(), "steps": inserted }))
    .bind(steps.iter().map(|asset| asset.asset_key.as_str()).collect::<Vec<_>>())
    .bind(steps.iter().map(counts).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await
    .context("recording the launch")?;
    // Launches are rare; they may wait for one another.
    signal::send(&mut *transaction, Signal::Work).await?;
    Ok(inserted)
}
