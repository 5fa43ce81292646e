//! What `community up` costs while there is nothing to do: statements, memory, processor time.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::report::Report;
use crate::server::Server;

/// How long it may take to begin and to become quiet.
const SETTLING: Duration = Duration::from_secs(75);

/// How long what there is to do may take.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Starts the program beside this one, lets it settle, and watches it for `minutes`.
pub(crate) async fn measure(server: &Server, report: &mut Report, minutes: u64) -> anyhow::Result<()> {
    let program = program()?;
    let url = server.url();
    let command = |verb: &[&str]| {
        let mut command = tokio::process::Command::new(&program);
        command.args(["--quiet", "--database-url", &url]).args(verb).stdout(Stdio::null()).kill_on_drop(true);
        command
    };
    ensure!(command(&["migrate"]).status().await?.success(), "`migrate` failed");
    let mut up = command(&["up", "--address", "127.0.0.1:0"]).spawn().context("starting `up`")?;
    let process = up.id().context("`up` has ended")?;
    let mut connection = PgConnection::connect_with(&server.options()).await?;
    let begun = Instant::now();
    // What automation finds missing in an empty database is built first.
    while begun.elapsed() < SETTLING || live_runs(&mut connection).await? > 0 {
        ensure!(begun.elapsed() < PATIENCE, "`up` still works after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let (statements, processor) = (statements(&mut connection).await?, processor_time(process)?);
    let begun = Instant::now();
    let mut largest = 0;
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        tokio::time::sleep(Duration::from_secs(5)).await;
        largest = largest.max(resident_bytes(process)?);
    }
    let hours = begun.elapsed().as_secs_f64() / 3_600.0;
    let processor = processor_time(process)?.saturating_sub(processor).as_secs_f64() / begun.elapsed().as_secs_f64();
    let during = self::statements(&mut connection).await? - statements;
    up.kill().await?;
    let over = format!("over {minutes} min, begin and commit counted");
    report.add("statements of an idle process, an hour", during as f64 / hours, "", Some(2_000.0), over);
    report.add(
        "memory of an idle process",
        largest as f64 / 1_048_576.0,
        "MB",
        Some(50.0),
        "resident, largest".to_owned(),
    );
    report.add("processor time of an idle process", processor * 100.0, "%", Some(1.0), "of one processor".to_owned());
    for (calls, query) in most_frequent(&mut connection).await? {
        eprintln!("{calls:6} {query}");
    }
    Ok(())
}

/// How many runs are live or ended so short a time ago that automation may still wait before it builds on them.
async fn live_runs(connection: &mut PgConnection) -> anyhow::Result<i64> {
    let statement =
        "select count(*) from karat.run where finished_at is null or finished_at > now() - interval '90 seconds'";
    Ok(sqlx::query_scalar(statement).fetch_one(connection).await?)
}

/// `community` as built beside the benches.
fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let program = own.parent().and_then(|folder| folder.parent()).map(|folder| folder.join("community"));
    program
        .filter(|program| program.is_file())
        .context("there is no `community` beside the benches: `bench/idle` builds it first")
}

/// Statements the server has carried out so far, those of this connection aside.
async fn statements(connection: &mut PgConnection) -> anyhow::Result<i64> {
    let count =
        "select coalesce(sum(calls), 0)::bigint from pg_stat_statements where query not like '%pg_stat_statements%'";
    Ok(sqlx::query_scalar(count).fetch_one(connection).await?)
}

async fn most_frequent(connection: &mut PgConnection) -> anyhow::Result<Vec<(i64, String)>> {
    let query = "select calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 110) from pg_stat_statements
                 order by calls desc limit 25";
    Ok(sqlx::query_as(query).fetch_all(connection).await?)
}

fn resident_bytes(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("`up` has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells no size")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1_024)
}

/// Processor time of all its threads, those that have ended included.
fn processor_time(process: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("`up` has ended")?;
    let (_, fields) = stat.rsplit_once(')').context("the kernel tells no time")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // A tick is a hundredth of a second on every Linux of today.
    Ok(Duration::from_millis(ticks * 10))
}
