//! A large installation, 500 assets with a million partitions, a million runs and ten million log lines: how long every
//! page takes, how large it is, and what a thousand requests in a second do to the first page.
//!
//! The state is made by statements over sets, in the shape that years of work leave: most partitions are fresh, some are
//! missing, stale or failed; most runs built one partition, one built a hundred thousand, one is live.

mod definitions;
mod load;
mod places;
mod serving;
mod state;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

pub(crate) use self::serving::serve;
use crate::report::{Report, milliseconds};
use crate::server::Server;

/// How often each page is asked for before it counts, so that every connection has prepared what it takes; and then.
const WARMING: usize = 30;
const REQUESTS: usize = 40;

/// How long a page may take to be made, at the 95th percentile.
const BUDGET: Duration = Duration::from_millis(20);
const LINEAGE_BUDGET: Duration = Duration::from_millis(50);

/// The most that a page may be, before compression.
const SIZE_BUDGET: usize = 200_000;

/// How long the picture may take to be complete.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) async fn measure(server: &Server, report: &mut Report, percent: u32, load: bool) -> anyhow::Result<()> {
    let state = state::make(server, report, percent).await?;
    let mut serving = serving::Child::start(server).await?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
    let begun = Instant::now();
    while client.get(serving.url("/")).send().await?.text().await?.contains("How the assets stand is being read") {
        ensure!(begun.elapsed() < PATIENCE, "the picture is not complete after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    report.add(
        "the picture, complete after",
        begun.elapsed().as_secs_f64(),
        "s",
        None,
        format!("{percent} % of the state"),
    );
    report.add(
        "memory of the server",
        serving.resident_megabytes()?,
        "MB",
        None,
        "resident, once the picture is complete".to_owned(),
    );
    if load {
        return load::measure(&mut serving, report).await;
    }
    let mut above = Vec::new();
    for place in places::all(&client, &serving, &state).await? {
        let mut took = Vec::with_capacity(REQUESTS);
        let mut size = 0;
        let mut status = reqwest::StatusCode::OK;
        for request in 0..WARMING + REQUESTS {
            let begun = Instant::now();
            let response = place.request(&client, &serving).send().await?;
            status = response.status();
            size = response.bytes().await?.len();
            if request >= WARMING {
                took.push(begun.elapsed());
            }
        }
        took.sort_unstable();
        let at =
            |percent: usize| took.get((took.len() * percent / 100).min(took.len() - 1)).copied().unwrap_or_default();
        let budget = if place.address.starts_with("/lineage") || place.address.contains("/lineage") {
            LINEAGE_BUDGET
        } else {
            BUDGET
        };
        let detail = format!(
            "{} kB, median {}, slowest {}{}",
            size.div_ceil(1_000),
            milliseconds(at(50)),
            milliseconds(at(100)),
            if status.is_success() { String::new() } else { format!(", answers {status}") }
        );
        if at(95) > budget || size > SIZE_BUDGET || status.is_server_error() {
            above.push(format!("{}: {} ({detail})", place.name(), milliseconds(at(95))));
        }
        report.add(place.name(), at(95).as_secs_f64() * 1_000.0, "ms", Some(budget.as_secs_f64() * 1_000.0), detail);
    }
    if !above.is_empty() {
        eprintln!("above a budget of time or size:\n  {}", above.join("\n  "));
    }
    serving.stop().await.context("ending the server of pages")
}
