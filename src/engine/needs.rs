//! What partitions need: which of them are missing or stale, and since when.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tokio::try_join;

use super::inputs::{Inputs, mark_questions, ordinal_of, upstream_subsets};
use super::status::{compare, late_rows, read_versions};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::automation::{Changes, Failure, Need, Situation};
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::Ordinal;
use crate::core::status::Staleness;
use crate::core::subset::PartitionSubset;
use crate::store::history::NewestStep;
use crate::store::materialization::{CurrentVersion, MarkQuestion, SEES_NOTHING, VersionRange};
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
#[derive(Clone, Debug, Default)]
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
    let subset = asset.partitions.closed(now).intersection(subset);
    if subset.is_empty() || !asset.is_materializable() {
        return Ok(Needs::default());
    }
    let look = Look { store, definitions, asset, now };
    let versions = read_versions(store, definitions, asset, &subset, now).await?;
    let late = look.late_rows(&subset, &versions).await?;
    let mut unfresh = Vec::new();
    let mut found: Vec<Found<'_>> = Vec::new();
    for ordinal in subset.iter() {
        let late = late.get(&ordinal);
        let version = versions.current(ordinal);
        let reasons = version.map_or_else(Vec::new, |version| {
            let late = late.map_or(&[][..], |late| late.reasons.as_slice());
            compare(definitions, asset, ordinal, version, |key| versions.index(key), late, now)
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
    let (times, mut steps) = try_join!(look.content_times(&found), look.newest_steps(&found))?;
    let partitions = found
        .into_iter()
        .map(|found| {
            let newest_step = steps.remove(&found.ordinal);
            let situation = Situation {
                need: found.need,
                changes: look.changes(&found, &times),
                window_end: look.window_end(found.ordinal),
                failure: newest_step.as_ref().and_then(failure),
                in_progress: newest_step.as_ref().is_some_and(is_in_progress),
            };
            (found.ordinal, PartitionNeed { situation, reasons: found.reasons, newest_step })
        })
        .collect();
    Ok(Needs { unfresh: PartitionSubset::from_ordinals(unfresh), partitions })
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

/// Rows that a partition's version has not seen.
struct Late {
    reasons: Vec<Staleness>,
    changes: Changes,
}

/// Upstream → partition → when its content came to be.
type ContentTimes = BTreeMap<AssetKey, BTreeMap<Ordinal, DateTime<Utc>>>;

struct Look<'a> {
    store: &'a Store,
    definitions: &'a Definitions,
    asset: &'a AssetSpec,
    now: DateTime<Utc>,
}

impl Look<'_> {
    /// The rows of external upstreams that each partition's version has not seen; where there is no version, all.
    async fn late_rows(
        &self,
        subset: &PartitionSubset,
        versions: &Inputs,
    ) -> Result<BTreeMap<Ordinal, Late>, StoreError> {
        let questions: Vec<MarkQuestion> = subset
            .iter()
            .flat_map(|ordinal| {
                let snapshot = versions.current(ordinal).map_or(SEES_NOTHING, |version| &version.snapshot);
                mark_questions(self.definitions, self.asset, ordinal, snapshot, self.now)
            })
            .collect();
        let mut late: BTreeMap<Ordinal, Late> = BTreeMap::new();
        for marks in self.store.unseen_marks(&questions).await? {
            let ordinal = marks.question;
            let changes = Changes { first: marks.since, newest: marks.newest };
            let entry = late.entry(ordinal).or_insert_with(|| Late { reasons: Vec::new(), changes });
            entry.changes = entry.changes.and(changes);
            entry.reasons.extend(late_rows(marks));
        }
        Ok(late)
    }

    async fn content_times(&self, found: &[Found<'_>]) -> Result<ContentTimes, StoreError> {
        let subset = PartitionSubset::from_ordinals(found.iter().map(|found| found.ordinal));
        let mut ranges = Vec::new();
        for upstream in &self.asset.upstreams {
            let Some(spec) = self.definitions.asset(&upstream.key).filter(|spec| spec.is_materializable()) else {
                continue;
            };
            let read = upstream.mapping.upstream_of(&self.asset.partitions, &spec.partitions, &subset, self.now);
            let all = PartitionSubset::from_range(Ordinal::MIN, Ordinal::MAX);
            let read = if spec.partitions.as_time().is_some() { &read } else { &all };
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
        // What came to be before all the versions in question does not count.
        let made = |found: &Found<'_>| found.version.map(|version| version.materialized_at);
        let since = found.iter().map(made).collect::<Option<Vec<_>>>().and_then(|made| made.into_iter().min());
        for time in self.store.content_times(&ranges, since).await? {
            let Some(spec) = time.asset_key.parse().ok().and_then(|key| self.definitions.asset(&key)) else { continue };
            let Some(ordinal) = ordinal_of(&spec.partitions, &time.partition_key, time.ordinal) else { continue };
            if let Some(content_at) = time.content_at {
                times.entry(spec.key.clone()).or_default().insert(ordinal, content_at);
            }
        }
        Ok(times)
    }

    async fn newest_steps(&self, found: &[Found<'_>]) -> Result<BTreeMap<Ordinal, NewestStep>, StoreError> {
        if found.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys: Vec<String> =
            found.iter().map(|found| self.asset.partitions.key(found.ordinal).as_str().to_owned()).collect();
        let steps = self.store.newest_steps(self.asset.key.as_str(), &keys).await?;
        Ok(steps
            .into_iter()
            .filter_map(|step| Some((ordinal_of(&self.asset.partitions, &step.partition_key, step.ordinal)?, step)))
            .collect())
    }

    fn window_end(&self, ordinal: Ordinal) -> Option<DateTime<Utc>> {
        self.asset.partitions.window(ordinal).map(|window| window.end)
    }

    /// When what the partition reads changed.
    ///
    /// For a partition that waits for its first build after its window has ended, changes before that end count as made
    /// at the end.
    fn changes(&self, found: &Found<'_>, times: &ContentTimes) -> Changes {
        let mut changes: Option<Changes> = found.late;
        let mut add = |instant| {
            let change = Changes::at(instant);
            changes = Some(changes.map_or(change, |changes| changes.and(change)));
        };
        let after = found.version.map(|version| version.materialized_at);
        let is_new = |instant: DateTime<Utc>| after.is_none_or(|after| instant > after);
        for (key, range) in upstream_subsets(self.definitions, self.asset, found.ordinal, self.now) {
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
            if self.asset.upstreams.iter().any(|upstream| upstream.key == key && is_latest(upstream.mapping))
                && let Some(window) = range.partitions.last().and_then(|latest| range.asset.partitions.window(latest))
                && is_new(window.end)
            {
                add(window.end);
            }
        }
        let earliest = match found.need {
            Need::Missing | Need::Early => self.window_end(found.ordinal),
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
