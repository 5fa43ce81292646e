//! The worker: claims steps, carries them out in a bounded number of slots, and moves runs on.

mod claiming;
mod drive;
mod pace;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::drive::{Drive, Until};
use super::FaultHook;
use super::attempt::Environment;
use super::heartbeat::{Heartbeat, HeartbeatSettings, IDLE_FACTOR, RunningSteps, lease_delta, registration};
use super::logs::LogCollector;
use super::measure::Measures;
use super::reconnect::until_reachable;
use super::shutdown::Shutdown;
use super::wakeups::{Subscription, Wakeups};
use crate::asset::definitions::Definitions;
use crate::clock::SharedClock;
use crate::store::error::sql_state;
use crate::store::worker::application_name;
use crate::store::{Store, StoreError, trusting_pool_options};

/// The machine's clock may differ from the database's by this part of the lease: two workers may differ by twice that, and
/// a lease must not look expired to one of them while the other renews it.
const CLOCK_TOLERANCE_SHARE: i32 = 3;

/// No smaller difference is held against a clock: measuring takes time.
const SMALLEST_CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// How long leaving may take: what is left behind expires.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// How a worker works.
#[derive(Clone)]
pub struct WorkerSettings {
    /// How many units are carried out at once; each holds one connection. With 0 a worker only shows signs of life and
    /// takes back what others lost.
    pub slots: usize,
    /// How long a worker that shows no sign of life keeps its steps.
    pub lease: Duration,
    /// How often it shows one while it holds steps; well below the lease. Without steps it does so ten times more
    /// rarely, and looks for work by itself as rarely.
    pub heartbeat: Duration,
    /// A step that was lost with its process so often fails.
    pub lost_attempts_limit: u32,
    /// Where it counts what it does.
    pub measures: Measures,
    /// For tests of the worker itself: dies at the points the hook chooses.
    pub fault: Option<FaultHook>,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        let slots = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        Self {
            slots,
            lease: Duration::from_secs(15),
            heartbeat: Duration::from_secs(1),
            lost_attempts_limit: 20,
            measures: Measures::default(),
            fault: None,
        }
    }
}

/// Why a worker stopped working.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The state could not be used, for a reason that waiting does not mend.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clocks of this machine and of the database disagree.
    #[error(
        "this machine's clock differs by {difference_seconds} s from the database's. Leases need clocks that agree: \
         set both by NTP"
    )]
    ClocksDiffer {
        /// Database minus machine.
        difference_seconds: i64,
    },
    /// The server's time zone data lacks the calendar's zone.
    #[error(
        "the PostgreSQL server does not know the time zone {zone}: update its time zone data, or choose another zone"
    )]
    UnknownZone {
        /// The calendar's zone.
        zone: String,
    },
    /// The test's hook killed the worker.
    #[error("the worker was killed by its fault hook")]
    Died,
}

/// Carries out the steps of runs.
///
/// Connections: one per slot, one for claiming and recording, one for stopping statements, and the heartbeat's own;
/// never more. What it is woken by has one more, which the process shares.
pub struct Worker {
    environment: Environment,
    settings: WorkerSettings,
    logs: LogCollector,
    running: RunningSteps,
    connect_options: PgConnectOptions,
    wakeups: Option<Wakeups>,
    /// The keys of the assets that this program can build, as claims want them.
    assets: Vec<String>,
    heartbeat: tokio::sync::Mutex<Option<Heartbeat>>,
    /// The last day for which the logs have their tables, once the server is known to suit.
    prepared: Mutex<Option<NaiveDate>>,
}

impl Worker {
    /// A worker on the database of `connect_options`, with connections of its own.
    #[must_use]
    pub fn new(
        connect_options: &PgConnectOptions,
        definitions: Arc<Definitions>,
        clock: SharedClock,
        logs: LogCollector,
        settings: WorkerSettings,
    ) -> Self {
        let worker_id = Uuid::now_v7();
        let connect_options = connect_options.clone().application_name(&application_name(worker_id));
        let connections = u32::try_from(settings.slots).unwrap_or(1).saturating_add(2);
        let pool = trusting_pool_options()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(30))
            .connect_lazy_with(connect_options.clone());
        let assets = definitions.assets().filter(|spec| spec.is_materializable()).map(|spec| spec.key.to_string());
        let assets = assets.collect();
        let environment = Environment {
            store: Store::new(pool),
            definitions,
            clock,
            worker_id,
            fault: settings.fault.clone(),
            lost_attempts_limit: i64::from(settings.lost_attempts_limit),
            watch_interval: settings.lease * 2,
            measures: settings.measures.clone(),
            give_up: CancellationToken::new(),
        };
        Self {
            environment,
            settings,
            logs,
            running: RunningSteps::default(),
            connect_options,
            wakeups: None,
            assets,
            heartbeat: tokio::sync::Mutex::new(None),
            prepared: Mutex::new(None),
        }
    }

    /// The same worker, woken by what is signaled rather than by the clock alone.
    #[must_use]
    pub fn woken_by(mut self, wakeups: Wakeups) -> Self {
        self.wakeups = Some(wakeups);
        self
    }

    /// This worker's id.
    #[must_use]
    pub const fn worker_id(&self) -> Uuid {
        self.environment.worker_id
    }

    /// The connections of this worker, for counting them.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        self.environment.store.pool()
    }

    /// How many units it carries out at once.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.settings.slots
    }

    /// Carries out the steps of `runs` until none of them is live, or until `stop` is cancelled: then nothing more is
    /// claimed, running attempts are stopped, and their steps are handed back.
    ///
    /// Several workers, in this process or others, may work on the same runs. A database that goes away is waited for,
    /// after `stop` only for a moment.
    ///
    /// # Errors
    /// [`WorkerError`], when going on makes no sense.
    pub async fn work_off(&self, runs: &[Uuid], stop: &CancellationToken) -> Result<(), WorkerError> {
        let result = self.drive(Until::RunsEnded(runs.iter().copied().collect()), stop).await;
        self.leave(&result).await;
        result.map(drop)
    }

    /// Carries out everything that can be claimed at the present instant, in any run, for assets that this program can
    /// build, and moves all live runs on, until nothing can go on without time passing or somebody else's doing.
    /// Returns how many units were carried out.
    ///
    /// The worker stays registered, so that calling this often costs little: a call with nothing to do is two
    /// statements. The lease is renewed first, so that a simulated clock may jump between calls. [`close`](Self::close)
    /// unregisters it.
    ///
    /// # Errors
    /// [`WorkerError`], when going on makes no sense.
    pub async fn work_until_idle(&self) -> Result<usize, WorkerError> {
        let result = self.drive(Until::Idle, &CancellationToken::new()).await;
        if result.is_err() {
            self.leave(&result).await;
        }
        result
    }

    /// Registers the worker and makes sure that the server and the clocks suit, before anything else is begun. The
    /// database is waited for until `stop` is cancelled.
    ///
    /// # Errors
    /// [`WorkerError`], when going on makes no sense.
    pub async fn register(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        self.begin(stop).await
    }

    /// Carries out whatever anybody launches, for assets that this program can build, until `shutdown` begins: then
    /// nothing more is claimed, what runs may finish within the limit, and the rest is handed back.
    ///
    /// Work is looked for when it is signaled and, in case a signal is lost, by the clock. A database that goes away is
    /// waited for. While this machine's clock differs from the database's by more than a third of a lease, nothing is
    /// claimed or taken back.
    ///
    /// # Errors
    /// [`WorkerError`], when going on makes no sense.
    pub async fn serve(&self, shutdown: &Shutdown) -> Result<(), WorkerError> {
        let result = self.drive(Until::Stopped(shutdown.clone()), shutdown.begun()).await;
        self.leave(&result).await;
        result.map(drop)
    }

    /// Unregisters the worker after [`work_until_idle`](Self::work_until_idle) or [`register`](Self::register).
    pub async fn close(&self) {
        self.leave(&Ok(0)).await;
    }

    async fn drive(&self, until: Until, stop: &CancellationToken) -> Result<usize, WorkerError> {
        match self.begin(stop).await {
            Ok(()) => {}
            // Stopped while the database was waited for: nothing was begun.
            Err(WorkerError::Store(error)) if stop.is_cancelled() && error.is_transient() => return Ok(0),
            Err(error) => return Err(error),
        }
        let wakeups = self.wakeups.as_ref().map_or_else(Subscription::silent, Wakeups::subscribe);
        Drive::new(self, until, stop, wakeups).run().await
    }

    /// Shows a sign of life, and makes sure that the server and the clocks suit.
    async fn begin(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let mut heartbeat = self.heartbeat.lock().await;
        if heartbeat.is_some() {
            self.renew_lease(stop).await?;
        } else {
            let started = Heartbeat::start(
                HeartbeatSettings {
                    worker_id: self.worker_id(),
                    slots: self.settings.slots,
                    connect_options: self.connect_options.clone(),
                    clock: self.environment.clock.clone(),
                    lease: self.settings.lease,
                    interval: self.settings.heartbeat,
                    running: self.running.clone(),
                },
                stop,
            )
            .await?;
            let difference = started.clock_difference();
            if !self.tolerates(difference) {
                started.abandon();
                return Err(WorkerError::ClocksDiffer { difference_seconds: difference.num_seconds() });
            }
            *heartbeat = Some(started);
        }
        drop(heartbeat);
        self.prepare(stop).await
    }

    async fn renew_lease(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let registration = registration(self.worker_id(), self.settings.slots);
        let lease = lease_delta(self.settings.lease + self.settings.heartbeat * IDLE_FACTOR);
        let now = self.environment.clock.now();
        until_reachable("showing a sign of life", stop, || {
            self.environment.store.register_worker(&registration, now, now + lease)
        })
        .await?;
        Ok(())
    }

    /// Makes the day's tables of the logs, once a day; the first time it is asked whether the server suits.
    async fn prepare(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let store = &self.environment.store;
        let today = self.environment.clock.now().date_naive();
        let before = *self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if before == Some(today) {
            return Ok(());
        }
        match until_reachable("preparing", stop, || store.ensure_log_partitions(today)).await {
            // A line of the day was written in the same moment: the day's lines stay where the first one went.
            Err(error) if sql_state(error.database_error()).as_deref() == Some("23514") => {}
            prepared => prepared?,
        }
        let zone = self.environment.definitions.calendar().zone.name();
        if before.is_none() && !until_reachable("preparing", stop, || store.knows_zone(zone)).await? {
            return Err(WorkerError::UnknownZone { zone: zone.to_owned() });
        }
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(today);
        Ok(())
    }

    fn tolerates(&self, difference: TimeDelta) -> bool {
        difference.abs() <= (lease_delta(self.settings.lease) / CLOCK_TOLERANCE_SHARE).max(SMALLEST_CLOCK_TOLERANCE)
    }

    /// The database's time minus this machine's, when it is too much to compare leases.
    async fn clocks_differ(&self) -> Option<TimeDelta> {
        let difference = self.heartbeat.lock().await.as_ref().map(Heartbeat::clock_difference)?;
        (!self.tolerates(difference)).then_some(difference)
    }

    async fn leave(&self, result: &Result<usize, WorkerError>) {
        let Some(heartbeat) = self.heartbeat.lock().await.take() else { return };
        heartbeat.abandon();
        if matches!(result, Err(WorkerError::Died)) {
            // A killed process closes its connections by dying.
            self.environment.store.pool().close().await;
            return;
        }
        // Not being able to unregister is no failure of the work: the row expires.
        let unregister = self.environment.store.unregister_worker(self.worker_id());
        match tokio::time::timeout(LEAVE_LIMIT, unregister).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the worker's row is left to expire"),
            Err(_) => tracing::debug!("the database does not answer; the worker's row is left to expire"),
        }
    }
}
