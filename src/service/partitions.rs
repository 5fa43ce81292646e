//! The partitions of an asset one by one, a few at a time; what they said of themselves; and what failed last.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{AssetPicture, AttemptView, CheckView, HeatState, LogLineView, LogTailQuery, Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::key::PartitionKey;
use crate::core::partition::Ordinal;
use crate::core::subset::PartitionSubset;

/// How many of its log lines are told with a step.
const TOLD_LINES: u32 = 20;

/// A partition in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionView {
    /// The partition.
    pub partition: PartitionKey,
    /// Its number.
    pub ordinal: Ordinal,
    /// When its window begins, of a partition that has one.
    pub begins_at: Option<DateTime<Utc>>,
    /// How it stands.
    pub state: HeatState,
    /// Why it was not built, or what is the matter with its version.
    pub reason: Option<String>,
    /// Its present version.
    pub version: Option<PartitionVersionView>,
}

/// The present version of a partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionVersionView {
    /// The run that published it.
    pub run_id: Uuid,
    /// When it was published.
    pub at: DateTime<Utc>,
    /// Rows in it.
    pub row_count: i64,
    /// Hash of the content.
    pub data_version: String,
    /// Whether it was built by the declaration there is now.
    pub is_present_code: bool,
    /// Whether its window had not ended.
    pub open: bool,
    /// How long building it took, with all that was built in the same statement.
    pub seconds: Option<f64>,
    /// The numbers that the asset noted.
    pub numbers: BTreeMap<String, f64>,
}

/// Which partitions to list, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartitionsQuery {
    /// Only those that stand so.
    pub state: Option<HeatState>,
    /// Only those before this one.
    pub before: Option<Ordinal>,
    /// At most so many.
    pub limit: u32,
}

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

impl AssetPicture {
    /// How one partition stands, as heat bars show it.
    #[must_use]
    pub fn partition_state(&self, ordinal: Ordinal) -> HeatState {
        if self.running.contains(ordinal) {
            HeatState::Running
        } else if self.queued.contains(ordinal) {
            HeatState::Queued
        } else if self.failed.get(ordinal).is_some() {
            HeatState::Failed
        } else if self.missing.contains(ordinal) {
            HeatState::Missing
        } else if self.stale.get(ordinal).is_some() {
            HeatState::Stale
        } else if self.open.contains(ordinal) {
            HeatState::Open
        } else if self.fresh.contains(ordinal) {
            HeatState::Fresh
        } else if self.materialized.contains(ordinal) {
            HeatState::Landed
        } else {
            HeatState::Empty
        }
    }

    /// The partitions that stand so.
    #[must_use]
    pub fn partitions_in(&self, state: HeatState) -> PartitionSubset {
        let busy = self.under_way();
        let failed = self.failed.partitions();
        match state {
            HeatState::Running => self.running.clone(),
            HeatState::Queued => self.queued.difference(&self.running),
            HeatState::Failed => failed.difference(&busy),
            HeatState::Missing => self.missing.difference(&busy).difference(&failed),
            HeatState::Stale => self.stale.partitions().difference(&busy).difference(&failed),
            HeatState::Open => {
                self.open.difference(&busy).difference(&failed).difference(&self.stale.partitions())
            }
            HeatState::Fresh => self.fresh.difference(&busy).difference(&failed).difference(&self.open),
            HeatState::Landed => self.materialized.difference(&self.fresh).difference(&self.stale.partitions()),
            HeatState::Empty => self.existing.difference(&self.materialized).difference(&self.missing),
        }
    }

    /// The newest partition that was not built and that nobody builds.
    #[must_use]
    pub fn newest_given_up(&self) -> Option<Ordinal> {
        self.given_up().last()
    }
}

/// The last `count` of them, the last first.
fn newest(subset: &PartitionSubset, before: Option<Ordinal>, count: usize) -> Vec<Ordinal> {
    let within = match before {
        Some(before) => subset.clip(Ordinal::MIN, before.saturating_sub(1)),
        None => subset.clone(),
    };
    within.iter().rev().take(count).collect()
}

impl Service {
    /// Partitions of an asset that have begun, the newest first, one page of them.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn partitions(
        &self,
        spec: &AssetSpec,
        picture: &AssetPicture,
        query: PartitionsQuery,
    ) -> Result<Vec<PartitionView>, ServiceError> {
        let all = query.state.map_or_else(|| picture.existing.union(&picture.materialized), |state| picture.partitions_in(state));
        let ordinals = newest(&all, query.before, usize::try_from(query.limit).unwrap_or(usize::MAX));
        let versions = match spec.is_materializable() {
            true => self.store.partition_versions(spec.key.as_str(), &ordinals).await?,
            false => Vec::new(),
        };
        let mut versions: BTreeMap<Ordinal, PartitionVersionView> = versions
            .into_iter()
            .map(|version| {
                let view = PartitionVersionView {
                    run_id: version.run_id,
                    at: version.materialized_at,
                    row_count: version.row_count,
                    data_version: version.data_version,
                    is_present_code: version.code_version == spec.code_version,
                    open: version.open,
                    seconds: version.seconds,
                    numbers: numbers(version.metadata.as_ref()),
                };
                (version.ordinal, view)
            })
            .collect();
        let zone = self.definitions.calendar().zone;
        let views = ordinals.into_iter().map(|ordinal| {
            let failed = picture.failed.get(ordinal).and_then(|unbuilt| unbuilt.reason.clone());
            let stale = picture.stale.get(ordinal).map(|reasons| {
                let sentences = reasons.iter().map(|reason| super::status::reason_view(reason, zone).sentence);
                sentences.collect::<Vec<_>>().join("; ")
            });
            PartitionView {
                partition: spec.partitions.key(ordinal),
                ordinal,
                begins_at: spec.partitions.window(ordinal).map(|window| window.start),
                state: picture.partition_state(ordinal),
                reason: failed.or(stale),
                version: versions.remove(&ordinal),
            }
        });
        Ok(views.collect())
    }

    /// The newest results of an asset's checks, newest first.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn check_history(&self, spec: &AssetSpec, limit: u32) -> Result<Vec<CheckView>, ServiceError> {
        let results = self.store.check_results(spec.key.as_str(), None, false, i64::from(limit)).await?;
        Ok(results.into_iter().map(CheckView::from).collect())
    }

    /// The newest step of a partition, with what was tried and the last it said; `None` when there is none.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn newest_step(&self, spec: &AssetSpec, ordinal: Ordinal) -> Result<Option<NewestStepView>, ServiceError> {
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

/// The numbers in what an asset noted.
fn numbers(metadata: Option<&Value>) -> BTreeMap<String, f64> {
    let pairs = metadata.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
}
