//! How assets keep their freshness policies: the rule of [`crate::core::freshness`] on what the state says.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::inputs::ordinal_of;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::freshness::{Freshness, Newest, freshness};
use crate::core::key::AssetKey;
use crate::core::partition::PartitionsDefinition;
use crate::store::{Store, StoreError};

/// How those of `assets` that have a freshness policy keep it. A few statements whatever the number of partitions.
///
/// # Errors
/// When the state cannot be read.
pub async fn freshness_of<'a>(
    store: &Store,
    definitions: &Definitions,
    assets: impl IntoIterator<Item = &'a Arc<AssetSpec>>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<AssetKey, Freshness>, StoreError> {
    let zone = definitions.calendar().zone;
    let mut with_windows = Vec::new();
    let mut keyed = Vec::new();
    let mut external = Vec::new();
    for spec in assets.into_iter().filter(|spec| spec.freshness.is_some()) {
        if !spec.is_materializable() {
            external.push(spec);
        } else if spec.partitions.as_time().is_some() {
            with_windows.push(spec);
        } else {
            keyed.push(spec);
        }
    }
    let mut newest: BTreeMap<AssetKey, Newest> = BTreeMap::new();
    let last_closed: Vec<(&str, i64)> =
        with_windows.iter().filter_map(|spec| Some((spec.key.as_str(), spec.partitions.closed(now).last()?))).collect();
    for found in store.newest_windows(&last_closed).await? {
        let Some((key, spec)) = known(definitions, &found.asset_key) else { continue };
        let ordinal = ordinal_of(&spec.partitions, &found.partition_key, found.ordinal);
        newest.insert(key, Newest::Window(ordinal));
    }
    let partition_keys: Vec<(&str, Vec<String>)> =
        keyed.iter().map(|spec| (spec.key.as_str(), partition_keys(&spec.partitions))).collect();
    let partitions: Vec<(&str, &str)> =
        partition_keys.iter().flat_map(|(asset, keys)| keys.iter().map(|key| (*asset, key.as_str()))).collect();
    let external_keys: Vec<&str> = external.iter().map(|spec| spec.key.as_str()).collect();
    let mut instants = store.oldest_current(&partitions).await?;
    instants.extend(store.newest_marks(&external_keys).await?);
    for (asset, instant) in instants {
        if let Some((key, _)) = known(definitions, &asset) {
            newest.insert(key, Newest::Instant(Some(instant)));
        }
    }
    let judged = with_windows.iter().map(|spec| (spec, Newest::Window(None)));
    let judged = judged.chain(keyed.iter().chain(&external).map(|spec| (spec, Newest::Instant(None))));
    Ok(judged
        .filter_map(|(spec, nothing)| {
            let newest = newest.get(&spec.key).copied().unwrap_or(nothing);
            Some((spec.key.clone(), freshness(spec.freshness?, &spec.partitions, newest, zone, now)))
        })
        .collect())
}

fn known<'d>(definitions: &'d Definitions, asset: &str) -> Option<(AssetKey, &'d Arc<AssetSpec>)> {
    let key: AssetKey = asset.parse().ok()?;
    let spec = definitions.asset(&key)?;
    Some((key, spec))
}

fn partition_keys(partitions: &PartitionsDefinition) -> Vec<String> {
    let ordinals = partitions.first()..=partitions.last().unwrap_or_default();
    ordinals.map(|ordinal| partitions.key(ordinal).as_str().to_owned()).collect()
}
