//! Leading: of the processes that have reconcilers, one runs them.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::drive::{Driver, drive};
use super::reconciler::{Reconciler, ReconcilerContext};
use crate::engine::Wakeups;
use crate::engine::reconnect::{Backoff, until_reachable};
use crate::store::leadership::RECONCILERS;
use crate::store::signal::Signal;

/// How often a process that does not lead looks whether the one that does is dead, on average.
const STANDBY_INTERVAL: Duration = Duration::from_secs(4);

/// The first and the longest wait of a process that is not registered as a worker yet.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// How long giving the lead up may take at the end: a successor finds out by itself.
const RESIGN_LIMIT: Duration = Duration::from_secs(1);

/// The reconcilers of a process: stands by while another process leads, and runs them while this one does.
///
/// Leadership is a lease: it lasts as long as the worker that holds it lives. A leader that was stopped and goes on may
/// for one activation run beside its successor; reconcilers allow for that.
pub struct Daemon {
    context: ReconcilerContext,
    worker_id: Uuid,
    wakeups: Wakeups,
    reconcilers: Vec<Box<dyn Reconciler>>,
    leads: watch::Sender<Option<bool>>,
}

impl Daemon {
    /// Reconcilers that run while the worker `worker_id`, which is this process', leads.
    #[must_use]
    pub fn new(
        context: ReconcilerContext,
        worker_id: Uuid,
        wakeups: Wakeups,
        reconcilers: Vec<Box<dyn Reconciler>>,
    ) -> Self {
        Self { context, worker_id, wakeups, reconcilers, leads: watch::Sender::new(None) }
    }

    /// Whether this process leads; `None` before that is known.
    #[must_use]
    pub fn leads(&self) -> watch::Receiver<Option<bool>> {
        self.leads.subscribe()
    }

    /// The names of the reconcilers, with the longest time between two activations.
    #[must_use]
    pub fn reconcilers(&self) -> Vec<(&'static str, Duration)> {
        self.reconcilers.iter().map(|reconciler| (reconciler.name(), reconciler.interval())).collect()
    }

    /// Leads whenever nobody else does, until `stop` is cancelled; an activation that is under way then is awaited. A
    /// database that goes away is waited for.
    pub async fn run(mut self, stop: &CancellationToken) {
        let mut backoff = Backoff::new(FIRST_WAIT, STANDBY_INTERVAL);
        while !stop.is_cancelled() {
            let epoch = try_lead(&self.context, self.worker_id, stop).await;
            if let Some(epoch) = epoch {
                backoff = Backoff::new(FIRST_WAIT, STANDBY_INTERVAL);
                tracing::info!(epoch, "this process leads: its reconcilers run");
                self.say(true);
                // Who led before may have left work behind; who misses this looks by itself.
                let _ = self.context.store.signal(Signal::Work).await;
                self.lead(epoch, stop).await;
                tracing::info!(epoch, "this process does not lead any more");
            } else if !stop.is_cancelled() {
                self.say(false);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.wait()) => {}
            }
        }
    }

    fn say(&self, leads: bool) {
        self.leads.send_if_modified(|known| known.replace(leads) != Some(leads));
    }

    async fn lead(&mut self, epoch: i64, stop: &CancellationToken) {
        // Cancelled by whichever reconciler finds that another process leads.
        let ended = stop.child_token();
        let mut running = JoinSet::new();
        for reconciler in self.reconcilers.drain(..) {
            let driver = Driver {
                context: self.context.clone(),
                worker_id: self.worker_id,
                epoch,
                wakeups: self.wakeups.subscribe(),
                ended: ended.clone(),
            };
            running.spawn(drive(driver, reconciler));
        }
        if running.is_empty() {
            ended.cancelled().await;
        }
        while let Some(result) = running.join_next().await {
            match result {
                Ok(reconciler) => self.reconcilers.push(reconciler),
                Err(error) => tracing::error!(%error, "a reconciler ended by a defect of Karat"),
            }
        }
        let resign = self.context.store.resign(RECONCILERS, self.worker_id, epoch);
        match tokio::time::timeout(RESIGN_LIMIT, resign).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the lead was not given up; it ends with the worker's lease"),
            Err(_) => tracing::debug!("the lead was not given up; it ends with the worker's lease"),
        }
    }
}

async fn try_lead(context: &ReconcilerContext, worker_id: Uuid, stop: &CancellationToken) -> Option<i64> {
    let ReconcilerContext { store, clock, .. } = context;
    let asked = until_reachable("asking to lead", stop, || store.try_lead(RECONCILERS, worker_id, clock.now()));
    match asked.await {
        Ok(epoch) => epoch,
        Err(error) => {
            if !stop.is_cancelled() {
                tracing::error!(%error, "this process cannot ask to lead");
            }
            None
        }
    }
}
