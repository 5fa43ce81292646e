//! Automation: what is missing or stale is built when its asset's policy says so, over the whole history.
//!
//! What has to be looked at is a set of partitions for each asset. It begins as everything that is closed; then a
//! partition comes into it when it or something it reads was published, when rows landed in what it reads, when a window
//! ends, when a run that had it to build has ended, and when a condition that waits for time is met. An activation takes
//! partitions out of it, upstream first, reads the facts about them, and launches what the rules in
//! [`core::automation`](crate::core::automation) say. So an activation costs what has changed, and nothing that is
//! launched rests on facts older than the activation.

mod cause;
mod explain;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;
use uuid::Uuid;

pub use self::cause::{AutomationCause, CauseEntry};
pub use self::explain::{Evaluation, Finding, explain};
use self::memory::Memory;
use super::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetSpec, UpstreamSpec};
use crate::core::automation::{UpstreamState, Verdict, decide};
use crate::core::count::counted;
use crate::core::id::short_id;
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::Ordinal;
use crate::core::plan::PartitionSets;
use crate::core::subset::PartitionSubset;
use crate::engine::launch::{LaunchError, LaunchRequest, launch};
use crate::engine::needs::{Needs, PartitionNeed, needs};
use crate::store::change::Changes;
use crate::store::launch::RunCause;
use crate::store::signal::Signal;

/// The most partitions one activation looks at.
const LOOKED_AT_LIMIT: u64 = 20_000;

/// How many partitions are looked at together, and how many partitions these may read.
const CHUNK: u64 = 1_000;
const CHUNK_READS: u64 = 20_000;

/// No further partitions are looked at once so many are to be launched.
const LAUNCH_LIMIT: usize = 10_000;

/// When more than this has changed since the last activation, everything is looked at anew.
const CHANGES_LIMIT: usize = 50_000;

/// Builds partitions by the automation of their assets.
#[derive(Default)]
pub struct AutomationReconciler {
    memory: Option<Memory>,
}

impl Reconciler for AutomationReconciler {
    fn name(&self) -> &'static str {
        "automation"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[Signal::Mark, Signal::Published]
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(async move {
            let now = context.now();
            let changes = self.changes(context, now).await?;
            // An activation that fails from here on leaves nothing behind: the next one begins anew.
            let mut memory = match (self.memory.take(), changes) {
                (Some(mut memory), Some(changes)) => {
                    memory.pass_time(&context.definitions, now);
                    memory.note(&context.definitions, changes, now);
                    memory
                }
                _ => Memory::new(&context.definitions, context.store.snapshot().await?, now),
            };
            let mut candidates = Vec::new();
            let is_complete = look(&mut memory, context, now, &mut candidates).await?;
            let report = launch_all(&mut memory, context, now, candidates).await?;
            let next_at = if is_complete { memory.next_at() } else { Some(now) };
            self.memory = Some(memory);
            Ok(Activation { report, next_at })
        })
    }
}

impl AutomationReconciler {
    /// What has changed since the last activation; `None` when there is nothing to go on, and everything is to be looked at.
    async fn changes(
        &self,
        context: &ReconcilerContext,
        now: DateTime<Utc>,
    ) -> Result<Option<Changes>, ReconcilerError> {
        // A clock that was put back opens partitions again.
        let Some(memory) = self.memory.as_ref().filter(|memory| memory.looked_at() <= now) else { return Ok(None) };
        let changes = context.store.changes_since(memory.snapshot(), &memory.watched_runs(), CHANGES_LIMIT).await?;
        Ok(Some(changes).filter(|changes| !changes.truncated))
    }
}

/// A partition that is to be built.
struct Candidate {
    asset: AssetKey,
    ordinal: Ordinal,
    need: PartitionNeed,
    incomplete: bool,
}

/// Looks at what has to be looked at; whether that was all of it.
async fn look(
    memory: &mut Memory,
    context: &ReconcilerContext,
    now: DateTime<Utc>,
    candidates: &mut Vec<Candidate>,
) -> Result<bool, ReconcilerError> {
    let definitions = &context.definitions;
    let mut left = LOOKED_AT_LIMIT;
    while !memory.is_clean() {
        if left == 0 || candidates.len() >= LAUNCH_LIMIT {
            return Ok(false);
        }
        let taken = memory.take(definitions, left, now);
        let asked: Vec<(&AssetSpec, &PartitionSubset)> =
            taken.iter().map(|(asset, chunk)| (asset.as_ref(), chunk)).collect();
        let needs = needs(&context.store, definitions, &asked, now).await?;
        // Upstream first: what an asset waits for is known before it is decided on.
        for ((asset, chunk), needs) in taken.iter().zip(needs) {
            left = left.saturating_sub(chunk.len());
            memory.settle(definitions, asset, chunk, &needs.unfresh, now);
            judge(memory, definitions, asset, needs, now, candidates);
        }
    }
    Ok(true)
}

/// Decides on what is needed of an asset, when all that it waits for is known.
fn judge(
    memory: &mut Memory,
    definitions: &Definitions,
    asset: &AssetSpec,
    needs: Needs,
    now: DateTime<Utc>,
    candidates: &mut Vec<Candidate>,
) {
    let key = &asset.key;
    let Some(rule) = memory.rule(key) else { return };
    let zone = definitions.calendar().zone;
    let in_question = PartitionSubset::from_ordinals(needs.partitions.keys().copied());
    let read = memory.what_is_read(definitions, asset, &in_question, now);
    let mut reminders: BTreeMap<DateTime<Utc>, Vec<Ordinal>> = BTreeMap::new();
    let mut in_progress: BTreeMap<Uuid, Vec<Ordinal>> = BTreeMap::new();
    for (ordinal, need) in needs.partitions {
        let upstreams: Vec<UpstreamState> = read.iter().map(|read| read.state_for(asset, ordinal, now)).collect();
        match decide(rule, asset.wait, &need.situation, &upstreams, now, zone) {
            Verdict::Launch { incomplete } => {
                candidates.push(Candidate { asset: key.clone(), ordinal, need, incomplete });
            }
            Verdict::At(instant) => reminders.entry(instant).or_default().push(ordinal),
            Verdict::OnChange => {
                if let Some(step) = need.newest_step.filter(|_| need.situation.in_progress) {
                    in_progress.entry(step.run_id).or_default().push(ordinal);
                }
            }
        }
    }
    for (instant, ordinals) in reminders {
        memory.remind(key, &PartitionSubset::from_ordinals(ordinals), instant);
    }
    for (run_id, ordinals) in in_progress {
        memory.watch(key, &PartitionSubset::from_ordinals(ordinals), run_id);
    }
}

/// Launches the candidates: one run, and one more for those that are built with inputs missing.
async fn launch_all(
    memory: &mut Memory,
    context: &ReconcilerContext,
    now: DateTime<Utc>,
    candidates: Vec<Candidate>,
) -> Result<Option<String>, ReconcilerError> {
    let (forced, complete): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| candidate.incomplete);
    let mut reports = Vec::new();
    let mut groups = vec![(forced, true), (complete, false)];
    while let Some((group, force)) = groups.pop() {
        if group.is_empty() {
            continue;
        }
        let plan = plan_of(&group);
        let assets: Vec<&str> = plan.keys().map(AssetKey::as_str).collect();
        let words = format!("{} of {}", counted(group.len(), "partition"), assets.join(", "));
        let cause = AutomationCause::of(&context.definitions, &group);
        let request = LaunchRequest {
            only_if_stale: plan.keys().cloned().collect::<BTreeSet<_>>(),
            plan: plan.clone(),
            force,
            per_partition: false,
            concurrency_limit: None,
            priority: 0,
            cause: RunCause::Automation,
            cause_detail: serde_json::to_value(cause).ok(),
            backfill_id: None,
            retry_of: None,
            requested_by: None,
            request: json!({ "command": format!("automation: {words}") }),
        };
        match launch(&context.store, &context.definitions, request, now).await {
            Ok(launched) => {
                for (asset, subset) in &plan {
                    memory.watch(asset, subset, launched.run_id);
                }
                let without = if force { " although not all they read is there" } else { "" };
                reports.push(format!("launched run {} with {words}{without}", short_id(launched.run_id)));
            }
            Err(LaunchError::Store(error)) => return Err(error.into()),
            // Something changed since the facts were read. It is not in the way of other assets, and is looked at again
            // with the next change.
            Err(refused) if plan.len() == 1 => {
                tracing::warn!(%refused, "automation could not launch {words}");
                reports.push(format!("could not launch {words}: {refused}"));
            }
            Err(_) => {
                let mut by_asset: BTreeMap<AssetKey, Vec<Candidate>> = BTreeMap::new();
                for candidate in group {
                    by_asset.entry(candidate.asset.clone()).or_default().push(candidate);
                }
                groups.extend(by_asset.into_values().map(|group| (group, force)));
            }
        }
    }
    Ok((!reports.is_empty()).then(|| reports.join("; ")))
}

fn plan_of(group: &[Candidate]) -> PartitionSets {
    let mut ordinals: BTreeMap<&AssetKey, Vec<Ordinal>> = BTreeMap::new();
    for candidate in group {
        ordinals.entry(&candidate.asset).or_default().push(candidate.ordinal);
    }
    ordinals.into_iter().map(|(key, list)| (key.clone(), PartitionSubset::from_ordinals(list))).collect()
}

/// What one upstream has of what some partitions of an asset read.
struct ReadState<'a> {
    upstream: &'a AssetSpec,
    mapping: PartitionMapping,
    /// Those that exist and are fresh, and for external assets those that have ended.
    there: PartitionSubset,
}

impl ReadState<'_> {
    /// `closed` without `unfresh`, of `upstream`.
    fn new<'a>(
        definitions: &'a Definitions,
        asset: &AssetSpec,
        upstream: &UpstreamSpec,
        subset: &PartitionSubset,
        unfresh: &PartitionSubset,
        now: DateTime<Utc>,
    ) -> Option<ReadState<'a>> {
        let spec = definitions.asset(&upstream.key)?;
        let required = upstream.mapping.required_of(&asset.partitions, &spec.partitions, subset, now);
        let there = required.intersection(&spec.partitions.closed(now)).difference(unfresh);
        Some(ReadState { upstream: spec, mapping: upstream.mapping, there })
    }

    /// What it lacks of what one partition of `asset` reads.
    fn state_for(&self, asset: &AssetSpec, ordinal: Ordinal, now: DateTime<Utc>) -> UpstreamState {
        let single = PartitionSubset::single(ordinal);
        let required = self.mapping.required_of(&asset.partitions, &self.upstream.partitions, &single, now);
        UpstreamState {
            asset: self.upstream.key.clone(),
            required: required.len(),
            lacking: required.difference(&self.there),
        }
    }
}
