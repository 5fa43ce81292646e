//! What keeps a partition from being built, or from being begun.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::obstacle::{Obstacle, ObstacleView, PoolHolder};
use super::{Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::plan::PartitionSets;
use crate::core::subset::PartitionSubset;
use crate::store::history::StepRecord;
use crate::store::waiting::{RunningStep, Surroundings};

/// How many of those that hold a pool, or of the failures upstream, are told.
const TOLD: usize = 5;

/// How many partitions of an asset are looked at for a failure.
const LOOKED_AT: usize = 1_000;

impl Service {
    /// What keeps the partition's newest step from being begun, the most decisive first; nothing when it waits for
    /// nothing, or is not waiting.
    pub(super) async fn waiting_for(
        &self,
        spec: &AssetSpec,
        ordinal: Ordinal,
        step: &StepRecord,
        now: DateTime<Utc>,
    ) -> Result<Vec<ObstacleView>, ServiceError> {
        if !matches!(step.state.as_str(), "pending" | "ready") {
            return Ok(Vec::new());
        }
        let Some(around) = self.store.surroundings(step.step_id, now).await? else { return Ok(Vec::new()) };
        let zone = self.definitions.calendar().zone;
        let run_id = step.run_id;
        let mut obstacles = Vec::new();
        if around.cancel_requested_at.is_some() {
            return Ok(vec![ObstacleView::new(Obstacle::Canceling { run_id }, zone)]);
        }
        obstacles.extend(around.paused_at.map(|since| Obstacle::Paused { run_id, since }));
        if step.state == "pending" {
            obstacles.extend(self.unfinished_inputs(spec, ordinal, run_id, now).await?);
        } else {
            obstacles.extend(step.retry_at.filter(|at| *at > now).map(|at| Obstacle::Delay { at }));
            let running = self.store.running_steps().await?;
            obstacles.extend(self.held_by_others(spec, step, &running));
            obstacles.extend(limits(step, &around, &running));
        }
        Ok(obstacles.into_iter().map(|obstacle| ObstacleView::new(obstacle, zone)).collect())
    }

    /// The steps of the same run that build what the partition reads.
    async fn unfinished_inputs(
        &self,
        spec: &AssetSpec,
        ordinal: Ordinal,
        run_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<Obstacle>, ServiceError> {
        let mut open: BTreeMap<String, Vec<(Ordinal, Ordinal)>> = BTreeMap::new();
        for range in self.store.step_ranges(run_id).await? {
            if matches!(range.state.as_str(), "pending" | "ready" | "running") {
                open.entry(range.asset_key).or_default().push((range.first, range.last));
            }
        }
        let mut waits = Vec::new();
        for (key, required) in self.required_upstream(spec, &PartitionSubset::single(ordinal), now) {
            let Some(upstream) = self.definitions.asset(&key) else { continue };
            let Some(ranges) = open.remove(key.as_str()) else { continue };
            let unfinished = PartitionSubset::from_ranges(ranges).intersection(&required);
            if !unfinished.is_empty() {
                let partitions = upstream.partitions.described(&unfinished);
                waits.push((key, partitions));
            }
        }
        Ok((!waits.is_empty()).then_some(Obstacle::Inputs { run_id, waits }))
    }

    /// What `subset` needs of each of its upstreams.
    fn required_upstream(&self, spec: &AssetSpec, subset: &PartitionSubset, now: DateTime<Utc>) -> PartitionSets {
        let required = spec.upstreams.iter().filter_map(|upstream| {
            let read = self.definitions.asset(&upstream.key)?;
            Some((upstream.key.clone(), upstream.mapping.required_of(&spec.partitions, &read.partitions, subset, now)))
        });
        required.collect()
    }

    fn held_by_others(&self, spec: &AssetSpec, step: &StepRecord, running: &[RunningStep]) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        let same = running.iter().find(|other| {
            other.run_id != step.run_id
                && (&other.asset_key, &other.partition_key) == (&step.asset_key, &step.partition_key)
        });
        if let Some(other) = same {
            obstacles.push(Obstacle::SamePartition { run_id: other.run_id, since: other.started_at });
        }
        let Some((pool, &limit)) = spec.pool.as_ref().and_then(|pool| self.definitions.pools().get_key_value(pool))
        else {
            return obstacles;
        };
        let holders: Vec<&RunningStep> = running.iter().filter(|other| other.pool.as_ref() == Some(pool)).collect();
        if holders.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            let told = holders.iter().take(TOLD).map(|other| PoolHolder {
                asset: other.asset_key.clone(),
                partition: other.partition_key.clone(),
                run_id: other.run_id,
                since: other.started_at,
            });
            obstacles.push(Obstacle::PoolFull {
                pool: pool.clone(),
                limit,
                holders: told.collect(),
                more: holders.len().saturating_sub(TOLD),
            });
        }
        obstacles
    }

    /// The failures that keep the partition from being built, each at its root: what only waits for a failure itself is
    /// passed through. At most five.
    pub(super) async fn failures_upstream(
        &self,
        spec: &AssetSpec,
        ordinal: Ordinal,
        now: DateTime<Utc>,
    ) -> Result<Vec<ObstacleView>, ServiceError> {
        let zone = self.definitions.calendar().zone;
        let mut obstacles = Vec::new();
        let mut seen: BTreeSet<AssetKey> = BTreeSet::new();
        let mut waiting = self.required_upstream(spec, &PartitionSubset::single(ordinal), now);
        // Downstream first, so that an asset is looked at when all that reads it has been.
        let rank = |key: &AssetKey| self.definitions.graph().rank(key);
        while let Some(key) = waiting.keys().max_by_key(|key| rank(key)).cloned() {
            let subset = waiting.remove(&key).unwrap_or_default();
            let Some(upstream) = self.definitions.asset(&key).filter(|spec| spec.is_materializable()) else { continue };
            if !seen.insert(key.clone()) {
                continue;
            }
            let keys: Vec<String> =
                subset.iter().take(LOOKED_AT).map(|ordinal| upstream.partitions.key(ordinal).to_string()).collect();
            let mut blocked = Vec::new();
            for step in self.store.newest_steps(key.as_str(), &keys).await? {
                match step.state.as_str() {
                    "blocked" => blocked.push(step.ordinal),
                    "failed" if obstacles.len() < TOLD => {
                        let failed = Obstacle::FailedUpstream {
                            asset: key.clone(),
                            partition: step.partition_key,
                            run_id: step.run_id,
                            reason: step.reason,
                        };
                        obstacles.push(ObstacleView::new(failed, zone));
                    }
                    _ => {}
                }
            }
            for (further, subset) in self.required_upstream(upstream, &PartitionSubset::from_ordinals(blocked), now) {
                let known = waiting.entry(further).or_default();
                *known = known.union(&subset);
            }
        }
        Ok(obstacles)
    }
}

/// What concerns all steps of a run, or all of all runs.
fn limits(step: &StepRecord, around: &Surroundings, running: &[RunningStep]) -> Vec<Obstacle> {
    let run_id = step.run_id;
    let mut obstacles = Vec::new();
    if let Some(limit) = around.concurrency_limit.filter(|limit| around.running_in_run >= i64::from(*limit)) {
        obstacles.push(Obstacle::RunLimit { run_id, limit, running: around.running_in_run });
    }
    let busy = i64::try_from(running.len()).unwrap_or(i64::MAX);
    if around.workers == 0 {
        obstacles.push(Obstacle::NoWorker { run_id });
    } else if around.slots > 0 && busy >= around.slots {
        obstacles.push(Obstacle::Busy { slots: around.slots, workers: around.workers });
    }
    if around.before > 0 {
        obstacles.push(Obstacle::queued(around.before));
    }
    obstacles
}
