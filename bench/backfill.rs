//! A year of three assets: partition by partition, and as ranges.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::{DateTime, NaiveDate, Utc};
use karat::core::time::start_of_day;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::JoinSet;

use crate::lake::{self, DAYS, Karat, STATEMENTS, Statement};
use crate::report::Report;
use crate::rounds::Rounds;
use crate::server::{Server, ZONE};

const ROUNDS: usize = 5;

/// Rounds of what is shown without a budget.
const FURTHER_ROUNDS: usize = 3;

const OUTPUTS: &str = "truncate silver.user_activity, gold.channel_activity, gold.daily_active_users";

pub(crate) async fn measure(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let pool = server.pool(4).await?;
    lake::prepare(&pool).await?;
    let definitions = lake::definitions()?;

    let slots = [2, 4];
    let mut expected = None;
    for (slots, rounds, budget) in [(slots[0], ROUNDS, Some(1.15)), (slots[1], FURTHER_ROUNDS, None)] {
        let karat = Karat::new(server, &pool, definitions.clone(), slots);
        let bare = server.pool(u32::try_from(slots)?).await?;
        // Connections and statements exist before the first round, on both sides.
        warm_up(server, &pool, &karat, &bare).await?;
        let mut measured = Rounds::default();
        for _ in 0..rounds {
            pool.execute(OUTPUTS).await?;
            let bare_time = bare_partitions(&bare, slots, DAYS).await?;
            same_content(&pool, &mut expected).await?;
            let karat_time = karat_backfill(server, &pool, &karat, DAYS, true).await?;
            same_content(&pool, &mut expected).await?;
            measured.add(bare_time, karat_time);
        }
        let what = format!("backfill, 3 assets × {DAYS} days, one by one, {slots} connections");
        report.add(what, measured.ratio(), "×", budget, measured.detail());
        bare.close().await;
    }

    let karat = Karat::new(server, &pool, definitions, slots[0]);
    let bare = server.pool(u32::try_from(slots[0])?).await?;
    let mut measured = Rounds::default();
    for _ in 0..ROUNDS {
        pool.execute(OUTPUTS).await?;
        let bare_time = bare_ranges(&bare).await?;
        same_content(&pool, &mut expected).await?;
        let karat_time = karat_backfill(server, &pool, &karat, DAYS, false).await?;
        same_content(&pool, &mut expected).await?;
        measured.add(bare_time, karat_time);
    }
    report.add("the same as ranges, 2 connections", measured.ratio(), "×", Some(1.2), measured.detail());
    Ok(())
}

async fn warm_up(server: &Server, pool: &PgPool, karat: &Karat, bare: &PgPool) -> anyhow::Result<()> {
    bare_partitions(bare, usize::try_from(bare.size())?, 40).await?;
    karat_backfill(server, pool, karat, 40, true).await?;
    pool.execute("analyze silver.user_activity, gold.channel_activity, gold.daily_active_users").await?;
    Ok(())
}

/// Empties outputs and state, launches and works off; the time of the latter two.
async fn karat_backfill(
    server: &Server,
    pool: &PgPool,
    karat: &Karat,
    days: i64,
    per_partition: bool,
) -> anyhow::Result<Duration> {
    pool.execute(OUTPUTS).await?;
    server.forget(pool).await?;
    let begun = Instant::now();
    let run_id = karat.launch(lake::plan(&karat.definitions, days), per_partition).await?;
    karat.work_off(run_id).await?;
    Ok(begun.elapsed())
}

/// Each partition in a transaction of its own, over `slots` connections, upstream before downstream.
async fn bare_partitions(pool: &PgPool, slots: usize, days: i64) -> anyhow::Result<Duration> {
    let mut levels: [VecDeque<(usize, NaiveDate)>; 2] = Default::default();
    for (index, statement) in STATEMENTS.iter().enumerate() {
        let level = usize::from(statement.table == "gold.daily_active_users");
        levels[level].extend(lake::first_day().iter_days().take(usize::try_from(days)?).map(|day| (index, day)));
    }
    let begun = Instant::now();
    for level in levels {
        let level = Arc::new(Mutex::new(level));
        let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
        for _ in 0..slots {
            let (pool, level) = (pool.clone(), level.clone());
            tasks.spawn(async move {
                let next = || level.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                while let Some((index, day)) = next() {
                    bare_partition(&pool, &STATEMENTS[index], day).await?;
                }
                Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
    }
    Ok(begun.elapsed())
}

async fn bare_partition(pool: &PgPool, statement: &Statement, day: NaiveDate) -> anyhow::Result<()> {
    let end = day.succ_opt().unwrap_or(day);
    let Statement { table, columns, select } = statement;
    let mut transaction = pool.begin().await?;
    sqlx::query(AssertSqlSafe(format!("delete from {table} where day >= $1 and day < $2")))
        .bind(day)
        .bind(end)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(AssertSqlSafe(format!("insert into {table} ({columns}) {select}")))
        .bind(start_of_day(day, ZONE))
        .bind(start_of_day(end, ZONE))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// One statement per asset for the whole year; the two that read bronze side by side.
async fn bare_ranges(pool: &PgPool) -> anyhow::Result<Duration> {
    let first = lake::first_day();
    let after = first.iter_days().nth(usize::try_from(DAYS)?).unwrap_or(first);
    let (start, end) = (start_of_day(first, ZONE), start_of_day(after, ZONE));
    let begun = Instant::now();
    let [activity, channels, users] = &STATEMENTS;
    let activity_then_users = async {
        bare_range(pool, activity, start, end).await?;
        bare_range(pool, users, start, end).await
    };
    tokio::try_join!(activity_then_users, bare_range(pool, channels, start, end))?;
    Ok(begun.elapsed())
}

async fn bare_range(
    pool: &PgPool,
    statement: &Statement,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> anyhow::Result<()> {
    let Statement { table, columns, select } = statement;
    sqlx::query(AssertSqlSafe(format!("insert into {table} ({columns}) {select}")))
        .bind(start)
        .bind(end)
        .execute(pool)
        .await?;
    Ok(())
}

/// Refuses to compare work that is not the same.
async fn same_content(pool: &PgPool, expected: &mut Option<String>) -> anyhow::Result<()> {
    let mut found = String::new();
    for Statement { table, .. } in &STATEMENTS {
        let sql = format!("select concat_ws(' ', count(*), sum(hash_record_extended(r, 0)), '') from {table} r");
        found.push_str(&sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch_one(pool).await?);
    }
    ensure!(
        *expected.get_or_insert_with(|| found.clone()) == found,
        "the sides built different rows: {expected:?}, {found}"
    );
    Ok(())
}
