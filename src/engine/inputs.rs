//! What an attempt reads: the versions of its inputs, as its own snapshot sees them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::marks::places;
use crate::asset::compute::UpstreamRange;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
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
pub(super) struct Inputs {
    indexes: BTreeMap<AssetKey, VersionIndex>,
    /// What the indexes know, as sets: asked for once per partition of a stretch.
    present: BTreeMap<AssetKey, PartitionSubset>,
    own: BTreeMap<Ordinal, CurrentVersion>,
}

/// The ordinal under which today's definition knows a stored partition.
///
/// For time it is the stored one, which is absolute, as long as it still means the same key (the cadence may have been
/// another one); the position of a static key may have moved since.
pub(super) fn ordinal_of(definition: &PartitionsDefinition, partition_key: &str, stored: Ordinal) -> Option<Ordinal> {
    match definition {
        PartitionsDefinition::Time(_) => (definition.key(stored).as_str() == partition_key).then_some(stored),
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
    let mut ranges = Vec::new();
    let mut definition_of: BTreeMap<&str, &PartitionsDefinition> = BTreeMap::new();
    ranges.extend(ranges_of(&asset.key, &asset.partitions, subset));
    for upstream in &asset.upstreams {
        let Some(spec) = definitions.asset(&upstream.key).filter(|spec| spec.is_materializable()) else { continue };
        let read = upstream.mapping.upstream_of(&asset.partitions, &spec.partitions, subset, now);
        definition_of.insert(spec.key.as_str(), &spec.partitions);
        ranges.extend(ranges_of(&spec.key, &spec.partitions, &read));
    }
    let mut by_asset: BTreeMap<String, Vec<(Ordinal, ReadVersion)>> = BTreeMap::new();
    let mut own = BTreeMap::new();
    for version in versions_in(connection, asset.key.as_str(), &ranges).await? {
        match version {
            FoundVersion::Own(version) => {
                if let Some(ordinal) = ordinal_of(&asset.partitions, &version.partition_key, version.ordinal) {
                    own.insert(ordinal, version);
                }
            }
            FoundVersion::Read(version) => {
                let Some(definition) = definition_of.get(version.asset_key.as_str()) else { continue };
                if let Some(ordinal) = ordinal_of(definition, &version.partition_key, version.ordinal) {
                    match by_asset.get_mut(version.asset_key.as_str()) {
                        Some(versions) => versions.push((ordinal, version)),
                        None => drop(by_asset.insert(version.asset_key.clone(), vec![(ordinal, version)])),
                    }
                }
            }
        }
    }
    let indexes: BTreeMap<AssetKey, VersionIndex> = asset
        .upstreams
        .iter()
        .map(|upstream| {
            let versions = by_asset.get(upstream.key.as_str()).map_or(&[][..], Vec::as_slice);
            let index =
                VersionIndex::new(versions.iter().map(|(ordinal, version)| {
                    (*ordinal, version.partition_key.as_str(), version.data_version.as_str())
                }));
            (upstream.key.clone(), index)
        })
        .collect();
    let present = indexes.iter().map(|(key, index)| (key.clone(), index.present())).collect();
    Ok(Inputs { indexes, present, own })
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
        self.indexes.get(upstream)
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
                let digest = self.indexes.get(&key).map(|index| index.digest(&range.partitions)).unwrap_or_default();
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
                if let Some(present) = self.present.get(&key) {
                    missing = missing.difference(present);
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
