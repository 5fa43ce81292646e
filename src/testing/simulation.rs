//! A whole installation that runs by itself in simulated time, and stands still between two steps.

mod breakage;
mod error;
mod happened;
mod picture;
mod sleeper;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

pub use self::error::SimulationError;
pub use self::happened::Happened;

use self::sleeper::Sleeper;
use super::database::{POOL_CONNECTIONS, TestDatabase};
use crate::asset::declare::ExternalAsset;
use crate::asset::definitions::Definitions;
use crate::clock::{Clock, ManualClock, SharedClock};
use crate::core::id::short_id;
use crate::daemon::{Reconciler, ReconcilerContext};
use crate::engine::external::{Appended, append_rows};
use crate::engine::logs::LogCollector;
use crate::engine::{Worker, WorkerSettings};
use crate::service::{LaunchKind, LaunchedView, Request, Service, ServiceError};
use crate::store::Store;
use crate::store::garbage::Retention;
use crate::store::migrate::Migrations;
use crate::store::signal::Signal;

/// A step that has not settled after so many rounds never will: two parts undo each other's work, or one starts the same
/// again and again.
const ROUNDS_LIMIT: usize = 100;

/// How many connections the installation has beside its worker's. Nearly everything is done one after the other, and each
/// connection plans what it is asked by itself, anew whenever tables of days come and go: over simulated years two
/// take nine tenths of the time of sixteen.
const CONNECTIONS: u32 = 2;

/// Makes the reconcilers of a process that starts, in the order in which a step activates them.
pub type MakeReconcilers = fn() -> Vec<Box<dyn Reconciler>>;

/// An installation of its own for a test: an empty database, a clock that stands still, all reconcilers, and a worker.
///
/// Nothing moves by itself. A [`step`](Self::step) does everything that there is to do at the present instant, as a
/// running installation would within moments; [`advance`](Self::advance) moves the clock and takes a step. What
/// happened comes back as text to compare, and [`status_text`](Self::status_text) draws how everything stands.
///
/// ```
/// # use karat::prelude::*;
/// # use karat::store::migrate::Migrations;
/// # use karat::testing::Simulation;
/// # table! {
/// #     /// Something that somebody did.
/// #     pub struct Event {
/// #         pub event_id: i64,
/// #         pub at: DateTime<Utc>,
/// #     }
/// # }
/// # impl Asset for Event {
/// #     const KEY: AssetKey = AssetKey::new("lake.events");
/// #     type Partitions = Daily;
/// #     const PARTITION_COLUMN: &'static str = "at";
/// #     type Upstream = ();
/// #     const NATURAL_KEY: &'static [&'static str] = &["event_id", "at"];
/// # }
/// # impl ExternalAsset for Event {}
/// # table! {
/// #     /// What happened on a day.
/// #     pub struct DayCount {
/// #         pub day: NaiveDate,
/// #         pub events: i64,
/// #     }
/// # }
/// # impl Asset for DayCount {
/// #     const KEY: AssetKey = AssetKey::new("lake.daily");
/// #     type Partitions = Daily;
/// #     const PARTITION_COLUMN: &'static str = "day";
/// #     type Upstream = (Event,);
/// #     const AUTOMATION: Automation = Automation::eager();
/// # }
/// # impl SqlAsset for DayCount {
/// #     const SQL: &'static str = "
/// #         select at::date as day, count(*) as events from lake.events where at >= $1 and at < $2 group by 1";
/// # }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let calendar = Calendar { zone: "Europe/Berlin".parse()?, first_day: "2026-03-28".parse()? };
/// # let definitions = Definitions::builder(calendar).external::<Event>().sql::<DayCount>().build()?;
/// # let migrations = Migrations::karat();
/// let mut simulation = Simulation::new(definitions, migrations, "2026-03-28T10:00:00Z".parse()?).await?;
/// simulation.append(&[Event { event_id: 1, at: "2026-03-28T09:00:00Z".parse()? }]).await?;
/// // Midnight, the night in which an hour is missing, and the morning after.
/// let happened = simulation.run_until("2026-03-29T06:00:00Z".parse()?, Duration::from_secs(3600)).await?;
/// assert!(happened.to_string().contains("lake.daily"), "{happened}");
/// println!("{}", simulation.status_text().await?);
/// # Ok(())
/// # }
/// ```
pub struct Simulation {
    clock: Arc<ManualClock>,
    service: Service,
    /// The installation's own connections.
    own: PgPool,
    /// Those of the test, which may hold as many as it likes.
    pool: PgPool,
    migrations: Arc<Migrations>,
    make: MakeReconcilers,
    reconcilers: Vec<Sleeper>,
    rest: Duration,
    /// When nothing wakes a reconciler there is nothing for the worker either: no run is live.
    is_quiet: bool,
    /// When the worker last showed a sign of life.
    worked_at: Option<DateTime<Utc>>,
    worker: Worker,
    logs: LogCollector,
    /// The runs by the order in which they were first heard of.
    runs: Mutex<HashMap<String, usize>>,
    // Last, so that what holds connections goes before the database does.
    database: TestDatabase,
}

impl Simulation {
    /// An installation of `definitions` on an empty database with these migrations, at the instant `now`, with all
    /// reconcilers of Karat. Nothing has been activated yet.
    ///
    /// # Errors
    /// When there is no database; see [`TestingError`](super::TestingError).
    pub async fn new(
        definitions: Definitions,
        migrations: Migrations,
        now: DateTime<Utc>,
    ) -> Result<Self, SimulationError> {
        Self::with_reconcilers(definitions, migrations, now, || crate::daemon::reconcilers(Retention::default())).await
    }

    /// The same with reconcilers of the caller's choice.
    ///
    /// # Errors
    /// When there is no database; see [`TestingError`](super::TestingError).
    pub async fn with_reconcilers(
        definitions: Definitions,
        migrations: Migrations,
        now: DateTime<Utc>,
        make: MakeReconcilers,
    ) -> Result<Self, SimulationError> {
        let database = TestDatabase::create(&migrations).await?;
        let own = database.trusting_pool(CONNECTIONS).await?;
        let pool = database.trusting_pool(POOL_CONNECTIONS).await?;
        let clock = Arc::new(ManualClock::new(now));
        let migrations = Arc::new(migrations);
        let logs = LogCollector::default();
        let definitions = Arc::new(definitions);
        let shared: SharedClock = clock.clone();
        let service = Service::new(own.clone(), database.connect_options(), definitions, migrations.clone(), shared);
        let worker = service.worker(logs.clone(), worker_settings(Duration::ZERO));
        Ok(Self {
            clock,
            service,
            own,
            pool,
            migrations,
            make,
            reconcilers: sleepers(make),
            rest: Duration::ZERO,
            is_quiet: false,
            worked_at: None,
            worker,
            logs,
            runs: Mutex::default(),
            database,
        })
    }

    /// Ends the process and starts another with these definitions: reconcilers and worker are made anew and know only
    /// what is in the database. No step is taken.
    pub async fn restart(&mut self, definitions: Definitions) {
        self.worker.close().await;
        let (options, clock) = (self.database.connect_options(), self.clock.clone());
        let definitions = Arc::new(definitions);
        self.service = Service::new(self.own.clone(), options, definitions, self.migrations.clone(), clock);
        self.worker = self.service.worker(self.logs.clone(), worker_settings(self.rest));
        self.worked_at = None;
        self.reconcilers = sleepers(self.make);
        self.is_quiet = false;
    }

    /// Leaves a reconciler alone for so long when nothing wakes it: neither an instant that it named, nor a signal that it
    /// listens to and that came from here or from what happened in a step. Zero, as at first, activates every one in
    /// every round.
    ///
    /// The worker is left alone as well while no run is live, with a lease that lasts as long. To be said before the
    /// first step.
    ///
    /// A running installation leaves each alone for its own [`interval`](Reconciler::interval), which is seconds. Over
    /// simulated months more is saved by leaving them alone for days. What a test changes behind the simulation's back
    /// is then noticed as late.
    pub fn let_rest(&mut self, rest: Duration) {
        self.rest = rest;
        self.worker = self.service.worker(self.logs.clone(), worker_settings(rest));
    }

    /// Does everything there is to do at this instant: carries out whatever can be claimed, activates the reconcilers in
    /// order, and repeats both until nothing moves.
    ///
    /// # Errors
    /// When a reconciler or the worker fails, and when the step does not come to rest.
    pub async fn step(&mut self) -> Result<Happened, SimulationError> {
        let now = self.now();
        let context = self.context();
        let mut happened = Happened::new(now, self.service.definitions().calendar().zone);
        if self.is_quiet && !self.reconcilers.iter().any(|sleeper| sleeper.is_due(now, self.rest)) {
            return Ok(happened);
        }
        let mut has_news = false;
        for _ in 0..ROUNDS_LIMIT {
            // The worker first: with a clock that has jumped, its lease is over until it shows a sign of life.
            if !self.is_quiet || !self.worker_is_alive(now) {
                let units = self.worker.work_until_idle().await?;
                self.worked_at = Some(now);
                happened.worked(units);
                // Of what a reconciler did, a run may have ended in which nothing was carried out.
                if units > 0 || std::mem::take(&mut has_news) {
                    self.wake(Signal::Published);
                }
            }
            let mut moved = false;
            for index in 0..self.reconcilers.len() {
                let sleeper = &mut self.reconcilers[index];
                if !sleeper.is_due(now, self.rest) {
                    continue;
                }
                let name = sleeper.name();
                let activation = sleeper
                    .activate(&context)
                    .await
                    .map_err(|source| SimulationError::Reconciler { name, source: Box::new(source) })?;
                moved |= activation.report.is_some() || activation.next_at.is_some_and(|next_at| next_at <= now);
                if let Some(report) = activation.report {
                    happened.reported(name, self.without_ids(&report));
                    // What reconcilers do is work for the worker, or an alert.
                    self.is_quiet = false;
                    has_news = true;
                    self.wake(Signal::Work);
                    self.wake(Signal::Alert);
                }
            }
            if !moved {
                if !happened.is_nothing() || !self.is_quiet {
                    self.is_quiet =
                        !self.rest.is_zero() && !context.store.has_live_runs().await.map_err(ServiceError::from)?;
                }
                return Ok(happened);
            }
        }
        Err(SimulationError::NotSettled { rounds: ROUNDS_LIMIT, happened: happened.to_string() })
    }

    /// Whether the worker's lease lasts until `now` without a further sign of life.
    fn worker_is_alive(&self, now: DateTime<Utc>) -> bool {
        self.worked_at.is_some_and(|last| (now - last).abs().to_std().is_ok_and(|slept| slept < self.rest))
    }

    fn wake(&mut self, signal: Signal) {
        self.reconcilers.iter_mut().for_each(|sleeper| sleeper.hear(signal));
    }

    /// Moves the clock forward and takes a step.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub async fn advance(&mut self, duration: Duration) -> Result<Happened, SimulationError> {
        self.clock.advance(duration);
        self.step().await
    }

    /// Moves the clock to `instant` in strides of `every`, with a step after each; the last stride may be shorter.
    /// Nothing happens when `instant` has come already.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub async fn run_until(&mut self, instant: DateTime<Utc>, every: Duration) -> Result<Happened, SimulationError> {
        let mut happened = Happened::new(self.now(), self.service.definitions().calendar().zone);
        while let Ok(left) = (instant - self.now()).to_std()
            && !left.is_zero()
        {
            happened.append(self.advance(every.max(Duration::from_millis(1)).min(left)).await?);
        }
        Ok(happened)
    }

    /// Moves the clock either way without a step: the clock is set, or nobody is there to see the time go by.
    pub fn jump(&self, by: TimeDelta) {
        self.clock.set(self.now().checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC));
    }

    /// Writes rows of an external asset at the present instant, as a collector does. No step is taken.
    ///
    /// # Errors
    /// When the rows cannot be written.
    pub async fn append<R: ExternalAsset>(&mut self, rows: &[R]) -> Result<Appended, SimulationError> {
        self.wake(Signal::Mark);
        Ok(append_rows(&self.own, self.service.definitions(), &*self.clock, "simulation", rows).await?)
    }

    /// Launches by hand what a person would with `materialize` or `backfill`. No step is taken.
    ///
    /// # Errors
    /// When the request is refused.
    pub async fn launch(&mut self, request: &Request, kind: LaunchKind) -> Result<LaunchedView, SimulationError> {
        let launched = self.service.launch(request, kind).await?;
        self.number(launched.run_id);
        self.is_quiet = false;
        Ok(launched)
    }

    /// The number of a run: the first that is heard of is 1.
    fn number(&self, run_id: Uuid) -> usize {
        self.number_of(short_id(run_id))
    }

    fn number_of(&self, short_id: String) -> usize {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let next = runs.len() + 1;
        *runs.entry(short_id).or_insert(next)
    }

    /// Ids, which differ from one time to the next, become numbers: whole ones, and short ones where a run is named.
    fn without_ids(&self, text: &str) -> String {
        const ID_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;
        const SHORT_LENGTH: usize = 8;
        let mut rest = text;
        let mut written = String::new();
        while let Some(first) = rest.chars().next() {
            let whole = rest.get(..ID_LENGTH).and_then(|word| Uuid::try_parse(word).ok());
            let short = rest
                .get(..SHORT_LENGTH)
                .filter(|word| written.ends_with("run ") && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let (number, length) = match (whole, short) {
                (Some(run_id), _) => (self.number(run_id), ID_LENGTH),
                (None, Some(short)) => (self.number_of(short.to_owned()), SHORT_LENGTH),
                (None, None) => {
                    written.push(first);
                    rest = &rest[first.len_utf8()..];
                    continue;
                }
            };
            written.push_str(&number.to_string());
            rest = &rest[length..];
        }
        written
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The clock, for what else has to go by it.
    #[must_use]
    pub const fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    /// Everything a person can ask for.
    #[must_use]
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// Connections to the database.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// What reconcilers are given: the state, the definitions of the present process, and the clock.
    #[must_use]
    pub fn context(&self) -> ReconcilerContext {
        ReconcilerContext {
            store: Store::new(self.own.clone()),
            definitions: self.service.definitions().clone(),
            clock: self.clock.clone(),
        }
    }
}

/// Two slots: one attempt's statements run while the other is recorded. The lease outlasts the worker's `rest`.
fn worker_settings(rest: Duration) -> WorkerSettings {
    let usual = WorkerSettings::default();
    WorkerSettings { slots: 2, lease: usual.lease.max(rest), ..usual }
}

fn sleepers(make: MakeReconcilers) -> Vec<Sleeper> {
    make().into_iter().map(Sleeper::new).collect()
}
