//! How things stand: for each asset, which partitions are there, fresh, stale, missing, failed or being built.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::inputs::{self, Inputs, is_closed, mark_questions, ordinal_of, stored_digests, upstream_subsets};
use super::marks::ordinals_of;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::status::{PresentFacts, PublishedVersion, Staleness, staleness};
use crate::core::subset::PartitionSubset;
use crate::core::version::VersionIndex;
use crate::store::materialization::{CurrentVersion, Landed, UnseenMarks};
use crate::store::{Store, StoreError};

/// How one asset stands. The sets overlap where that makes sense: a stale partition may also be failed.
#[derive(Clone, Debug, Default)]
pub struct AssetStatus {
    /// Partitions that have begun.
    pub existing: PartitionSubset,
    /// Partitions whose window has ended.
    pub closed: PartitionSubset,
    /// Partitions with a current version; of an external asset, those in which rows are known to have landed.
    pub materialized: PartitionSubset,
    /// Closed partitions without a version; never any for an external asset.
    pub missing: PartitionSubset,
    /// Current versions with nothing against them.
    pub fresh: PartitionSubset,
    /// Versions that are stale, with all reasons.
    pub stale: BTreeMap<Ordinal, Vec<Staleness>>,
    /// Versions of a partition whose window has not ended: provisional.
    pub open: PartitionSubset,
    /// Partitions whose newest step waits.
    pub queued: PartitionSubset,
    /// Partitions being built.
    pub running: PartitionSubset,
    /// Partitions whose newest step failed or was blocked, with the state and reason.
    pub failed: BTreeMap<Ordinal, (String, Option<String>)>,
    /// When the newest version was published, or the newest rows landed.
    pub newest_at: Option<DateTime<Utc>>,
    /// Rows in all current versions; of an external asset, all rows known to have landed.
    pub row_count: i64,
    /// Rows of an external asset that came too late and wait in quarantine for a decision.
    pub quarantined: i64,
    /// Rows of each current version, and when it was published; nothing of external assets.
    pub versions: BTreeMap<Ordinal, (i64, DateTime<Utc>)>,
}

impl AssetStatus {
    /// The stale partitions.
    #[must_use]
    pub fn stale_partitions(&self) -> PartitionSubset {
        PartitionSubset::from_ordinals(self.stale.keys().copied())
    }

    /// The failed and blocked partitions.
    #[must_use]
    pub fn failed_partitions(&self) -> PartitionSubset {
        PartitionSubset::from_ordinals(self.failed.keys().copied())
    }
}

/// How the assets `keys` stand; unknown keys are left out.
///
/// # Errors
/// When the state cannot be read.
pub async fn asset_statuses(
    store: &Store,
    definitions: &Definitions,
    keys: &[AssetKey],
    now: DateTime<Utc>,
) -> Result<BTreeMap<AssetKey, AssetStatus>, StoreError> {
    let specs: Vec<&Arc<AssetSpec>> = keys.iter().filter_map(|key| definitions.asset(key)).collect();
    let mut wanted: Vec<&str> = specs.iter().map(|spec| spec.key.as_str()).collect();
    wanted.extend(specs.iter().flat_map(|spec| spec.upstreams.iter().map(|upstream| upstream.key.as_str())));
    wanted.sort_unstable();
    wanted.dedup();
    let versions = store.current_versions(&wanted).await?;
    let by_asset: BTreeMap<AssetKey, BTreeMap<Ordinal, CurrentVersion>> = versions
        .into_iter()
        .filter_map(|(key, list)| {
            let spec = definitions.asset(&key.parse().ok()?)?;
            let versions = list
                .into_iter()
                .filter_map(|version| {
                    let ordinal = ordinal_of(&spec.partitions, &version.partition_key, version.ordinal)?;
                    spec.partitions.contains(ordinal).then_some((ordinal, version))
                })
                .collect();
            Some((spec.key.clone(), versions))
        })
        .collect();
    let indexes: BTreeMap<&AssetKey, VersionIndex> = by_asset
        .iter()
        .map(|(key, versions)| {
            let index =
                VersionIndex::new(versions.iter().map(|(ordinal, version)| {
                    (*ordinal, version.partition_key.as_str(), version.data_version.as_str())
                }));
            (key, index)
        })
        .collect();
    let mut statuses = BTreeMap::new();
    let none = BTreeMap::new();
    for spec in &specs {
        let mut status = AssetStatus {
            existing: spec.partitions.existing(now),
            closed: spec.partitions.closed(now),
            ..AssetStatus::default()
        };
        if spec.is_materializable() {
            let versions = by_asset.get(&spec.key).unwrap_or(&none);
            compare_all(store, definitions, spec, versions, |key| indexes.get(key), now, &mut status).await?;
        }
        statuses.insert(spec.key.clone(), status);
    }
    add_unsettled(store, definitions, &specs, &mut statuses).await?;
    add_landed(store, definitions, &specs, &mut statuses).await?;
    Ok(statuses)
}

/// How the partitions `subset` of one asset stand: as [`asset_statuses`], with everything outside `subset` left out.
///
/// # Errors
/// When the state cannot be read.
pub async fn partition_statuses(
    store: &Store,
    definitions: &Definitions,
    asset: &AssetSpec,
    subset: &PartitionSubset,
    now: DateTime<Utc>,
) -> Result<AssetStatus, StoreError> {
    let subset = asset.partitions.restrict(subset);
    let mut status = AssetStatus {
        existing: asset.partitions.existing(now).intersection(&subset),
        closed: asset.partitions.closed(now).intersection(&subset),
        ..AssetStatus::default()
    };
    if !asset.is_materializable() {
        let mut ranges = Vec::new();
        for landed in store.landed(&[asset.key.as_str()]).await? {
            let within = |&range: &(Ordinal, Ordinal)| {
                !PartitionSubset::from_range(range.0, range.1).intersection(&subset).is_empty()
            };
            let Some(range) = landed_range(asset, &landed).filter(within) else { continue };
            ranges.push(range);
            status.row_count += landed.row_count;
            status.newest_at = status.newest_at.max(Some(landed.newest_at));
        }
        status.materialized = PartitionSubset::from_ranges(ranges).intersection(&subset);
        return Ok(status);
    }
    let versions = read_versions(store, definitions, asset, &subset, now).await?;
    compare_all(store, definitions, asset, versions.own(), |key| versions.index(key), now, &mut status).await?;
    add_newest_steps(store, asset, &subset, &mut status).await?;
    Ok(status)
}

/// Which of the partitions `subset` of one asset wait, run, failed or are blocked, by their newest steps; nothing else of
/// their status.
///
/// # Errors
/// When the state cannot be read.
pub async fn step_statuses(
    store: &Store,
    asset: &AssetSpec,
    subset: &PartitionSubset,
) -> Result<AssetStatus, StoreError> {
    let mut status = AssetStatus::default();
    add_newest_steps(store, asset, &asset.partitions.restrict(subset), &mut status).await?;
    Ok(status)
}

async fn add_newest_steps(
    store: &Store,
    asset: &AssetSpec,
    subset: &PartitionSubset,
    status: &mut AssetStatus,
) -> Result<(), StoreError> {
    let keys: Vec<String> = subset.iter().map(|ordinal| asset.partitions.key(ordinal).to_string()).collect();
    let (mut queued, mut running) = (Vec::new(), Vec::new());
    for step in store.newest_steps(asset.key.as_str(), &keys).await? {
        let Some(ordinal) = ordinal_of(&asset.partitions, &step.partition_key, step.ordinal) else { continue };
        match step.state.as_str() {
            "failed" | "blocked" => {
                status.failed.insert(ordinal, (step.state, step.reason));
            }
            "running" => running.push(ordinal),
            "pending" | "ready" => queued.push(ordinal),
            _ => {}
        }
    }
    status.queued = PartitionSubset::from_ordinals(queued);
    status.running = PartitionSubset::from_ordinals(running);
    Ok(())
}

/// The versions of `subset` of `asset` and of everything it reads.
pub(super) async fn read_versions(
    store: &Store,
    definitions: &Definitions,
    asset: &AssetSpec,
    subset: &PartitionSubset,
    now: DateTime<Utc>,
) -> Result<Inputs, StoreError> {
    let mut connection = store.connection("reading the versions of partitions").await?;
    inputs::read(&mut connection, definitions, asset, subset, now).await
}

/// Fills in what `versions`, all that the asset has in question, say: fresh, stale, open, missing.
async fn compare_all<'a>(
    store: &Store,
    definitions: &Definitions,
    spec: &AssetSpec,
    versions: &BTreeMap<Ordinal, CurrentVersion>,
    index_of: impl Fn(&AssetKey) -> Option<&'a VersionIndex>,
    now: DateTime<Utc>,
    status: &mut AssetStatus,
) -> Result<(), StoreError> {
    let mut questions = Vec::new();
    for (&ordinal, version) in versions {
        questions.extend(mark_questions(definitions, spec, ordinal, &version.snapshot, now));
    }
    let mut late: BTreeMap<Ordinal, Vec<Staleness>> = BTreeMap::new();
    for marks in store.unseen_marks(&questions).await? {
        let ordinal = marks.question;
        if let Some(reason) = late_rows(marks) {
            late.entry(ordinal).or_default().push(reason);
        }
    }
    let mut fresh = Vec::new();
    let mut open = Vec::new();
    for (&ordinal, version) in versions {
        let late = late.get(&ordinal).map_or(&[][..], Vec::as_slice);
        let reasons = compare(definitions, spec, ordinal, version, &index_of, late, now);
        if version.open && !is_closed(spec, ordinal, now) {
            open.push(ordinal);
        }
        if reasons.is_empty() {
            fresh.push(ordinal);
        } else {
            status.stale.insert(ordinal, reasons);
        }
        status.row_count += version.row_count;
        status.newest_at = status.newest_at.max(Some(version.materialized_at));
        status.versions.insert(ordinal, (version.row_count, version.materialized_at));
    }
    status.fresh = PartitionSubset::from_ordinals(fresh);
    status.open = PartitionSubset::from_ordinals(open);
    status.materialized = PartitionSubset::from_ordinals(versions.keys().copied());
    status.missing = status.closed.difference(&status.materialized);
    Ok(())
}

/// What `version` of a partition has against it, given the rows that landed late.
pub(super) fn compare<'a>(
    definitions: &Definitions,
    spec: &AssetSpec,
    ordinal: Ordinal,
    version: &CurrentVersion,
    index_of: impl Fn(&AssetKey) -> Option<&'a VersionIndex>,
    late_rows: &[Staleness],
    now: DateTime<Utc>,
) -> Vec<Staleness> {
    let digests: BTreeMap<AssetKey, String> = upstream_subsets(definitions, spec, ordinal, now)
        .into_iter()
        .filter(|(_, range)| range.asset.is_materializable())
        .map(|(key, range)| {
            let digest = index_of(&key).map_or_else(
                || VersionIndex::default().digest(&range.partitions),
                |index| index.digest(&range.partitions),
            );
            (key, digest)
        })
        .collect();
    staleness(
        PublishedVersion {
            code_version: &version.code_version,
            input_versions: &stored_digests(version),
            open: version.open,
            incomplete: version.incomplete,
        },
        PresentFacts {
            code_version: &spec.code_version,
            input_versions: &digests,
            closed: is_closed(spec, ordinal, now),
            late_rows,
        },
    )
}

/// The marks as a reason to be stale.
pub(super) fn late_rows(marks: UnseenMarks) -> Option<Staleness> {
    Some(Staleness::LateRows {
        asset: marks.asset_key.parse().ok()?,
        rows: marks.row_count,
        removed: marks.rows_removed,
        since: marks.since,
        writers: marks.writers,
    })
}

/// What the newest steps say: failed, blocked, waiting, running.
async fn add_unsettled(
    store: &Store,
    definitions: &Definitions,
    specs: &[&Arc<AssetSpec>],
    statuses: &mut BTreeMap<AssetKey, AssetStatus>,
) -> Result<(), StoreError> {
    let keys: Vec<&str> = specs.iter().map(|spec| spec.key.as_str()).collect();
    let mut queued: BTreeMap<AssetKey, Vec<Ordinal>> = BTreeMap::new();
    let mut running: BTreeMap<AssetKey, Vec<Ordinal>> = BTreeMap::new();
    for step in store.unsettled_partitions(&keys).await? {
        let Ok(key) = step.asset_key.parse::<AssetKey>() else { continue };
        let Some(spec) = definitions.asset(&key) else { continue };
        let Some(ordinal) = ordinal_of(&spec.partitions, &step.partition_key, step.ordinal) else { continue };
        match step.state.as_str() {
            "failed" | "blocked" => {
                if let Some(status) = statuses.get_mut(&key) {
                    status.failed.insert(ordinal, (step.state, step.reason));
                }
            }
            "running" => running.entry(key).or_default().push(ordinal),
            _ => queued.entry(key).or_default().push(ordinal),
        }
    }
    for (key, status) in statuses {
        status.queued = PartitionSubset::from_ordinals(queued.remove(key).unwrap_or_default());
        status.running = PartitionSubset::from_ordinals(running.remove(key).unwrap_or_default());
    }
    Ok(())
}

/// The partitions in which rows landed, filed or not.
fn landed_range(spec: &AssetSpec, landed: &Landed) -> Option<(Ordinal, Ordinal)> {
    let filed = landed.partition_key.as_deref().zip(landed.ordinal);
    let filed = filed.and_then(|(key, ordinal)| ordinal_of(&spec.partitions, key, ordinal));
    let unfiled = landed.first_at.zip(landed.last_at).and_then(|(first, last)| ordinals_of(spec, first, last));
    filed.map(|ordinal| (ordinal, ordinal)).or(unfiled)
}

/// What landed in external assets, and what was kept out of them.
async fn add_landed(
    store: &Store,
    definitions: &Definitions,
    specs: &[&Arc<AssetSpec>],
    statuses: &mut BTreeMap<AssetKey, AssetStatus>,
) -> Result<(), StoreError> {
    let keys: Vec<&str> = specs.iter().filter(|spec| !spec.is_materializable()).map(|spec| spec.key.as_str()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let mut ranges: BTreeMap<AssetKey, Vec<(Ordinal, Ordinal)>> = BTreeMap::new();
    for landed in store.landed(&keys).await? {
        let Ok(key) = landed.asset_key.parse::<AssetKey>() else { continue };
        let Some(spec) = definitions.asset(&key) else { continue };
        let Some(status) = statuses.get_mut(&key) else { continue };
        status.row_count += landed.row_count;
        status.newest_at = status.newest_at.max(Some(landed.newest_at));
        ranges.entry(key).or_default().extend(landed_range(spec, &landed));
    }
    for (key, list) in ranges {
        if let (Some(spec), Some(status)) = (definitions.asset(&key), statuses.get_mut(&key)) {
            status.materialized = spec.partitions.restrict(&PartitionSubset::from_ranges(list));
        }
    }
    for (key, count) in store.quarantine_counts().await? {
        let status = key.parse().ok().and_then(|key: AssetKey| statuses.get_mut(&key));
        if let Some(status) = status {
            status.quarantined = count.row_count;
        }
    }
    Ok(())
}
