//! What a change reaches: from partitions that something happened to, to those that read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::marks::ordinals_of;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::Ordinal;
use crate::core::plan::{PartitionSets, partitions_reading};
use crate::core::subset::PartitionSubset;
use crate::store::change::{ChangedPartition, ChangedPlace};

/// The `wanted` ones of the partitions that something happened to, by asset; those that are not declared are left out.
#[must_use]
pub fn changed_sets(
    definitions: &Definitions,
    partitions: &[ChangedPartition],
    wanted: impl Fn(&ChangedPartition) -> bool,
) -> PartitionSets {
    let mut ranges: BTreeMap<AssetKey, Vec<(Ordinal, Ordinal)>> = BTreeMap::new();
    for partition in partitions.iter().filter(|partition| wanted(partition)) {
        let Some(spec) = partition.asset_key.parse().ok().and_then(|key| definitions.asset(&key)) else { continue };
        let range = match &partition.place {
            ChangedPlace::Partition(key) => {
                key.parse().ok().and_then(|key| spec.partitions.ordinal(&key).ok()).map(|ordinal| (ordinal, ordinal))
            }
            &ChangedPlace::Between(first, last) => ordinals_of(spec, first, last),
        };
        ranges.entry(spec.key.clone()).or_default().extend(range);
    }
    ranges.into_iter().map(|(key, list)| (key, PartitionSubset::from_ranges(list))).collect()
}

/// The assets that read `key`, how, and which of their partitions that have begun read any of `subset`.
pub fn readers<'a>(
    definitions: &'a Definitions,
    key: &AssetKey,
    subset: &PartitionSubset,
    now: DateTime<Utc>,
) -> Vec<(&'a Arc<AssetSpec>, PartitionMapping, PartitionSubset)> {
    if subset.is_empty() {
        return Vec::new();
    }
    let reader = |reader: &AssetKey| {
        let spec = definitions.asset(reader)?;
        let upstream = spec.upstreams.iter().find(|upstream| upstream.key == *key)?;
        let partitions = partitions_reading(definitions, reader, key, upstream.mapping, subset, now);
        Some((spec, upstream.mapping, partitions))
    };
    definitions.graph().downstream(key).into_iter().filter_map(reader).collect()
}

/// How many partitions `subset` of `asset` reads.
#[must_use]
pub fn count_read(definitions: &Definitions, asset: &AssetSpec, subset: &PartitionSubset, now: DateTime<Utc>) -> u64 {
    let specs =
        asset.upstreams.iter().filter_map(|upstream| Some((definitions.asset(&upstream.key)?, upstream.mapping)));
    specs
        .map(|(spec, mapping)| mapping.upstream_of(&asset.partitions, &spec.partitions, subset, now).len())
        .fold(0_u64, u64::saturating_add)
}

/// The first of `subset`, partitions of `asset`: at most `limit`, and so few that together they read no more than
/// `reads` partitions; one at least.
#[must_use]
pub fn first_chunk(
    definitions: &Definitions,
    asset: &AssetSpec,
    subset: &PartitionSubset,
    limit: u64,
    reads: u64,
    now: DateTime<Utc>,
) -> PartitionSubset {
    let mut limit = limit.max(1);
    let mut chunk = subset.first_members(limit);
    while limit > 1 && count_read(definitions, asset, &chunk, now) > reads {
        limit /= 2;
        chunk = subset.first_members(limit);
    }
    chunk
}
