//! What a materialization leaves behind in the database, once retention has passed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use karat::clock::{Clock, ManualClock};
use karat::core::plan::PartitionSets;
use karat::daemon::{Janitor, Reconciler, ReconcilerContext};
use karat::engine::launch::{LaunchRequest, launch};
use karat::engine::logs::LogCollector;
use karat::engine::{Worker, WorkerSettings};
use karat::prelude::*;
use karat::store::Store;
use karat::store::garbage::Retention;
use karat::store::launch::RunCause;
use sqlx::Executor;
use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;

use crate::report::Report;
use crate::server::{Server, ZONE};

const DAY: Duration = Duration::from_secs(86_400);

/// Partitions of each of the two assets that one run builds.
const RUN_PARTITIONS: i64 = 1_000;

table! {
    /// Made of nothing.
    pub struct First {
        /// The hour.
        pub at: DateTime<Utc>,
    }
}

impl Asset for First {
    const KEY: AssetKey = AssetKey::new("growth.first");
    type Partitions = Hourly;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
}

impl SqlAsset for First {
    const SQL: &'static str = "select $1::timestamptz as at where false";
    const RANGE_PARTITIONS: u32 = 100;
}

table! {
    /// Made of the first.
    pub struct Second {
        /// The hour.
        pub at: DateTime<Utc>,
    }
}

impl Asset for Second {
    const KEY: AssetKey = AssetKey::new("growth.second");
    type Partitions = Hourly;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = (First,);

    fn checks() -> Vec<AssetCheck> {
        vec![unique(&["at"])]
    }
}

impl SqlAsset for Second {
    const SQL: &'static str = "select at from growth.first where at >= $1 and at < $2";
    const RANGE_PARTITIONS: u32 = 100;
}

const TABLES: &str = "
    create schema growth;
    create table growth.first (at timestamptz not null);
    create table growth.second (at timestamptz not null);
";

struct Installation {
    pool: PgPool,
    clock: Arc<ManualClock>,
    context: ReconcilerContext,
    janitor: Janitor,
    worker: Worker,
}

impl Installation {
    async fn new(server: &Server) -> anyhow::Result<Self> {
        let pool = server.pool(4).await?;
        let first_day = NaiveDate::from_ymd_opt(2010, 1, 1).unwrap_or_default();
        let definitions =
            Arc::new(Definitions::builder(Calendar { zone: ZONE, first_day }).sql::<First>().sql::<Second>().build()?);
        let clock = Arc::new(ManualClock::new("2026-01-01T12:00:00Z".parse()?));
        let worker = Worker::new(
            &server.options(),
            definitions.clone(),
            clock.clone(),
            LogCollector::default(),
            WorkerSettings { slots: 4, ..WorkerSettings::default() },
        );
        let context = ReconcilerContext { store: Store::new(pool.clone()), definitions, clock: clock.clone() };
        Ok(Self { pool, clock, context, janitor: Janitor::new(Retention::default()), worker })
    }

    /// Materializes `RUN_PARTITIONS` partitions of both assets, the first of them the `from`th.
    async fn build(&self, from: i64) -> anyhow::Result<()> {
        let plan: PartitionSets = (self.context.definitions.assets())
            .map(|spec| {
                let first = spec.partitions.first() + from;
                (spec.key.clone(), spec.partitions.range(first, first + RUN_PARTITIONS - 1))
            })
            .collect();
        let request = LaunchRequest {
            plan,
            only_if_stale: std::collections::BTreeSet::new(),
            force: false,
            per_partition: false,
            concurrency_limit: None,
            priority: 0,
            cause: RunCause::Schedule,
            cause_detail: None,
            backfill_id: None,
            retry_of: None,
            requested_by: None,
            request: Json::Null,
        };
        let Self { context, .. } = self;
        let run_id = launch(&context.store, &context.definitions, request, self.clock.now()).await?.run_id;
        self.worker.work_off(&[run_id], &CancellationToken::new()).await?;
        let run = context.store.run(run_id).await?;
        ensure!(run.as_ref().is_some_and(|run| run.steps.succeeded == 2 * RUN_PARTITIONS), "not everything: {run:?}");
        Ok(())
    }

    /// Lets time pass, the janitor do all there is to do, and vacuum pass as autovacuum would.
    async fn pass(&mut self, time: Duration) -> anyhow::Result<()> {
        self.clock.advance(time);
        while let Some(next_at) = self.janitor.activate(&self.context).await?.next_at {
            self.clock.set(next_at);
        }
        self.vacuum().await
    }

    async fn vacuum(&self) -> anyhow::Result<()> {
        self.pool.execute("vacuum analyze").await?;
        Ok(())
    }

    async fn rebuild_for_100_days(&mut self) -> anyhow::Result<()> {
        for _ in 0..50 {
            self.build(0).await?;
            self.pass(DAY * 2).await?;
        }
        Ok(())
    }

    async fn database_bytes(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("select pg_database_size(current_database())").fetch_one(&self.pool).await?)
    }

    /// The largest tables of the state with their indexes.
    async fn largest(&self) -> anyhow::Result<String> {
        let tables: Vec<(String, i64, i64)> = sqlx::query_as(
            "select relname::text, pg_table_size(oid), pg_indexes_size(oid) from pg_class
             where relnamespace = 'karat'::regnamespace and relkind = 'r' and pg_total_relation_size(oid) > 500000
             order by pg_total_relation_size(oid) desc limit 4",
        )
        .fetch_all(&self.pool)
        .await?;
        let tables: Vec<String> = tables
            .into_iter()
            .map(|(name, table, indexes)| format!("{name} {} + {} kB", table / 1024, indexes / 1024))
            .collect();
        Ok(tables.join(", "))
    }
}

pub(crate) async fn measure(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let pool = server.pool(1).await?;
    // Sizes are measured here, not times.
    pool.execute(
        "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$",
    )
    .await?;
    pool.close().await;
    let mut installation = Installation::new(server).await?;
    installation.pool.execute(TABLES).await?;
    server.forget(&installation.pool).await?;
    installation.pass(DAY).await?;

    // The same 2,000 partitions every other day: of 50 rounds the last 45 are kept.
    let empty = installation.database_bytes().await?;
    installation.rebuild_for_100_days().await?;
    let held = installation.database_bytes().await?;
    let detail = installation.largest().await?;
    report.add(
        "growth by 100,000 rebuilds of 2,000 partitions, 90 % of them kept",
        each(empty, held),
        UNIT,
        None,
        detail,
    );
    installation.rebuild_for_100_days().await?;
    let steady = installation.database_bytes().await?;
    let detail = installation.largest().await?;
    report.add("growth by the next 100,000, as old ones go", each(held, steady), UNIT, Some(1_000.0), detail);

    // Partitions that did not exist: as days bring them, with vacuum coming by, and in one go.
    for (name, in_one_go, budget) in [
        ("growth by 100,000 partitions built once, after retention", false, Some(1_000.0)),
        ("the same built in one go, without a vacuum while it lasts", true, None),
    ] {
        server.forget(&installation.pool).await?;
        installation.pass(DAY * 31).await?;
        let before = installation.database_bytes().await?;
        for run in 0..50 {
            installation.build(run * RUN_PARTITIONS).await?;
            if !in_one_go {
                installation.vacuum().await?;
            }
        }
        let fresh = each(before, installation.database_bytes().await?);
        installation.pass(DAY * 91).await?;
        let kept = installation.database_bytes().await?;
        let detail = format!("{fresh:.0} before retention; {}", installation.largest().await?);
        report.add(name, each(before, kept), UNIT, budget, detail);
    }
    server.forget(&installation.pool).await?;
    installation
        .pool
        .execute("do $$ begin execute format('alter database %I reset synchronous_commit', current_database()); end $$")
        .await?;
    Ok(())
}

const UNIT: &str = "bytes each";

fn each(before: i64, after: i64) -> f64 {
    (after - before) as f64 / 100_000.0
}
