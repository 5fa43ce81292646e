//! Automation: which assets build themselves by which rule, and what it makes of what is not fresh.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::picture::AssetPicture;
use super::{Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::automation::{Condition, Rule};
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::subset::PartitionSubset;
use crate::core::told::Told;
use crate::daemon::automation::{Finding, explain};

/// What automation makes of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartitionEvaluationView {
    /// The partition.
    pub partition: PartitionKey,
    /// In one sentence.
    #[schema(value_type = String)]
    pub verdict: Told<Finding>,
    /// The conditions, one sentence each: `waiting for 2 of 31 days: …`.
    #[schema(value_type = Vec<String>)]
    pub conditions: Vec<Told<Condition>>,
    /// When time alone leads to a build, if nothing changes.
    pub next_at: Option<DateTime<Utc>>,
}

/// What automation makes of the newest partitions of an asset that are not fresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AutomationView {
    /// The asset.
    pub asset: AssetKey,
    /// How many partitions are not fresh.
    pub unfresh: u64,
    /// What it makes of the newest of them, newest first.
    pub evaluations: Vec<PartitionEvaluationView>,
}

/// Whether an asset is ever built without anybody asking.
#[must_use]
pub fn is_automated(asset: &AssetSpec) -> bool {
    asset.is_materializable() && Rule::new(&asset.automation).is_ok_and(|rule| !rule.is_manual())
}

/// The partitions that have ended and are not there, or not made of what there is now, or failed.
#[must_use]
pub fn unfresh(picture: &AssetPicture) -> PartitionSubset {
    let failed = picture.failed.partitions().intersection(&picture.closed);
    picture.missing.union(&picture.stale.partitions()).union(&failed)
}

impl Service {
    /// What automation makes of the newest `count` partitions of an asset that are not fresh, by how it stands in
    /// `picture`.
    ///
    /// # Errors
    /// When the asset is unknown or the state cannot be read.
    pub async fn automation(
        &self,
        asset: &str,
        picture: &AssetPicture,
        count: usize,
    ) -> Result<AutomationView, ServiceError> {
        let spec = self.definitions.find(asset)?;
        let subset = unfresh(picture);
        let newest = subset.ranges().iter().rev().flat_map(|&(first, last)| (first..=last).rev()).take(count);
        let mut evaluations = Vec::new();
        for ordinal in newest {
            let evaluation = explain(&self.store, &self.definitions, spec, ordinal, self.now()).await?;
            evaluations.push(PartitionEvaluationView {
                partition: spec.partitions.key(ordinal),
                verdict: evaluation.verdict,
                conditions: evaluation.conditions,
                next_at: evaluation.next_at,
            });
        }
        Ok(AutomationView { asset: spec.key.clone(), unfresh: subset.len(), evaluations })
    }
}
