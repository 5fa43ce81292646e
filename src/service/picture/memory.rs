//! What the keeper of the picture knows, and what it has to look at again.
//!
//! What is looked at again is a set of partitions for each asset, as in automation: those that were published, those that
//! read something published or landed, and those whose windows ended. Of partitions whose steps changed only the newest
//! steps are looked at. Everything else about a picture is arithmetic.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::AssetPicture;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::freshness::{Freshness, Newest, freshness};
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::Ordinal;
use crate::core::status::Staleness;
use crate::core::subset::PartitionSubset;
use crate::engine::readers::{changed_sets, readers};
use crate::engine::status::AssetStatus;
use crate::store::change::{ChangedPartition, Changes, OpenDigest, RunChanges, StepChanges};

/// How many ends of runs are asked for again: their numbers are drawn before they commit, perhaps in another order.
pub(super) const ENDS_ASKED_AGAIN: u16 = 200;

/// The open steps of a run by asset: those that wait, and those that run, as stretches of ordinals.
type OpenStretches = BTreeMap<AssetKey, [Vec<(Ordinal, Ordinal)>; 2]>;

pub(super) struct Memory {
    /// What the last look at the database could see.
    snapshot: String,
    /// When that was.
    looked_at: DateTime<Utc>,
    /// The highest number of an end of a run that is known.
    newest_end: i64,
    /// Runs whose ends are known, as far back as ends are asked for again.
    ended: BTreeMap<i64, Uuid>,
    /// Runs that were not known before: all their steps are to be read.
    unread: Vec<Uuid>,
    /// The open steps of live runs.
    live: BTreeMap<Uuid, BTreeMap<AssetKey, OpenSteps>>,
    assets: BTreeMap<AssetKey, AssetMemory>,
}

/// The open steps of a run in one asset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OpenSteps {
    /// What the database says of them in one number; while it says the same they are not read again.
    digest: i64,
    waiting: PartitionSubset,
    running: PartitionSubset,
}

#[derive(Default)]
struct AssetMemory {
    picture: AssetPicture,
    /// The current versions, ascending.
    versions: Vec<Version>,
    /// To be looked at.
    dirty: PartitionSubset,
    /// Of these only the newest steps are to be looked at.
    dirty_steps: PartitionSubset,
    /// Whether all of it has been looked at once.
    is_known: bool,
    /// Whether something was learned since its picture was made.
    is_news: bool,
    /// When its picture is another one by time alone.
    changes_at: Option<DateTime<Utc>>,
}

/// What totals are made of.
#[derive(Clone, Copy)]
struct Version {
    ordinal: Ordinal,
    row_count: i64,
    published_at: DateTime<Utc>,
}

impl Memory {
    /// Nothing is known, and everything is to be looked at: with it the steps of `runs`, the last that ended among them.
    pub(super) fn new(definitions: &Definitions, snapshot: String, runs: &RunChanges, now: DateTime<Utc>) -> Self {
        let memory = |spec: &Arc<AssetSpec>| {
            let dirty = in_question(spec, &spec.partitions.existing(now));
            // Where no partition has begun there is nothing to look at, and time alone changes that.
            AssetMemory { is_known: dirty.is_empty(), is_news: true, dirty, ..AssetMemory::default() }
        };
        let mut made = Self {
            snapshot,
            looked_at: now,
            newest_end: runs.newest_end,
            ended: runs.finished.iter().copied().collect(),
            unread: Vec::new(),
            live: BTreeMap::new(),
            assets: definitions.assets().map(|spec| (spec.key.clone(), memory(spec))).collect(),
        };
        made.set_quarantined(runs);
        made
    }

    pub(super) fn snapshot(&self) -> &str {
        &self.snapshot
    }

    pub(super) const fn looked_at(&self) -> DateTime<Utc> {
        self.looked_at
    }

    /// The number of an end after which ends of runs may be unknown.
    pub(super) fn known_end(&self) -> i64 {
        self.newest_end.saturating_sub(i64::from(ENDS_ASKED_AGAIN))
    }

    /// What has to be looked at because it is `now`.
    pub(super) fn pass_time(&mut self, definitions: &Definitions, now: DateTime<Utc>) {
        let before = std::mem::replace(&mut self.looked_at, now);
        for spec in definitions.assets() {
            let Some(memory) = self.assets.get(&spec.key) else { continue };
            let ended = spec.partitions.closed(now).difference(&spec.partitions.closed(before));
            if ended.is_empty() && spec.partitions.existing(now) == spec.partitions.existing(before) {
                continue;
            }
            let begun = spec.partitions.existing(now).difference(&spec.partitions.existing(before));
            // What was built early is stale now.
            let early = ended.intersection(&memory.picture.materialized);
            // What is in a partition already is read with everything that has begun.
            let filled = begun.intersection(&memory.picture.materialized);
            self.add_dirty(spec, &early);
            for (reader, mapping, partitions) in readers(definitions, &spec.key, &ended, now) {
                if mapping == PartitionMapping::Latest {
                    self.add_dirty(reader, &partitions);
                }
            }
            for (reader, _, partitions) in readers(definitions, &spec.key, &filled, now) {
                self.add_dirty(reader, &partitions);
            }
        }
    }

    /// What has to be looked at because of what happened to partitions.
    pub(super) fn note(&mut self, definitions: &Definitions, changes: Changes, now: DateTime<Utc>) {
        self.snapshot = changes.snapshot;
        let published = changed_sets(definitions, &changes.published, |_| true);
        let of_new_content = |partition: &ChangedPartition| partition.content_changed;
        let changed = changed_sets(definitions, &changes.published, of_new_content);
        let landed = changed_sets(definitions, &changes.landed, |_| true);
        for (key, subset) in published.iter().chain(&landed) {
            if let Some(spec) = definitions.asset(key) {
                self.add_dirty(spec, subset);
            }
        }
        for (key, subset) in changed.iter().chain(&landed) {
            for (reader, _, partitions) in readers(definitions, key, subset, now) {
                self.add_dirty(reader, &partitions);
            }
        }
    }

    /// What happened to runs.
    pub(super) fn note_runs(&mut self, definitions: &Definitions, runs: &RunChanges) {
        self.set_quarantined(runs);
        self.newest_end = self.newest_end.max(runs.newest_end);
        for &(number, run_id) in &runs.finished {
            if self.ended.insert(number, run_id).is_none() && !self.live.contains_key(&run_id) {
                self.unread.push(run_id);
            }
        }
        self.ended = self.ended.split_off(&self.known_end());
        // Of a run that is seen for the first time some steps may have ended.
        self.unread.extend(runs.live.iter().filter(|run_id| !self.live.contains_key(run_id)));
        let gone: Vec<Uuid> = self.live.keys().filter(|run_id| !runs.live.contains(run_id)).copied().collect();
        for run_id in gone {
            for (key, steps) in self.live.remove(&run_id).unwrap_or_default() {
                self.add_dirty_steps(definitions, &key, &steps.waiting.union(&steps.running));
            }
        }
    }

    /// Runs that were not known before.
    pub(super) fn unread(&self) -> &[Uuid] {
        &self.unread
    }

    /// The open steps that are known.
    pub(super) fn known_steps(&self) -> Vec<OpenDigest> {
        let of_run = |(&run_id, assets): (&Uuid, &BTreeMap<AssetKey, OpenSteps>)| {
            let digest = move |(key, steps): (&AssetKey, &OpenSteps)| OpenDigest {
                run_id,
                asset_key: key.to_string(),
                digest: steps.digest,
            };
            assets.iter().map(digest).collect::<Vec<_>>()
        };
        self.live.iter().flat_map(of_run).collect()
    }

    /// What has to be looked at because steps changed: `changes` are those of the [`Self::known_steps`] of the live runs, and
    /// all steps, as ended, of those that were [`Self::unread`].
    pub(super) fn note_steps(&mut self, definitions: &Definitions, live: &[Uuid], changes: StepChanges) {
        let mut open: BTreeMap<Uuid, OpenStretches> = live.iter().map(|&run_id| (run_id, BTreeMap::new())).collect();
        for stretch in changes.stretches {
            let Some(spec) = stretch.asset_key.parse().ok().and_then(|key: AssetKey| definitions.asset(&key)) else {
                continue;
            };
            let range = if spec.partitions.as_time().is_some() {
                Some((stretch.first, stretch.last))
            } else {
                let key = stretch.key.as_deref().and_then(|key| key.parse().ok());
                let ordinal = key.and_then(|key| spec.partitions.ordinal(&key).ok());
                ordinal.map(|ordinal| (ordinal, ordinal))
            };
            match open.get_mut(&stretch.run_id).filter(|_| stretch.state != "ended") {
                Some(assets) => {
                    let [waiting, running] = assets.entry(spec.key.clone()).or_default();
                    if stretch.state == "running" { running.extend(range) } else { waiting.extend(range) }
                }
                None => {
                    let subset = PartitionSubset::from_ranges(range);
                    self.add_dirty_steps(definitions, &spec.key, &subset);
                }
            }
        }
        self.unread.clear();
        let mut before = std::mem::take(&mut self.live);
        self.live = live.iter().map(|&run_id| (run_id, BTreeMap::new())).collect();
        for OpenDigest { run_id, asset_key, digest } in changes.open {
            let Some(spec) = asset_key.parse().ok().and_then(|key: AssetKey| definitions.asset(&key)) else { continue };
            let old = before.get_mut(&run_id).and_then(|assets| assets.remove(&spec.key)).unwrap_or_default();
            let new = match open.get_mut(&run_id).and_then(|assets| assets.remove(&spec.key)) {
                Some([waiting, running]) => {
                    let (waiting, running) =
                        (PartitionSubset::from_ranges(waiting), PartitionSubset::from_ranges(running));
                    let changed = different(&old.waiting, &waiting).union(&different(&old.running, &running));
                    self.add_dirty_steps(definitions, &spec.key, &changed);
                    OpenSteps { digest, waiting, running }
                }
                // It is as it was.
                None => OpenSteps { digest, ..old },
            };
            self.live.entry(run_id).or_default().insert(spec.key.clone(), new);
        }
        // Where nothing is open any more.
        for (key, steps) in before.into_values().flatten() {
            self.add_dirty_steps(definitions, &key, &steps.waiting.union(&steps.running));
        }
    }

    pub(super) fn dirty(&self, asset: &AssetKey) -> &PartitionSubset {
        const NONE: &PartitionSubset = &PartitionSubset::empty();
        self.assets.get(asset).map_or(NONE, |memory| &memory.dirty)
    }

    /// Those of which only the newest steps are to be looked at.
    pub(super) fn dirty_steps(&self, asset: &AssetKey) -> &PartitionSubset {
        const NONE: &PartitionSubset = &PartitionSubset::empty();
        self.assets.get(asset).map_or(NONE, |memory| &memory.dirty_steps)
    }

    /// Takes in what was found out about `subset` of `asset`.
    pub(super) fn learn(&mut self, asset: &AssetSpec, subset: &PartitionSubset, status: AssetStatus) {
        let Some(memory) = self.assets.get_mut(&asset.key) else { return };
        memory.dirty = memory.dirty.difference(subset);
        memory.dirty_steps = memory.dirty_steps.difference(subset);
        memory.is_known |= memory.dirty.is_empty();
        memory.is_news = true;
        if asset.is_materializable() {
            memory.versions.retain(|version| !subset.contains(version.ordinal));
            memory.versions.extend(status.versions.iter().map(|(&ordinal, &(row_count, published_at))| Version {
                ordinal,
                row_count,
                published_at,
            }));
            memory.versions.sort_unstable_by_key(|version| version.ordinal);
        } else {
            (memory.picture.row_count, memory.picture.newest_at) = (status.row_count, status.newest_at);
        }
        memory.picture.replace(subset, &AssetPicture::new(status, None));
    }

    /// Takes in what the newest steps of `subset` of `asset` say.
    pub(super) fn learn_steps(&mut self, asset: &AssetSpec, subset: &PartitionSubset, status: AssetStatus) {
        let Some(memory) = self.assets.get_mut(&asset.key) else { return };
        memory.dirty_steps = memory.dirty_steps.difference(subset);
        memory.is_news = true;
        memory.picture.replace_steps(subset, &AssetPicture::new(status, None));
    }

    /// When a picture is another one by time alone.
    pub(super) fn changes_at(&self) -> Option<DateTime<Utc>> {
        self.assets.values().filter_map(|memory| memory.changes_at).min()
    }

    /// How the asset stands at `now`; `None` when it is not known yet, or stands as it did when this was asked last.
    pub(super) fn news(
        &mut self,
        definitions: &Definitions,
        asset: &AssetSpec,
        now: DateTime<Utc>,
    ) -> Option<AssetPicture> {
        let memory = self.assets.get_mut(&asset.key).filter(|memory| memory.is_known)?;
        if !memory.is_news && memory.changes_at.is_none_or(|instant| instant > now) {
            return None;
        }
        let mut picture = memory.picture.clone();
        picture.existing = asset.partitions.existing(now);
        picture.closed = asset.partitions.closed(now);
        if asset.is_materializable() {
            picture.missing = picture.closed.difference(&picture.materialized);
            picture.row_count = memory.versions.iter().map(|version| version.row_count).sum();
            picture.newest_at = memory.versions.iter().map(|version| version.published_at).max();
        }
        picture.freshness = memory.freshness(definitions, asset, &picture, now);
        memory.is_news = false;
        let begins = || asset.partitions.window(asset.partitions.first()).map(|window| window.start);
        let partitions = if picture.existing.is_empty() { begins() } else { asset.partitions.next_close(now) };
        let freshness = picture.freshness.and_then(|freshness| freshness.changes_at);
        memory.changes_at = partitions.into_iter().chain(freshness).min();
        Some(picture)
    }

    fn set_quarantined(&mut self, runs: &RunChanges) {
        for (key, memory) in &mut self.assets {
            let quarantined = runs.quarantined.get(key.as_str()).copied().unwrap_or(0);
            memory.is_news |= quarantined != memory.picture.quarantined;
            memory.picture.quarantined = quarantined;
        }
    }

    fn add_dirty(&mut self, asset: &AssetSpec, subset: &PartitionSubset) {
        if let Some(memory) = self.assets.get_mut(&asset.key) {
            memory.dirty = memory.dirty.union(&in_question(asset, subset));
        }
    }

    fn add_dirty_steps(&mut self, definitions: &Definitions, key: &AssetKey, subset: &PartitionSubset) {
        let Some(spec) = definitions.asset(key).filter(|spec| spec.is_materializable()) else { return };
        if let Some(memory) = self.assets.get_mut(key) {
            memory.dirty_steps = memory.dirty_steps.union(&spec.partitions.restrict(subset));
        }
    }
}

impl AssetMemory {
    /// The rule of the freshness policy on what is known; [`freshness_of`](crate::engine::freshness::freshness_of) comes
    /// to the same.
    fn freshness(
        &self,
        definitions: &Definitions,
        asset: &AssetSpec,
        picture: &AssetPicture,
        now: DateTime<Utc>,
    ) -> Option<Freshness> {
        let policy = asset.freshness?;
        let newest = if !asset.is_materializable() {
            Newest::Instant(picture.newest_at)
        } else if asset.partitions.as_time().is_some() {
            let early = picture.stale.iter().filter(|(_, _, reasons)| reasons.contains(&Staleness::PublishedEarly));
            let early = PartitionSubset::from_ranges(early.map(|(first, last, _)| (first, last)));
            let complete = picture.materialized.intersection(&picture.closed).difference(&early);
            Newest::Window(complete.last())
        } else {
            Newest::Instant(self.versions.iter().map(|version| version.published_at).min())
        };
        Some(freshness(policy, &asset.partitions, newest, definitions.calendar().zone, now))
    }
}

/// What is looked at when something happened to `subset`: of an asset that is filled from outside all of it, because rows
/// are counted for the whole.
fn in_question(asset: &AssetSpec, subset: &PartitionSubset) -> PartitionSubset {
    match (asset.is_materializable(), subset.is_empty()) {
        (_, true) => PartitionSubset::empty(),
        (true, false) => asset.partitions.restrict(subset),
        (false, false) => asset.partitions.range(Ordinal::MIN, Ordinal::MAX),
    }
}

/// What is in one of them.
fn different(left: &PartitionSubset, right: &PartitionSubset) -> PartitionSubset {
    left.difference(right).union(&right.difference(left))
}
