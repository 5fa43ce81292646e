//! Carrying a unit through to its end: attempts, splitting, retries, and what is recorded when nothing was published.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::attempt::{Attempted, Environment, Problem, SetAside, attempt, check_findings};
use super::checks::Finding;
use super::heartbeat::StopSignal;
use super::logs::LogCollector;
use super::reconnect::{random, until_reachable};
use super::units::Unit;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::store::attempt::{AttemptFailure, AttemptRecord, CheckFinding, Ending};
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
        let reason = format!("{} is not defined in this program any more", unit.asset_key());
        let failure = AttemptFailure { kind: "undefined".to_owned(), message: reason, backtrace: None };
        end(environment, None, &unit, environment.clock.now(), &Ending::Failed, &failure, &[]).await;
        return Ok(());
    };
    let mut waiting = vec![unit];
    while let Some(unit) = waiting.pop() {
        let started_at = environment.clock.now();
        let span = tracing::info_span!(
            target: "karat::step",
            "step",
            step_id = unit.steps[0].step.step_id,
            lease_epoch = unit.steps[0].lease_epoch,
            asset = %asset.key,
            partition = %unit.steps[0].step.partition_key,
        );
        let result = attempt_until_settled(environment, &asset, &unit, started_at, signal).instrument(span).await;
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

/// Whether the problem may come from some of the partitions only.
const fn is_about_rows(problem: &Problem) -> bool {
    matches!(problem, Problem::ChecksFailed(_) | Problem::Asset(_) | Problem::TimedOut(_))
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
        let result = attempt_stoppable(environment, asset, unit, started_at, signal).await;
        match result {
            Err(Problem::Store(error)) if error.is_conflict() && conflicts < CONFLICT_RETRIES => conflicts += 1,
            Err(Problem::Asset(error))
                if matches!(error.sqlstate().as_deref(), Some("40001" | "40P01")) && conflicts < CONFLICT_RETRIES =>
            {
                conflicts += 1;
            }
            // The server's own time-out arrives as a cancelled statement.
            Err(Problem::Asset(error)) if error.sqlstate().as_deref() == Some("57014") => {
                return Err(match asset.timeout {
                    _ if signal.canceled.is_cancelled() => Problem::Canceled,
                    _ if signal.handed_back.is_cancelled() => Problem::HandedBack,
                    Some(timeout) => Problem::TimedOut(timeout),
                    None => Problem::Asset(error),
                });
            }
            result => return result,
        }
        if conflicts > 0 {
            tokio::time::sleep(Duration::from_millis(5).mul_f64(f64::from(conflicts) * (0.5 + random()))).await;
        }
    }
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
    };
    stopping.cancel();
    // Dropping the future would leave the statement running on the server, so the server is told; the future ends by
    // the error that follows. A commit that was under way wins.
    let name = attempt_name(environment.worker_id, unit.steps[0].step.step_id);
    let ask_server = async {
        let asks = STOP_PATIENCE.as_millis() / STOP_INTERVAL.as_millis();
        for _ in 0..asks {
            if let Err(error) = environment.store.stop_attempt(&name, false).await {
                tracing::warn!(%error, "the server could not be asked to stop a statement");
            }
            tokio::time::sleep(STOP_INTERVAL).await;
        }
    };
    let ended = tokio::select! {
        result = &mut body => Some(result),
        () = ask_server => None,
    };
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

/// Ends the steps that are set aside, and returns the others as units of their own.
async fn end_set_aside(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: Unit,
    started_at: DateTime<Utc>,
    aside: &[(usize, SetAside)],
) -> Vec<Unit> {
    let by_position: BTreeMap<usize, &SetAside> = aside.iter().map(|(position, reason)| (*position, reason)).collect();
    let mut groups: Vec<(SetAside, Vec<_>)> = Vec::new();
    let mut left: Vec<Vec<_>> = vec![Vec::new()];
    for (position, claimed) in unit.steps.into_iter().enumerate() {
        match by_position.get(&position) {
            None => {
                if let Some(last) = left.last_mut() {
                    last.push(claimed);
                }
            }
            Some(&reason) => {
                left.push(Vec::new());
                match groups.iter_mut().find(|(known, _)| known == reason) {
                    Some((_, steps)) => steps.push(claimed),
                    None => groups.push((reason.clone(), vec![claimed])),
                }
            }
        }
    }
    for (reason, steps) in groups {
        let ending = match reason {
            SetAside::Fresh(reason) => Ending::Skipped { reason },
            SetAside::Blocked(reason) => Ending::Blocked { reason },
        };
        let failure = match &ending {
            Ending::Blocked { reason } => {
                AttemptFailure { kind: "missing_upstream".to_owned(), message: reason.clone(), backtrace: None }
            }
            _ => AttemptFailure::default(),
        };
        end(environment, Some(asset), &Unit { steps }, started_at, &ending, &failure, &[]).await;
    }
    let mut units: Vec<Unit> = left.into_iter().filter(|steps| !steps.is_empty()).map(|steps| Unit { steps }).collect();
    units.reverse();
    units
}

async fn end_problem(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: &Unit,
    started_at: DateTime<Utc>,
    problem: Problem,
) {
    let mut findings: Vec<CheckFinding> = Vec::new();
    let (retryable, failure) = match problem {
        Problem::Died | Problem::Fenced => return,
        Problem::Canceled => {
            let failure = AttemptFailure { kind: "canceled".to_owned(), ..AttemptFailure::default() };
            end(environment, Some(asset), unit, started_at, &Ending::Canceled, &failure, &[]).await;
            return;
        }
        Problem::HandedBack => return hand_back(environment, unit).await,
        Problem::ChecksFailed(found) => {
            findings = check_findings(unit, &found);
            (false, failure("check", checks_message(&found)))
        }
        Problem::Asset(error) => {
            let broken = error.database_error().is_none() && error.is_retryable() && is_connection_error(&error);
            if broken || matches!(error.sqlstate().as_deref(), Some("57P01" | "57P02" | "57P03")) {
                return end_lost(environment, asset, unit, started_at, error.report()).await;
            }
            let kind = if error.is_retryable() { "retryable" } else { "fatal" };
            (error.is_retryable(), failure(kind, describe(&error)))
        }
        Problem::Panicked(panic) => (
            false,
            AttemptFailure {
                kind: "panic".to_owned(),
                message: panic.message,
                backtrace: Some(panic.backtrace).filter(|text| !text.is_empty()),
            },
        ),
        Problem::TimedOut(timeout) => {
            let limit = humantime::format_duration(timeout);
            (
                true,
                failure("timeout", format!("{} took longer than its time-out of {limit} and was stopped", asset.key)),
            )
        }
        Problem::Store(error) => {
            if error.is_transient() {
                return end_lost(environment, asset, unit, started_at, error.to_string()).await;
            }
            (false, failure("state", error.to_string()))
        }
    };
    tracing::warn!(asset = %asset.key, partition = %unit.steps[0].step.partition_key, kind = failure.kind, "{}", failure.message);
    let delay = if retryable { asset.retry.delay_after(unit.steps[0].attempt, random()) } else { None };
    let ending = match delay.and_then(|delay| TimeDelta::from_std(delay).ok()) {
        Some(delay) => Ending::Retry { at: environment.clock.now() + delay },
        None => Ending::Failed,
    };
    end(environment, Some(asset), unit, started_at, &ending, &failure, &findings).await;
}

fn failure(kind: &str, message: String) -> AttemptFailure {
    AttemptFailure { kind: kind.to_owned(), message, backtrace: None }
}

/// Whether the connection broke, rather than something the asset did.
fn is_connection_error(error: &crate::asset::compute::AssetError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        if let Some(database) = current.downcast_ref::<sqlx::Error>() {
            return crate::store::error::is_transient(database);
        }
        cause = current.source();
    }
    false
}

fn checks_message(findings: &[Finding]) -> String {
    let failed: Vec<String> = findings
        .iter()
        .filter(|finding| !finding.passed && finding.blocking)
        .map(|finding| format!("check {}: {}", finding.check_name, finding.message))
        .collect();
    format!("{}; the version before stays", failed.join("; "))
}

/// The error, and for one of PostgreSQL what it adds: the code, the detail, its hint.
fn describe(error: &crate::asset::compute::AssetError) -> String {
    let mut text = error.report();
    if let Some(database) = error.database_error() {
        if let Some(code) = database.code() {
            text.push_str(&format!(" (SQLSTATE {code})"));
        }
        if let Some(postgres) = database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            && let Some(hint) = postgres.hint()
        {
            text.push_str(&format!(". Hint: {hint}"));
        }
    }
    text
}

/// The connection broke in the middle: the steps go back without counting against the asset.
async fn end_lost(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: &Unit,
    started_at: DateTime<Utc>,
    message: String,
) {
    tracing::warn!(asset = %asset.key, "the connection to the database broke; the partition will be tried again");
    let failure = failure("connection", message);
    end(environment, Some(asset), unit, started_at, &Ending::Lost, &failure, &[]).await;
}

/// Gives back steps that were claimed and not tried.
pub(super) async fn hand_back(environment: &Environment, unit: &Unit) {
    let now = environment.clock.now();
    end(environment, None, unit, now, &Ending::HandedBack, &AttemptFailure::default(), &[]).await;
}

async fn end(
    environment: &Environment,
    asset: Option<&Arc<AssetSpec>>,
    unit: &Unit,
    started_at: DateTime<Utc>,
    ending: &Ending,
    failure: &AttemptFailure,
    findings: &[CheckFinding],
) {
    let record = AttemptRecord {
        worker_id: environment.worker_id,
        asset_key: unit.asset_key(),
        code_version: asset.map_or("", |asset| &asset.code_version),
        run_id: unit.run_id(),
        metadata: None,
        started_at,
        finished_at: environment.clock.now(),
    };
    let leases = unit.leases();
    let ended = until_reachable("recording how an attempt ended", || {
        environment.store.end_attempts(&record, &leases, ending, failure, findings, environment.lost_attempts_limit)
    })
    .await;
    match ended {
        Ok(held) if held < leases.len() as u64 => {
            tracing::warn!(asset = unit.asset_key(), "another process holds this partition now");
        }
        Ok(_) => {}
        // The lease runs out and another worker takes the steps back.
        Err(error) => tracing::error!(%error, "how an attempt ended could not be recorded"),
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
}
