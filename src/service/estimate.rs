//! How long something will take, from how long it took before.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::try_join;

use super::{Service, ServiceError, WorkerState};
use crate::core::key::AssetKey;
use crate::store::operations::DurationRecord;

/// How many of the newest versions are looked at, of all assets together; and of each the fewest and the most.
const VERSIONS: usize = 500;
const FEWEST_VERSIONS: usize = 5;
const MOST_VERSIONS: usize = 40;

/// Of how many assets it is looked up; those with the most partitions.
const ASSETS: usize = 100;

/// The most partitions built together that are counted.
const MOST_TOGETHER: u32 = 400;

/// How long some partitions will take.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EstimateView {
    /// In seconds, with what runs side by side; `None` when nothing of it was ever built.
    pub seconds: Option<f64>,
    /// The same one after the other.
    pub work_seconds: f64,
    /// How many units run side by side: the slots of all live workers, or the limit that is below that. Zero when no
    /// worker is there: the estimate is then for one.
    pub side_by_side: u32,
    /// How many of the partitions it covers.
    pub partitions: u64,
    /// The assets it does not cover: nothing of them was ever built, or a hundred others have more partitions.
    pub unknown: Vec<AssetKey>,
    /// How long one partition takes, in seconds, by asset.
    pub seconds_each: BTreeMap<AssetKey, f64>,
}

impl Service {
    /// How long so many partitions of these assets take, of which at most `limit` run at once: by how long the newest
    /// versions took. Pools are taken into account; that some have to wait for others is not.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn estimate(
        &self,
        partitions: &BTreeMap<AssetKey, u64>,
        limit: Option<u32>,
    ) -> Result<EstimateView, ServiceError> {
        let mut largest: Vec<(&AssetKey, u64)> = partitions.iter().map(|(key, count)| (key, *count)).collect();
        largest.sort_by_key(|&(key, count)| (std::cmp::Reverse(count), key));
        largest.truncate(ASSETS);
        let together: BTreeMap<&str, i64> = largest
            .iter()
            .filter_map(|(key, _)| {
                let spec = self.definitions.asset(key)?;
                Some((key.as_str(), i64::from(spec.range_partitions.min(MOST_TOGETHER))))
            })
            .collect();
        let versions = (VERSIONS / together.len().max(1)).clamp(FEWEST_VERSIONS, MOST_VERSIONS);
        let versions = i64::try_from(versions).unwrap_or(i64::MAX);
        let durations = async { Ok(self.store.durations(&together, versions).await?) };
        let (durations, workers) = try_join!(durations, self.workers())?;
        let slots = workers
            .iter()
            .filter(|worker| matches!(worker.state, WorkerState::Running | WorkerState::Idle))
            .map(|worker| u32::try_from(worker.slots).unwrap_or(0))
            .fold(0, u32::saturating_add);
        Ok(self.estimated(partitions, &durations, slots.min(limit.unwrap_or(u32::MAX))))
    }

    fn estimated(
        &self,
        partitions: &BTreeMap<AssetKey, u64>,
        durations: &[DurationRecord],
        side_by_side: u32,
    ) -> EstimateView {
        let mut view = EstimateView { side_by_side, ..EstimateView::default() };
        let mut by_pool: BTreeMap<&str, f64> = BTreeMap::new();
        let known = durations.iter().filter(|record| record.partitions > 0);
        let known: BTreeMap<&str, &DurationRecord> = known.map(|record| (record.asset_key.as_str(), record)).collect();
        for (key, &count) in partitions {
            let Some(record) = known.get(key.as_str()) else {
                view.unknown.push(key.clone());
                continue;
            };
            let each = record.seconds / decimal(record.partitions.unsigned_abs());
            let all = each * decimal(count);
            view.work_seconds += all;
            view.partitions += count;
            view.seconds_each.insert(key.clone(), each);
            if let Some(pool) = self.definitions.asset(key).and_then(|spec| spec.pool.as_deref()) {
                *by_pool.entry(pool).or_default() += all;
            }
        }
        if view.partitions > 0 {
            let of_slots = view.work_seconds / f64::from(side_by_side.max(1));
            let of_pools = by_pool.into_iter().map(|(pool, seconds)| {
                seconds / f64::from(self.definitions.pools().get(pool).copied().unwrap_or(1).max(1))
            });
            view.seconds = Some(of_pools.fold(of_slots, f64::max));
        }
        view
    }
}

/// As a decimal number; beyond 2³² the number of partitions makes no difference to anybody.
fn decimal(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
