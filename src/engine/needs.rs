//! What partitions need: which of them are missing or stale, and since when.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tokio::try_join;

use super::inputs::{self, Inputs, mark_questions, ordinal_of, upstream_subsets};
use super::status::{compare, late_rows};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::automation::{Changes, Failure, Need, Situation};
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::mapping::PartitionMapping;
use crate::core::partition::Ordinal;
use crate::core::status::Staleness;
use crate::core::subset::PartitionSubset;
use crate::store::history::NewestStep;
use crate::store::materialization::{CurrentVersion, MarkQuestion, SEES_NOTHING, VersionRange, unseen_marks};
use crate::store::{Store, StoreError};

/// What one partition needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionNeed {
    /// What the rules go by.
    pub situation: Situation,
    /// What its version has against it; empty for a missing one.
    pub reasons: Vec<Staleness>,
    /// Its newest step.
    pub newest_step: Option<NewestStep>,
}

/// What a set of closed partitions needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Those that what reads them has to wait for: missing, or stale because of data.
    pub unfresh: PartitionSubset,
    /// Those that need to be built. A version that was made with inputs missing is not among them as long as the inputs
    /// are as they were.
    pub partitions: BTreeMap<Ordinal, PartitionNeed>,
}

/// What the partitions `subset` of `asset` need; those that are not closed at `now` are left out.
///
/// # Errors
/// When the state cannot be read.
pub async fn partition_needs(
    store: &Store,
    definitions: &Definitions,
    asset: &AssetSpec,
    subset: &PartitionSubset,
    now: DateTime<Utc>,
) -> Result<Needs, StoreError> {
    Ok(needs(store, definitions, &[(asset, subset)], now).await?.pop().unwrap_or_default())
}

/// The same for several assets, each of them once, in their order: as many statements as for one.
///
/// # Errors
/// When the state cannot be read.
pub async fn needs(
    store: &Store,
    definitions: &Definitions,
    asked: &[(&AssetSpec, &PartitionSubset)],
    now: DateTime<Utc>,
) -> Result<Vec<Needs>, StoreError> {
    let look = Look { store, definitions, now };
    let closed: Vec<(&AssetSpec, PartitionSubset)> = (asked.iter())
        .map(|(asset, subset)| match asset.is_materializable() {
            true => (*asset, asset.partitions.closed(now).intersection(subset)),
            false => (*asset, PartitionSubset::empty()),
        })
        .collect();
    let wanted: Vec<(&AssetSpec, &PartitionSubset)> =
        closed.iter().filter(|(_, subset)| !subset.is_empty()).map(|(asset, subset)| (*asset, subset)).collect();
    if wanted.is_empty() {
        return Ok(vec![Needs::default(); asked.len()]);
    }
    let (versions, late) = look.versions_and_late_rows(&wanted).await?;
    let looked_at = wanted.iter().zip(&versions).zip(&late);
    let found: Vec<FoundIn<'_>> =
        looked_at.map(|((&(asset, subset), versions), late)| look.found_in(asset, subset, versions, late)).collect();
    let (times, mut steps) = try_join!(look.content_times(&found), look.newest_steps(&found))?;
    let mut needs: BTreeMap<&AssetKey, Needs> = BTreeMap::new();
    for FoundIn { asset, unfresh, found } in found {
        let mut steps = steps.remove(&asset.key).unwrap_or_default();
        let partitions = found
            .into_iter()
            .map(|found| {
                let newest_step = steps.remove(&found.ordinal);
                let situation = Situation {
                    need: found.need,
                    changes: look.changes(asset, &found, &times),
                    window_end: window_end(asset, found.ordinal),
                    failure: newest_step.as_ref().and_then(failure),
                    in_progress: newest_step.as_ref().is_some_and(is_in_progress),
                };
                (found.ordinal, PartitionNeed { situation, reasons: found.reasons, newest_step })
            })
            .collect();
        needs.insert(&asset.key, Needs { unfresh: PartitionSubset::from_ordinals(unfresh), partitions });
    }
    Ok(asked.iter().map(|(asset, _)| needs.remove(&asset.key).unwrap_or_default()).collect())
}

/// Whether what reads the partition has to wait for it: not when only the declaration changed.
fn is_about_data(reason: &Staleness) -> bool {
    !matches!(reason, Staleness::Code)
}

/// Whether there is something to build the partition from that there was not before.
fn is_change(reason: &Staleness) -> bool {
    matches!(reason, Staleness::InputChanged { .. } | Staleness::LateRows { .. } | Staleness::PublishedEarly)
}

fn is_in_progress(step: &NewestStep) -> bool {
    matches!(step.state.as_str(), "pending" | "ready" | "running")
}

fn failure(step: &NewestStep) -> Option<Failure> {
    if !matches!(step.state.as_str(), "failed" | "blocked" | "canceled") {
        return None;
    }
    let ended = step.finished_at?;
    Some(Failure { began: step.started_at.unwrap_or(ended), ended })
}

/// A partition that needs to be built, before it is known since when.
struct Found<'a> {
    ordinal: Ordinal,
    need: Need,
    version: Option<&'a CurrentVersion>,
    reasons: Vec<Staleness>,
    late: Option<Changes>,
}

/// What was found in an asset.
struct FoundIn<'a> {
    asset: &'a AssetSpec,
    unfresh: Vec<Ordinal>,
    found: Vec<Found<'a>>,
}

/// Rows that a partition's version has not seen.
struct Late {
    reasons: Vec<Staleness>,
    changes: Changes,
}

/// Partition → what came late.
type LateRows = BTreeMap<Ordinal, Late>;

/// Upstream → partition → when its content came to be.
type ContentTimes = BTreeMap<AssetKey, BTreeMap<Ordinal, DateTime<Utc>>>;

fn window_end(asset: &AssetSpec, ordinal: Ordinal) -> Option<DateTime<Utc>> {
    asset.partitions.window(ordinal).map(|window| window.end)
}

struct Look<'a> {
    store: &'a Store,
    definitions: &'a Definitions,
    now: DateTime<Utc>,
}

impl Look<'_> {
    /// The versions around what is wanted, and the rows of external upstreams that each partition's version has not seen;
    /// where there is no version, all.
    async fn versions_and_late_rows(
        &self,
        wanted: &[(&AssetSpec, &PartitionSubset)],
    ) -> Result<(Vec<Inputs>, Vec<LateRows>), StoreError> {
        let mut connection = self.store.connection("reading the versions of partitions").await?;
        let versions = inputs::read_all(&mut connection, self.definitions, wanted, self.now).await?;
        // A question is known by its place in the list.
        let mut asked: Vec<(usize, Ordinal)> = Vec::new();
        let mut questions: Vec<MarkQuestion> = Vec::new();
        for (position, (&(asset, subset), versions)) in wanted.iter().zip(&versions).enumerate() {
            for ordinal in subset.iter() {
                let snapshot = versions.current(ordinal).map_or(SEES_NOTHING, |version| &version.snapshot);
                let place = i64::try_from(asked.len()).unwrap_or(i64::MAX);
                let of_partition = mark_questions(self.definitions, asset, ordinal, snapshot, self.now).into_iter();
                questions.extend(of_partition.map(|question| MarkQuestion { question: place, ..question }));
                asked.push((position, ordinal));
            }
        }
        let mut late: Vec<LateRows> = wanted.iter().map(|_| LateRows::new()).collect();
        for marks in unseen_marks(&mut connection, &questions).await? {
            let place = usize::try_from(marks.question).ok().and_then(|question| asked.get(question));
            let Some((late, ordinal)) = place.and_then(|&(position, ordinal)| Some((late.get_mut(position)?, ordinal)))
            else {
                continue;
            };
            let changes = Changes { first: marks.since, newest: marks.newest };
            let entry = late.entry(ordinal).or_insert_with(|| Late { reasons: Vec::new(), changes });
            entry.changes = entry.changes.and(changes);
            entry.reasons.extend(late_rows(marks));
        }
        Ok((versions, late))
    }

    fn found_in<'a>(
        &self,
        asset: &'a AssetSpec,
        subset: &PartitionSubset,
        versions: &'a Inputs,
        late: &LateRows,
    ) -> FoundIn<'a> {
        let mut unfresh = Vec::new();
        let mut found = Vec::new();
        for ordinal in subset.iter() {
            let late = late.get(&ordinal);
            let version = versions.current(ordinal);
            let reasons = version.map_or_else(Vec::new, |version| {
                let late = late.map_or(&[][..], |late| late.reasons.as_slice());
                compare(self.definitions, asset, ordinal, version, |key| versions.index(key), late, self.now)
            });
            if version.is_none() || reasons.iter().any(is_about_data) {
                unfresh.push(ordinal);
            }
            let need = match version {
                None => Some(Need::Missing),
                Some(_) if reasons.contains(&Staleness::PublishedEarly) => Some(Need::Early),
                Some(_) => reasons.iter().any(is_change).then_some(Need::Stale),
            };
            if let Some(need) = need {
                found.push(Found { ordinal, need, version, reasons, late: late.map(|late| late.changes) });
            }
        }
        FoundIn { asset, unfresh, found }
    }

    async fn content_times(&self, found: &[FoundIn<'_>]) -> Result<ContentTimes, StoreError> {
        let mut wanted: BTreeMap<&str, (&AssetSpec, PartitionSubset, Option<DateTime<Utc>>)> = BTreeMap::new();
        for FoundIn { asset, found, .. } in found.iter().filter(|found| !found.found.is_empty()) {
            let subset = PartitionSubset::from_ordinals(found.iter().map(|found| found.ordinal));
            // What came to be before all the versions in question does not count.
            let made = found.iter().map(|found| found.version.map(|version| version.materialized_at));
            let since = made.collect::<Option<Vec<_>>>().and_then(|made| made.into_iter().min());
            for upstream in &asset.upstreams {
                let Some(spec) = self.definitions.asset(&upstream.key).filter(|spec| spec.is_materializable()) else {
                    continue;
                };
                let read = upstream.mapping.upstream_of(&asset.partitions, &spec.partitions, &subset, self.now);
                let (_, all, least) =
                    wanted.entry(spec.key.as_str()).or_insert_with(|| (spec, PartitionSubset::empty(), since));
                *all = all.union(&read);
                // None is less than any.
                *least = (*least).min(since);
            }
        }
        let everything = PartitionSubset::from_range(Ordinal::MIN, Ordinal::MAX);
        let mut ranges = Vec::new();
        for (spec, read, _) in wanted.values() {
            let read = if spec.partitions.as_time().is_some() { read } else { &everything };
            ranges.extend(read.ranges().iter().map(|&(first, last)| VersionRange {
                asset_key: spec.key.to_string(),
                first,
                last,
            }));
        }
        let mut times = ContentTimes::new();
        if ranges.is_empty() {
            return Ok(times);
        }
        let since: Vec<(&str, DateTime<Utc>)> =
            wanted.iter().filter_map(|(key, (_, _, since))| Some((*key, (*since)?))).collect();
        for time in self.store.content_times(&ranges, &since).await? {
            let Some((spec, ..)) = wanted.get(time.asset_key.as_str()) else { continue };
            let Some(ordinal) = ordinal_of(&spec.partitions, &time.partition_key, time.ordinal) else { continue };
            if let Some(content_at) = time.content_at {
                times.entry(spec.key.clone()).or_default().insert(ordinal, content_at);
            }
        }
        Ok(times)
    }

    async fn newest_steps(
        &self,
        found: &[FoundIn<'_>],
    ) -> Result<BTreeMap<AssetKey, BTreeMap<Ordinal, NewestStep>>, StoreError> {
        let keys: Vec<(&AssetSpec, PartitionKey)> = (found.iter())
            .flat_map(|FoundIn { asset, found, .. }| {
                found.iter().map(|found| (*asset, asset.partitions.key(found.ordinal)))
            })
            .collect();
        let mut steps: BTreeMap<AssetKey, BTreeMap<Ordinal, NewestStep>> = BTreeMap::new();
        if keys.is_empty() {
            return Ok(steps);
        }
        let partitions: Vec<(&str, &str)> =
            keys.iter().map(|(asset, partition)| (asset.key.as_str(), partition.as_str())).collect();
        for step in self.store.newest_steps_of(&partitions).await? {
            let Some(spec) = step.asset_key.parse().ok().and_then(|key| self.definitions.asset(&key)) else { continue };
            if let Some(ordinal) = ordinal_of(&spec.partitions, &step.partition_key, step.ordinal) {
                steps.entry(spec.key.clone()).or_default().insert(ordinal, step);
            }
        }
        Ok(steps)
    }

    /// When what the partition reads changed.
    ///
    /// For a partition that waits for its first build after its window has ended, changes before that end count as made
    /// at the end.
    fn changes(&self, asset: &AssetSpec, found: &Found<'_>, times: &ContentTimes) -> Changes {
        let mut changes: Option<Changes> = found.late;
        let mut add = |instant| {
            let change = Changes::at(instant);
            changes = Some(changes.map_or(change, |changes| changes.and(change)));
        };
        let after = found.version.map(|version| version.materialized_at);
        let is_new = |instant: DateTime<Utc>| after.is_none_or(|after| instant > after);
        for (key, range) in upstream_subsets(self.definitions, asset, found.ordinal, self.now) {
            if let Some(times) = times.get(&key) {
                for &(first, last) in range.partitions.ranges() {
                    times
                        .range(first..=last)
                        .map(|(_, &instant)| instant)
                        .filter(|&instant| is_new(instant))
                        .for_each(&mut add);
                }
            }
            // That another partition is the latest is a change too, even when it was published long before.
            let is_latest = |mapping| mapping == PartitionMapping::Latest;
            if asset.upstreams.iter().any(|upstream| upstream.key == key && is_latest(upstream.mapping))
                && let Some(window) = range.partitions.last().and_then(|latest| range.asset.partitions.window(latest))
                && is_new(window.end)
            {
                add(window.end);
            }
        }
        let earliest = match found.need {
            Need::Missing | Need::Early => window_end(asset, found.ordinal),
            Need::Stale => None,
        };
        match (changes, earliest) {
            (Some(changes), Some(end)) => Changes { first: changes.first.max(end), newest: changes.newest.max(end) },
            (Some(changes), None) => changes,
            (None, Some(end)) => Changes::at(end),
            // Published at the same time as its input, or history is not kept so long: as old as can be told.
            (None, None) => Changes::at(after.unwrap_or(DateTime::UNIX_EPOCH)),
        }
    }
}
