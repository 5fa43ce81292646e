//! What keeps a partition from being built, or from being begun.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::cause::instant_text;
use super::ids::short;
use super::{Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::plan::PartitionSets;
use crate::core::subset::PartitionSubset;
use crate::store::history::StepRecord;
use crate::store::waiting::{COUNTED_BEFORE, RunningStep, Surroundings};

/// How many of those that hold a pool, or of the failures upstream, are told.
const TOLD: usize = 5;

/// How many partitions of an asset are looked at for a failure.
const LOOKED_AT: usize = 1_000;

/// One thing that keeps a partition waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObstacleView {
    /// What kind of thing.
    pub kind: ObstacleKind,
    /// In words.
    pub sentence: String,
    /// The command that removes it, if one does.
    pub command: Option<String>,
}

/// What keeps a partition waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObstacleKind {
    /// Something it reads failed, or was kept from running by something that did.
    FailedUpstream,
    /// Its run was asked to stop.
    Canceling,
    /// Its run is paused.
    Paused,
    /// Other steps of its run come first: it reads what they build.
    Inputs,
    /// It failed and is tried again at a later time.
    Delay,
    /// Another run builds the same partition.
    SamePartition,
    /// Its pool is full.
    PoolFull,
    /// So many steps of its run are running as may.
    RunLimit,
    /// No worker is alive.
    NoWorker,
    /// The workers are busy.
    Busy,
    /// Other steps are before it.
    Queued,
}

impl ObstacleView {
    fn new(kind: ObstacleKind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), command: None }
    }

    fn with_command(self, command: String) -> Self {
        Self { command: Some(command), ..self }
    }
}

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
        let run = short(step.run_id);
        let mut obstacles = Vec::new();
        if around.cancel_requested_at.is_some() {
            let sentence = format!("Its run {run} was asked to stop: nothing of it begins any more.");
            return Ok(vec![ObstacleView::new(ObstacleKind::Canceling, sentence)]);
        }
        if let Some(since) = around.paused_at {
            let sentence = format!("Its run {run} is paused since {}.", instant_text(since, zone));
            obstacles.push(ObstacleView::new(ObstacleKind::Paused, sentence).with_command(format!("run resume {run}")));
        }
        if step.state == "pending" {
            obstacles.extend(self.unfinished_inputs(spec, ordinal, step.run_id, now).await?);
            return Ok(obstacles);
        }
        if let Some(at) = step.retry_at.filter(|at| *at > now) {
            let sentence = format!("It is tried again at {}.", instant_text(at, zone));
            obstacles.push(ObstacleView::new(ObstacleKind::Delay, sentence));
        }
        let running = self.store.running_steps().await?;
        obstacles.extend(self.held_by_others(spec, step, &running));
        obstacles.extend(limits(step, &around, &running));
        Ok(obstacles)
    }

    /// The steps of the same run that build what the partition reads.
    async fn unfinished_inputs(
        &self,
        spec: &AssetSpec,
        ordinal: Ordinal,
        run_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<ObstacleView>, ServiceError> {
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
                waits.push(format!("{key} {}", upstream.partitions.describe(&unfinished)));
            }
        }
        let sentence = format!("It waits for what run {} builds first: {}.", short(run_id), waits.join("; "));
        Ok((!waits.is_empty()).then(|| ObstacleView::new(ObstacleKind::Inputs, sentence)))
    }

    /// What `subset` needs of each of its upstreams.
    fn required_upstream(&self, spec: &AssetSpec, subset: &PartitionSubset, now: DateTime<Utc>) -> PartitionSets {
        let required = spec.upstreams.iter().filter_map(|upstream| {
            let read = self.definitions.asset(&upstream.key)?;
            Some((upstream.key.clone(), upstream.mapping.required_of(&spec.partitions, &read.partitions, subset, now)))
        });
        required.collect()
    }

    fn held_by_others(&self, spec: &AssetSpec, step: &StepRecord, running: &[RunningStep]) -> Vec<ObstacleView> {
        let zone = self.definitions.calendar().zone;
        let since = |step: &RunningStep| {
            step.started_at.map_or_else(String::new, |at| format!(" since {}", instant_text(at, zone)))
        };
        let mut obstacles = Vec::new();
        let same = running.iter().find(|other| {
            other.run_id != step.run_id
                && (&other.asset_key, &other.partition_key) == (&step.asset_key, &step.partition_key)
        });
        if let Some(other) = same {
            let sentence = format!("Run {} builds the same partition{}.", short(other.run_id), since(other));
            obstacles.push(ObstacleView::new(ObstacleKind::SamePartition, sentence));
        }
        let Some((pool, &limit)) = spec.pool.as_ref().and_then(|pool| self.definitions.pools().get_key_value(pool))
        else {
            return obstacles;
        };
        let holders: Vec<&RunningStep> = running.iter().filter(|other| other.pool.as_ref() == Some(pool)).collect();
        if holders.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            let told: Vec<String> = holders
                .iter()
                .take(TOLD)
                .map(|other| {
                    let (asset, partition) = (&other.asset_key, &other.partition_key);
                    format!("{asset} {partition} (run {}{})", short(other.run_id), since(other))
                })
                .collect();
            let more = match holders.len().saturating_sub(TOLD) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let sentence = format!(
                "The pool {pool} is full, {} of {limit} at once: it is held by {}{more}.",
                holders.len(),
                told.join(", ")
            );
            obstacles.push(ObstacleView::new(ObstacleKind::PoolFull, sentence));
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
                        let reason = step.reason.as_deref().unwrap_or("no reason is known");
                        let sentence =
                            format!("{key} {} failed in run {}: {reason}", step.partition_key, short(step.run_id));
                        let command = format!("why {key} {}", step.partition_key);
                        obstacles.push(ObstacleView::new(ObstacleKind::FailedUpstream, sentence).with_command(command));
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
fn limits(step: &StepRecord, around: &Surroundings, running: &[RunningStep]) -> Vec<ObstacleView> {
    let mut obstacles = Vec::new();
    if let Some(limit) = around.concurrency_limit.filter(|limit| around.running_in_run >= i64::from(*limit)) {
        let sentence = format!(
            "Its run {} carries out at most {limit} at once, and {} are running.",
            short(step.run_id),
            around.running_in_run
        );
        obstacles.push(ObstacleView::new(ObstacleKind::RunLimit, sentence));
    }
    let busy = i64::try_from(running.len()).unwrap_or(i64::MAX);
    if around.workers == 0 {
        let sentence = "No worker is alive: start one with `up` or `worker`, or work on the run from here.";
        let command = format!("run resume {}", short(step.run_id));
        obstacles.push(ObstacleView::new(ObstacleKind::NoWorker, sentence).with_command(command));
    } else if around.slots > 0 && busy >= around.slots {
        let sentence = format!("All {} slots of the {} worker(s) are taken.", around.slots, around.workers);
        obstacles.push(ObstacleView::new(ObstacleKind::Busy, sentence));
    }
    if around.before > 0 {
        let count = match around.before {
            COUNTED_BEFORE.. => format!("{COUNTED_BEFORE} or more"),
            before => before.to_string(),
        };
        obstacles.push(ObstacleView::new(ObstacleKind::Queued, format!("{count} other step(s) come before it.")));
    }
    obstacles
}
