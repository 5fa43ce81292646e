//! What happened to partitions, as views.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::cause::{Because, partition_cause_text};
use super::run::command_of;
use super::{Service, ServiceError};
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::told::Told;
use crate::store::history::{AttemptHistory, CheckRecord, MaterializationRecord, StepRecord};

/// A version of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MaterializationView {
    /// The partition.
    pub partition: String,
    /// When it was published.
    pub at: DateTime<Utc>,
    /// By which run.
    pub run_id: Uuid,
    /// Rows in it.
    pub row_count: i64,
    /// Hash of the content.
    pub data_version: String,
    /// Hash of the declaration that built it.
    pub code_version: String,
    /// Whether its content differed from the version before.
    pub content_changed: bool,
    /// Whether its window had not ended.
    pub open: bool,
    /// What was missing when it was built by force: upstream → partitions.
    pub incomplete_inputs: Option<BTreeMap<String, String>>,
    /// What the asset said of it.
    pub metadata: Option<Value>,
    /// Whether it is the present version.
    pub current: bool,
}

impl From<MaterializationRecord> for MaterializationView {
    fn from(record: MaterializationRecord) -> Self {
        Self {
            partition: record.partition_key,
            at: record.materialized_at,
            run_id: record.run_id,
            row_count: record.row_count,
            data_version: record.data_version,
            code_version: record.code_version,
            content_changed: record.content_changed,
            open: record.open,
            incomplete_inputs: record.incomplete_inputs.and_then(|inputs| serde_json::from_value(inputs).ok()),
            metadata: record.metadata,
            current: record.current,
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    /// The partition.
    pub partition: String,
    /// The check.
    pub check: String,
    /// Whether a failure keeps a version back.
    pub blocking: bool,
    /// Whether it passed.
    pub passed: bool,
    /// Rows that offend.
    pub offending_rows: i64,
    /// The finding in words.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl From<CheckRecord> for CheckView {
    fn from(record: CheckRecord) -> Self {
        Self {
            partition: record.partition_key,
            check: record.check_name,
            blocking: record.blocking,
            passed: record.passed,
            offending_rows: record.offending_rows,
            message: record.message,
            at: record.checked_at,
        }
    }
}

/// A step of a partition, with its run and attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// The step.
    pub step_id: i64,
    /// Its run.
    pub run_id: Uuid,
    /// The backfill that belongs to.
    pub backfill_id: Option<Uuid>,
    /// Why the run exists.
    pub cause: String,
    /// The same in words, as far as it concerns this partition.
    #[schema(value_type = String)]
    pub because: Told<Because>,
    /// What was asked for.
    pub command: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// The state of the step.
    pub state: String,
    /// Why it was skipped, failed, blocked or canceled.
    pub reason: Option<String>,
    /// When its newest attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it is tried again at the earliest, while it waits for that.
    pub retry_at: Option<DateTime<Utc>>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// Which one, by its lease.
    pub lease_epoch: i64,
    /// How many partitions were built together.
    pub range_size: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// `succeeded`, `skipped`, `failed`, `canceled` or `lost`.
    pub outcome: String,
    /// What kind of error.
    pub error_kind: Option<String>,
    /// The error.
    pub error: Option<String>,
    /// Where a panic came from.
    pub backtrace: Option<String>,
}

impl From<AttemptHistory> for AttemptView {
    fn from(record: AttemptHistory) -> Self {
        Self {
            lease_epoch: record.lease_epoch,
            range_size: record.range_size,
            started_at: record.started_at,
            finished_at: record.finished_at,
            outcome: record.outcome,
            error_kind: record.error_kind,
            error: record.error,
            backtrace: record.backtrace,
        }
    }
}

impl Service {
    /// Steps of one partition with their runs and attempts, in the order given.
    pub(super) async fn step_views(
        &self,
        asset: &AssetKey,
        ordinal: Option<Ordinal>,
        steps: Vec<StepRecord>,
    ) -> Result<Vec<StepView>, ServiceError> {
        let zone = self.definitions.calendar().zone;
        let ids: Vec<i64> = steps.iter().map(|step| step.step_id).collect();
        let attempts = self.store.attempts(&ids).await?;
        let mut views = Vec::with_capacity(steps.len());
        for step in steps {
            let run = self.run_record(step.run_id).await?;
            let own = attempts.iter().filter(|attempt| attempt.step_id == step.step_id);
            views.push(StepView {
                step_id: step.step_id,
                run_id: step.run_id,
                backfill_id: run.backfill_id,
                because: partition_cause_text(&run, asset, ordinal, zone),
                cause: run.cause,
                command: command_of(&run.request),
                requested_at: run.requested_at,
                reason: step.reason,
                started_at: step.started_at,
                finished_at: step.finished_at,
                retry_at: step.retry_at.filter(|_| step.state == "ready"),
                state: step.state,
                attempts: own.cloned().map(AttemptView::from).collect(),
            });
        }
        Ok(views)
    }

    /// Versions of an asset, or of one of its partitions, the newest first; at most `limit`.
    ///
    /// # Errors
    /// When there is no such asset, or the state cannot be read.
    pub async fn materializations(
        &self,
        asset: &str,
        partition: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MaterializationView>, ServiceError> {
        let spec = self.definitions.find(asset)?;
        let records = self.store.materializations(spec.key.as_str(), partition, i64::from(limit)).await?;
        Ok(records.into_iter().map(MaterializationView::from).collect())
    }

    /// What the checks of an asset found, or those of one of its partitions, the newest first; at most `limit`, with
    /// `failed_only` only what did not pass.
    ///
    /// # Errors
    /// When there is no such asset, or the state cannot be read.
    pub async fn check_results(
        &self,
        asset: &str,
        partition: Option<&str>,
        failed_only: bool,
        limit: u32,
    ) -> Result<Vec<CheckView>, ServiceError> {
        let spec = self.definitions.find(asset)?;
        let records = self.store.check_results(spec.key.as_str(), partition, failed_only, i64::from(limit)).await?;
        Ok(records.into_iter().map(CheckView::from).collect())
    }
}
