//! A platform of its own for a test: a database, a calendar, a clock that stands still, and a worker.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Cursor;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use community::collect::batch::Writer;
use community::collect::file::ingest_file;
use community::collect::ingest::{Source, collector};
use community::collect::progress::Silent;
use community::collect::report::FileReport;
use community::definitions::{definitions, migrations};
use karat::asset::calendar::Calendar;
use karat::asset::declare::{Asset, ExternalAsset};
use karat::asset::definitions::Definitions;
use karat::clock::{ManualClock, SharedClock};
use karat::core::key::AssetKey;
use karat::core::plan::PartitionSets;
use karat::engine::external::append_rows;
use karat::engine::launch::{LaunchRequest, launch};
use karat::engine::logs::LogCollector;
use karat::engine::{Worker, WorkerSettings};
use karat::service::Service;
use karat::store::Store;
use karat::store::launch::RunCause;
use karat::testing::TestDatabase;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// The name of game servers in these tests.
pub(crate) const SERVER: &str = "arena";

/// A day in the middle of a quiet European winter.
pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// An instant, as RFC 3339.
pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) struct Platform {
    pub(crate) pool: PgPool,
    pub(crate) definitions: Arc<Definitions>,
    clock: SharedClock,
    database: TestDatabase,
}

impl Platform {
    /// An empty platform whose first day is `first_day` and whose present is `now`.
    pub(crate) async fn new(zone: Tz, first_day: &str, now: &str) -> Self {
        let database = TestDatabase::create(&migrations()).await.unwrap();
        let pool = database.pool().await.unwrap();
        let definitions = definitions(Calendar { zone, first_day: day(first_day) }).unwrap();
        Self { pool, definitions: Arc::new(definitions), clock: Arc::new(ManualClock::new(at(now))), database }
    }

    /// What a person can ask for.
    pub(crate) fn service(&self) -> Service {
        let options = self.database.connect_options();
        Service::new(self.pool.clone(), options, self.definitions.clone(), Arc::new(migrations()), self.clock.clone())
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer {
            pool: self.pool.clone(),
            definitions: self.definitions.clone(),
            clock: self.clock.clone(),
            name: "test".to_owned(),
        }
    }

    /// Reads a file's content as `community ingest` does; times of game logs are in `zone`.
    pub(crate) async fn ingest_in(&self, source: Source, zone: Tz, content: impl AsRef<[u8]>) -> FileReport {
        let collector = collector(source, SERVER, zone, None);
        let input = Cursor::new(content.as_ref().to_vec());
        ingest_file(&self.writer(), collector, "test", input, &mut Silent).await.unwrap().1
    }

    /// Reads a file's content as `community ingest` does; times of game logs are in UTC.
    pub(crate) async fn ingest(&self, source: Source, content: impl AsRef<[u8]>) -> FileReport {
        self.ingest_in(source, Tz::UTC, content).await
    }

    /// Writes rows of an external asset as a collector does.
    pub(crate) async fn append<R: ExternalAsset>(&self, rows: &[R]) {
        append_rows(&self.pool, &self.definitions, &*self.clock, "test", rows).await.unwrap();
    }

    /// Builds every partition of every asset that has begun, and insists that all of it succeeds.
    pub(crate) async fn build(&self) {
        self.build_those(|_| true).await;
    }

    /// Builds every partition of one asset that has begun; what it reads must be there.
    pub(crate) async fn build_only<A: Asset>(&self) {
        self.build_those(|key| *key == A::KEY).await;
    }

    async fn build_those(&self, wanted: impl Fn(&AssetKey) -> bool) {
        let now = self.clock.now();
        let plan: PartitionSets = self
            .definitions
            .assets()
            .filter(|asset| asset.is_materializable() && wanted(&asset.key))
            .map(|asset| (asset.key.clone(), asset.partitions.existing(now)))
            .collect();
        self.build_plan(plan, false).await;
    }

    /// Builds these partitions, one statement each if so wished, and insists that all of it succeeds.
    pub(crate) async fn build_plan(&self, plan: PartitionSets, per_partition: bool) {
        let request = LaunchRequest {
            plan,
            only_if_stale: std::collections::BTreeSet::new(),
            force: true,
            per_partition,
            concurrency_limit: None,
            priority: 0,
            cause: RunCause::Manual,
            cause_detail: None,
            backfill_id: None,
            retry_of: None,
            requested_by: None,
            request: serde_json::Value::Null,
        };
        let store = Store::new(self.pool.clone());
        let launched = launch(&store, &self.definitions, request, self.clock.now()).await.unwrap();
        let worker = Worker::new(
            &self.database.connect_options(),
            self.definitions.clone(),
            self.clock.clone(),
            LogCollector::default(),
            WorkerSettings { slots: 2, ..WorkerSettings::default() },
        );
        worker.work_off(&[launched.run_id], &CancellationToken::new()).await.unwrap();
        let failures: Vec<(String, String, Option<String>)> = sqlx::query_as(
            "select asset_key || ' ' || partition_key, state, coalesce(a.error, s.reason)
             from karat.step as s left join karat.attempt as a using (step_id)
             where run_id = $1 and state not in ('succeeded', 'skipped')",
        )
        .bind(launched.run_id)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert!(failures.is_empty(), "{failures:#?}");
    }

    /// All rows of an asset's table, ordered by these columns.
    pub(crate) async fn rows<A: Asset + Debug>(&self, order: &str) -> Vec<A> {
        let statement = format!("select * from {} order by {order}", A::KEY);
        sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await.unwrap()
    }

    /// How another process connects to the database.
    pub(crate) fn url(&self) -> String {
        self.database.url()
    }

    /// Runs the program on this database: its exit code, standard output and standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_community"))
            .args(arguments)
            .env("DATABASE_URL", self.database.url())
            .env_remove("KARAT_ZONE")
            .env_remove("KARAT_FIRST_DAY")
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// How many notes there are that rows landed somewhere.
    pub(crate) async fn mark_count(&self) -> i64 {
        sqlx::query_scalar("select count(*) from karat.mark").fetch_one(&self.pool).await.unwrap()
    }

    /// How many rows each table of the platform has.
    pub(crate) async fn row_counts(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for asset in self.definitions.assets() {
            let statement = format!("select count(*) from {}", asset.key);
            let count = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&self.pool).await.unwrap();
            counts.insert(asset.key.to_string(), count);
        }
        counts
    }
}

/// A small generator of test data (splitmix64): the same seed gives the same data everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
