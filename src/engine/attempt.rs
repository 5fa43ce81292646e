//! One attempt: one transaction that replaces a stretch of partitions and records that it did.
//!
//! The steps are those of the design: begin under repeatable read, read the versions of the inputs, delete and insert,
//! check, compute data versions, fence, record, commit. A process that dies anywhere leaves everything as it was.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::checks::{self, Finding};
use super::inputs::{self, Inputs};
use super::measure::Measures;
use super::panics::{self, Panic};
use super::units::Unit;
use super::write::{self, Content, RowSource, Stretch};
use super::{FailurePoint, FaultHook};
use crate::asset::compute::{AssetError, ComputeContext, Metadata, RowSink, SharedTransaction};
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::asset::statement::{generated, text_literal};
use crate::clock::SharedClock;
use crate::core::partition::Ordinal;
use crate::core::subset::PartitionSubset;
use crate::store::attempt::{AttemptRecord, CheckFinding, Publication, publish};
use crate::store::worker::attempt_name;
use crate::store::{Store, StoreError};

/// How long a statement waits for a lock that somebody else holds on the same rows.
const LOCK_TIMEOUT_MILLISECONDS: u32 = 30_000;

/// What attempts need.
#[derive(Clone)]
pub(super) struct Environment {
    pub(super) store: Store,
    pub(super) definitions: Arc<Definitions>,
    pub(super) clock: SharedClock,
    pub(super) worker_id: Uuid,
    pub(super) fault: Option<FaultHook>,
    pub(super) lost_attempts_limit: i64,
    /// How often it is looked whether the server still has an attempt's connection.
    pub(super) watch_interval: Duration,
    /// Cancelled when a database that is away is not to be waited for any more.
    pub(super) give_up: CancellationToken,
    pub(super) measures: Measures,
}

impl Environment {
    /// Dies here when the test says so.
    pub(super) fn pass(&self, point: FailurePoint) -> Result<(), Problem> {
        match &self.fault {
            Some(dies) if dies(point) => Err(Problem::Died),
            _ => Ok(()),
        }
    }
}

/// How an attempt that met no problem ended.
pub(super) enum Attempted {
    /// All partitions of the unit are published.
    Published,
    /// Nothing was done: these steps (by position) need no building or cannot be built; the others can be tried
    /// without them.
    SetAside(Vec<(usize, SetAside)>),
}

/// Why a step of the unit is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SetAside {
    /// The partition is fresh.
    Fresh(String),
    /// Inputs are missing.
    Blocked(String),
}

/// Why an attempt published nothing.
#[derive(Debug)]
pub(super) enum Problem {
    /// The test's hook killed the process.
    Died,
    /// The steps belong to somebody else now.
    Fenced,
    /// Blocking checks failed.
    ChecksFailed(Vec<Finding>),
    /// The asset failed.
    Asset(AssetError),
    /// The asset panicked.
    Panicked(Panic),
    /// The state could not be read or written.
    Store(StoreError),
    /// It took longer than the asset allows.
    TimedOut(Duration),
    /// The run was canceled.
    Canceled,
    /// The worker stops.
    HandedBack,
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AssetError> for Problem {
    fn from(error: AssetError) -> Self {
        Self::Asset(error)
    }
}

/// Tries to build the partitions of `unit`.
pub(super) async fn attempt(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: &Unit,
    started_at: DateTime<Utc>,
    stopping: &CancellationToken,
) -> Result<Attempted, Problem> {
    environment.pass(FailurePoint::Claimed)?;
    let begin = begin_statement(environment, asset, unit);
    let transaction = environment
        .store
        .pool()
        .begin_with(generated(begin))
        .await
        .map_err(|error| StoreError::new(format!("opening the transaction of {}", asset.key), error))?;
    let transaction: SharedTransaction = Arc::new(Mutex::new(transaction));
    let attempted = body(environment, asset, unit, started_at, stopping, &transaction).await;
    // A clone that is still alive could use the connection after the end of the transaction.
    let transaction = Arc::into_inner(transaction).map(Mutex::into_inner);
    match (attempted, transaction) {
        (Ok(Attempted::Published), Some(transaction)) => {
            transaction.commit().await.map_err(|error| StoreError::new("committing the materialization", error))?;
            environment.pass(FailurePoint::Committed)?;
            Ok(Attempted::Published)
        }
        (Ok(Attempted::Published), None) => Err(Problem::Asset(AssetError::fatal(format!(
            "{} kept its context after it returned (in a spawned task?): wait for everything it starts; nothing was published",
            asset.key
        )))),
        (attempted, transaction) => {
            if let Some(transaction) = transaction {
                // A rollback that cannot be sent means the server has lost the transaction anyway.
                let _ = transaction.rollback().await;
            }
            attempted
        }
    }
}

/// Opens the transaction in a known frame: the calendar's zone, bounds on waiting, and a search path that cannot reach
/// Karat's own tables by accident.
fn begin_statement(environment: &Environment, asset: &AssetSpec, unit: &Unit) -> String {
    let zone = text_literal(environment.definitions.calendar().zone.name());
    let name = text_literal(&attempt_name(environment.worker_id, unit.steps[0].step.step_id));
    let timeout = asset.timeout.map_or(0, |timeout| timeout.as_millis().min(i32::MAX as u128));
    format!(
        "begin isolation level repeatable read; set local timezone = {zone}; set local application_name = {name}; \
         set local statement_timeout = {timeout}; set local lock_timeout = {LOCK_TIMEOUT_MILLISECONDS}; \
         set local search_path = public"
    )
}

async fn body(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: &Unit,
    started_at: DateTime<Utc>,
    stopping: &CancellationToken,
    shared: &SharedTransaction,
) -> Result<Attempted, Problem> {
    environment.pass(FailurePoint::Begun)?;
    let now = started_at;
    let ordinals: Vec<Ordinal> = unit.steps.iter().map(|claimed| claimed.step.ordinal).collect();
    let subset = PartitionSubset::from_ordinals(ordinals.iter().copied());
    let inputs = {
        let mut transaction = shared.lock().await;
        inputs::read(&mut transaction, &environment.definitions, asset, &subset, now).await?
    };
    environment.pass(FailurePoint::InputsRead)?;
    let aside = set_aside(environment, asset, unit, &inputs, shared, now).await?;
    if !aside.is_empty() {
        return Ok(Attempted::SetAside(aside));
    }

    let stretch = Stretch::new(asset, ordinals)?;
    write::delete(&mut **shared.lock().await, asset, &stretch).await?;
    environment.pass(FailurePoint::Deleted)?;
    let metadata = Metadata::default();
    let source = match asset.kind {
        AssetKind::Rust => compute(environment, asset, unit, &metadata, stopping, shared, now).await?,
        AssetKind::Sql => RowSource::Select,
        AssetKind::External => {
            return Err(AssetError::fatal(format!("{} is external: Karat does not build it", asset.key)).into());
        }
    };
    let mut transaction = shared.lock().await;
    let contents = write::insert(&mut transaction, asset, &stretch, source).await?;
    environment.pass(FailurePoint::Written)?;
    let findings = checks::evaluate(&mut transaction, asset, &stretch, now).await?;
    environment.pass(FailurePoint::Checked)?;
    let stretch_failed = findings.iter().any(|finding| !finding.passed);
    // A stretch is checked as a whole: which of its partitions offend is found by splitting it.
    if findings.iter().any(|finding| finding.blocking && !finding.passed) || (stretch_failed && unit.len() > 1) {
        return Err(Problem::ChecksFailed(findings));
    }

    let record = AttemptRecord {
        worker_id: environment.worker_id,
        asset_key: asset.key.as_str(),
        code_version: &asset.code_version,
        run_id: unit.run_id(),
        metadata: Some(Value::Object(metadata.snapshot()))
            .filter(|value| value.as_object().is_some_and(|map| !map.is_empty())),
        started_at,
        finished_at: environment.clock.now(),
    };
    let publications = publications(environment, asset, unit, &inputs, &contents, now);
    let held = publish(&mut transaction, &record, &publications, &check_findings(unit, &findings)).await;
    let held = match held {
        Err(error) if error.is_conflict() => return Err(Problem::Store(error)),
        held => held?,
    };
    if held != unit.len() as u64 {
        return Err(Problem::Fenced);
    }
    environment.pass(FailurePoint::Recorded)?;
    Ok(Attempted::Published)
}

/// The steps that are not to be carried out, with the reason.
async fn set_aside(
    environment: &Environment,
    asset: &AssetSpec,
    unit: &Unit,
    inputs: &Inputs,
    shared: &SharedTransaction,
    now: DateTime<Utc>,
) -> Result<Vec<(usize, SetAside)>, Problem> {
    let definitions = &environment.definitions;
    let mut aside = Vec::new();
    let mut asked = Vec::new();
    for (position, claimed) in unit.steps.iter().enumerate() {
        let step = &claimed.step;
        if !step.force {
            let missing = inputs.missing(definitions, asset, step.ordinal, now);
            if !missing.is_empty() {
                let described: Vec<String> = missing
                    .iter()
                    .map(|(key, subset)| {
                        let keys =
                            definitions.asset(key).map_or_else(String::new, |spec| spec.partitions.describe(subset));
                        format!("{key} {keys}")
                    })
                    .collect();
                aside.push((position, SetAside::Blocked(format!("missing upstream: {}", described.join("; ")))));
                continue;
            }
        }
        // A version published by a run that was live when this one was asked for answers this request too:
        // overlapping backfills build each partition once.
        let overlapped = inputs
            .current(step.ordinal)
            .filter(|version| version.run_id != step.run_id && version.run_finish_number > step.launch_number);
        if step.only_if_stale || overlapped.is_some() {
            let reason = overlapped.map_or_else(
                || "fresh: nothing it reads has changed".to_owned(),
                |version| format!("fresh: built by run {}", version.run_id),
            );
            asked.push((position, step.ordinal, reason));
        }
    }
    if !asked.is_empty() {
        let ordinals: Vec<Ordinal> = asked.iter().map(|&(_, ordinal, _)| ordinal).collect();
        let mut transaction = shared.lock().await;
        let fresh = inputs::fresh(&mut transaction, definitions, asset, inputs, &ordinals, now).await?;
        let fresh = asked.into_iter().filter(|(_, ordinal, _)| fresh.contains(ordinal));
        aside.extend(fresh.map(|(position, _, reason)| (position, SetAside::Fresh(reason))));
    }
    Ok(aside)
}

/// Runs the function of a rust asset; its rows are staged when it returns.
async fn compute(
    environment: &Environment,
    asset: &Arc<AssetSpec>,
    unit: &Unit,
    metadata: &Metadata,
    stopping: &CancellationToken,
    shared: &SharedTransaction,
    now: DateTime<Utc>,
) -> Result<RowSource, Problem> {
    let step = &unit.steps[0].step;
    let partition = asset.partitions.key(step.ordinal);
    let rows = RowSink::new(asset.clone(), shared.clone());
    let context = ComputeContext {
        asset: asset.clone(),
        partition,
        ordinal: step.ordinal,
        window: asset.partitions.window(step.ordinal),
        calendar: environment.definitions.calendar(),
        transaction: shared.clone(),
        rows: rows.clone(),
        metadata: metadata.clone(),
        cancelled: stopping.child_token(),
        now,
        upstream_windows: inputs::upstream_subsets(&environment.definitions, asset, step.ordinal, now),
    };
    let function = asset
        .compute
        .clone()
        .ok_or_else(|| AssetError::fatal(format!("{} has no function to compute it with", asset.key)))?;
    panics::catch(async move { function.compute(context).await }).await.map_err(Problem::Panicked)??;
    if rows.rows_pushed().await == 0 {
        return Ok(RowSource::Nothing);
    }
    rows.finish().await?;
    Ok(RowSource::Staged)
}

fn publications(
    environment: &Environment,
    asset: &AssetSpec,
    unit: &Unit,
    inputs: &Inputs,
    contents: &[Content],
    now: DateTime<Utc>,
) -> Vec<Publication> {
    let definitions = &environment.definitions;
    unit.steps
        .iter()
        .zip(contents)
        .map(|(claimed, content)| {
            let step = &claimed.step;
            let missing = inputs.missing(definitions, asset, step.ordinal, now);
            let incomplete: serde_json::Map<String, Value> = missing
                .iter()
                .map(|(key, subset)| {
                    let keys = definitions.asset(key).map_or_else(String::new, |spec| spec.partitions.describe(subset));
                    (key.to_string(), Value::String(keys))
                })
                .collect();
            let digests = inputs.digests(definitions, asset, step.ordinal, now);
            Publication {
                step_id: step.step_id,
                lease_epoch: claimed.lease_epoch,
                partition_key: step.partition_key.clone(),
                ordinal: step.ordinal,
                row_count: content.row_count,
                data_version: content.data_version.clone(),
                content_changed: inputs
                    .current(step.ordinal)
                    .is_none_or(|current| current.data_version != content.data_version),
                open: !inputs::is_closed(asset, step.ordinal, now),
                input_versions: digests
                    .into_iter()
                    .map(|(key, digest)| (key.to_string(), Value::String(digest)))
                    .collect(),
                incomplete_inputs: (!incomplete.is_empty()).then_some(Value::Object(incomplete)),
            }
        })
        .collect()
}

/// What the checks found on the stretch, said of each of its steps: they all passed, or there is only one step.
pub(super) fn check_findings(unit: &Unit, findings: &[Finding]) -> Vec<CheckFinding> {
    unit.steps
        .iter()
        .flat_map(|claimed| {
            findings.iter().map(|finding| CheckFinding {
                step_id: claimed.step.step_id,
                lease_epoch: claimed.lease_epoch,
                partition_key: claimed.step.partition_key.clone(),
                check_name: finding.check_name.clone(),
                blocking: finding.blocking,
                passed: finding.passed,
                offending_rows: finding.offending_rows,
                message: if unit.len() > 1 { "passed".to_owned() } else { finding.message.clone() },
            })
        })
        .collect()
}
