//! From a request to the first row, with a worker that has nothing to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use karat::clock::SystemClock;
use karat::core::plan::PartitionSets;
use karat::engine::launch::{LaunchRequest, launch};
use karat::engine::logs::LogCollector;
use karat::engine::{Shutdown, Wakeups, Worker, WorkerSettings};
use karat::prelude::*;
use karat::store::Store;
use karat::store::launch::RunCause;
use sqlx::Executor;

use crate::report::{Report, milliseconds};
use crate::rounds::median_duration;
use crate::server::{Server, ZONE};

const ROUNDS: i64 = 21;

/// How long nothing happens before each request: longer than a worker waits between two looks while it is busy.
const QUIET: Duration = Duration::from_millis(700);

const PATIENCE: Duration = Duration::from_secs(10);

table! {
    /// One row for each day.
    pub struct Arrival {
        /// The day.
        pub day: NaiveDate,
    }
}

impl Asset for Arrival {
    const KEY: AssetKey = AssetKey::new("bench.arrival");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
}

impl SqlAsset for Arrival {
    const SQL: &'static str = "select $3::date as day";
}

pub(crate) async fn measure(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let pool = server.pool(2).await?;
    pool.execute("create schema if not exists bench; create table bench.arrival (day date primary key); create table bench.commit (id bigint primary key)").await?;
    server.forget(&pool).await?;
    let first_day = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap_or_default();
    let definitions = Arc::new(Definitions::builder(Calendar { zone: ZONE, first_day }).sql::<Arrival>().build()?);
    let worker = Worker::new(
        &server.options(),
        definitions.clone(),
        Arc::new(SystemClock),
        LogCollector::default(),
        WorkerSettings::default(),
    )
    .woken_by(Wakeups::listen(&server.options()));
    let shutdown = Shutdown::new(Duration::from_secs(5));
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.serve(&shutdown).await }
    });
    let store = Store::new(pool.clone());
    let (mut times, mut commits) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        tokio::time::sleep(QUIET).await;
        let plan: PartitionSets = (definitions.assets())
            .map(|spec| {
                let ordinal = spec.partitions.first() + round;
                (spec.key.clone(), spec.partitions.range(ordinal, ordinal))
            })
            .collect();
        let request = LaunchRequest {
            plan,
            only_if_stale: std::collections::BTreeSet::new(),
            force: false,
            per_partition: false,
            concurrency_limit: None,
            priority: 0,
            cause: RunCause::Manual,
            cause_detail: None,
            backfill_id: None,
            retry_of: None,
            requested_by: None,
            request: Json::Null,
        };
        let begun = Instant::now();
        sqlx::query("insert into bench.commit values ($1)").bind(round).execute(&pool).await?;
        commits.push(begun.elapsed());
        let begun = Instant::now();
        launch(&store, &definitions, request, Utc::now()).await?;
        // What can be read has been committed.
        while sqlx::query_scalar::<_, i64>("select count(*) from bench.arrival").fetch_one(&pool).await? <= round {
            ensure!(begun.elapsed() < PATIENCE, "no row after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        times.push(begun.elapsed());
    }
    shutdown.begin();
    serving.await??;
    let slowest = times.iter().max().copied().unwrap_or_default();
    let commit = milliseconds(median_duration(&commits));
    let detail = format!(
        "median of {ROUNDS}, the slowest {}; it waits for three commits, a bare one took {commit}",
        milliseconds(slowest)
    );
    let measured = median_duration(&times).as_secs_f64() * 1_000.0;
    report.add("request to first row, idle worker", measured, "ms", Some(50.0), detail);
    server.forget(&pool).await
}
