//! Measures the embedded server in a temporary folder: `cargo run --release --example embedded_server`.
//!
//! Cold is a start with nothing there yet, warm a start on an existing cluster, adopting one by a further process is measured by a further
//! guard, and recovery is a start after the server was killed with unwritten changes.

use std::time::{Duration, Instant};

use karat::postgres::{EmbeddedSettings, start};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, Executor, PgConnection};

const ROUNDS: u32 = 5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let base = if rustix::process::geteuid().is_root() { "/var/tmp".into() } else { std::env::temp_dir() };
    let directory = base.join(format!("karat-embedded-server-{}", std::process::id()));
    let mut settings = EmbeddedSettings::from_environment("example");
    settings.data_directory.clone_from(&directory);

    let mut times: [Vec<Duration>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let [cold, warm, adopted, stopped, recovered] = &mut times;
        let begun = Instant::now();
        let server = start(settings.clone()).await?;
        cold.push(begun.elapsed());
        let begun = Instant::now();
        server.stop().await?;
        stopped.push(begun.elapsed());

        let begun = Instant::now();
        let server = start(settings.clone()).await?;
        warm.push(begun.elapsed());
        let begun = Instant::now();
        let second = start(settings.clone()).await?;
        adopted.push(begun.elapsed());
        second.stop().await?;

        let mut connection = PgConnection::connect_with(&server.connect_options()).await?;
        connection.execute("create table numbers as select generate_series(1, 300000) as number").await?;
        if let Some(pid) = server.postmaster_pid().and_then(Pid::from_raw) {
            kill_process(pid, Signal::KILL)?;
        }
        let begun = Instant::now();
        let revived = start(settings.clone()).await?;
        recovered.push(begun.elapsed());
        drop(server);
        revived.stop().await?;
        std::fs::remove_dir_all(&directory)?;
    }
    for (name, times) in ["cold start", "warm start", "adopt", "stop", "start after kill -9"].iter().zip(&mut times) {
        times.sort();
        let milliseconds: Vec<u128> = times.iter().map(Duration::as_millis).collect();
        println!("{name:20} median {:5} ms   all {milliseconds:?}", milliseconds[milliseconds.len() / 2]);
    }
    Ok(())
}
