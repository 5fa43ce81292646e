//! What automation keeps between activations. All of it can be found out again: a memory made anew comes to the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::Uuid;

use super::{CHUNK, CHUNK_READS, ReadState};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::automation::Rule;
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::subset::PartitionSubset;
use crate::engine::readers::{changed_sets, count_read, first_chunk, readers};
use crate::store::change::{ChangedPartition, Changes};

/// Which partitions are to be looked at, when, and what is known of those that others wait for.
pub(super) struct Memory {
    /// What the last look at the database could see.
    snapshot: String,
    /// When that was.
    looked_at: DateTime<Utc>,
    /// Assets with an automation and what they read.
    assets: BTreeMap<AssetKey, AssetMemory>,
}

struct AssetMemory {
    rule: Rule,
    /// To be looked at.
    dirty: PartitionSubset,
    /// Closed partitions that are missing or stale because of data, as of when they were last looked at.
    unfresh: PartitionSubset,
    /// To be looked at then.
    reminders: BTreeMap<DateTime<Utc>, PartitionSubset>,
    /// To be looked at when the run is not live any more.
    in_progress: BTreeMap<Uuid, PartitionSubset>,
    /// When its next partition closes.
    next_close: Option<DateTime<Utc>>,
}

impl Memory {
    /// Everything that is closed is to be looked at.
    pub(super) fn new(definitions: &Definitions, snapshot: String, now: DateTime<Utc>) -> Self {
        let mut assets = BTreeMap::new();
        for spec in definitions.assets() {
            let rule = Rule::new(&spec.automation).unwrap_or(Rule::Manual);
            let is_read = || {
                definitions.graph().downstream(&spec.key).into_iter().any(|key| {
                    let rule = definitions.asset(key).map(|reader| Rule::new(&reader.automation));
                    rule.is_some_and(|rule| rule.is_ok_and(|rule| !rule.is_manual()))
                })
            };
            if rule.is_manual() && !is_read() {
                continue;
            }
            let is_built = spec.is_materializable();
            let memory = AssetMemory {
                rule: if is_built { rule } else { Rule::Manual },
                dirty: if is_built { spec.partitions.closed(now) } else { PartitionSubset::empty() },
                unfresh: PartitionSubset::empty(),
                reminders: BTreeMap::new(),
                in_progress: BTreeMap::new(),
                next_close: spec.partitions.next_close(now),
            };
            assets.insert(spec.key.clone(), memory);
        }
        Self { snapshot, looked_at: now, assets }
    }

    pub(super) fn snapshot(&self) -> &str {
        &self.snapshot
    }

    pub(super) const fn looked_at(&self) -> DateTime<Utc> {
        self.looked_at
    }

    /// The runs whose end is to be told.
    pub(super) fn watched_runs(&self) -> Vec<Uuid> {
        let mut runs: Vec<Uuid> = self.assets.values().flat_map(|asset| asset.in_progress.keys().copied()).collect();
        runs.sort_unstable();
        runs.dedup();
        runs
    }

    /// The rule of an asset that has an automation.
    pub(super) fn rule(&self, asset: &AssetKey) -> Option<&Rule> {
        self.assets.get(asset).map(|memory| &memory.rule).filter(|rule| !rule.is_manual())
    }

    /// Whether there is nothing left to be looked at.
    pub(super) fn is_clean(&self) -> bool {
        self.assets.values().all(|memory| memory.dirty.is_empty())
    }

    fn is_dirty(&self, asset: &AssetKey) -> bool {
        self.assets.get(asset).is_some_and(|memory| !memory.dirty.is_empty())
    }

    /// When time alone gives something to look at.
    pub(super) fn next_at(&self) -> Option<DateTime<Utc>> {
        let instants =
            |memory: &AssetMemory| memory.reminders.keys().next().copied().into_iter().chain(memory.next_close);
        self.assets.values().flat_map(instants).min()
    }

    /// What has to be looked at because it is `now`: partitions that have closed and what reads them, and reminders.
    pub(super) fn pass_time(&mut self, definitions: &Definitions, now: DateTime<Utc>) {
        let mut closed = Vec::new();
        for (key, memory) in &mut self.assets {
            while let Some(entry) = memory.reminders.first_entry().filter(|entry| *entry.key() <= now) {
                memory.dirty = memory.dirty.union(&entry.remove());
            }
            if memory.next_close.is_none_or(|instant| instant > now) {
                continue;
            }
            let Some(spec) = definitions.asset(key) else { continue };
            memory.next_close = spec.partitions.next_close(now);
            closed.push((key.clone(), spec.partitions.closed(now).difference(&spec.partitions.closed(self.looked_at))));
        }
        self.looked_at = now;
        for (key, subset) in closed {
            self.add_dirty(definitions, &key, &subset, now);
            self.for_readers(definitions, &key, &subset, now, |memory, mapping, readers| match mapping {
                // What is the latest has changed.
                PartitionMapping::Latest => readers,
                // The same is read as before; it may have been waited for.
                _ => readers.intersection(&memory.unfresh),
            });
        }
    }

    /// What has to be looked at because of what happened in the database.
    pub(super) fn note(&mut self, definitions: &Definitions, changes: Changes, now: DateTime<Utc>) {
        self.snapshot = changes.snapshot;
        for (key, ordinals) in changed_sets(definitions, &changes.published, |_| true) {
            self.add_dirty(definitions, &key, &ordinals, now);
        }
        let of_new_content = |partition: &ChangedPartition| partition.content_changed;
        for (key, ordinals) in changed_sets(definitions, &changes.published, of_new_content)
            .into_iter()
            .chain(changed_sets(definitions, &changes.landed, |_| true))
        {
            self.for_readers(definitions, &key, &ordinals, now, |_, _, readers| readers);
        }
        for run in changes.ended_runs {
            for memory in self.assets.values_mut() {
                if let Some(subset) = memory.in_progress.remove(&run) {
                    memory.dirty = memory.dirty.union(&subset);
                }
            }
        }
    }

    /// Takes out of what is to be looked at what is looked at together: at most `limit` partitions, and so few that what
    /// they read stays small. Upstream comes first, and nothing comes with what it waits for unless that is all taken.
    pub(super) fn take<'a>(
        &mut self,
        definitions: &'a Definitions,
        limit: u64,
        now: DateTime<Utc>,
    ) -> Vec<(&'a Arc<AssetSpec>, PartitionSubset)> {
        let (mut limit, mut reads) = (limit.min(CHUNK), CHUNK_READS);
        let mut taken = Vec::new();
        for key in definitions.graph().topological_order() {
            let Some(asset) = definitions.asset(key).filter(|_| self.is_dirty(key)) else { continue };
            if limit == 0 || reads == 0 {
                break;
            }
            let chunk = self.take_of(definitions, asset, limit, reads, now);
            limit = limit.saturating_sub(chunk.len());
            reads = reads.saturating_sub(count_read(definitions, asset, &chunk, now));
            taken.push((asset, chunk));
            if self.is_dirty(key) {
                break;
            }
        }
        taken
    }

    fn take_of(
        &mut self,
        definitions: &Definitions,
        asset: &AssetSpec,
        limit: u64,
        reads: u64,
        now: DateTime<Utc>,
    ) -> PartitionSubset {
        let Some(memory) = self.assets.get_mut(&asset.key) else { return PartitionSubset::empty() };
        let chunk = first_chunk(definitions, asset, &memory.dirty, limit, reads, now);
        memory.dirty = memory.dirty.difference(&chunk);
        // Whatever these waited for, they are looked at now.
        memory.reminders.retain(|_, subset| {
            *subset = subset.difference(&chunk);
            !subset.is_empty()
        });
        memory.in_progress.retain(|_, subset| {
            *subset = subset.difference(&chunk);
            !subset.is_empty()
        });
        chunk
    }

    /// Remembers which of `chunk`, just looked at, are not fresh; what waited for one that is fresh now is to be looked at.
    pub(super) fn settle(
        &mut self,
        definitions: &Definitions,
        asset: &AssetSpec,
        chunk: &PartitionSubset,
        unfresh: &PartitionSubset,
        now: DateTime<Utc>,
    ) {
        let Some(memory) = self.assets.get_mut(&asset.key) else { return };
        // What was settled upstream since it was taken is known to whoever decides now.
        memory.dirty = memory.dirty.difference(chunk);
        let before = memory.unfresh.intersection(chunk);
        memory.unfresh = memory.unfresh.difference(chunk).union(unfresh);
        let changed = before.difference(unfresh).union(&unfresh.difference(&before));
        self.for_readers(definitions, &asset.key, &changed, now, |memory, _, readers| {
            readers.intersection(&memory.unfresh)
        });
    }

    /// The partitions are to be looked at then, or within the second: what was published one after the other is built
    /// together.
    pub(super) fn remind(&mut self, asset: &AssetKey, subset: &PartitionSubset, instant: DateTime<Utc>) {
        if let Some(memory) = self.assets.get_mut(asset) {
            let reminded = memory.reminders.entry(full_second(instant)).or_default();
            *reminded = reminded.union(subset);
        }
    }

    /// The partitions are to be looked at when the run has ended.
    pub(super) fn watch(&mut self, asset: &AssetKey, subset: &PartitionSubset, run_id: Uuid) {
        if let Some(memory) = self.assets.get_mut(asset) {
            let watched = memory.in_progress.entry(run_id).or_default();
            *watched = watched.union(subset);
        }
    }

    /// What each upstream has of what `subset` of `asset` reads.
    pub(super) fn what_is_read<'a>(
        &self,
        definitions: &'a Definitions,
        asset: &AssetSpec,
        subset: &PartitionSubset,
        now: DateTime<Utc>,
    ) -> Vec<ReadState<'a>> {
        let none = PartitionSubset::empty();
        asset
            .upstreams
            .iter()
            .filter_map(|upstream| {
                let unfresh = self.assets.get(&upstream.key).map_or(&none, |memory| &memory.unfresh);
                ReadState::new(definitions, asset, upstream, subset, unfresh, now)
            })
            .collect()
    }

    fn add_dirty(&mut self, definitions: &Definitions, key: &AssetKey, subset: &PartitionSubset, now: DateTime<Utc>) {
        let Some(spec) = definitions.asset(key).filter(|spec| spec.is_materializable()) else { return };
        if let Some(memory) = self.assets.get_mut(key) {
            memory.dirty = memory.dirty.union(&subset.intersection(&spec.partitions.closed(now)));
        }
    }

    /// Adds to what is to be looked at of each asset that reads `subset` of `key` what `choose` picks of the readers.
    fn for_readers(
        &mut self,
        definitions: &Definitions,
        key: &AssetKey,
        subset: &PartitionSubset,
        now: DateTime<Utc>,
        choose: impl Fn(&AssetMemory, PartitionMapping, PartitionSubset) -> PartitionSubset,
    ) {
        for (spec, mapping, partitions) in readers(definitions, key, subset, now) {
            let Some(memory) = self.assets.get(&spec.key) else { continue };
            let chosen = choose(memory, mapping, partitions);
            self.add_dirty(definitions, &spec.key, &chosen, now);
        }
    }
}

/// The instant, or the next one without a fraction of a second.
fn full_second(instant: DateTime<Utc>) -> DateTime<Utc> {
    match instant.duration_trunc(TimeDelta::seconds(1)) {
        Ok(second) if second < instant => second.checked_add_signed(TimeDelta::seconds(1)).unwrap_or(instant),
        _ => instant,
    }
}
