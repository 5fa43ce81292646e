//! A private server on a disk, as durable as the one a person gets.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use karat::postgres::{EmbeddedServer, EmbeddedSettings, start};
use karat::store::migrate::Migrations;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::Options;
use crate::report::Report;

/// Kept across restarts of the machine and therefore no memory file system.
const DISK: &str = "/var/tmp";

/// The zone of everything that is measured.
pub(crate) const ZONE: chrono_tz::Tz = chrono_tz::Europe::Berlin;

/// Everything a run leaves in the state, and what refers to it.
const STATE: &str = "truncate karat.run, karat.step, karat.attempt, karat.materialization, karat.check_result, karat.backfill, \
     karat.event, karat.log_line, karat.mark cascade";

pub(crate) struct Server {
    server: EmbeddedServer,
    directory: PathBuf,
}

impl Server {
    /// Starts it in an empty folder, which is a cold start, and once more, which is a warm one.
    ///
    /// With [`Options::statements`] it counts statements, which costs it some time: for finding out, not for measuring.
    pub(crate) async fn start(report: &mut Report, options: &Options) -> anyhow::Result<Self> {
        let directory = PathBuf::from(DISK).join(format!("karat-bench-{}", std::process::id()));
        let mut settings = EmbeddedSettings::from_environment("bench");
        settings.data_directory.clone_from(&directory);
        settings.server_settings.clone_from(&options.server_settings);
        if options.statements {
            settings.server_settings.push(("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned()));
        }
        let begun = Instant::now();
        let server = start(settings.clone()).await?;
        report.add(
            "embedded server, cold start",
            begun.elapsed().as_secs_f64(),
            "s",
            Some(3.0),
            "initdb included".to_owned(),
        );
        server.stop().await?;
        let begun = Instant::now();
        let server = start(settings).await?;
        report.add(
            "embedded server, warm start",
            begun.elapsed().as_secs_f64(),
            "s",
            Some(0.3),
            "on an existing cluster".to_owned(),
        );
        let server = Self { server, directory };
        let mut connection = PgConnection::connect_with(&server.options()).await?;
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value: String =
                sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut connection).await?;
            ensure!(value == "on", "the server runs with {setting} = {value}: commits would cost nothing");
        }
        let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut connection).await?;
        report.machine(format!("PostgreSQL {version}, fsync on"));
        for (name, value) in &options.server_settings {
            report.machine(format!("{name} = {value}"));
        }
        Migrations::karat().migrate(&mut connection).await?;
        if options.statements {
            connection.execute("create extension pg_stat_statements").await?;
        }
        connection.close().await?;
        Ok(server)
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.server.connect_options()
    }

    /// The same as a program takes it on its command line.
    pub(crate) fn url(&self) -> String {
        let options = self.options();
        let directory = self.server.socket_directory().display();
        let database = options.get_database().unwrap_or_default();
        format!("postgres:///{database}?host={directory}&port={}&user={}", options.get_port(), options.get_username())
    }

    /// Prints the statements that took most of the server's time since this was asked last.
    pub(crate) async fn print_statements(&self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect_with(&self.options()).await?;
        let rows: Vec<(i64, f64, f64, i64, String)> = sqlx::query_as(
            "select calls, total_exec_time, total_plan_time, rows, left(regexp_replace(query, '\\s+', ' ', 'g'), 110)
             from pg_stat_statements order by total_exec_time + total_plan_time desc limit 25",
        )
        .fetch_all(&mut connection)
        .await?;
        println!("   calls   total ms   each µs     rows  statement");
        for (calls, execution, planning, rows, query) in rows {
            let total = execution + planning;
            let each = total * 1_000.0 / calls.max(1) as f64;
            println!("{calls:8} {total:10.1} {each:9.1} {rows:8}  {query}");
        }
        connection.execute("select pg_stat_statements_reset()").await?;
        connection.close().await?;
        Ok(())
    }

    /// The process id of the server.
    pub(crate) fn postmaster(&self) -> anyhow::Result<i32> {
        self.server.postmaster_pid().context("the server has ended")
    }

    /// Connections for the bare side, all of them open, in the zone of the measurements.
    pub(crate) async fn pool(&self, connections: u32) -> anyhow::Result<PgPool> {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(connections)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute(AssertSqlSafe(format!("set timezone = '{}'", ZONE.name()))).await?;
                    Ok(())
                })
            })
            .connect_with(self.options())
            .await?;
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(pool.acquire().await?);
        }
        drop(open);
        Ok(pool)
    }

    /// Forgets all runs and materializations.
    pub(crate) async fn forget(&self, pool: &PgPool) -> anyhow::Result<()> {
        pool.execute(STATE).await.context("emptying the state")?;
        Ok(())
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await?;
        std::fs::remove_dir_all(&self.directory).with_context(|| format!("removing {}", self.directory.display()))
    }
}
