//! A thousand requests a second, evenly spaced, for a minute, on the first page.
//!
//! The generator is this one, because it keeps the pace whatever the answers do: a latency counts from the moment at which
//! a request was due, so that an answer that is late delays what follows and that shows.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::serving::Child;
use crate::report::{Report, milliseconds};

const A_SECOND: u32 = 1_000;
const CONNECTIONS: u32 = 32;
const LASTS: Duration = Duration::from_secs(60);
const BUDGET_MILLISECONDS: f64 = 100.0;

pub(super) async fn measure(serving: &mut Child, report: &mut Report) -> anyhow::Result<()> {
    // What every server keeps once it has been asked at all is no growth.
    requests(serving.address(), Duration::from_secs(5)).await?;
    let before = serving.resident_megabytes()?;
    let mut took = requests(serving.address(), LASTS).await?;
    let after = serving.resident_megabytes()?;
    took.sort_unstable();
    let at = |percent: f64| took.get(((took.len() - 1) as f64 * percent / 100.0) as usize).copied().unwrap_or_default();
    let detail = format!(
        "{} requests over {CONNECTIONS} connections, median {}, 95 % {}, slowest {}",
        took.len(),
        milliseconds(at(50.0)),
        milliseconds(at(95.0)),
        milliseconds(at(100.0))
    );
    let slow = at(99.0).as_secs_f64() * 1_000.0;
    report.add(format!("/ at {A_SECOND} requests/s, 99 %"), slow, "ms", Some(BUDGET_MILLISECONDS), detail);
    report.add("memory it grew by", after - before, "MB", Some(10.0), format!("{before:.1} to {after:.1} MB resident"));
    Ok(())
}

/// The latencies of all requests.
async fn requests(address: &str, lasts: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut connections = JoinSet::new();
    let begin = Instant::now() + Duration::from_millis(100);
    let interval = Duration::from_secs(1) / A_SECOND * CONNECTIONS;
    for number in 0..CONNECTIONS {
        let address = address.to_owned();
        let first = begin + Duration::from_secs(1) / A_SECOND * number;
        connections.spawn(async move { connection(&address, first, begin + lasts, interval).await });
    }
    let mut took = Vec::new();
    while let Some(result) = connections.join_next().await {
        took.extend(result??);
    }
    Ok(took)
}

async fn connection(address: &str, first: Instant, end: Instant, interval: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut due = first;
    let mut took = Vec::new();
    let mut buffer = vec![0_u8; 256 * 1_024];
    while due < end {
        tokio::time::sleep_until(due.into()).await;
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream, &mut buffer).await?;
        took.push(due.elapsed());
        due += interval;
    }
    Ok(took)
}

/// Reads one answer with a length.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut read = 0;
    let (body, head) = loop {
        let more = stream.read(buffer.get_mut(read..).context("the head is too long")?).await?;
        ensure!(more > 0, "the server closed the connection");
        read += more;
        let seen = buffer.get(..read).unwrap_or_default();
        if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            break (end + 4, String::from_utf8_lossy(seen.get(..end).unwrap_or_default()).to_lowercase());
        }
    };
    ensure!(head.starts_with("http/1.1 200"), "the server answered {}", head.lines().next().unwrap_or_default());
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).context("no content-length")?;
    let mut left = body + length.trim().parse::<usize>()?;
    left = left.saturating_sub(read);
    while left > 0 {
        let room = left.min(buffer.len());
        let more = stream.read(buffer.get_mut(..room).unwrap_or_default()).await?;
        ensure!(more > 0, "the server closed the connection");
        left -= more;
    }
    Ok(())
}
