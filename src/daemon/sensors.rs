//! Evaluates sensors that are due, and launches what they request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::task::JoinSet;

use super::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::asset::sensor::{RunRequest, Sensor, SensorContext, SensorResult};
use crate::asset::spec::AssetSpec;
use crate::core::plan::Extent;
use crate::core::selection;
use crate::engine::extent;
use crate::engine::launch::{LaunchError, LaunchRequest, prepare};
use crate::store::StoreError;
use crate::store::launch::RunCause;
use crate::store::sensor::{EvaluationOutcome, NewEvaluation, RequestedRun, SensorRecord};
use crate::store::signal::Signal;

/// How many runs one evaluation may request.
const REQUESTS: usize = 100;

/// The longest cursor and the longest key, in bytes.
const CURSOR_BYTES: usize = 100_000;
const RUN_KEY_BYTES: usize = 1_000;

/// However long a sensor has failed, it is tried again after this.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(1);

/// How much of an error is recorded, in characters.
const MESSAGE_CHARACTERS: usize = 2_000;

/// Evaluates sensors. It keeps nothing in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct SensorReconciler;

impl Reconciler for SensorReconciler {
    fn name(&self) -> &'static str {
        "sensors"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[Signal::Schedule]
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(activate(context))
    }
}

async fn activate(context: &ReconcilerContext) -> Result<Activation, ReconcilerError> {
    let sensors = context.definitions.sensors();
    if sensors.is_empty() {
        return Ok(Activation::default());
    }
    let now = context.now();
    let declared: Vec<(&str, bool)> =
        sensors.iter().map(|sensor| (sensor.name.as_str(), sensor.enabled_by_default)).collect();
    let records = context.store.sensors(&declared, now).await?;
    let by_name: BTreeMap<&str, &SensorRecord> = records.iter().map(|record| (record.name.as_str(), record)).collect();
    let on = sensors.iter().filter_map(|sensor| Some((sensor, *by_name.get(sensor.name.as_str())?)));
    let on: Vec<(&Sensor, &SensorRecord)> = on.filter(|(_, record)| record.paused_at.is_none()).collect();
    // A slow sensor keeps no other one waiting.
    let due = on.iter().filter(|(sensor, record)| is_due(sensor, record, now));
    let evaluated = join_all(due.map(|(sensor, record)| evaluate(context, sensor, record))).await;
    let (mut launched, mut failed) = (0, 0);
    let mut next_at: Option<DateTime<Utc>> =
        on.iter().map(|(_, record)| record.due_at).filter(|&due_at| due_at > now).min();
    for evaluation in evaluated {
        let evaluation = evaluation?;
        launched += evaluation.launched;
        failed += usize::from(evaluation.failed);
        next_at = [next_at, Some(evaluation.due_at)].into_iter().flatten().min();
    }
    let said = [(launched, "launched"), (failed, "failed")].into_iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = said.map(|(count, what)| format!("{count} {what}")).collect();
    Ok(Activation { report: (!said.is_empty()).then(|| said.join(", ")), next_at })
}

/// Also when it is due so late that the clock must have been put back since.
fn is_due(sensor: &Sensor, record: &SensorRecord, now: DateTime<Utc>) -> bool {
    let interval = TimeDelta::from_std(sensor.interval).unwrap_or(TimeDelta::MAX);
    record.due_at <= now || record.due_at - now > interval.max(LONGEST_WAIT)
}

struct Evaluated {
    launched: usize,
    failed: bool,
    due_at: DateTime<Utc>,
}

/// Calls the function and lets what it says take effect. That it fails is an outcome.
async fn evaluate(
    context: &ReconcilerContext,
    sensor: &Sensor,
    record: &SensorRecord,
) -> Result<Evaluated, ReconcilerError> {
    let tick_at = context.now();
    let given = SensorContext {
        cursor: record.cursor.clone(),
        now: tick_at,
        last_evaluated_at: record.evaluated_at,
        pool: context.store.pool().clone(),
    };
    let result = match call(sensor, given).await {
        Ok(result) => requested(context, sensor, result, tick_at).await?,
        Err(error) => Err(error),
    };
    let interval = TimeDelta::from_std(sensor.interval).unwrap_or(TimeDelta::MAX);
    let now = context.now();
    let evaluation = match result {
        Ok((runs, result, left_out)) => NewEvaluation {
            sensor: record,
            tick_at,
            outcome: if runs.is_empty() { EvaluationOutcome::Skipped } else { EvaluationOutcome::Requested },
            message: message(&result, left_out),
            cursor: result.cursor,
            due_at: now.checked_add_signed(interval).unwrap_or(DateTime::<Utc>::MAX_UTC),
            runs,
        },
        Err(error) => {
            tracing::warn!(sensor = %sensor.name, %error, "a sensor failed");
            // Waiting as long as it has failed already doubles the wait each time.
            let failing = record.failing_since.map_or(TimeDelta::zero(), |since| now - since);
            let wait = failing.min(LONGEST_WAIT).max(interval);
            NewEvaluation {
                sensor: record,
                tick_at,
                outcome: EvaluationOutcome::Failed,
                message: Some(error.chars().take(MESSAGE_CHARACTERS).collect()),
                cursor: None,
                due_at: now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC),
                runs: Vec::new(),
            }
        }
    };
    let (failed, due_at) = (evaluation.outcome == EvaluationOutcome::Failed, evaluation.due_at);
    // Overtaken: whoever changed the sensor sent a signal, and it is looked at again.
    let Some(launched) = context.store.record_evaluation(evaluation).await? else {
        return Ok(Evaluated { launched: 0, failed: false, due_at: now });
    };
    Ok(Evaluated { launched, failed, due_at })
}

fn message(result: &SensorResult, left_out: usize) -> Option<String> {
    let left_out = (left_out > 0)
        .then(|| format!("{left_out} {} requested before", if left_out == 1 { "run was" } else { "runs were" }));
    let parts: Vec<String> = [result.reason.clone(), left_out].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; ").chars().take(MESSAGE_CHARACTERS).collect())
}

/// The function's result; an error, a panic and a timeout are sentences.
async fn call(sensor: &Sensor, given: SensorContext) -> Result<SensorResult, String> {
    // A task of its own, so that a panic ends the evaluation and not the reconciler; dropped, it is aborted.
    let mut task = JoinSet::new();
    task.spawn((sensor.evaluate)(given));
    match tokio::time::timeout(sensor.timeout, task.join_next()).await {
        Err(_) => Err(format!("it did not answer within {:?}", sensor.timeout)),
        Ok(Some(Ok(Ok(result)))) => Ok(result),
        Ok(Some(Ok(Err(error)))) => Err(error.to_string()),
        Ok(Some(Err(error))) => Err(match error.try_into_panic() {
            Ok(payload) => {
                let text = payload.downcast_ref::<&str>().copied();
                let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                format!("it panicked: {}", text.unwrap_or("without a message"))
            }
            Err(error) => error.to_string(),
        }),
        Ok(None) => Err("it did not begin".to_owned()),
    }
}

/// The runs that are to be launched, the result, and how many requests were made before.
type Requested = Result<(Vec<RequestedRun>, SensorResult, usize), String>;

async fn requested(
    context: &ReconcilerContext,
    sensor: &Sensor,
    result: SensorResult,
    now: DateTime<Utc>,
) -> Result<Requested, ReconcilerError> {
    if result.requests.len() > REQUESTS {
        let count = result.requests.len();
        return Ok(Err(format!(
            "it requests {count} runs at once: {REQUESTS} at most, and the rest from a later cursor"
        )));
    }
    if result.cursor.as_ref().is_some_and(|cursor| cursor.len() > CURSOR_BYTES) {
        return Ok(Err(format!("its cursor is longer than {CURSOR_BYTES} bytes: keep a position, not the data")));
    }
    if result.cursor.as_ref().is_some_and(|cursor| cursor.contains('\0')) {
        return Ok(Err(
            "its cursor has a zero byte, which PostgreSQL does not store: write it in another way".to_owned()
        ));
    }
    let keys: Vec<&str> = result.requests.iter().filter_map(|request| request.run_key.as_deref()).collect();
    if keys.iter().any(|key| key.len() > RUN_KEY_BYTES) {
        return Ok(Err(format!("a run_key is longer than {RUN_KEY_BYTES} bytes")));
    }
    if keys.iter().any(|key| key.contains('\0')) {
        return Ok(Err(
            "a run_key has a zero byte, which PostgreSQL does not store: write it in another way".to_owned()
        ));
    }
    let mut used = context.store.used_run_keys(&sensor.name, &keys).await?;
    let (mut runs, mut left_out) = (Vec::new(), 0);
    for request in &result.requests {
        if let Some(key) = &request.run_key {
            if used.contains(key) {
                left_out += 1;
                continue;
            }
            used.push(key.clone());
        }
        match prepared(context, sensor, request, now).await {
            Ok(run) => runs.push(run),
            Err(Problem::Store(error)) => return Err(error.into()),
            Err(Problem::Request(error)) => return Ok(Err(format!("the request for {}: {error}", request.selection))),
        }
    }
    Ok(Ok((runs, result, left_out)))
}

/// Why a request cannot be launched.
enum Problem {
    /// The state could not be read, which says nothing about the sensor.
    Store(StoreError),
    /// It cannot be carried out.
    Request(String),
}

impl From<LaunchError> for Problem {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Store(error) => Self::Store(error),
            error => Self::Request(error.to_string()),
        }
    }
}

async fn prepared(
    context: &ReconcilerContext,
    sensor: &Sensor,
    request: &RunRequest,
    now: DateTime<Utc>,
) -> Result<RequestedRun, Problem> {
    let problem = |error: &dyn std::error::Error| Problem::Request(error.to_string());
    let selection = selection::parse(&request.selection).map_err(|error| problem(&error))?;
    let selected = context.definitions.select(&selection, &BTreeMap::new()).map_err(|error| problem(&error))?;
    let assets: Vec<Arc<AssetSpec>> = selected.into_iter().filter(|spec| spec.is_materializable()).collect();
    if assets.is_empty() {
        return Err(Problem::Request("it selects external assets only, which Karat does not build".to_owned()));
    }
    let plan = extent::resolve(&assets, &request.partitions, now).map_err(|error| problem(&error))?;
    let partitions = match &request.partitions {
        Extent::Text(text) => format!(" '{text}'"),
        Extent::All => " --all".to_owned(),
        Extent::Newest => String::new(),
    };
    let request_data = json!({
        "command": format!("materialize '{}'{partitions}", request.selection),
        "request": { "selection": request.selection, "extent": request.partitions },
    });
    let launch = LaunchRequest {
        plan,
        only_if_stale: BTreeSet::new(),
        force: false,
        per_partition: false,
        concurrency_limit: None,
        priority: 0,
        cause: RunCause::Sensor,
        cause_detail: Some(json!({ "sensor": sensor.name, "run_key": request.run_key })),
        backfill_id: None,
        retry_of: None,
        requested_by: None,
        request: request_data,
    };
    let (run, steps) = prepare(&context.store, &context.definitions, launch, now).await?;
    Ok(RequestedRun { run_key: request.run_key.clone(), run, steps })
}
