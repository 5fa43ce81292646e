//! Launching: a set of partitions becomes a run, unless it cannot be built.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::inputs::ordinal_of;
use crate::asset::definitions::Definitions;
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::plan::{PartitionSets, StepSets, advance, missing_inputs, partitions_read};
use crate::core::subset::PartitionSubset;
use crate::store::launch::{NewRun, NewStep, NewSteps, RunCause};
use crate::store::materialization::VersionRange;
use crate::store::{Store, StoreError};

/// What is to be built, and how.
#[derive(Clone, Debug)]
pub struct LaunchRequest {
    /// The partitions, by asset.
    pub plan: PartitionSets,
    /// Assets whose partitions are skipped when they turn out to be fresh at their turn.
    pub only_if_stale: BTreeSet<AssetKey>,
    /// Build in spite of missing upstream partitions; what is missing is recorded.
    pub force: bool,
    /// One statement per partition, even for assets that can build ranges.
    pub per_partition: bool,
    /// Most steps of this run at once.
    pub concurrency_limit: Option<u32>,
    /// Added to the assets' priorities.
    pub priority: i32,
    /// Why.
    pub cause: RunCause,
    /// Why, in data.
    pub cause_detail: Option<Value>,
    /// The backfill this run belongs to: a new id makes a new backfill.
    pub backfill_id: Option<Uuid>,
    /// The run whose failures it repeats.
    pub retry_of: Option<Uuid>,
    /// What was asked for, for people.
    pub request: Value,
    /// Who asked for it; `None` when nobody did.
    pub requested_by: Option<String>,
}

/// A run that was launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Its id.
    pub run_id: Uuid,
    /// How many steps it has.
    pub steps: u64,
}

/// Why nothing was launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is nothing to do.
    #[error("nothing to build: the request contains no partition")]
    Nothing,
    /// An external asset was asked for.
    #[error(
        "{0} is external: its rows come from outside and Karat does not build it. Build what reads it, for example with `{0}+`"
    )]
    External(AssetKey),
    /// The plan names an asset that is not defined.
    #[error("{0} is not defined")]
    Undefined(AssetKey),
    /// Upstream partitions are missing.
    #[error("missing upstream: {}. Add `--upstream` to build them first, or `--force` to build without them", describe_sets(.0))]
    MissingInputs(Vec<(AssetKey, String)>),
    /// The state could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn describe_sets(missing: &[(AssetKey, String)]) -> String {
    missing.iter().map(|(key, described)| format!("{key} {described}")).collect::<Vec<_>>().join("; ")
}

/// The partitions of these assets that have been built.
///
/// # Errors
/// When the state cannot be read.
pub async fn present(
    store: &Store,
    definitions: &Definitions,
    keys: impl IntoIterator<Item = &AssetKey>,
) -> Result<PartitionSets, StoreError> {
    present_within(store, definitions, keys.into_iter().map(|key| (key, (Ordinal::MIN, Ordinal::MAX)))).await
}

/// The partitions of these assets that have been built, among those from the first to the last number of each; of assets
/// not made of time, all.
async fn present_within(
    store: &Store,
    definitions: &Definitions,
    spans: impl IntoIterator<Item = (&AssetKey, (Ordinal, Ordinal))>,
) -> Result<PartitionSets, StoreError> {
    let mut time = Vec::new();
    let mut keyed = Vec::new();
    for (key, (first, last)) in spans {
        let Some(spec) = definitions.asset(key) else { continue };
        if spec.partitions.as_time().is_some() {
            time.push(VersionRange { asset_key: key.to_string(), first, last });
        } else {
            keyed.push(key.as_str());
        }
    }
    let ranges = store.present_ranges(&time, &keyed).await?;
    let mut lists: BTreeMap<AssetKey, Vec<(i64, i64)>> = BTreeMap::new();
    for range in ranges {
        let Ok(key) = range.asset_key.parse::<AssetKey>() else { continue };
        let Some(spec) = definitions.asset(&key) else { continue };
        let Some(first) = ordinal_of(&spec.partitions, &range.first_key, range.first) else { continue };
        lists.entry(key).or_default().push((first, first + (range.last - range.first)));
    }
    Ok(lists
        .into_iter()
        .map(|(key, ranges)| {
            let subset = PartitionSubset::from_ranges(ranges);
            // Partitions before a start that was moved forward still lie in the table, but are none any more.
            let subset =
                definitions.asset(&key).map_or_else(PartitionSubset::empty, |spec| spec.partitions.restrict(&subset));
            (key, subset)
        })
        .collect())
}

/// What is missing upstream of a plan, described with the partitions' keys.
///
/// # Errors
/// When the state cannot be read.
pub async fn missing_upstream(
    store: &Store,
    definitions: &Definitions,
    plan: &PartitionSets,
    now: DateTime<Utc>,
) -> Result<PartitionSets, StoreError> {
    let mut spans: BTreeMap<&AssetKey, (Ordinal, Ordinal)> = BTreeMap::new();
    for (key, subset) in plan {
        let Some(spec) = definitions.asset(key) else { continue };
        for upstream in &spec.upstreams {
            let read = partitions_read(definitions, key, subset, &upstream.key, upstream.mapping, now);
            let Some((first, last)) = read.first().zip(read.last()) else { continue };
            let span = spans.entry(&upstream.key).or_insert((first, last));
            *span = (span.0.min(first), span.1.max(last));
        }
    }
    let present = present_within(store, definitions, spans).await?;
    Ok(missing_inputs(definitions, plan, &present, now))
}

/// Writes the run and its steps, which nobody in particular asked for; a worker does the rest.
///
/// # Errors
/// [`LaunchError`]; nothing is written then.
pub async fn launch(
    store: &Store,
    definitions: &Definitions,
    request: LaunchRequest,
    now: DateTime<Utc>,
) -> Result<Launched, LaunchError> {
    let (run, steps) = prepare(store, definitions, request, now).await?;
    let steps = store.launch(&run, &steps, None).await?;
    Ok(Launched { run_id: run.run_id, steps })
}

/// The run and the steps that [`launch`] would write, for callers who write something else in the same transaction.
///
/// # Errors
/// [`LaunchError`].
pub async fn prepare(
    store: &Store,
    definitions: &Definitions,
    request: LaunchRequest,
    now: DateTime<Utc>,
) -> Result<(NewRun, Vec<NewSteps>), LaunchError> {
    // What waits for nothing in the run can be claimed from the moment it is written.
    let pending = |subset: &PartitionSubset| StepSets { pending: subset.clone(), ..StepSets::default() };
    let sets = request.plan.iter().map(|(key, subset)| (key.clone(), pending(subset))).collect();
    let ready = advance(definitions, &sets, now).ready;
    // Upstream first, and an asset's partitions together: what lies between them would part their ranges.
    let mut plan: Vec<_> = request.plan.iter().filter(|(_, subset)| !subset.is_empty()).collect();
    plan.sort_by_key(|(key, _)| definitions.graph().rank(key));
    let mut steps = Vec::new();
    for (position, (key, subset)) in (0..).zip(plan) {
        let spec = definitions.asset(key).ok_or_else(|| LaunchError::Undefined(key.clone()))?;
        if !spec.is_materializable() {
            return Err(LaunchError::External(key.clone()));
        }
        steps.push(NewSteps {
            asset_key: key.to_string(),
            rank: position,
            priority: spec.priority.saturating_add(request.priority),
            pool: spec.pool.clone(),
            only_if_stale: request.only_if_stale.contains(key),
            partitions: subset
                .iter()
                .map(|ordinal| NewStep {
                    partition_key: spec.partitions.key(ordinal).as_str().to_owned(),
                    ordinal,
                    ready: ready.get(key).is_some_and(|ready| ready.contains(ordinal)),
                })
                .collect(),
        });
    }
    if steps.is_empty() {
        return Err(LaunchError::Nothing);
    }
    if !request.force {
        let missing = missing_upstream(store, definitions, &request.plan, now).await?;
        if !missing.is_empty() {
            return Err(LaunchError::MissingInputs(described(definitions, &missing)));
        }
    }
    let run = NewRun {
        run_id: Uuid::now_v7(),
        backfill_id: request.backfill_id,
        retry_of: request.retry_of,
        cause: request.cause,
        cause_detail: request.cause_detail,
        request: request.request,
        force: request.force,
        per_partition: request.per_partition,
        concurrency_limit: request.concurrency_limit.and_then(|limit| i32::try_from(limit).ok()),
        requested_by: request.requested_by,
        requested_at: now,
    };
    Ok((run, steps))
}

/// The sets with their partitions in words.
fn described(definitions: &Definitions, sets: &PartitionSets) -> Vec<(AssetKey, String)> {
    sets.iter()
        .map(|(key, subset)| {
            let text = definitions.asset(key).map_or_else(String::new, |spec| spec.partitions.describe(subset));
            (key.clone(), text)
        })
        .collect()
}
