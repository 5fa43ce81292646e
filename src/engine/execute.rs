//! Carrying a unit through to its end: attempts, repetitions, splitting, and stopping in the middle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::attempt::{Attempted, Environment, Problem, attempt};
use super::ending::{broken_connection, end_problem, end_set_aside, end_undefined, end_unknown_partitions};
use super::heartbeat::StopSignal;
use super::logs::LogCollector;
use super::reconnect::random;
use super::units::Unit;
use crate::asset::compute::AssetError;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::store::StoreError;
use crate::store::error::sql_state;
use crate::store::worker::attempt_name;

/// How often an attempt that collided with another transaction is repeated at once.
const CONFLICT_RETRIES: u32 = 5;

/// How long a canceled attempt may take to notice, before its connection is ended.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// How often the server is asked again to stop a statement.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// The test's hook killed the process.
#[derive(Debug)]
pub(super) struct Died;

/// Carries out every step of `unit`; when it returns, none of them is held under its lease any more.
pub(super) async fn execute(
    environment: &Environment,
    logs: &LogCollector,
    unit: Unit,
    signal: &StopSignal,
) -> Result<(), Died> {
    let asset = unit.asset_key().parse::<AssetKey>().ok().and_then(|key| environment.definitions.asset(&key).cloned());
    let Some(asset) = asset else {
        end_undefined(environment, &unit).await;
        return Ok(());
    };
    let mut waiting: Vec<Unit> = end_unknown_partitions(environment, &asset, unit).await.into_iter().collect();
    while let Some(unit) = waiting.pop() {
        let started_at = environment.clock.now();
        let span = tracing::info_span!(
            target: "karat::step",
            "step",
            step_id = unit.steps[0].step.step_id,
            lease_epoch = unit.steps[0].lease_epoch,
            run_id = %unit.run_id(),
            asset = %asset.key,
            partition = %unit.steps[0].step.partition_key,
        );
        let began = Instant::now();
        let result = attempt_until_settled(environment, &asset, &unit, started_at, signal).instrument(span).await;
        measure(environment, &unit, &result, began.elapsed());
        flush_logs(environment, logs).await;
        match result {
            Ok(Attempted::Published) => {}
            Ok(Attempted::SetAside(aside)) => {
                waiting.extend(end_set_aside(environment, &asset, unit, started_at, &aside).await);
            }
            Err(Problem::Died) => return Err(Died),
            Err(Problem::Fenced) => {
                tracing::warn!(asset = %asset.key, "another process holds this partition now: what was built here is dropped");
            }
            Err(problem) if unit.len() > 1 && is_about_rows(&problem) => {
                // One partition may spoil the others: halve until only the offending ones fail.
                let [first, second] = unit.split();
                waiting.extend([second, first]);
            }
            Err(problem) => end_problem(environment, &asset, &unit, started_at, problem).await,
        }
    }
    Ok(())
}

fn measure(environment: &Environment, unit: &Unit, result: &Result<Attempted, Problem>, took: Duration) {
    let measures = &environment.measures;
    let steps = unit.len() as u64;
    let outcome = match result {
        Ok(Attempted::Published) => {
            measures.published(unit.asset_key(), steps);
            "succeeded"
        }
        Ok(Attempted::SetAside(_)) => "skipped",
        Err(Problem::Fenced) => {
            measures.leases_lost(steps);
            "lost"
        }
        Err(Problem::Canceled) => "canceled",
        // Not tried, or not to its end, for no reason of its own.
        Err(Problem::Died | Problem::HandedBack) => return,
        Err(problem) if broken_connection(problem).is_some() => "lost",
        Err(_) => "failed",
    };
    measures.attempt_ended(unit.asset_key(), outcome, took);
    // Outside of the step's span: it is about the step, and not among what the asset said.
    tracing::debug!(
        run_id = %unit.run_id(),
        asset = unit.asset_key(),
        partition = unit.steps[0].step.partition_key,
        partitions = steps,
        outcome,
        seconds = took.as_secs_f64(),
        "an attempt has ended"
    );
}

/// Whether the problem may come from some of the partitions only. What passes by itself does not: each part of a split
/// range would meet it again.
const fn is_about_rows(problem: &Problem) -> bool {
    match problem {
        Problem::ChecksFailed(_) | Problem::TimedOut(_) => true,
        Problem::Asset(error) => !error.is_retryable(),
        _ => false,
    }
}

/// One attempt, repeated at once when it merely collided with another transaction, stopped on time-out or cancellation.
async fn attempt_until_settled(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: &Unit,
    started_at: DateTime<Utc>,
    signal: &StopSignal,
) -> Result<Attempted, Problem> {
    let mut conflicts = 0;
    loop {
        // Nothing new begins after a stop: neither what was claimed ahead, nor what is left of a split range.
        if let Some(problem) = stopped(signal) {
            return Err(problem);
        }
        let began = Instant::now();
        let result = attempt_stoppable(environment, asset, unit, started_at, signal).await;
        match result {
            Err(Problem::Store(error)) if error.is_conflict() && conflicts < CONFLICT_RETRIES => conflicts += 1,
            Err(Problem::Asset(error))
                if matches!(error.sqlstate().as_deref(), Some("40001" | "40P01")) && conflicts < CONFLICT_RETRIES =>
            {
                conflicts += 1;
            }
            Err(problem) if is_statement_stopped(&problem) => {
                return Err(stopped(signal).unwrap_or_else(|| match asset.timeout {
                    // The server's own time-out arrives as a cancelled statement.
                    Some(timeout) if began.elapsed() >= timeout => Problem::TimedOut(timeout),
                    // Somebody else's `pg_cancel_backend`, which says nothing about the asset.
                    _ => Problem::Asset(AssetError::retryable(format!(
                        "a statement of {} was canceled on the server, by nobody here",
                        asset.key
                    ))),
                }));
            }
            result => return result,
        }
        tokio::time::sleep(Duration::from_millis(5).mul_f64(f64::from(conflicts) * (0.5 + random()))).await;
    }
}

/// Why nothing may begin any more, when that is so.
fn stopped(signal: &StopSignal) -> Option<Problem> {
    if signal.canceled.is_cancelled() {
        Some(Problem::Canceled)
    } else if signal.handed_back.is_cancelled() {
        Some(Problem::HandedBack)
    } else {
        None
    }
}

/// Whether the server stopped a statement on request or for its time-out (SQLSTATE 57014).
fn is_statement_stopped(problem: &Problem) -> bool {
    let code = match problem {
        Problem::Asset(error) => error.sqlstate(),
        Problem::Store(error) => sql_state(error.database_error()),
        _ => None,
    };
    code.as_deref() == Some("57014")
}

async fn attempt_stoppable(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: &Unit,
    started_at: DateTime<Utc>,
    signal: &StopSignal,
) -> Result<Attempted, Problem> {
    let stopping = CancellationToken::new();
    let body = attempt(environment, asset, unit, started_at, &stopping);
    tokio::pin!(body);
    let name = attempt_name(environment.worker_id, unit.steps[0].step.step_id);
    let limit = async {
        match asset.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let stopped = tokio::select! {
        result = &mut body => return result,
        () = signal.canceled.cancelled() => Problem::Canceled,
        () = signal.handed_back.cancelled() => Problem::HandedBack,
        () = limit => Problem::TimedOut(asset.timeout.unwrap_or_default()),
        () = connection_is_gone(environment, &name) => Problem::Store(StoreError::new(
            format!("building {}", asset.key),
            sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the server has lost the connection")),
        )),
    };
    stopping.cancel();
    // Dropping the future would leave the statement running on the server, so the server is told; the future ends by
    // the error that follows. A commit that was under way wins.
    let mut ended = None;
    for _ in 0..STOP_PATIENCE.as_millis() / STOP_INTERVAL.as_millis() {
        let ask = environment.store.stop_attempt(&name, false);
        tokio::pin!(ask);
        let asked = tokio::select! {
            result = &mut body => {
                ended = Some(result);
                // Awaited: a request dropped half-way could reach the connection when another attempt is using it. A
                // database that is away has nothing to stop.
                tokio::time::timeout(STOP_INTERVAL, ask).await.unwrap_or(Ok(()))
            }
            asked = &mut ask => asked,
        };
        if let Err(error) = asked {
            tracing::warn!(%error, "the server could not be asked to stop a statement");
        }
        if ended.is_some() {
            break;
        }
        if let Ok(result) = tokio::time::timeout(STOP_INTERVAL, &mut body).await {
            ended = Some(result);
            break;
        }
    }
    match ended {
        Some(Ok(attempted)) => Ok(attempted),
        Some(Err(Problem::Died)) => Err(Problem::Died),
        Some(Err(_)) => Err(stopped),
        None => {
            if let Err(error) = environment.store.stop_attempt(&name, true).await {
                tracing::warn!(%error, "a stopped connection could not be ended");
            }
            Err(stopped)
        }
    }
}

/// Until the server has not had the connection named `name` for two looks in a row.
///
/// When a server's machine dies, or a network forgets a connection, nobody tells whoever waits for an answer on it: it
/// would wait for ever, and hold the step under a lease that other connections renew.
async fn connection_is_gone(environment: &Environment, name: &str) {
    let mut misses = 0;
    while misses < 2 {
        tokio::time::sleep(environment.watch_interval).await;
        match environment.store.has_attempt(name).await {
            Ok(true) => misses = 0,
            Ok(false) => misses += 1,
            // A database that does not answer says nothing about the connection.
            Err(error) => tracing::debug!(%error, "an attempt's connection cannot be looked for"),
        }
    }
}

async fn flush_logs(environment: &Environment, logs: &LogCollector) {
    let lines = logs.take();
    if lines.is_empty() {
        return;
    }
    if let Err(error) = environment.store.append_log_lines(&lines).await {
        tracing::warn!(target: "karat::engine", %error, "log lines could not be kept");
    }
    for run_id in logs.runs_to_account() {
        match environment.store.run_log_bytes(run_id).await {
            Ok(bytes) => logs.account(run_id, bytes),
            Err(error) => tracing::warn!(target: "karat::engine", %error, "the size of a log is not known"),
        }
    }
}
