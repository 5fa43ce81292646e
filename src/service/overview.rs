//! What the first page says besides how partitions stand: which checks fail, and what ran.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Picture, Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;

/// What counts as lately.
const LATELY: TimeDelta = TimeDelta::days(1);

/// No more runs are counted.
const COUNTED_RUNS: i64 = 5_000;

/// Which checks fail, and what ran in the last day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct OverviewView {
    /// Checks that keep no version back and fail at the moment, by asset.
    #[schema(value_type = BTreeMap<String, Vec<FailingCheckView>>)]
    pub failing_checks: BTreeMap<AssetKey, Vec<FailingCheckView>>,
    /// What ran in the last day.
    pub ran: RanView,
}

/// A check that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailingCheckView {
    /// The check.
    pub check: String,
    /// In how many partitions, at most fifty are counted.
    pub partitions: i64,
    /// The one of them that was checked last.
    pub partition: String,
    /// What was found there.
    pub message: String,
}

/// Runs of the last day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RanView {
    /// From when on runs that ended are counted.
    pub since: DateTime<Utc>,
    /// Those that are under way, whenever they began.
    pub live: i64,
    /// Those that ended well.
    pub succeeded: i64,
    /// Those in which something was not built.
    pub failed: i64,
    /// Those that were stopped.
    pub canceled: i64,
    /// Whether there were more than are counted.
    pub is_cut: bool,
}

impl OverviewView {
    /// Whether somebody should look at the asset; `None` while it is not known how it stands.
    #[must_use]
    pub fn needs_attention(&self, picture: &Picture, asset: &AssetKey) -> Option<bool> {
        let asset_picture = picture.asset(asset)?;
        Some(asset_picture.needs_attention() || self.failing_checks.contains_key(asset))
    }
}

impl Service {
    /// Which checks fail, and what ran in the last day. Two statements, however many assets there are.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn overview(&self) -> Result<OverviewView, ServiceError> {
        let failing_checks = self.checks_failing_of(self.definitions.assets()).await?;
        let since = self.now() - LATELY;
        let mut ran = RanView { since, ..RanView::default() };
        for (state, runs) in self.store.ran_since(since, COUNTED_RUNS).await? {
            match state.as_str() {
                "live" => ran.live = runs,
                "succeeded" => ran.succeeded = runs,
                "failed" => ran.failed = runs,
                _ => ran.canceled = runs,
            }
        }
        ran.is_cut = ran.succeeded + ran.failed + ran.canceled >= COUNTED_RUNS;
        Ok(OverviewView { failing_checks, ran })
    }

    /// Which checks of the asset keep no version back and fail at the moment. One statement, none without such checks.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn failing_checks(&self, asset: &AssetKey) -> Result<Vec<FailingCheckView>, ServiceError> {
        let mut failing = self.checks_failing_of(self.definitions.asset(asset)).await?;
        Ok(failing.remove(asset).unwrap_or_default())
    }

    async fn checks_failing_of(
        &self,
        specs: impl IntoIterator<Item = &Arc<AssetSpec>>,
    ) -> Result<BTreeMap<AssetKey, Vec<FailingCheckView>>, ServiceError> {
        let checks = specs.into_iter().flat_map(|spec| {
            let loose = spec.checks.iter().filter(|check| !check.blocking);
            loose.map(|check| (spec.key.as_str(), check.name.as_str()))
        });
        let mut failing: BTreeMap<AssetKey, Vec<FailingCheckView>> = BTreeMap::new();
        for record in self.store.unpassed_checks(&checks.collect::<Vec<_>>()).await? {
            let Ok(key) = record.asset_key.parse() else { continue };
            failing.entry(key).or_default().push(FailingCheckView {
                check: record.check_name,
                partitions: record.partitions,
                partition: record.partition_key,
                message: record.message,
            });
        }
        Ok(failing)
    }
}
