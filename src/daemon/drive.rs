//! Driving one reconciler: when it is activated, and what becomes of an activation that fails.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::reconciler::{Activation, Reconciler, ReconcilerContext};
use crate::engine::Subscription;
use crate::engine::panics;
use crate::engine::reconnect::{Backoff, until_reachable};
use crate::store::leadership::RECONCILERS;
use crate::store::signal::Signal;

/// The shortest time between two activations: signals that come together are one.
const SHORTEST_DISTANCE: Duration = Duration::from_millis(200);

/// The clock is read again after this time at the latest: it may jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// No activation takes so long: what it waits for will not come. What it has committed stays.
const ACTIVATION_LIMIT: Duration = Duration::from_secs(3_600);

/// The first and the longest wait after a failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What driving needs.
pub(super) struct Driver {
    pub(super) context: ReconcilerContext,
    pub(super) worker_id: Uuid,
    /// Under which this process leads.
    pub(super) epoch: i64,
    pub(super) wakeups: Subscription,
    /// Cancelled when this process does not lead any more, or ends.
    pub(super) ended: CancellationToken,
}

/// When the next activation is due, whatever is signaled.
struct Due {
    /// By the time that passes.
    from: Instant,
    after: Duration,
    /// By the clock.
    at: Option<DateTime<Utc>>,
}

/// Activates `reconciler` again and again until the end, and gives it back. Never two activations at once.
pub(super) async fn drive(mut driver: Driver, mut reconciler: Box<dyn Reconciler>) -> Box<dyn Reconciler> {
    let mut retries = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
    let mut failing: Option<String> = None;
    let mut recorded: Option<Instant> = None;
    while driver.leads().await {
        let from = Instant::now();
        let started_at = driver.context.now();
        let outcome = activate(&mut *reconciler, &driver.context).await;
        let name = reconciler.name();
        let due = match &outcome {
            Ok(activation) => {
                if let Some(report) = &activation.report {
                    tracing::info!(reconciler = name, "{report}");
                }
                if failing.take().is_some() {
                    tracing::info!(reconciler = name, "it succeeds again");
                    recorded = None;
                }
                retries = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
                Due { from, after: reconciler.interval(), at: activation.next_at }
            }
            Err(error) => {
                if failing.as_ref() != Some(error) {
                    tracing::warn!(
                        reconciler = name,
                        error,
                        "an activation failed; it is tried again until it succeeds"
                    );
                    failing = Some(error.clone());
                    recorded = None;
                }
                Due { from, after: retries.wait().min(reconciler.interval()), at: None }
            }
        };
        let reports = matches!(&outcome, Ok(Activation { report: Some(_), .. }));
        if reports || recorded.is_none_or(|recorded| recorded.elapsed() >= reconciler.interval()) {
            recorded = Some(from);
            driver.record(name, started_at, &outcome).await;
        }
        // What failed is not tried again at each signal.
        let wakes_on = if outcome.is_ok() { reconciler.wakes_on() } else { &[] };
        driver.wait(wakes_on, &due).await;
    }
    reconciler
}

/// One activation; a panic in it, and that it does not end, is an error like any other.
async fn activate(reconciler: &mut dyn Reconciler, context: &ReconcilerContext) -> Result<Activation, String> {
    let activated = AssertUnwindSafe(reconciler.activate(context)).catch_unwind();
    match tokio::time::timeout(ACTIVATION_LIMIT, activated).await {
        Ok(Ok(Ok(activation))) => Ok(activation),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(panic)) => Err(format!("it panicked: {}", panics::text(panic.as_ref()))),
        Err(_) => Err(format!("it did not end within {} s", ACTIVATION_LIMIT.as_secs())),
    }
}

impl Driver {
    /// Whether an activation may follow; when another process leads by now, all reconcilers of this one end.
    async fn leads(&self) -> bool {
        if self.ended.is_cancelled() {
            return false;
        }
        let store = &self.context.store;
        let still = until_reachable("looking who leads", &self.ended, || {
            store.still_leads(RECONCILERS, self.worker_id, self.epoch)
        });
        match still.await {
            Ok(true) => !self.ended.is_cancelled(),
            Ok(false) => {
                self.ended.cancel();
                false
            }
            Err(error) => {
                if !self.ended.is_cancelled() {
                    tracing::error!(%error, "who leads cannot be seen; this process does not any more");
                }
                self.ended.cancel();
                false
            }
        }
    }

    async fn record(&self, name: &str, started_at: DateTime<Utc>, outcome: &Result<Activation, String>) {
        let finished_at = self.context.now();
        let outcome = match outcome {
            Ok(activation) => Ok(activation.report.as_deref()),
            Err(error) => Err(error.as_str()),
        };
        let recorded = self.context.store.record_activation(name, self.worker_id, started_at, finished_at, outcome);
        // What a reconciler did stands whether it is told or not.
        if let Err(error) = recorded.await {
            tracing::debug!(reconciler = name, %error, "an activation could not be recorded");
        }
    }

    /// Until the next activation is due, by time or by a signal.
    async fn wait(&mut self, wakes_on: &[Signal], due: &Due) {
        let mut signaled = false;
        loop {
            let left = if signaled { Duration::ZERO } else { due.left(self.context.now()) };
            let left = left.max(SHORTEST_DISTANCE.saturating_sub(due.from.elapsed()));
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = self.ended.cancelled() => return,
                wakeup = self.wakeups.next() => signaled |= wakeup.concerns(wakes_on),
                () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => {}
            }
        }
    }
}

impl Due {
    /// How long it takes until then; nothing when it is due.
    fn left(&self, now: DateTime<Utc>) -> Duration {
        let by_time = self.after.saturating_sub(self.from.elapsed());
        // An instant in the past is due, however long past.
        let by_clock = self.at.map(|at| (at - now).to_std().unwrap_or(Duration::ZERO));
        by_clock.map_or(by_time, |by_clock| by_clock.min(by_time))
    }
}
