//! Units of work: which of the claimable steps a worker takes, and which of them it carries out together.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::asset::spec::PoolLimits;
use crate::store::claim::{Candidate, ClaimedStep, Usage};

/// Steps that are carried out by one transaction: partitions of one asset and run, adjacent and in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) steps: Vec<ClaimedStep>,
}

impl Unit {
    pub(super) fn run_id(&self) -> Uuid {
        self.steps[0].step.run_id
    }

    pub(super) fn asset_key(&self) -> &str {
        &self.steps[0].step.asset_key
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Both halves of a unit of at least two steps.
    pub(super) fn split(self) -> [Self; 2] {
        let mut first = self.steps;
        let second = first.split_off(first.len() / 2);
        [Self { steps: first }, Self { steps: second }]
    }

    /// Steps with their leases, as the store ends them.
    pub(super) fn leases(&self) -> Vec<(i64, i64)> {
        self.steps.iter().map(|claimed| (claimed.step.step_id, claimed.lease_epoch)).collect()
    }
}

/// Picks steps for at most `wanted` units, in the order of the candidates, within the limits of pools and runs.
///
/// `range_limit` says how many adjacent partitions of an asset one statement may build. A step counts against the
/// limits of its pool and run by itself, whatever unit it will be in.
pub(super) fn choose(
    candidates: &[Candidate],
    usage: &Usage,
    pools: &PoolLimits,
    wanted: usize,
    range_limit: impl Fn(&str) -> usize,
) -> Vec<i64> {
    let mut by_pool = usage.by_pool.clone();
    let mut by_run = usage.by_run.clone();
    // A partition may be a candidate of several runs: only the first is taken.
    let mut taken: BTreeMap<(&str, &str), ()> = BTreeMap::new();
    let mut chosen: Vec<&Candidate> = Vec::new();
    let mut units = 0;
    let mut unit_length = 0;
    for candidate in candidates {
        if taken.contains_key(&(candidate.asset_key.as_str(), candidate.partition_key.as_str())) {
            continue;
        }
        let pool_limit = candidate.pool.as_ref().and_then(|pool| pools.get(pool)).copied();
        let pool_full = match (&candidate.pool, pool_limit) {
            (Some(pool), Some(limit)) => by_pool.get(pool).copied().unwrap_or(0) >= limit,
            _ => false,
        };
        let run_full = candidate
            .concurrency_limit
            .is_some_and(|limit| i64::from(by_run.get(&candidate.run_id).copied().unwrap_or(0)) >= i64::from(limit));
        if pool_full || run_full {
            continue;
        }
        let continues = chosen.last().is_some_and(|last| continues_unit(last, candidate))
            && unit_length < range_limit(&candidate.asset_key);
        if continues {
            unit_length += 1;
        } else {
            if units == wanted {
                break;
            }
            units += 1;
            unit_length = 1;
        }
        if let Some(pool) = &candidate.pool {
            *by_pool.entry(pool.clone()).or_default() += 1;
        }
        *by_run.entry(candidate.run_id).or_default() += 1;
        taken.insert((candidate.asset_key.as_str(), candidate.partition_key.as_str()), ());
        chosen.push(candidate);
    }
    chosen.into_iter().map(|candidate| candidate.step_id).collect()
}

/// Groups claimed steps, in the order they were chosen, into units.
pub(super) fn group(claimed: Vec<ClaimedStep>, range_limit: impl Fn(&str) -> usize) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for step in claimed {
        match units.last_mut() {
            Some(unit)
                if unit.steps.last().is_some_and(|last| continues_unit(&last.step, &step.step))
                    && unit.len() < range_limit(&step.step.asset_key) =>
            {
                unit.steps.push(step);
            }
            _ => units.push(Unit { steps: vec![step] }),
        }
    }
    units
}

/// Whether `next` may be built by the same statement as `last`: adjacent, and neither has been tried before.
fn continues_unit(last: &Candidate, next: &Candidate) -> bool {
    last.run_id == next.run_id
        && last.asset_key == next.asset_key
        && last.ordinal + 1 == next.ordinal
        && last.only_if_stale == next.only_if_stale
        && !next.per_partition
        && !last.tried
        && !next.tried
}
