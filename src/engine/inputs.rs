//! What an attempt reads: the versions of its inputs, as its own snapshot sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::marks::places;
use crate::asset::compute::UpstreamRange;
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetSpec, UpstreamSpec};
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::{Ordinal, PartitionsDefinition};
use crate::core::status::{PresentFacts, PublishedVersion, staleness};
use crate::core::subset::PartitionSubset;
use crate::core::version::VersionIndex;
use crate::store::StoreError;
use crate::store::materialization::{
    CurrentVersion, FoundVersion, MarkQuestion, ReadVersion, VersionRange, unseen_marks, versions_in,
};

/// The versions around one stretch of an asset's partitions.
#[derive(Default)]
pub(super) struct Inputs {
    /// By upstream.
    read: BTreeMap<AssetKey, Arc<ReadVersions>>,
    own: BTreeMap<Ordinal, CurrentVersion>,
}

/// What is there of an upstream, at least of the partitions in question.
#[derive(Default)]
struct ReadVersions {
    index: VersionIndex,
    /// What the index knows, as a set: asked for once per partition of a stretch.
    present: PartitionSubset,
}

/// The ordinal under which today's definition knows a stored partition.
///
/// For time it is the stored one, which is absolute, as long as it still means the same key (the cadence may have been
/// another one); the position of a static key may have moved since.
pub(super) fn ordinal_of(definition: &PartitionsDefinition, partition_key: &str, stored: Ordinal) -> Option<Ordinal> {
    match definition {
        PartitionsDefinition::Time(_) => definition.is_key(stored, partition_key).then_some(stored),
        PartitionsDefinition::Static(_) | PartitionsDefinition::Unpartitioned => {
            partition_key.parse::<PartitionKey>().ok().and_then(|key| definition.ordinal(&key).ok())
        }
    }
}

/// Reads the versions of everything that `subset` of `asset` reads, and of itself.
pub(super) async fn read(
    connection: &mut PgConnection,
    definitions: &Definitions,
    asset: &AssetSpec,
    subset: &PartitionSubset,
    now: DateTime<Utc>,
) -> Result<Inputs, StoreError> {
    Ok(read_all(connection, definitions, &[(asset, subset)], now).await?.pop().unwrap_or_default())
}

/// The same for several assets, each of them once, in one statement; in their order.
pub(super) async fn read_all(
    connection: &mut PgConnection,
    definitions: &Definitions,
    asked: &[(&AssetSpec, &PartitionSubset)],
    now: DateTime<Utc>,
) -> Result<Vec<Inputs>, StoreError> {
    let mut wanted: BTreeMap<&str, (&AssetSpec, PartitionSubset)> = BTreeMap::new();
    for &(asset, subset) in asked {
        for upstream in &asset.upstreams {
            let Some(spec) = definitions.asset(&upstream.key).filter(|spec| spec.is_materializable()) else { continue };
            let read = upstream.mapping.upstream_of(&asset.partitions, &spec.partitions, subset, now);
            let (_, all) = wanted.entry(spec.key.as_str()).or_insert_with(|| (spec, PartitionSubset::empty()));
            *all = all.union(&read);
        }
    }
    let own_ranges: Vec<VersionRange> =
        asked.iter().flat_map(|(asset, subset)| ranges_of(&asset.key, &asset.partitions, subset)).collect();
    let read_ranges: Vec<VersionRange> =
        wanted.values().flat_map(|(spec, subset)| ranges_of(&spec.key, &spec.partitions, subset)).collect();
    let mut own: BTreeMap<&str, (&AssetSpec, BTreeMap<Ordinal, CurrentVersion>)> =
        asked.iter().map(|&(asset, _)| (asset.key.as_str(), (asset, BTreeMap::new()))).collect();
    let mut read: BTreeMap<&str, Vec<(Ordinal, ReadVersion)>> = BTreeMap::new();
    for version in versions_in(connection, &own_ranges, &read_ranges).await? {
        match version {
            FoundVersion::Own(version) => {
                let Some((asset, versions)) = own.get_mut(version.asset_key.as_str()) else { continue };
                if let Some(ordinal) = ordinal_of(&asset.partitions, &version.partition_key, version.ordinal) {
                    versions.insert(ordinal, version);
                }
            }
            FoundVersion::Read(version) => {
                let Some((spec, _)) = wanted.get(version.asset_key.as_str()) else { continue };
                if let Some(ordinal) = ordinal_of(&spec.partitions, &version.partition_key, version.ordinal) {
                    read.entry(spec.key.as_str()).or_default().push((ordinal, version));
                }
            }
        }
    }
    let read: BTreeMap<&str, Arc<ReadVersions>> =
        read.into_iter().map(|(key, versions)| (key, Arc::new(ReadVersions::new(&versions)))).collect();
    let none = Arc::new(ReadVersions::default());
    let of = |upstream: &UpstreamSpec| (upstream.key.clone(), read.get(upstream.key.as_str()).unwrap_or(&none).clone());
    Ok(asked
        .iter()
        .map(|(asset, _)| Inputs {
            read: asset.upstreams.iter().map(of).collect(),
            own: own.remove(asset.key.as_str()).map(|(_, versions)| versions).unwrap_or_default(),
        })
        .collect())
}

impl ReadVersions {
    fn new(versions: &[(Ordinal, ReadVersion)]) -> Self {
        let index = VersionIndex::new(
            versions
                .iter()
                .map(|(ordinal, version)| (*ordinal, version.partition_key.as_str(), version.data_version.as_str())),
        );
        let present = index.present();
        Self { index, present }
    }
}

/// The ranges to read; positions of static keys may have moved, so all of those are read.
fn ranges_of(key: &AssetKey, definition: &PartitionsDefinition, subset: &PartitionSubset) -> Vec<VersionRange> {
    let asset_key = key.to_string();
    if definition.as_time().is_none() {
        return vec![VersionRange { asset_key, first: Ordinal::MIN, last: Ordinal::MAX }];
    }
    subset.ranges().iter().map(|&(first, last)| VersionRange { asset_key: asset_key.clone(), first, last }).collect()
}

impl Inputs {
    /// The version of one of the asset's own partitions that is there now.
    pub(super) fn current(&self, ordinal: Ordinal) -> Option<&CurrentVersion> {
        self.own.get(&ordinal)
    }

    /// All versions of the asset's own partitions.
    pub(super) const fn own(&self) -> &BTreeMap<Ordinal, CurrentVersion> {
        &self.own
    }

    /// The versions of an upstream.
    pub(super) fn index(&self, upstream: &AssetKey) -> Option<&VersionIndex> {
        self.read.get(upstream).map(|read| &read.index)
    }

    /// Upstream → digest of what `ordinal` reads; external upstreams have marks instead.
    pub(super) fn digests(
        &self,
        definitions: &Definitions,
        asset: &AssetSpec,
        ordinal: Ordinal,
        now: DateTime<Utc>,
    ) -> BTreeMap<AssetKey, String> {
        upstream_subsets(definitions, asset, ordinal, now)
            .into_iter()
            .filter(|(_, range)| range.asset.is_materializable())
            .map(|(key, range)| {
                let digest = self.index(&key).map(|index| index.digest(&range.partitions)).unwrap_or_default();
                (key, digest)
            })
            .collect()
    }

    /// The closed upstream partitions that `ordinal` needs and that do not exist.
    pub(super) fn missing(
        &self,
        definitions: &Definitions,
        asset: &AssetSpec,
        ordinal: Ordinal,
        now: DateTime<Utc>,
    ) -> BTreeMap<AssetKey, PartitionSubset> {
        upstream_subsets(definitions, asset, ordinal, now)
            .into_iter()
            .filter(|(_, range)| range.asset.is_materializable())
            .filter_map(|(key, range)| {
                let mut missing = range.partitions.intersection(&range.asset.partitions.closed(now));
                if let Some(read) = self.read.get(&key) {
                    missing = missing.difference(&read.present);
                }
                (!missing.is_empty()).then_some((key, missing))
            })
            .collect()
    }
}

/// What one partition reads of each upstream.
pub(super) fn upstream_subsets(
    definitions: &Definitions,
    asset: &AssetSpec,
    ordinal: Ordinal,
    now: DateTime<Utc>,
) -> BTreeMap<AssetKey, UpstreamRange> {
    let subset = PartitionSubset::single(ordinal);
    asset
        .upstreams
        .iter()
        .filter_map(|upstream| {
            let spec = definitions.asset(&upstream.key)?;
            let partitions = upstream.mapping.upstream_of(&asset.partitions, &spec.partitions, &subset, now);
            Some((upstream.key.clone(), UpstreamRange { asset: spec.clone(), partitions }))
        })
        .collect()
}

/// The questions whether rows landed late in what `ordinal` read of external assets.
pub(super) fn mark_questions(
    definitions: &Definitions,
    asset: &AssetSpec,
    ordinal: Ordinal,
    snapshot: &str,
    now: DateTime<Utc>,
) -> Vec<MarkQuestion> {
    upstream_subsets(definitions, asset, ordinal, now)
        .into_iter()
        .filter(|(_, range)| !range.asset.is_materializable())
        .flat_map(|(key, range)| {
            places(&range.asset, &range.partitions).into_iter().map(move |place| MarkQuestion {
                question: ordinal,
                asset_key: key.to_string(),
                place,
                snapshot: snapshot.to_owned(),
            })
        })
        .collect()
}

/// The stored form of input versions.
pub(super) fn stored_digests(version: &CurrentVersion) -> BTreeMap<AssetKey, String> {
    serde_json::from_value(version.input_versions.clone()).unwrap_or_default()
}

/// Which of `ordinals` are published, with everything they were made of as it was.
pub(super) async fn fresh(
    connection: &mut PgConnection,
    definitions: &Definitions,
    asset: &AssetSpec,
    inputs: &Inputs,
    ordinals: &[Ordinal],
    now: DateTime<Utc>,
) -> Result<BTreeSet<Ordinal>, StoreError> {
    let versions: Vec<(Ordinal, &CurrentVersion)> =
        ordinals.iter().filter_map(|&ordinal| Some((ordinal, inputs.current(ordinal)?))).collect();
    let questions: Vec<MarkQuestion> = versions
        .iter()
        .flat_map(|(ordinal, version)| mark_questions(definitions, asset, *ordinal, &version.snapshot, now))
        .collect();
    let late: BTreeSet<Ordinal> =
        unseen_marks(connection, &questions).await?.into_iter().map(|marks| marks.question).collect();
    let is_fresh = |ordinal: Ordinal, version: &CurrentVersion| {
        let published = PublishedVersion {
            code_version: &version.code_version,
            input_versions: &stored_digests(version),
            open: version.open,
            incomplete: version.incomplete,
        };
        let present = PresentFacts {
            code_version: &asset.code_version,
            input_versions: &inputs.digests(definitions, asset, ordinal, now),
            closed: is_closed(asset, ordinal, now),
            late_rows: &[],
        };
        !late.contains(&ordinal) && staleness(published, present).is_empty()
    };
    Ok(versions
        .into_iter()
        .filter(|&(ordinal, version)| is_fresh(ordinal, version))
        .map(|(ordinal, _)| ordinal)
        .collect())
}

/// Whether the partition's window has ended; what has no window is always closed.
pub(super) fn is_closed(asset: &AssetSpec, ordinal: Ordinal, now: DateTime<Utc>) -> bool {
    asset.partitions.window(ordinal).is_none_or(|window| window.end <= now)
}
