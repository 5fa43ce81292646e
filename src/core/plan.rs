//! Planning: which partitions a request means, and in which order they may be built.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::PartitionsDefinition;
use crate::core::subset::PartitionSubset;

/// What planning needs to know of the assets.
pub trait Catalog {
    /// The partitions of an asset; `None` when there is no such asset.
    fn partitions(&self, key: &AssetKey) -> Option<&PartitionsDefinition>;

    /// What an asset reads; nothing for an unknown one.
    fn upstreams(&self, key: &AssetKey) -> Vec<(&AssetKey, PartitionMapping)>;

    /// Whether the asset is filled from outside: it is always there and never built.
    fn is_external(&self, key: &AssetKey) -> bool;

    /// All assets, upstream before downstream.
    fn topological_order(&self) -> &[AssetKey];
}

/// Sets of partitions by asset.
pub type PartitionSets = BTreeMap<AssetKey, PartitionSubset>;

/// Which of the selected assets' partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Of each asset the newest that has ended; all partitions of an asset without time.
    #[default]
    Newest,
    /// All that have ended.
    All,
    /// What a text says, such as `2026-01..2026-03,2026-05-01`.
    ///
    /// A range is a stretch of time: the finest selected asset that understands it says which, and every selected asset
    /// takes its ended partitions that overlap it. A single key also names a partition that is still open. Assets
    /// without time take all theirs, unless the text names static keys.
    Text(String),
}

/// The partitions of `upstream` that `subset` of `asset` reads.
#[must_use]
pub fn partitions_read(
    catalog: &dyn Catalog,
    asset: &AssetKey,
    subset: &PartitionSubset,
    upstream: &AssetKey,
    mapping: PartitionMapping,
    now: DateTime<Utc>,
) -> PartitionSubset {
    match (catalog.partitions(asset), catalog.partitions(upstream)) {
        (Some(downstream), Some(upstream)) => mapping.upstream_of(downstream, upstream, subset, now),
        _ => PartitionSubset::empty(),
    }
}

/// The partitions of `asset` that read any of `subset` of `upstream`.
#[must_use]
pub fn partitions_reading(
    catalog: &dyn Catalog,
    asset: &AssetKey,
    upstream: &AssetKey,
    mapping: PartitionMapping,
    subset: &PartitionSubset,
    now: DateTime<Utc>,
) -> PartitionSubset {
    if subset.is_empty() {
        return PartitionSubset::empty();
    }
    match (catalog.partitions(asset), catalog.partitions(upstream)) {
        (Some(downstream), Some(upstream)) => mapping.downstream_of(downstream, upstream, subset, now),
        _ => PartitionSubset::empty(),
    }
}

/// The upstream partitions that a plan needs, that are closed at `now` and that are neither present nor planned.
///
/// A partition that is still open is not required: it may be read early, but nobody has to wait for it.
#[must_use]
pub fn missing_inputs(
    catalog: &dyn Catalog,
    plan: &PartitionSets,
    present: &PartitionSets,
    now: DateTime<Utc>,
) -> PartitionSets {
    let mut missing = PartitionSets::new();
    for (asset, subset) in plan {
        for (upstream, mapping) in catalog.upstreams(asset) {
            if catalog.is_external(upstream) {
                continue;
            }
            let Some(definition) = catalog.partitions(upstream) else { continue };
            let mut needed =
                partitions_read(catalog, asset, subset, upstream, mapping, now).intersection(&definition.closed(now));
            for there in [present.get(upstream), plan.get(upstream)].into_iter().flatten() {
                needed = needed.difference(there);
            }
            if !needed.is_empty() {
                let entry = missing.entry(upstream.clone()).or_insert_with(PartitionSubset::empty);
                *entry = entry.union(&needed);
            }
        }
    }
    missing
}

/// Adds to `plan` what is missing upstream of it, and upstream of that, and so on.
pub fn add_missing_inputs(
    catalog: &dyn Catalog,
    plan: &mut PartitionSets,
    present: &PartitionSets,
    now: DateTime<Utc>,
) {
    // Each round goes one level up at least; a graph has no more levels than assets.
    for _ in 0..=catalog.topological_order().len() {
        let missing = missing_inputs(catalog, plan, present, now);
        if missing.is_empty() {
            return;
        }
        for (asset, subset) in missing {
            let entry = plan.entry(asset).or_insert_with(PartitionSubset::empty);
            *entry = entry.union(&subset);
        }
    }
}

/// Partitions that were taken out of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Which.
    pub partitions: PartitionSubset,
    /// What they read and what neither exists nor is planned.
    pub missing: PartitionSets,
}

/// Takes out of `plan` what reads something that is missing, and what reads that, and so on: what is left can be launched.
pub fn withhold_incomplete(
    catalog: &dyn Catalog,
    plan: &mut PartitionSets,
    present: &PartitionSets,
    now: DateTime<Utc>,
) -> BTreeMap<AssetKey, Withheld> {
    let mut withheld: BTreeMap<AssetKey, Withheld> = BTreeMap::new();
    // What is taken out of one asset may be missed by those one level down.
    for _ in 0..=catalog.topological_order().len() {
        let missing = missing_inputs(catalog, plan, present, now);
        if missing.is_empty() {
            break;
        }
        for (asset, subset) in plan.iter_mut() {
            let planned = subset.clone();
            for (upstream, mapping) in catalog.upstreams(asset) {
                let Some(missing) = missing.get(upstream) else { continue };
                let hit = partitions_reading(catalog, asset, upstream, mapping, missing, now).intersection(&planned);
                if hit.is_empty() {
                    continue;
                }
                let needed = partitions_read(catalog, asset, &hit, upstream, mapping, now).intersection(missing);
                let entry = withheld.entry(asset.clone()).or_default();
                entry.partitions = entry.partitions.union(&hit);
                let entry = entry.missing.entry(upstream.clone()).or_default();
                *entry = entry.union(&needed);
                *subset = subset.difference(&hit);
            }
        }
        plan.retain(|_, subset| !subset.is_empty());
    }
    withheld
}

/// Adds, for the assets of `within`, the partitions that read something planned: what a change would reach.
pub fn add_affected(catalog: &dyn Catalog, plan: &mut PartitionSets, within: &PartitionSets, now: DateTime<Utc>) {
    for asset in catalog.topological_order() {
        let Some(candidates) = within.get(asset) else { continue };
        for (upstream, mapping) in catalog.upstreams(asset) {
            let Some(changed) = plan.get(upstream) else { continue };
            let reached = partitions_reading(catalog, asset, upstream, mapping, changed, now).intersection(candidates);
            if !reached.is_empty() {
                let entry = plan.entry(asset.clone()).or_insert_with(PartitionSubset::empty);
                *entry = entry.union(&reached);
            }
        }
    }
}

/// The steps of one asset in a run, by what they mean to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepSets {
    /// Not looked at yet.
    pub pending: PartitionSubset,
    /// Ready or running: downstream has to wait.
    pub unfinished: PartitionSubset,
    /// Failed, blocked or canceled: downstream cannot run.
    pub unavailable: PartitionSubset,
}

/// What pending steps become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// May run now.
    pub ready: PartitionSets,
    /// Can never run in this run, with the reason.
    pub blocked: Vec<(AssetKey, PartitionSubset, String)>,
}

impl Advance {
    /// Whether nothing moves.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.blocked.is_empty()
    }
}

/// Decides which pending steps of a run are ready and which are blocked.
///
/// A step is ready when every partition it reads that is also in the run has been built; it is blocked as soon as one of
/// them cannot be. Partitions that are not in the run do not count here: whether they exist is decided at launch and by
/// the attempt itself.
#[must_use]
pub fn advance(catalog: &dyn Catalog, steps: &BTreeMap<AssetKey, StepSets>, now: DateTime<Utc>) -> Advance {
    let mut result = Advance::default();
    // What is blocked here blocks what reads it in the same pass, because upstream comes first.
    let mut newly_blocked = PartitionSets::new();
    let mut order: Vec<&AssetKey> = catalog.topological_order().iter().filter(|key| steps.contains_key(*key)).collect();
    let unknown: Vec<&AssetKey> = steps.keys().filter(|key| catalog.partitions(key).is_none()).collect();
    for asset in unknown {
        if let Some(sets) = steps.get(asset).filter(|sets| !sets.pending.is_empty()) {
            result.blocked.push((
                asset.clone(),
                sets.pending.clone(),
                format!("{asset} is not defined in this program any more"),
            ));
        }
    }
    order.retain(|key| steps.get(*key).is_some_and(|sets| !sets.pending.is_empty()));
    for asset in order {
        let Some(sets) = steps.get(asset) else { continue };
        let mut waiting = PartitionSubset::empty();
        let mut blocked = PartitionSubset::empty();
        for (upstream, mapping) in catalog.upstreams(asset) {
            let Some(upstream_sets) = steps.get(upstream) else { continue };
            let mut unavailable = upstream_sets.unavailable.clone();
            if let Some(more) = newly_blocked.get(upstream) {
                unavailable = unavailable.union(more);
            }
            let hit = partitions_reading(catalog, asset, upstream, mapping, &unavailable, now)
                .intersection(&sets.pending)
                .difference(&blocked);
            if !hit.is_empty() {
                let culprits = partitions_read(catalog, asset, &hit, upstream, mapping, now).intersection(&unavailable);
                let described = catalog.partitions(upstream).map_or_else(String::new, |d| d.describe(&culprits));
                let reason = format!("upstream {upstream} was not built: {described}");
                result.blocked.push((asset.clone(), hit.clone(), reason));
                blocked = blocked.union(&hit);
            }
            let busy = upstream_sets.unfinished.union(&upstream_sets.pending);
            waiting = waiting.union(&partitions_reading(catalog, asset, upstream, mapping, &busy, now));
        }
        if !blocked.is_empty() {
            newly_blocked.insert(asset.clone(), blocked.clone());
        }
        let ready = sets.pending.difference(&waiting).difference(&blocked);
        if !ready.is_empty() {
            result.ready.insert(asset.clone(), ready);
        }
    }
    result
}
