//! The worker: claims steps, carries them out in a bounded number of slots, and moves runs on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::FaultHook;
use super::attempt::Environment;
use super::ending::hand_back;
use super::execute::{Died, execute};
use super::heartbeat::{Heartbeat, HeartbeatSettings, Running, RunningSteps};
use super::logs::LogCollector;
use super::measure::Measures;
use super::progress::{Progress, move_on};
use super::reconnect::until_reachable;
use super::units::{Unit, choose, group};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetKind;
use crate::clock::SharedClock;
use crate::core::key::AssetKey;
use crate::store::claim::ClaimScope;
use crate::store::worker::application_name;
use crate::store::{Store, StoreError};

/// How much work is claimed ahead of free slots, as time: more would sit idle here while others could do it.
const CLAIM_AHEAD: Duration = Duration::from_millis(200);

/// Never more units ahead than this per slot.
const CLAIM_AHEAD_LIMIT: usize = 16;

/// How many candidates are looked at when an asset can build ranges.
const RANGE_CANDIDATES: usize = 1_000;

/// The first and the longest wait when there is nothing to do.
const SHORTEST_POLL: Duration = Duration::from_millis(10);
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// How often steps of dead workers are looked for while waiting.
const TAKE_BACK_INTERVAL: Duration = Duration::from_secs(1);

/// The machine's clock may differ from the database's by this part of the lease: two workers may differ by twice that, and
/// a lease must not look expired to one of them while the other renews it.
const CLOCK_TOLERANCE_SHARE: i32 = 3;

/// No smaller difference is held against a clock: measuring takes time.
const SMALLEST_CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// How a worker works.
#[derive(Clone)]
pub struct WorkerSettings {
    /// How many units are carried out at once; each holds one connection.
    pub slots: usize,
    /// How long a worker that shows no sign of life keeps its steps.
    pub lease: Duration,
    /// How often it shows one; well below the lease.
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
/// never more.
pub struct Worker {
    environment: Environment,
    settings: WorkerSettings,
    clock: SharedClock,
    logs: LogCollector,
    running: RunningSteps,
    connect_options: PgConnectOptions,
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
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(30))
            .connect_lazy_with(connect_options.clone());
        let environment = Environment {
            store: Store::new(pool),
            definitions,
            clock: clock.clone(),
            worker_id,
            fault: settings.fault.clone(),
            lost_attempts_limit: i64::from(settings.lost_attempts_limit),
            measures: settings.measures.clone(),
        };
        Self { environment, settings, clock, logs, running: RunningSteps::default(), connect_options }
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

    /// Carries out the steps of `runs` until none of them is live, or until `stop` is cancelled: then nothing more is
    /// claimed, running attempts are stopped, and their steps are handed back.
    ///
    /// Several workers, in this process or others, may work on the same runs. A database that goes away is waited for.
    ///
    /// # Errors
    /// [`WorkerError`], when going on makes no sense.
    pub async fn work_off(&self, runs: &[Uuid], stop: &CancellationToken) -> Result<(), WorkerError> {
        let (heartbeat, database_now) = Heartbeat::start(HeartbeatSettings {
            worker_id: self.worker_id(),
            connect_options: self.connect_options.clone(),
            clock: self.clock.clone(),
            lease: self.settings.lease,
            interval: self.settings.heartbeat,
            running: self.running.clone(),
        })
        .await?;
        if self.clock.is_real() {
            let difference = database_now - self.clock.now();
            let lease = TimeDelta::from_std(self.settings.lease).unwrap_or(TimeDelta::MAX);
            if difference.abs() > (lease / CLOCK_TOLERANCE_SHARE).max(SMALLEST_CLOCK_TOLERANCE) {
                heartbeat.abandon();
                return Err(WorkerError::ClocksDiffer { difference_seconds: difference.num_seconds() });
            }
        }
        let result = self.work(runs, stop).await;
        heartbeat.abandon();
        if matches!(result, Err(WorkerError::Died)) {
            // A killed process closes its connections by dying.
            self.environment.store.pool().close().await;
            return result;
        }
        // Not being able to unregister is no failure of the work: the row expires.
        if let Err(error) = self.environment.store.unregister_worker(self.worker_id()).await {
            tracing::debug!(%error, "the worker's row is left to expire");
        }
        result
    }

    async fn work(&self, runs: &[Uuid], stop: &CancellationToken) -> Result<(), WorkerError> {
        let store = &self.environment.store;
        let today = self.clock.now().date_naive();
        until_reachable("preparing", || store.ensure_log_partitions(today)).await?;
        let zone = self.environment.definitions.calendar().zone.name();
        if !until_reachable("preparing", || store.knows_zone(zone)).await? {
            return Err(WorkerError::UnknownZone { zone: zone.to_owned() });
        }
        let mut live: Vec<Uuid> = runs.to_vec();
        let mut queue: VecDeque<Held> = VecDeque::new();
        let mut slots: JoinSet<Ended> = JoinSet::new();
        let mut pace = Pace::default();
        let mut poll = SHORTEST_POLL;
        let mut last_take_back: Option<Instant> = None;
        loop {
            if stop.is_cancelled() {
                return self.stop_working(queue, slots).await;
            }
            if last_take_back.is_none_or(|last| last.elapsed() >= TAKE_BACK_INTERVAL) {
                last_take_back = Some(Instant::now());
                self.take_back().await?;
            }
            let mut idle = true;
            if queue.len() < self.settings.slots {
                let wanted =
                    self.settings.slots - slots.len().min(self.settings.slots) + pace.ahead(self.settings.slots);
                let wanted = wanted.saturating_sub(queue.len()).max(1);
                let claimed = self.claim(&live, wanted).await?;
                idle = claimed.is_empty();
                let short = claimed.len() < wanted;
                queue.extend(claimed.into_iter().map(|unit| Held { running: self.running.hold(&unit), unit }));
                if short {
                    idle &= !self.move_runs_on(&mut live).await?;
                }
            }
            while slots.len() < self.settings.slots
                && let Some(held) = queue.pop_front()
            {
                self.start(&mut slots, held);
                idle = false;
            }
            if live.is_empty() && queue.is_empty() && slots.is_empty() {
                return Ok(());
            }
            if !idle && slots.len() < self.settings.slots && queue.is_empty() {
                // Something moved and a slot is free: look again at once.
                poll = SHORTEST_POLL;
                if slots.is_empty() {
                    continue;
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(ended) = slots.join_next(), if !slots.is_empty() => {
                    poll = SHORTEST_POLL;
                    self.ended(ended, &mut pace)?;
                    // Take everything that ended in the meantime before looking for more.
                    while let Some(ended) = slots.try_join_next() {
                        self.ended(ended, &mut pace)?;
                    }
                }
                () = tokio::time::sleep(poll) => poll = (poll * 2).min(LONGEST_POLL),
            }
        }
    }

    fn start(&self, slots: &mut JoinSet<Ended>, held: Held) {
        let environment = self.environment.clone();
        let logs = self.logs.clone();
        slots.spawn(async move {
            let began = Instant::now();
            let Held { unit, running } = held;
            let result = execute(&environment, &logs, unit, running.signal()).await;
            (began.elapsed(), result)
        });
    }

    fn ended(&self, ended: Result<Ended, tokio::task::JoinError>, pace: &mut Pace) -> Result<(), WorkerError> {
        match ended {
            Ok((elapsed, Ok(()))) => {
                pace.observe(elapsed);
                Ok(())
            }
            Ok((_, Err(Died))) => Err(WorkerError::Died),
            Err(error) => {
                // Only a defect of the engine gets here: assets' panics are caught. The steps are not known as running
                // any more, and are given back.
                tracing::error!(%error, "an attempt ended by a defect of Karat");
                Ok(())
            }
        }
    }

    async fn claim(&self, live: &[Uuid], wanted: usize) -> Result<Vec<Unit>, WorkerError> {
        if live.is_empty() || wanted == 0 {
            return Ok(Vec::new());
        }
        let definitions = &self.environment.definitions;
        let range_limit = |asset: &str| {
            asset
                .parse::<AssetKey>()
                .ok()
                .and_then(|key| definitions.asset(&key).cloned())
                .filter(|spec| spec.kind == AssetKind::Sql)
                .map_or(1, |spec| usize::try_from(spec.range_partitions).unwrap_or(1))
                .max(1)
        };
        let any_range = definitions.assets().any(|spec| spec.kind == AssetKind::Sql && spec.range_partitions > 1);
        let candidates = if any_range { wanted.max(RANGE_CANDIDATES) } else { wanted };
        let scope = ClaimScope::Runs(live.to_vec());
        let store = &self.environment.store;
        let claimed = loop {
            let claimed = until_reachable("claiming", || {
                store.claim(
                    self.worker_id(),
                    &scope,
                    definitions.pools(),
                    i64::try_from(candidates).unwrap_or(i64::MAX),
                    self.clock.now(),
                    |candidates, usage| choose(candidates, usage, definitions.pools(), wanted, range_limit),
                )
            })
            .await;
            match claimed {
                // Another claim took one of these partitions in the same moment.
                Err(error) if error.is_conflict() => {}
                claimed => break claimed?,
            }
        };
        Ok(group(claimed, range_limit))
    }

    /// Moves the live runs on and forgets those that have ended; true when something moved.
    async fn move_runs_on(&self, live: &mut Vec<Uuid>) -> Result<bool, WorkerError> {
        let mut moved = false;
        let mut still_live = Vec::with_capacity(live.len());
        for run_id in live.drain(..) {
            let progress = until_reachable("moving the run on", || {
                let Environment { store, definitions, measures, .. } = &self.environment;
                move_on(store, definitions, measures, run_id, self.clock.now())
            })
            .await?;
            match progress {
                Progress::Moved => moved = true,
                Progress::Waiting => {}
                Progress::Ended => {
                    moved = true;
                    continue;
                }
            }
            still_live.push(run_id);
        }
        *live = still_live;
        Ok(moved)
    }

    /// Takes back what dead workers left, and gives back what this one holds without knowing it.
    async fn take_back(&self) -> Result<(), WorkerError> {
        let known = self.running.known();
        let given_back = until_reachable("looking for steps held unknowingly", || {
            self.environment.store.give_back_unknown_steps(self.worker_id(), &known, self.clock.now())
        })
        .await?;
        if given_back > 0 {
            tracing::warn!(steps = given_back, "a claim was committed without this worker hearing of it; given back");
        }
        let lost = until_reachable("looking for dead workers", || {
            self.environment.store.take_back_lost_steps(
                Some(self.worker_id()),
                self.environment.lost_attempts_limit,
                self.clock.now(),
            )
        })
        .await?;
        self.environment.measures.leases_lost(lost.len() as u64);
        for step in lost {
            tracing::warn!(
                asset = step.asset_key,
                partition = step.partition_key,
                state = step.state,
                "a process died while it built this partition; the step was taken back"
            );
        }
        Ok(())
    }

    async fn stop_working(&self, queue: VecDeque<Held>, mut slots: JoinSet<Ended>) -> Result<(), WorkerError> {
        self.running.hand_back_all();
        for held in &queue {
            hand_back(&self.environment, &held.unit).await;
        }
        while slots.join_next().await.is_some() {}
        Ok(())
    }
}

/// A unit that was claimed, known as held here from that moment on: a cancellation reaches it before it is begun.
struct Held {
    unit: Unit,
    running: Running,
}

/// How long a unit took, and how it ended.
type Ended = (Duration, Result<(), Died>);

/// How long units take, as a moving average, so that claims cover a fixed time rather than a fixed number.
#[derive(Default)]
struct Pace {
    average: Option<Duration>,
}

impl Pace {
    fn observe(&mut self, elapsed: Duration) {
        self.average = Some(self.average.map_or(elapsed, |average| (average * 7 + elapsed) / 8));
    }

    /// How many units more than there are free slots to claim.
    fn ahead(&self, slots: usize) -> usize {
        self.average.map_or(0, |average| {
            let each = usize::try_from(CLAIM_AHEAD.as_micros() / average.as_micros().max(1)).unwrap_or(0);
            slots * each.min(CLAIM_AHEAD_LIMIT)
        })
    }
}
