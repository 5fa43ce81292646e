//! How units end that published nothing: what is recorded, and whether another attempt follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::attempt::{Environment, Problem, SetAside, check_findings};
use super::checks::Finding;
use super::reconnect::{random, until_reachable};
use super::units::Unit;
use crate::asset::compute::AssetError;
use crate::asset::spec::AssetSpec;
use crate::store::attempt::{AttemptFailure, AttemptRecord, CheckFinding, Ending};
use crate::store::error::is_transient;

/// Ends the steps whose partition the asset has no more, or knows under another number since the run was launched: to
/// build what the number means now would publish one partition's rows under another's name. The others are returned.
pub(super) async fn end_unknown_partitions(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: Unit,
) -> Option<Unit> {
    let (known, unknown): (Vec<_>, Vec<_>) = unit.steps.into_iter().partition(|claimed| {
        asset.partitions.contains(claimed.step.ordinal)
            && asset.partitions.key(claimed.step.ordinal).as_str() == claimed.step.partition_key
    });
    if !unknown.is_empty() {
        let message = format!(
            "the partitions of {} changed after this run was launched: launch what is wanted of them again",
            asset.key
        );
        let now = environment.clock.now();
        let unit = Unit { steps: unknown };
        end(environment, Some(asset), &unit, now, &Ending::Failed, &failure("undefined", message), &[]).await;
    }
    (!known.is_empty()).then_some(Unit { steps: known })
}

/// Ends the steps of an asset that is no more.
pub(super) async fn end_undefined(environment: &Environment, unit: &Unit) {
    let message = format!("{} is not defined in this program any more", unit.asset_key());
    let failure = failure("undefined", message);
    end(environment, None, unit, environment.clock.now(), &Ending::Failed, &failure, &[]).await;
}

/// Ends the steps that are set aside, and returns the others as units of their own.
pub(super) async fn end_set_aside(
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

/// Records a failed attempt; a retryable problem is tried again as the asset's policy says.
pub(super) async fn end_problem(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: &Unit,
    started_at: DateTime<Utc>,
    problem: Problem,
) {
    if let Some(message) = broken_connection(&problem) {
        return end_lost(environment, asset, unit, started_at, message).await;
    }
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
        Problem::Store(error) => (false, failure("state", error.to_string())),
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

/// What was said when the connection broke, if it did: then nothing is known of the asset.
pub(super) fn broken_connection(problem: &Problem) -> Option<String> {
    match problem {
        Problem::Asset(error) => {
            let broken = error.database_error().is_none() && error.is_retryable() && is_connection_error(error);
            let ended = matches!(error.sqlstate().as_deref(), Some("57P01" | "57P02" | "57P03"));
            (broken || ended).then(|| error.report())
        }
        Problem::Store(error) => error.is_transient().then(|| error.to_string()),
        _ => None,
    }
}

/// Whether the connection broke, rather than something the asset did.
fn is_connection_error(error: &AssetError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        if let Some(database) = current.downcast_ref::<sqlx::Error>() {
            return is_transient(database);
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
fn describe(error: &AssetError) -> String {
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

/// An attempt that ended by a defect of Karat itself: it counts as one that was lost with its process, so that it is
/// tried again, and not for ever.
pub(super) async fn end_defective(environment: &Environment, unit: &Unit, started_at: DateTime<Utc>, message: String) {
    tracing::error!(asset = unit.asset_key(), message, "an attempt ended by a defect of Karat");
    let failure = failure("defect", message);
    end(environment, None, unit, started_at, &Ending::Lost, &failure, &[]).await;
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
    let ended = until_reachable("recording how an attempt ended", &environment.give_up, || {
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
