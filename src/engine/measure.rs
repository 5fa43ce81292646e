//! What a process counts while it works: for metrics, not for decisions. Counts begin with the process and only grow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the durations that are told apart, in seconds; what took longer is counted without a bound.
pub const DURATION_BOUNDS: [f64; 12] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_200.0, 3_600.0, 14_400.0];

/// The counts of one process. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    counts: Arc<Mutex<Counts>>,
}

/// What was counted so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Attempts by asset and how they ended: `succeeded`, `skipped`, `failed`, `canceled` or `lost`.
    pub attempts: BTreeMap<(String, &'static str), u64>,
    /// How long attempts took, by asset.
    pub durations: BTreeMap<String, Durations>,
    /// Partitions that attempts published, by asset.
    pub published: BTreeMap<String, u64>,
    /// Runs that this process found ended, by outcome and cause.
    pub runs: BTreeMap<(String, String), u64>,
    /// Steps that were taken from dead workers, and attempts of this process that found their step taken.
    pub lost_leases: u64,
}

/// How long things took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Durations {
    /// How many took no longer than each of [`DURATION_BOUNDS`] and longer than the one before; the last without a bound.
    pub counts: [u64; DURATION_BOUNDS.len() + 1],
    /// All together, in seconds.
    pub sum: f64,
}

impl Durations {
    fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.counts[DURATION_BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }
}

impl Measures {
    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn attempt_ended(&self, asset: &str, outcome: &'static str, took: Duration) {
        self.change(|counts| {
            *counts.attempts.entry((asset.to_owned(), outcome)).or_default() += 1;
            counts.durations.entry(asset.to_owned()).or_default().observe(took);
        });
    }

    pub(super) fn published(&self, asset: &str, partitions: u64) {
        self.change(|counts| *counts.published.entry(asset.to_owned()).or_default() += partitions);
    }

    pub(super) fn run_ended(&self, outcome: &str, cause: &str) {
        self.change(|counts| *counts.runs.entry((outcome.to_owned(), cause.to_owned())).or_default() += 1);
    }

    pub(super) fn leases_lost(&self, leases: u64) {
        self.change(|counts| counts.lost_leases += leases);
    }
}
