//! Launching: a plan becomes a run and its steps, in one transaction.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::audit::{NewAudit, record};
use super::error::Context;
use super::signal::{CHANNEL, Signal};
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
    /// Position among the assets of the run: upstream first, and no two alike, so that the partitions of one come together.
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
        if audit.is_none() {
            return launch_in(&self.pool, run, steps).await;
        }
        let mut transaction = self.pool.begin().await.context("launching the run")?;
        let inserted = launch_in(&mut *transaction, run, steps).await?;
        record(&mut transaction, audit).await?;
        transaction.commit().await.context("launching the run")?;
        Ok(inserted)
    }
}

/// As [`Store::launch`], in one statement: inside a transaction of the caller, what records beside the run why it exists is
/// there with it or neither is. The run is there for workers when the transaction commits.
///
/// # Errors
/// When the database cannot be used; a transaction can only be rolled back then.
pub(super) async fn launch_in(
    executor: impl PgExecutor<'_>,
    run: &NewRun,
    steps: &[NewSteps],
) -> Result<u64, StoreError> {
    let count = |asset: &NewSteps| i32::try_from(asset.partitions.len()).unwrap_or(i32::MAX);
    let inserted: usize = steps.iter().map(|asset| asset.partitions.len()).sum();
    let each = || steps.iter().flat_map(|asset| asset.partitions.iter().map(move |step| (asset, step)));
    // Launches are rare: that those which notify commit one after another does not matter to them.
    sqlx::query(include_str!("sql/launch.sql"))
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
        .bind(serde_json::json!({ "cause": run.cause.as_str(), "steps": inserted }))
        .bind(steps.iter().map(|asset| asset.asset_key.as_str()).collect::<Vec<_>>())
        .bind(steps.iter().map(count).collect::<Vec<_>>())
        .bind(each().map(|(asset, _)| asset.asset_key.as_str()).collect::<Vec<_>>())
        .bind(each().map(|(_, step)| step.partition_key.as_str()).collect::<Vec<_>>())
        .bind(each().map(|(_, step)| step.ordinal).collect::<Vec<_>>())
        .bind(each().map(|(asset, _)| asset.rank).collect::<Vec<_>>())
        .bind(each().map(|(asset, _)| asset.priority).collect::<Vec<_>>())
        .bind(each().map(|(asset, _)| asset.pool.as_deref()).collect::<Vec<_>>())
        .bind(each().map(|(asset, _)| asset.only_if_stale).collect::<Vec<_>>())
        .bind(each().map(|(_, step)| step.ready).collect::<Vec<_>>())
        .bind(CHANNEL)
        .bind(Signal::Work.as_str())
        .execute(executor)
        .await
        .context("launching the run")?;
    Ok(inserted as u64)
}
