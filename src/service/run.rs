//! Runs: listing, showing, steering and repeating them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::backfill::ended;
use super::{ControlledView, Service, ServiceError};
use crate::store::run::{Control, RunRecord, StepCounts};

/// A run as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunView {
    /// Its id.
    pub run_id: Uuid,
    /// The backfill it belongs to.
    pub backfill_id: Option<Uuid>,
    /// The run whose failures it repeats.
    pub retry_of: Option<Uuid>,
    /// Why it exists: `manual`, `backfill`, `retry`, `schedule`, `automation` or `sensor`.
    pub cause: String,
    /// `queued`, `running`, `paused`, `canceling`, `succeeded`, `failed` or `canceled`.
    pub state: String,
    /// What was asked for: the command line, without the program's name.
    pub command: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When its last step ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its steps.
    pub steps: StepCounts,
}

impl From<RunRecord> for RunView {
    fn from(record: RunRecord) -> Self {
        Self {
            state: record.state().to_owned(),
            run_id: record.run_id,
            backfill_id: record.backfill_id,
            retry_of: record.retry_of,
            cause: record.cause,
            command: command_of(&record.request),
            requested_at: record.requested_at,
            finished_at: record.finished_at,
            steps: record.steps,
        }
    }
}

/// The command in a stored request; the request itself where it was stored by something else.
pub(super) fn command_of(request: &Value) -> String {
    request.get("command").and_then(Value::as_str).map_or_else(|| request.to_string(), str::to_owned)
}

impl Service {
    /// Steers the live ones of `runs`; `none_live` says why that cannot be when none is.
    pub(super) async fn control(
        &self,
        runs: &[Uuid],
        control: Control,
        none_live: impl FnOnce() -> String,
    ) -> Result<ControlledView, ServiceError> {
        let mut live = Vec::new();
        for &run_id in runs {
            if self.store.run(run_id).await?.is_some_and(|run| run.finished_at.is_none()) {
                live.push(run_id);
            }
        }
        if live.is_empty() {
            return Err(ServiceError::Refused(none_live()));
        }
        let changed = self.store.control_runs(&live, control, self.now()).await?;
        Ok(ControlledView { changed, live })
    }

    pub(super) async fn run_record(&self, run_id: Uuid) -> Result<RunRecord, ServiceError> {
        let record = self.store.run(run_id).await?;
        record.ok_or_else(|| ServiceError::Id(format!("there is no run `{run_id}`: `run ls` lists them")))
    }

    /// Ends a run's pause; to be called as well before working it off. A run that is not paused stays as it is.
    ///
    /// # Errors
    /// When it has ended, or the state cannot be used.
    pub async fn resume_run(&self, run_id: Uuid) -> Result<ControlledView, ServiceError> {
        self.control_run(run_id, Control::Resume).await
    }

    /// Starts nothing new of the run ever, and stops what runs. What was built stays.
    ///
    /// # Errors
    /// When it has ended, or the state cannot be used.
    pub async fn cancel_run(&self, run_id: Uuid) -> Result<ControlledView, ServiceError> {
        self.control_run(run_id, Control::Cancel).await
    }

    async fn control_run(&self, run_id: Uuid, control: Control) -> Result<ControlledView, ServiceError> {
        let record = self.run_record(run_id).await?;
        self.control(&[run_id], control, || format!("run {run_id} has ended already: it {}", ended(record.state())))
            .await
    }
}
