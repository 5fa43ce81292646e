//! Filling a server with years of work.

use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, Utc};
use karat::asset::definitions::Definitions;
use karat::core::partition::Cadence;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

use super::definitions::{ASSETS, PARTITIONS, definitions};
use crate::report::Report;
use crate::server::Server;

const STATEMENTS: &str = include_str!("state.sql");

/// What is put into the pages' addresses.
pub(super) struct State {
    /// A run that built one partition and said ten lines.
    pub(super) run: Uuid,
    /// A run of 100,000 steps.
    pub(super) large_run: Uuid,
    /// A run that is live.
    pub(super) live_run: Uuid,
    /// A run with 300 failed steps.
    pub(super) failed_run: Uuid,
    /// A run that said half a million lines.
    pub(super) talkative_run: Uuid,
    /// The backfill of the run of 100,000 steps.
    pub(super) backfill: Uuid,
    /// A daily partition that was built.
    pub(super) partition: String,
}

/// Everything that is filled: its indexes are made when it is full.
const TABLES: [&str; 10] = [
    "karat.run",
    "karat.run_asset",
    "karat.step",
    "karat.attempt",
    "karat.event",
    "karat.materialization",
    "karat.check_result",
    "karat.log_line",
    "karat.mark",
    "karat.backfill",
];

pub(super) async fn make(server: &Server, report: &mut Report, percent: u32) -> anyhow::Result<State> {
    let begun = Instant::now();
    let mut connection = PgConnection::connect_with(&server.options()).await?;
    let now = Utc::now();
    for setting in ["synchronous_commit = off", "work_mem = '256MB'", "maintenance_work_mem = '512MB'", "jit = off"] {
        connection.execute(AssertSqlSafe(format!("set {setting}"))).await?;
    }
    name_assets(&mut connection, &definitions(now)?, now, percent).await?;
    let today = now.date_naive();
    for day in today.iter_days().rev().take(93) {
        connection.execute(sqlx::query("select karat.ensure_log_partitions($1)").bind(day)).await?;
    }
    connection.execute(sqlx::query("select karat.ensure_log_partitions($1)").bind(today.succ_opt())).await?;
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
         from pg_index i join pg_class c on c.oid = i.indexrelid
         where i.indrelid = any($1::regclass[]) and not i.indisprimary
           and not exists (select from pg_constraint k where k.conindid = i.indexrelid)",
    )
    .bind(TABLES)
    .fetch_all(&mut connection)
    .await?;
    for (name, _) in &indexes {
        connection.execute(AssertSqlSafe(format!("drop index {name}"))).await?;
    }
    for part in STATEMENTS.split("\n-----\n") {
        let name = part.lines().find_map(|line| line.strip_prefix("-- name: ")).unwrap_or_default();
        let begun = Instant::now();
        connection.execute(part).await.with_context(|| format!("making {name}"))?;
        eprintln!("        {name}: {:.1} s", begun.elapsed().as_secs_f64());
    }
    for (_, definition) in &indexes {
        connection
            .execute(AssertSqlSafe(definition.replace(" ON ONLY ", " ON ")))
            .await
            .with_context(|| definition.clone())?;
    }
    eprintln!("        indexes and statistics");
    connection.execute("vacuum analyze").await?;
    // What is still to be written to disk is written now, and not beside what is measured.
    connection.execute("checkpoint").await?;
    let sizes: (i64, i64, i64, String) = sqlx::query_as(
        "select (select count(*) from karat.materialization where current), (select count(*) from karat.run),
                (select count(*) from karat.log_line), pg_size_pretty(pg_database_size(current_database()))",
    )
    .fetch_one(&mut connection)
    .await?;
    let detail =
        format!("{ASSETS} assets, {} versions, {} runs, {} log lines, {} on disk", sizes.0, sizes.1, sizes.2, sizes.3);
    report.add("the state, made in", begun.elapsed().as_secs_f64(), "s", None, detail);
    let one = |sql: &'static str| sqlx::query_scalar::<_, Uuid>(sql);
    let state = State {
        run: one("select run_id from bench.run where is_built order by n desc offset 1000 limit 1")
            .fetch_one(&mut connection)
            .await?,
        large_run: one("select run_id from karat.run where backfill_id = '00000000-0000-7000-8000-00000000b001'")
            .fetch_one(&mut connection)
            .await?,
        live_run: one("select run_id from karat.run where finished_at is null").fetch_one(&mut connection).await?,
        failed_run: one("select run_id from karat.step where step_id > 400000000 limit 1")
            .fetch_one(&mut connection)
            .await?,
        talkative_run: one("select run_id from bench.run where is_built order by n desc limit 1")
            .fetch_one(&mut connection)
            .await?,
        backfill: "00000000-0000-7000-8000-00000000b001".parse()?,
        partition: sqlx::query_scalar(
            "select partition_key from bench.built where asset_key = 'gold.asset_050' order by ordinal desc offset 10 limit 1",
        )
        .fetch_one(&mut connection)
        .await?,
    };
    connection.close().await?;
    Ok(state)
}

/// The assets and partitions as tables.
async fn name_assets(
    connection: &mut PgConnection,
    definitions: &Definitions,
    now: DateTime<Utc>,
    percent: u32,
) -> anyhow::Result<()> {
    connection
        .execute(
            "create schema bench;
             create unlogged table bench.asset (number integer, asset_key text, code_version text, cadence text, built boolean,
                                                first_upstream text, second_upstream text);
             create unlogged table bench.partition (cadence text, ordinal bigint, partition_key text, ended_at timestamptz,
                                                    closed boolean);
             create function bench.run_id(at timestamptz, n bigint) returns uuid language sql immutable as $$
                 select (substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-7' || substr(r, 1, 3) || '-8' || substr(r, 4, 3) || '-'
                         || substr(r, 7, 12))::uuid
                 from (select lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') as h,
                              md5('b' || n) as r) made $$;
             create schema bronze; create schema silver; create schema gold;",
        )
        .await?;
    for (number, spec) in (0_i32..).zip(definitions.assets()) {
        let cadence = spec.partitions.as_str();
        sqlx::query("insert into bench.asset values ($1, $2, $3, $4, $5, $6, $7)")
            .bind(number)
            .bind(spec.key.as_str())
            .bind(&spec.code_version)
            .bind(cadence)
            .bind(spec.is_materializable())
            .bind(spec.upstreams.first().map(|upstream| upstream.key.as_str()))
            .bind(spec.upstreams.get(1).map(|upstream| upstream.key.as_str()))
            .execute(&mut *connection)
            .await?;
        let column = if spec.partitions.cadence() == Some(Cadence::Hourly) { "hour timestamptz" } else { "day date" };
        connection
            .execute(AssertSqlSafe(format!("create table {} ({column}, rows bigint, value bigint)", spec.key)))
            .await?;
    }
    for cadence in ["daily", "hourly"] {
        let spec = definitions.assets().find(|spec| spec.partitions.as_str() == cadence).context("an asset")?;
        let (existing, closed) = (spec.partitions.existing(now), spec.partitions.closed(now));
        let wanted = usize::try_from(PARTITIONS * u64::from(percent) / 100)?;
        let ordinals: Vec<i64> = existing.iter().rev().take(wanted.max(50)).collect();
        let keys: Vec<String> = ordinals.iter().map(|&ordinal| spec.partitions.key(ordinal).to_string()).collect();
        let ends: Vec<Option<DateTime<Utc>>> =
            ordinals.iter().map(|&ordinal| spec.partitions.window(ordinal).map(|window| window.end)).collect();
        let are_closed: Vec<bool> = ordinals.iter().map(|&ordinal| closed.contains(ordinal)).collect();
        sqlx::query("insert into bench.partition select $1, * from unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::boolean[])")
            .bind(cadence)
            .bind(ordinals)
            .bind(keys)
            .bind(ends)
            .bind(are_closed)
            .execute(&mut *connection)
            .await?;
    }
    connection
        .execute(
            "insert into gold.asset_050
             select date '2026-01-01' - n % 2000, n, n * 3 from generate_series(1, 200000) as n;
             create index on gold.asset_050 (day)",
        )
        .await?;
    Ok(())
}
