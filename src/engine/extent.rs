//! From the text of a request to the partitions of each selected asset.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::asset::spec::AssetSpec;
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::{PartitionError, PartitionsDefinition};
use crate::core::plan::{Extent, PartitionSets};
use crate::core::subset::PartitionSubset;
use crate::core::time::TimeWindow;

/// Why an extent means no partitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtentError {
    /// A partition that is none.
    #[error("{asset}: {source}")]
    Partition {
        /// The asset whose partitions were asked for.
        asset: AssetKey,
        /// What is wrong with them.
        source: PartitionError,
    },
    /// The text names partitions of some of the selected assets and says nothing of the others.
    #[error("`{text}` says nothing about {asset}: add the stretch of time for it, or leave it out with `!{asset}`")]
    TimeNotSaid {
        /// The text.
        text: String,
        /// The first asset it leaves open.
        asset: AssetKey,
    },
    /// There is no partition in it.
    #[error("{0}")]
    NoPartitions(String),
}

type Specs<'a> = Vec<&'a Arc<AssetSpec>>;

/// The partitions of `assets` (one at least) that `extent` means at `now`; an asset without any is left out.
///
/// # Errors
/// A sentence about the part of the text that cannot be, or that there is no partition at all.
pub fn resolve(assets: &[Arc<AssetSpec>], extent: &Extent, now: DateTime<Utc>) -> Result<PartitionSets, ExtentError> {
    let mut sets: PartitionSets = match extent {
        Extent::Newest => assets.iter().map(|asset| (asset.key.clone(), newest(&asset.partitions, now))).collect(),
        Extent::All => assets.iter().map(|asset| (asset.key.clone(), asset.partitions.closed(now))).collect(),
        Extent::Text(text) => resolve_text(assets, text, now)?,
    };
    sets.retain(|_, subset| !subset.is_empty());
    if sets.is_empty() {
        return Err(no_partitions(assets, extent, now));
    }
    Ok(sets)
}

/// The newest ended window; everything where there are no windows.
fn newest(definition: &PartitionsDefinition, now: DateTime<Utc>) -> PartitionSubset {
    let closed = definition.closed(now);
    match definition {
        PartitionsDefinition::Time(_) => closed.last().map(PartitionSubset::single).unwrap_or_default(),
        _ => closed,
    }
}

fn no_partitions(assets: &[Arc<AssetSpec>], extent: &Extent, now: DateTime<Utc>) -> ExtentError {
    let whose = match assets {
        [one] => one.key.to_string(),
        several => format!("the {} selected assets", several.len()),
    };
    let first = assets.iter().filter(|asset| asset.partitions.closed(now).is_empty()).map(|asset| {
        let first = asset.partitions.first();
        (asset, asset.partitions.key(first), asset.partitions.window(first))
    });
    match (extent, first.min_by_key(|(_, _, window)| window.map(|window| window.end))) {
        (Extent::Text(text), _) if assets.iter().any(|asset| !asset.partitions.closed(now).is_empty()) => {
            ExtentError::NoPartitions(format!(
                "no partition of {whose} has ended in `{text}`; one that is still open is built when it is named by its own key"
            ))
        }
        (_, Some((asset, key, _))) => ExtentError::NoPartitions(format!(
            "no partition of {whose} has ended yet: the first of {}, `{key}`, is still open or has not begun",
            asset.key
        )),
        (_, None) => ExtentError::NoPartitions(format!("{whose} has no partition there")),
    }
}

fn resolve_text(assets: &[Arc<AssetSpec>], text: &str, now: DateTime<Utc>) -> Result<PartitionSets, ExtentError> {
    let (mut time, rest): (Specs<'_>, Specs<'_>) =
        assets.iter().partition(|asset| asset.partitions.as_time().is_some());
    let (keyed, single): (Specs<'_>, Specs<'_>) =
        rest.into_iter().partition(|asset| asset.partitions.static_keys().is_some());
    // The finest understands the most; of equally fine ones the one that begins first.
    time.sort_by_key(|asset| (asset.partitions.cadence(), asset.partitions.first(), asset.key.clone()));
    let mut sets = PartitionSets::new();
    let mut time_said = false;
    let mut keys_said = false;
    for item in text.split(',').map(str::trim) {
        let mut refusals = Vec::new();
        let mut understood = !single.is_empty() && matches!(item, PartitionKey::UNPARTITIONED | "latest");
        match time_item(&time, item, now) {
            Ok(chosen) => {
                understood = true;
                time_said |= !time.is_empty();
                add(&mut sets, chosen);
            }
            Err(refusal) => refusals.extend(refusal),
        }
        for asset in &keyed {
            match asset.partitions.parse_selection(item, now) {
                Ok(subset) => {
                    understood = true;
                    keys_said = true;
                    add(&mut sets, PartitionSets::from([(asset.key.clone(), subset)]));
                }
                Err(source) => refusals.push(ExtentError::Partition { asset: asset.key.clone(), source }),
            }
        }
        if !understood {
            let of_single = single.first().map(|asset| ExtentError::Partition {
                asset: asset.key.clone(),
                source: PartitionError::NotPartitioned { text: item.to_owned() },
            });
            return Err(refusals
                .into_iter()
                .next()
                .or(of_single)
                .unwrap_or_else(|| ExtentError::NoPartitions(format!("`{text}` selects nothing"))));
        }
    }
    if let (Some(asset), false) = (time.first(), time_said) {
        return Err(ExtentError::TimeNotSaid { text: text.to_owned(), asset: asset.key.clone() });
    }
    let others = single.iter().chain(keyed.iter().filter(|_| !keys_said));
    add(&mut sets, others.map(|asset| (asset.key.clone(), asset.partitions.existing(now))).collect());
    Ok(sets)
}

fn add(sets: &mut PartitionSets, more: PartitionSets) {
    for (key, subset) in more {
        let entry = sets.entry(key).or_default();
        *entry = entry.union(&subset);
    }
}

/// What one item between commas means for assets of time, finest first; no refusal when there are no such assets.
fn time_item(time: &Specs<'_>, item: &str, now: DateTime<Utc>) -> Result<PartitionSets, Option<ExtentError>> {
    if item == "latest" {
        return latest(time, now);
    }
    let mut refusals: Vec<ExtentError> = Vec::new();
    for asset in time {
        match asset.partitions.parse_selection(item, now) {
            Ok(subset) => return Ok(overlapping(time, asset, &subset, item, now)),
            Err(source) => refusals.push(ExtentError::Partition { asset: asset.key.clone(), source }),
        }
    }
    // That a date is impossible or too early says more than that a week is no day.
    let telling = refusals.iter().position(|refusal| {
        !matches!(refusal, ExtentError::Partition { source: PartitionError::Malformed { .. }, .. })
    });
    Err(match telling {
        Some(position) => Some(refusals.swap_remove(position)),
        None => refusals.into_iter().next(),
    })
}

fn latest(time: &Specs<'_>, now: DateTime<Utc>) -> Result<PartitionSets, Option<ExtentError>> {
    let sets: PartitionSets = time
        .iter()
        .map(|asset| (asset.key.clone(), newest(&asset.partitions, now)))
        .filter(|(_, subset)| !subset.is_empty())
        .collect();
    match time.first() {
        Some(asset) if sets.is_empty() => Err(Some(ExtentError::Partition {
            asset: asset.key.clone(),
            source: PartitionError::NoneClosed { first: asset.partitions.key(asset.partitions.first()) },
        })),
        Some(_) => Ok(sets),
        None => Err(None),
    }
}

/// The partitions of all assets of time that overlap `subset` of `reader`, which understood `item`.
fn overlapping(
    time: &Specs<'_>,
    reader: &AssetSpec,
    subset: &PartitionSubset,
    item: &str,
    now: DateTime<Utc>,
) -> PartitionSets {
    let windows: Vec<TimeWindow> = subset
        .ranges()
        .iter()
        .filter_map(|&(first, last)| {
            let (first, last) = (reader.partitions.window(first)?, reader.partitions.window(last)?);
            Some(TimeWindow { start: first.start, end: last.end })
        })
        .collect();
    time.iter()
        .map(|asset| {
            let definition = &asset.partitions;
            let within = windows
                .iter()
                .fold(PartitionSubset::empty(), |sum, &window| sum.union(&definition.overlapping(window)));
            // An open partition is provisional: it is built only for somebody who names that very partition.
            let is_named = item.parse().is_ok_and(|key| definition.ordinal(&key).is_ok());
            let offered = if is_named { definition.existing(now) } else { definition.closed(now) };
            (asset.key.clone(), within.intersection(&offered))
        })
        .collect()
}
