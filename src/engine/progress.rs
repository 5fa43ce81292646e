//! Moving a run on: which of its pending steps may run now, and whether it has ended.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::attempt::Environment;
use crate::core::key::AssetKey;
use crate::core::plan::{StepSets, advance};
use crate::core::subset::PartitionSubset;
use crate::store::StoreError;
use crate::store::run::StepMove;

/// What happened to a run when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Steps became ready or blocked.
    Moved,
    /// Nothing to do before something else happens.
    Waiting,
    /// No step is open any more.
    Ended,
}

/// What becomes of waiting steps of assets that this program does not define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undefined {
    /// They are blocked.
    Blocked,
    /// They stay: another program on this database may define them.
    LeftToOthers,
}

/// Looks at a run and moves it on. Any number of processes may do so at once: all of it can be repeated.
pub(super) async fn move_on(
    environment: &Environment,
    run_id: Uuid,
    undefined: Undefined,
) -> Result<Progress, StoreError> {
    let Environment { store, definitions, measures, .. } = environment;
    let now = environment.clock.now();
    let mut ranges: BTreeMap<AssetKey, [Vec<(i64, i64)>; 3]> = BTreeMap::new();
    let mut open = false;
    for range in store.step_ranges(run_id).await? {
        let Ok(key) = range.asset_key.parse::<AssetKey>() else { continue };
        let [pending, unfinished, unavailable] = ranges.entry(key).or_default();
        let (list, is_open) = match range.state.as_str() {
            "pending" => (pending, true),
            "ready" | "running" => (unfinished, true),
            "failed" | "blocked" | "canceled" => (unavailable, false),
            _ => continue,
        };
        open |= is_open;
        list.push((range.first, range.last));
    }
    if !open {
        if let Some(ended) = store.finish_run(run_id, now).await? {
            measures.run_ended(&ended.outcome, &ended.cause);
            tracing::info!(%run_id, outcome = ended.outcome, cause = ended.cause, "the run has ended");
        }
        return Ok(Progress::Ended);
    }
    let steps: BTreeMap<AssetKey, StepSets> = ranges
        .into_iter()
        .map(|(key, lists)| {
            let [pending, unfinished, unavailable] = lists.map(PartitionSubset::from_ranges);
            (key, StepSets { pending, unfinished, unavailable })
        })
        .collect();
    let advance = advance(&**definitions, &steps, now);
    let mut moves = Vec::new();
    for (asset, subset) in &advance.ready {
        moves.extend(step_moves(asset, subset, "ready", None));
    }
    for (asset, subset, reason) in &advance.blocked {
        if undefined == Undefined::LeftToOthers && definitions.asset(asset).is_none() {
            continue;
        }
        moves.extend(step_moves(asset, subset, "blocked", Some(reason)));
    }
    let moved = store.move_pending_steps(run_id, &moves, now).await?;
    Ok(if moved > 0 { Progress::Moved } else { Progress::Waiting })
}

fn step_moves(
    asset: &AssetKey,
    subset: &PartitionSubset,
    state: &'static str,
    reason: Option<&String>,
) -> impl Iterator<Item = StepMove> {
    subset
        .ranges()
        .iter()
        .map(move |&(first, last)| StepMove {
            asset_key: asset.to_string(),
            first,
            last,
            state,
            reason: reason.cloned(),
        })
        .collect::<Vec<_>>()
        .into_iter()
}
