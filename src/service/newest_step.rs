//! The newest step of a partition, with the last it said.

use serde::Serialize;
use uuid::Uuid;

use super::{AttemptView, LogLineView, LogTailQuery, Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::key::PartitionKey;
use crate::core::partition::Ordinal;

/// How many of its log lines are told with a step.
const TOLD_LINES: u32 = 20;

/// What happened at the newest step of a partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewestStepView {
    /// The partition.
    pub partition: PartitionKey,
    /// The run.
    pub run_id: Uuid,
    /// How the step stands.
    pub state: String,
    /// Why it was not carried out.
    pub reason: Option<String>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// The last it said.
    pub log: Vec<LogLineView>,
}

impl Service {
    /// The newest step of a partition, with what was tried and the last it said; `None` when there is none.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn newest_step(
        &self,
        spec: &AssetSpec,
        ordinal: Ordinal,
    ) -> Result<Option<NewestStepView>, ServiceError> {
        let partition = spec.partitions.key(ordinal);
        let steps = self.store.partition_steps(spec.key.as_str(), partition.as_str(), 1).await?;
        let Some(step) = steps.into_iter().next() else { return Ok(None) };
        let attempts = self.store.attempts(&[step.step_id]).await?;
        let query = LogTailQuery {
            asset: Some(spec.key.to_string()),
            partition: Some(partition.to_string()),
            limit: TOLD_LINES,
            ..LogTailQuery::default()
        };
        Ok(Some(NewestStepView {
            log: self.log_tail(step.run_id, &query).await?,
            partition,
            run_id: step.run_id,
            state: step.state,
            reason: step.reason,
            attempts: attempts.into_iter().map(AttemptView::from).collect(),
        }))
    }
}
