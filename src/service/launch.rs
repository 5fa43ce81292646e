//! Launching what was asked for.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::accounts::{Done, Role};
use super::known::Known;
use super::{PlanView, Request, Service, ServiceError};
use crate::core::word::{self, Word};
use crate::engine::launch::{LaunchError, LaunchRequest, Launched, prepare};
use crate::store::launch::RunCause;

/// As what a request is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchKind {
    /// A run by itself.
    Materialize,
    /// A backfill: a set that can be paused, resumed and retried by its own id.
    Backfill,
}

impl LaunchKind {
    /// A single partition is a run by itself; several are a set that may have to be paused or resumed.
    #[must_use]
    pub const fn suited_to(partition_count: u64) -> Self {
        if partition_count > 1 { Self::Backfill } else { Self::Materialize }
    }

    /// The verb on the command line.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Materialize => "materialize",
            Self::Backfill => "backfill",
        }
    }
}

/// What was launched. Workers carry it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaunchedView {
    /// The run.
    pub run_id: Uuid,
    /// The backfill it belongs to.
    pub backfill_id: Option<Uuid>,
    /// Why it exists: `manual`, `backfill` or `retry`.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub cause: Word,
    /// How many partitions it will build.
    pub steps: u64,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// What will be built; `None` for a retry, which builds what was not built.
    pub plan: Option<PlanView>,
}

/// What is stored with a run about why it exists: the command in words, and the request itself for retries.
pub(super) fn stored_request(command: &str, request: &Request) -> Value {
    json!({ "command": command, "request": request })
}

impl Service {
    /// Launches `request`. The same request may be launched any number of times; a partition that another run builds
    /// meanwhile is not built twice.
    ///
    /// # Errors
    /// As [`plan`](Self::plan); and when partitions upstream are missing and the request does not force it. Nothing is
    /// launched then.
    pub async fn launch(&self, request: &Request, kind: LaunchKind) -> Result<LaunchedView, ServiceError> {
        self.authorize(Role::Operator)?;
        let plan = self.resolve(request, Known::by_database(self)).await?;
        let view = plan.whole(&self.definitions, request);
        if !request.force && !view.missing_upstream.is_empty() {
            let missing = view.missing_upstream.iter();
            return Err(ServiceError::Launch(LaunchError::MissingInputs(
                missing.map(|missing| (missing.asset.clone(), missing.partitions.text.clone())).collect(),
            )));
        }
        let backfill_id = (kind == LaunchKind::Backfill).then(Uuid::now_v7);
        let cause = match kind {
            LaunchKind::Materialize => RunCause::Manual,
            LaunchKind::Backfill => RunCause::Backfill,
        };
        let now = self.now();
        let command = request.command_line(kind.verb());
        let wanted = LaunchRequest {
            plan: plan.sets,
            only_if_stale: plan.only_if_stale,
            force: request.force,
            per_partition: request.per_partition,
            concurrency_limit: request.concurrency_limit,
            priority: request.priority,
            cause,
            cause_detail: None,
            backfill_id,
            retry_of: None,
            request: stored_request(&command, request),
            requested_by: self.requested_by(),
        };
        let done = Done::on(kind.verb(), &request.selection, &command);
        let launched = self.launch_recorded(wanted, done, now).await?;
        Ok(LaunchedView {
            run_id: launched.run_id,
            backfill_id,
            cause: cause.as_str(),
            steps: launched.steps,
            requested_at: now,
            plan: Some(view),
        })
    }

    /// Writes a run, its steps and the record of `done`, to which the run and its backfill are added; all or nothing.
    pub(super) async fn launch_recorded(
        &self,
        wanted: LaunchRequest,
        done: Done<'_>,
        now: DateTime<Utc>,
    ) -> Result<Launched, ServiceError> {
        let (run, steps) = prepare(&self.store, &self.definitions, wanted, now).await?;
        let done = Done { run_id: Some(run.run_id), backfill_id: run.backfill_id, ..done };
        let steps = self.store.launch(&run, &steps, self.record_of(done)).await?;
        Ok(Launched { run_id: run.run_id, steps })
    }
}
