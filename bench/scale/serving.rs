//! The real server of pages, as a process of its own: its memory is nobody else's.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use karat::clock::SystemClock;
use karat::engine::Wakeups;
use karat::service::{LoginPolicy, PagesContext, Process, Service, listen};
use karat::store::migrate::Migrations;
use karat::store::pool_options;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::definitions::definitions;
use crate::server::Server;

/// As many connections as `up` has for its pages.
const CONNECTIONS: u32 = 8;

/// What the child does: serves pages on a port of the system's choice, which it prints, until it is killed.
pub(crate) async fn serve(url: &str, now: &str) -> anyhow::Result<()> {
    let options: PgConnectOptions = url.parse()?;
    let now: DateTime<Utc> = now.parse()?;
    let pool = pool_options().max_connections(CONNECTIONS).connect_with(options.clone()).await?;
    let definitions = Arc::new(definitions(now)?);
    let migrations = Arc::new(Migrations::karat());
    let service = Service::new(pool, options.clone(), definitions, migrations, Arc::new(SystemClock));
    let listener = listen("127.0.0.1:0".parse()?).await?;
    println!("{}", listener.local_addr()?);
    let context = PagesContext {
        service,
        program: "bench",
        process: Process::default(),
        login: LoginPolicy::default(),
        channels: Vec::new(),
        providers: Vec::new(),
        wakeups: Some(Wakeups::listen(&options)),
        listener,
        stop: CancellationToken::new(),
    };
    karat::web::serve(context).await?;
    Ok(())
}

/// The child, from outside.
pub(super) struct Child {
    process: tokio::process::Child,
    address: String,
}

impl Child {
    pub(super) async fn start(server: &Server) -> anyhow::Result<Self> {
        let mut process = tokio::process::Command::new(std::env::current_exe()?)
            .args(["serve", &server.url(), &Utc::now().to_rfc3339()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the server of pages")?;
        let output = process.stdout.take().context("its output")?;
        let address = BufReader::new(output).lines().next_line().await?.context("the server of pages ended")?;
        Ok(Self { process, address })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn url(&self, place: &str) -> String {
        format!("http://{}{place}", self.address)
    }

    pub(super) fn resident_megabytes(&self) -> anyhow::Result<f64> {
        let process = self.process.id().context("the server of pages ended")?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells no size")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1_024.0)
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        tokio::time::timeout(Duration::from_secs(5), self.process.kill()).await??;
        Ok(())
    }
}
