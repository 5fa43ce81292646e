//! The heartbeat of a worker: a thread of its own, so that neither a busy asset nor a full pool can stop it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::reconnect::until_reachable;
use super::units::Unit;
use crate::clock::SharedClock;
use crate::store::worker::Registration;
use crate::store::{Store, StoreError};

/// While a worker holds no step its signs of life are rarer by this factor, and its lease is longer by as much: there is
/// nothing that anybody could take back from it.
pub(super) const IDLE_FACTOR: u32 = 10;

/// Tells an attempt to end early.
#[derive(Clone, Default)]
pub(super) struct StopSignal {
    /// The run was canceled: the steps end as canceled.
    pub(super) canceled: CancellationToken,
    /// The worker stops: the steps go back untried.
    pub(super) handed_back: CancellationToken,
}

/// The steps a worker has claimed or is carrying out, each with the signal that stops it.
#[derive(Clone, Default)]
pub(super) struct RunningSteps {
    signals: Arc<Mutex<HashMap<i64, StopSignal>>>,
    /// Told when there were no steps and now there are.
    first: Arc<Notify>,
}

impl RunningSteps {
    /// Keeps the steps of `unit` until the result is dropped, be it by a panic.
    pub(super) fn hold(&self, unit: &Unit) -> Running {
        let signal = StopSignal::default();
        let steps: Vec<i64> = unit.leases().into_iter().map(|(step_id, _)| step_id).collect();
        let mut signals = self.lock();
        if signals.is_empty() {
            self.first.notify_one();
        }
        signals.extend(steps.iter().map(|&step_id| (step_id, signal.clone())));
        drop(signals);
        Running { all: self.clone(), steps, signal }
    }

    /// The steps that are claimed or being carried out.
    pub(super) fn known(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    /// Tells everything that runs to stop and go back.
    pub(super) fn hand_back_all(&self) {
        for signal in self.lock().values() {
            signal.handed_back.cancel();
        }
    }

    /// Whether nothing is claimed or carried out.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Tells those of `steps` that are here that their run was canceled.
    pub(super) fn cancel(&self, steps: &[i64]) {
        let signals = self.lock();
        for signal in steps.iter().filter_map(|step_id| signals.get(step_id)) {
            signal.canceled.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i64, StopSignal>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Steps that this worker holds, for as long as it lives.
pub(super) struct Running {
    all: RunningSteps,
    steps: Vec<i64>,
    signal: StopSignal,
}

impl Running {
    /// What stops them.
    pub(super) const fn signal(&self) -> &StopSignal {
        &self.signal
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut signals = self.all.lock();
        for step_id in &self.steps {
            signals.remove(step_id);
        }
    }
}

/// Keeps a worker's lease alive until it is stopped or dropped.
pub(super) struct Heartbeat {
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
    clock_difference: ClockDifference,
}

/// What the heartbeat needs.
pub(super) struct HeartbeatSettings {
    pub(super) worker_id: Uuid,
    pub(super) slots: usize,
    pub(super) connect_options: PgConnectOptions,
    pub(super) clock: SharedClock,
    pub(super) lease: Duration,
    pub(super) interval: Duration,
    pub(super) running: RunningSteps,
}

/// The database's time minus this machine's, as last measured.
#[derive(Clone, Default)]
struct ClockDifference {
    milliseconds: Arc<AtomicI64>,
}

impl ClockDifference {
    fn measured(&self, database_now: DateTime<Utc>, clock: &SharedClock) {
        if clock.is_real() {
            let difference = database_now - clock.now();
            self.milliseconds.store(difference.num_milliseconds(), Ordering::Relaxed);
        }
    }
}

impl Heartbeat {
    /// Registers the worker and begins to beat. The database is waited for until `give_up` is cancelled.
    pub(super) async fn start(settings: HeartbeatSettings, give_up: &CancellationToken) -> Result<Self, StoreError> {
        let stop = CancellationToken::new();
        let (registered, first) = oneshot::channel();
        let clock_difference = ClockDifference::default();
        let beating = (stop.clone(), give_up.clone(), clock_difference.clone());
        let thread = std::thread::Builder::new()
            .name("karat-heartbeat".to_owned())
            .spawn(move || {
                let (stopped, give_up, clock_difference) = beating;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => runtime.block_on(beat(settings, stopped, give_up, clock_difference, registered)),
                    Err(error) => {
                        let error = StoreError::new("starting the heartbeat", sqlx::Error::Io(error));
                        let _ = registered.send(Err(error));
                    }
                }
            })
            .map_err(|error| StoreError::new("starting the heartbeat", sqlx::Error::Io(error)))?;
        let heartbeat = Self { stop, thread: Some(thread), clock_difference };
        first.await.map_err(|_| StoreError::new("starting the heartbeat", sqlx::Error::WorkerCrashed))??;
        Ok(heartbeat)
    }

    /// The database's time minus this machine's, as last measured; zero for a clock that is not the world's.
    pub(super) fn clock_difference(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.clock_difference.milliseconds.load(Ordering::Relaxed))
    }

    /// Ends the heartbeat without unregistering the worker: its lease runs out, as if the process had died.
    pub(super) fn abandon(mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn beat(
    settings: HeartbeatSettings,
    stop: CancellationToken,
    give_up: CancellationToken,
    clock_difference: ClockDifference,
    registered: oneshot::Sender<Result<(), StoreError>>,
) {
    // One connection that is never given back: while it lives, the worker has a connection, and counts as alive.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .test_before_acquire(true)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(settings.interval.max(Duration::from_secs(1)))
        .connect_lazy_with(settings.connect_options.clone());
    let store = Store::new(pool);
    let registration = registration(settings.worker_id, settings.slots);
    let busy_lease = lease_delta(settings.lease);
    let idle_lease = lease_delta(settings.lease + settings.interval * IDLE_FACTOR);
    let renew = || async {
        let lease = if settings.running.is_empty() { idle_lease } else { busy_lease };
        let now = settings.clock.now();
        let database_now = store.register_worker(&registration, now, now + lease).await?;
        clock_difference.measured(database_now, &settings.clock);
        Ok(())
    };
    let first = until_reachable("registering this worker", &give_up, renew).await;
    let go_on = first.is_ok();
    if registered.send(first).is_err() || !go_on {
        return;
    }
    let work = async {
        loop {
            let idle = settings.running.is_empty();
            let interval = settings.interval * if idle { IDLE_FACTOR } else { 1 };
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = settings.running.first.notified(), if idle => {}
            }
            // The lease may run out while the database is away; the fence then refuses what was built under it.
            if let Err(error) = until_reachable("heartbeat", &stop, renew).await {
                tracing::error!(%error, "the lease could not be renewed");
            }
            if settings.running.is_empty() {
                continue;
            }
            match store.steps_to_cancel(settings.worker_id).await {
                Ok(steps) => settings.running.cancel(&steps),
                Err(error) => tracing::warn!(%error, "cancellations could not be looked for"),
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
    store.pool().close().await;
}

/// What this process says of itself.
pub(super) fn registration(worker_id: Uuid, slots: usize) -> Registration {
    Registration {
        worker_id,
        host: host_name(),
        process_id: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
        slots: i32::try_from(slots).unwrap_or(i32::MAX),
    }
}

/// A lease as a difference of instants.
pub(super) fn lease_delta(lease: Duration) -> TimeDelta {
    TimeDelta::from_std(lease).unwrap_or(TimeDelta::seconds(60))
}

/// The machine's name, for people who look at a list of workers.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
