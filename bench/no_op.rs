//! Materializations that build nothing, beside commits of one row: what the orchestration itself costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use karat::prelude::*;
use sqlx::Executor;
use sqlx::postgres::PgPool;
use tokio::task::JoinSet;

use crate::lake::{self, Karat};
use crate::processor::ProcessorTime;
use crate::report::Report;
use crate::rounds::Rounds;
use crate::server::{Server, ZONE};

const ROUNDS: usize = 9;

const CONCURRENCY: u32 = 8;

const PARTITIONS: i64 = 1_000;

table! {
    /// Nothing.
    pub struct Nothing {
        /// The day.
        pub day: NaiveDate,
    }
}

impl Asset for Nothing {
    const KEY: AssetKey = AssetKey::new("bench.nothing");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
}

impl RustAsset for Nothing {
    const VERSION: u32 = 1;

    async fn materialize(_context: &Context<Self>) -> Result<(), AssetError> {
        Ok(())
    }
}

const TABLES: &str = "
    create schema bench;
    create table bench.nothing (day date primary key);
    create table bench.row (id bigint primary key);
";

pub(crate) async fn measure(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let pool = server.pool(CONCURRENCY).await?;
    pool.execute(TABLES).await?;
    let first_day = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap_or_default();
    let definitions = Definitions::builder(Calendar { zone: ZONE, first_day }).rust::<Nothing>().build()?;
    let karat = Karat::new(server, &pool, Arc::new(definitions), usize::try_from(CONCURRENCY)?);
    // Connections and statements exist before the first round, on both sides.
    bare_commits(&pool).await?;
    server.forget(&pool).await?;
    materializations(&karat).await?;

    let postmaster = server.postmaster()?;
    let mut first = Rounds::default();
    let mut again = Rounds::default();
    let mut processor = [ProcessorTime::default(); 3];
    for _ in 0..ROUNDS {
        pool.execute("truncate bench.row").await?;
        server.forget(&pool).await?;
        let begun = ProcessorTime::now(postmaster)?;
        let bare = bare_commits(&pool).await?;
        let after_bare = ProcessorTime::now(postmaster)?;
        first.add(bare, materializations(&karat).await?);
        let after_first = ProcessorTime::now(postmaster)?;
        again.add(bare, materializations(&karat).await?);
        let after_again = ProcessorTime::now(postmaster)?;
        processor[0] += after_bare.since(begun);
        processor[1] += after_first.since(after_bare);
        processor[2] += after_again.since(after_first);
    }
    let count = PARTITIONS * i64::try_from(ROUNDS)?;
    let [of_bare, of_first, of_again] =
        [processor[0].each(count)?, processor[1].each(count)?, processor[2].each(count)?];
    let what = format!("{PARTITIONS} no-op materializations, concurrency {CONCURRENCY}");
    let detail = format!("{}; processor time each, client + server: {of_first}, bare {of_bare}", first.detail());
    report.add(what, first.ratio(), "×", Some(1.5), detail);
    let detail = format!("{}; processor time each: {of_again}", again.detail());
    report.add("the same again, over versions that exist", again.ratio(), "×", None, detail);
    Ok(())
}

/// From the request to the end of the run.
async fn materializations(karat: &Karat) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let run_id = karat.launch(lake::plan(&karat.definitions, PARTITIONS), false).await?;
    karat.work_off(run_id).await?;
    Ok(begun.elapsed())
}

async fn bare_commits(pool: &PgPool) -> anyhow::Result<Duration> {
    let next = Arc::new(AtomicI64::new(0));
    let begun = Instant::now();
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (pool, next) = (pool.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= PARTITIONS {
                    return Ok(());
                }
                sqlx::query("insert into bench.row (id) values ($1)").bind(id).execute(&pool).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(begun.elapsed())
}
