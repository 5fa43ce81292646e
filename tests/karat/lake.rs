//! A small set of assets that many tests share: events from outside, their daily counts, a monthly report from Rust.

use std::sync::Arc;

use chrono_tz::Tz;
use karat::clock::{ManualClock, SharedClock};
use karat::core::plan::PartitionSets;
use karat::engine::external::append_rows;
use karat::engine::launch::{LaunchRequest, Launched, launch};
use karat::engine::logs::LogCollector;
use karat::engine::{Worker, WorkerError, WorkerSettings};
use karat::prelude::*;
use karat::store::Store;
use karat::store::launch::RunCause;
use karat::store::migrate::Migrations;
use karat::testing::TestDatabase;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr};
use tokio_util::sync::CancellationToken;

table! {
    /// Something that happened.
    pub struct Events {
        /// When.
        pub at: DateTime<Utc>,
        /// Which.
        pub id: i64,
        /// How much.
        pub amount: i64,
    }
}

impl Asset for Events {
    const KEY: AssetKey = AssetKey::new("lake.events");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    const NATURAL_KEY: &'static [&'static str] = &["id", "at"];
    type Upstream = ();
}

impl ExternalAsset for Events {}

table! {
    /// Events per day.
    pub struct DailyTotals {
        /// The local day.
        pub day: NaiveDate,
        /// How many.
        pub events: i64,
        /// How much.
        pub amount: i64,
    }
}

impl Asset for DailyTotals {
    const KEY: AssetKey = AssetKey::new("lake.daily_totals");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Events,);
    const RETRY: RetryPolicy = RetryPolicy::NONE;

    fn checks() -> Vec<AssetCheck> {
        vec![unique(&["day"]), no_rows("amount_is_not_negative", "select * from partition_rows where amount < 0")]
    }
}

impl SqlAsset for DailyTotals {
    const SQL: &'static str = "
        select at::date as day, count(*) as events, sum(amount)::bigint as amount
        from lake.events where at >= $1 and at < $2 group by 1";
    const RANGE_PARTITIONS: u32 = 400;
}

table! {
    /// Totals per month, computed in Rust.
    pub struct MonthlyReport {
        /// First day of the month.
        pub month: NaiveDate,
        /// Days with events.
        pub days: i64,
        /// How much.
        pub amount: i64,
    }
}

impl Asset for MonthlyReport {
    const KEY: AssetKey = AssetKey::new("lake.monthly_report");
    type Partitions = Monthly;
    const PARTITION_COLUMN: &'static str = "month";
    type Upstream = (DailyTotals,);
    const RETRY: RetryPolicy = RetryPolicy::NONE;
}

impl RustAsset for MonthlyReport {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        let mut totals = DailyTotals::read(context);
        let (mut days, mut amount) = (0, 0);
        while let Some(day) = totals.next().await? {
            days += 1;
            amount += day.amount;
        }
        tracing::info!(days, "read the days of {}", context.partition());
        context.metadata("days", days);
        context.push(Self { month: context.date(), days, amount }).await
    }
}

table! {
    /// One partition for each way to go wrong.
    pub struct Troublesome {
        /// The partition.
        pub kind: String,
        /// A value.
        pub value: i64,
    }
}

/// The ways to go wrong.
pub struct Troubles;

impl StaticKeys for Troubles {
    const KEYS: &'static [&'static str] = &[
        "none",
        "panics",
        "fatal",
        "retryable",
        "recovers",
        "hangs",
        "other_partition",
        "keeps_context",
        "pooled",
        "zero_byte",
    ];
}

impl Asset for Troublesome {
    const KEY: AssetKey = AssetKey::new("lake.troublesome");
    type Partitions = Static<Troubles>;
    const PARTITION_COLUMN: &'static str = "kind";
    type Upstream = ();
    const RETRY: RetryPolicy = RetryPolicy::fixed(2, Duration::ZERO);
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(20));
}

impl RustAsset for Troublesome {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        static TRIES: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
        let kind = context.partition().as_str().to_owned();
        match kind.as_str() {
            "panics" => panic!("the flux capacitor is empty"),
            "fatal" => return Err(AssetError::fatal("the answer is not 42")),
            "zero_byte" => return Err(AssetError::fatal("the file begins with `\0`")),
            "retryable" => return Err(AssetError::retryable("the line is busy")),
            "recovers" if TRIES.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 => {
                return Err(AssetError::retryable("not yet"));
            }
            "hangs" => std::future::pending::<()>().await,
            "other_partition" => return context.push(Self { kind: "none".to_owned(), value: 1 }).await,
            _ => {}
        }
        context.push(Self { kind, value: 1 }).await
    }
}

table! {
    /// A statement that takes long.
    pub struct Sleepy {
        /// Anything.
        pub value: i64,
    }
}

impl Asset for Sleepy {
    const KEY: AssetKey = AssetKey::new("lake.sleepy");
    type Partitions = Unpartitioned;
    type Upstream = ();
    const RETRY: RetryPolicy = RetryPolicy::NONE;
}

impl SqlAsset for Sleepy {
    const SQL: &'static str = "select 1::bigint as value from pg_sleep(60)";
}

/// The tables; a test's own may follow.
pub const TABLES: &str = "
    create schema lake;
    create table lake.events (at timestamptz not null, id bigint not null, amount bigint not null, primary key (id, at));
    create table lake.daily_totals (day date not null, events bigint not null, amount bigint not null);
    create index on lake.daily_totals (day);
    create table lake.monthly_report (month date not null, days bigint not null, amount bigint not null);
    create table lake.troublesome (kind text not null, value bigint not null);
    create table lake.sleepy (value bigint not null);
";

/// A database with the tables above, definitions, and a clock that stands at 2026-05-01 12:00 UTC.
pub struct Lake {
    pub database: TestDatabase,
    pub options: PgConnectOptions,
    pub pool: PgPool,
    pub store: Store,
    pub definitions: Arc<Definitions>,
    pub clock: Arc<ManualClock>,
    /// What workers go by; the clock above unless a test sets another.
    pub worker_clock: SharedClock,
    pub settings: WorkerSettings,
    pub logs: LogCollector,
}

pub fn migrations() -> Migrations {
    let tables = Migration::new(1, "tables".into(), MigrationType::Simple, AssertSqlSafe(TABLES).into_sql_str(), false);
    Migrations::with_application("lake", Migrator::with_migrations(vec![tables]))
}

pub fn calendar(zone: Tz) -> Calendar {
    Calendar { zone, first_day: NaiveDate::from_ymd_opt(2023, 1, 1).unwrap() }
}

pub fn definitions(zone: Tz) -> Definitions {
    Definitions::builder(calendar(zone))
        .external::<Events>()
        .sql::<DailyTotals>()
        .rust::<MonthlyReport>()
        .rust::<Troublesome>()
        .sql::<Sleepy>()
        .build()
        .unwrap()
}

pub fn request_of(plan: PartitionSets, cause: RunCause, per_partition: bool) -> LaunchRequest {
    LaunchRequest {
        plan,
        only_if_stale: std::collections::BTreeSet::new(),
        force: false,
        per_partition,
        concurrency_limit: None,
        priority: 0,
        cause,
        cause_detail: None,
        backfill_id: None,
        retry_of: None,
        requested_by: None,
        request: serde_json::json!({}),
    }
}

pub fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

impl Lake {
    pub async fn open() -> Self {
        if std::env::var_os("KARAT_TEST_LOG").is_some() {
            let _ = tracing_subscriber::fmt().with_env_filter("karat=debug").with_test_writer().try_init();
        }
        Self::on(TestDatabase::create(&migrations()).await.unwrap()).await
    }

    /// On this database, which has the tables.
    pub async fn on(database: TestDatabase) -> Self {
        let pool = database.pool().await.unwrap();
        let clock = Arc::new(ManualClock::new(instant("2026-05-01T12:00:00Z")));
        Self {
            options: database.connect_options(),
            store: Store::new(pool.clone()),
            pool,
            definitions: Arc::new(definitions(chrono_tz::Europe::Berlin)),
            worker_clock: clock.clone(),
            clock,
            settings: WorkerSettings { slots: 4, ..WorkerSettings::default() },
            logs: LogCollector::default(),
            database,
        }
    }

    pub fn shared_clock(&self) -> SharedClock {
        self.worker_clock.clone()
    }

    /// Lets whoever writes to the events leave marks.
    pub async fn install_triggers(&self) {
        let tables = karat::engine::marks::marked_tables(&self.definitions);
        let state = self.store.install_mark_triggers(&tables).await.unwrap();
        assert!(state.unmarked.is_empty(), "{state:?}");
    }

    /// A connection of another program, which calls itself so.
    pub async fn stranger(&self, name: &str) -> sqlx::PgConnection {
        <sqlx::PgConnection as sqlx::Connection>::connect_with(&self.options.clone().application_name(name))
            .await
            .unwrap()
    }

    /// How the partitions of the asset stand against late rows: `2026-03-01 2 rows landed in …`.
    pub async fn late(&self, asset: &str) -> String {
        let spec = self.definitions.find(asset).unwrap();
        let now = karat::clock::Clock::now(&*self.clock);
        let keys = [spec.key.clone()];
        let statuses = karat::engine::status::asset_statuses(&self.store, &self.definitions, &keys, now).await.unwrap();
        let lines: Vec<String> = statuses[&spec.key]
            .stale
            .iter()
            .map(|(&ordinal, reasons)| {
                let reasons: Vec<String> = reasons.iter().map(karat::core::status::Staleness::sentence).collect();
                format!("{}: {}", spec.partitions.key(ordinal), reasons.join("; "))
            })
            .collect();
        lines.join("\n")
    }

    pub async fn add_events(&self, events: &[(&str, i64, i64)]) -> karat::engine::external::Appended {
        let rows: Vec<Events> = events.iter().map(|&(at, id, amount)| Events { at: instant(at), id, amount }).collect();
        append_rows(&self.pool, &self.definitions, &*self.clock, "test", &rows).await.unwrap()
    }

    /// One event at noon of each day of the stretch.
    pub async fn add_event_a_day(&self, first: &str, days: i64) {
        let first: NaiveDate = first.parse().unwrap();
        let rows: Vec<Events> = (0..days)
            .map(|day| {
                let date = first + chrono::Days::new(u64::try_from(day).unwrap());
                Events { at: date.and_hms_opt(12, 0, 0).unwrap().and_utc(), id: day, amount: day + 1 }
            })
            .collect();
        append_rows(&self.pool, &self.definitions, &*self.clock, "test", &rows).await.unwrap();
    }

    /// The sets `asset: "keys"` as a plan.
    pub fn plan(&self, sets: &[(&str, &str)]) -> PartitionSets {
        sets.iter()
            .map(|(asset, keys)| {
                let spec = self.definitions.find(asset).unwrap();
                (
                    spec.key.clone(),
                    spec.partitions.parse_selection(keys, karat::clock::Clock::now(&*self.clock)).unwrap(),
                )
            })
            .collect()
    }

    pub fn request(&self, sets: &[(&str, &str)]) -> LaunchRequest {
        request_of(self.plan(sets), RunCause::Manual, false)
    }

    pub async fn launch(&self, request: LaunchRequest) -> Launched {
        launch(&self.store, &self.definitions, request, karat::clock::Clock::now(&*self.clock)).await.unwrap()
    }

    pub fn worker(&self) -> Worker {
        Worker::new(
            &self.options,
            self.definitions.clone(),
            self.shared_clock(),
            self.logs.clone(),
            self.settings.clone(),
        )
    }

    pub async fn work_off(&self, launched: Launched) -> Result<(), WorkerError> {
        self.worker().work_off(&[launched.run_id], &CancellationToken::new()).await
    }

    /// Launches and works off; the run's steps by state.
    pub async fn build(&self, sets: &[(&str, &str)]) -> String {
        let launched = self.launch(self.request(sets)).await;
        self.work_off(launched).await.unwrap();
        self.outcome(launched).await
    }

    /// `succeeded: 3 succeeded, 1 failed`.
    pub async fn outcome(&self, launched: Launched) -> String {
        let run = self.store.run(launched.run_id).await.unwrap().unwrap();
        let counts = [
            (run.steps.pending, "pending"),
            (run.steps.ready, "ready"),
            (run.steps.running, "running"),
            (run.steps.succeeded, "succeeded"),
            (run.steps.skipped, "skipped"),
            (run.steps.failed, "failed"),
            (run.steps.blocked, "blocked"),
            (run.steps.canceled, "canceled"),
        ];
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}")).collect();
        format!("{}: {}", run.state(), counts.join(", "))
    }

    pub async fn scalar<T>(&self, sql: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// A query's rows as text, as [`text`].
    pub async fn text(&self, sql: &'static str) -> String {
        text(&self.pool, sql).await
    }
}

/// A query's rows as text, one per line, columns separated by ` | `.
pub async fn text(pool: &PgPool, sql: &'static str) -> String {
    let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "select array_to_string(array(select value from json_each_text(row_to_json(q))), ' | ', '∅') from ({sql}) q"
    )))
    .fetch_all(pool)
    .await
    .unwrap();
    rows.join("\n")
}

/// Makes `subscriber` hear what happens on this thread until the result is dropped.
///
/// While there is a single subscriber, `tracing` asks only the thread that comes first to a line whether anybody listens,
/// and remembers its "no" for all: another test on another thread would silence this one. So there is always a second.
pub fn listen(subscriber: impl Into<tracing::Dispatch>) -> tracing::subscriber::DefaultGuard {
    static SECOND: std::sync::OnceLock<tracing::Dispatch> = std::sync::OnceLock::new();
    SECOND.get_or_init(|| tracing_subscriber::registry().into());
    tracing::dispatcher::set_default(&subscriber.into())
}

/// Awaits a worker and what goes on beside it; a worker that fails ends the test instead of leaving the other waiting.
pub async fn beside<T>(work: impl Future<Output = Result<(), WorkerError>>, other: impl Future<Output = T>) -> T {
    tokio::pin!(work, other);
    tokio::select! {
        worked = &mut work => {
            worked.unwrap();
            other.await
        }
        value = &mut other => {
            work.await.unwrap();
            value
        }
    }
}
