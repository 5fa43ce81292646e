//! Launching again what was not built.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::accounts::{Done, Role};
use super::launch::stored_request;
use super::{LaunchedView, Request, Service, ServiceError};
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::Ordinal;
use crate::core::plan::PartitionSets;
use crate::core::subset::PartitionSubset;
use crate::engine::launch::LaunchRequest;
use crate::store::launch::RunCause;

impl Service {
    /// Launches the partitions of a run that failed or were blocked, with `canceled` also those that were canceled, in
    /// a run of their own, which belongs to the same backfill.
    ///
    /// # Errors
    /// When the run is still live, has nothing to repeat ([`ServiceError::NothingToDo`]), or what it needs is missing.
    pub async fn retry_run(&self, run_id: Uuid, canceled: bool) -> Result<LaunchedView, ServiceError> {
        let record = self.run_record(run_id).await?;
        if record.finished_at.is_none() {
            return Err(ServiceError::Refused(format!(
                "run {run_id} is still {}: wait for its end, or cancel it with `run cancel`",
                record.state()
            )));
        }
        self.retry("run", run_id, &[run_id], record.backfill_id, canceled).await
    }

    /// Launches the partitions of a backfill whose newest step in it failed or was blocked, with `canceled` also those
    /// that were canceled, as a further run of the backfill.
    ///
    /// # Errors
    /// As [`retry_run`](Self::retry_run).
    pub async fn retry_backfill(&self, backfill_id: Uuid, canceled: bool) -> Result<LaunchedView, ServiceError> {
        let backfill = self.backfill(backfill_id).await?.backfill;
        if matches!(backfill.state, "running" | "paused" | "canceling") {
            return Err(ServiceError::Refused(format!(
                "backfill {backfill_id} is still {}: wait for its end, or cancel it with `backfill cancel`",
                backfill.state
            )));
        }
        self.retry("backfill", backfill_id, &backfill.runs, Some(backfill_id), canceled).await
    }

    async fn retry(
        &self,
        thing: &str,
        id: Uuid,
        runs: &[Uuid],
        backfill_id: Option<Uuid>,
        canceled: bool,
    ) -> Result<LaunchedView, ServiceError> {
        self.authorize(Role::Operator)?;
        let states: &[&str] = if canceled { &["failed", "blocked", "canceled"] } else { &["failed", "blocked"] };
        let steps = self.store.partitions_in(runs, states).await?;
        if steps.is_empty() {
            if canceled {
                return Err(ServiceError::NothingToDo(format!(
                    "nothing to do: no partition of {thing} {id} failed, was blocked or was canceled"
                )));
            }
            let hint = match self.store.partitions_in(runs, &["canceled"]).await?.len() {
                0 => String::new(),
                1 => "; 1 was canceled, which --canceled repeats".to_owned(),
                count => format!("; {count} were canceled, which --canceled repeats"),
            };
            return Err(ServiceError::NothingToDo(format!(
                "nothing to do: no partition of {thing} {id} failed or was blocked{hint}"
            )));
        }
        let mut ordinals: BTreeMap<AssetKey, Vec<Ordinal>> = BTreeMap::new();
        for step in &steps {
            let (Ok(key), Ok(partition)) =
                (step.asset_key.parse::<AssetKey>(), step.partition_key.parse::<PartitionKey>())
            else {
                continue;
            };
            // What is not declared any more cannot be built.
            let Some(spec) = self.definitions.asset(&key) else { continue };
            let Ok(ordinal) = spec.partitions.ordinal(&partition) else { continue };
            ordinals.entry(key).or_default().push(ordinal);
        }
        let plan: PartitionSets =
            ordinals.into_iter().map(|(key, list)| (key, PartitionSubset::from_ordinals(list))).collect();
        if plan.is_empty() {
            return Err(ServiceError::Refused(format!(
                "what {thing} {id} did not build is not declared in this program any more"
            )));
        }
        let newest = runs.iter().max().copied();
        let request = match newest {
            Some(run_id) => self.request_of(run_id).await?,
            None => Request::default(),
        };
        let only_if_stale = if request.states.is_empty() { Default::default() } else { plan.keys().cloned().collect() };
        let now = self.now();
        let command = format!("{thing} retry {id}");
        let wanted = LaunchRequest {
            plan,
            only_if_stale,
            force: request.force,
            per_partition: request.per_partition,
            concurrency_limit: request.concurrency_limit,
            priority: request.priority,
            cause: RunCause::Retry,
            cause_detail: None,
            backfill_id,
            retry_of: newest,
            request: stored_request(&command, &request),
            requested_by: self.requested_by(),
        };
        let target = id.to_string();
        let action = if thing == "run" { "run retry" } else { "backfill retry" };
        let done = Done::on(action, &target, &command);
        let launched = self.launch_recorded(wanted, done, now).await?;
        Ok(LaunchedView {
            run_id: launched.run_id,
            backfill_id,
            cause: RunCause::Retry.as_str(),
            steps: launched.steps,
            requested_at: now,
            plan: None,
        })
    }

    /// The request a run was launched with; what it does not say is as by default.
    async fn request_of(&self, run_id: Uuid) -> Result<Request, ServiceError> {
        let record = self.run_record(run_id).await?;
        let stored = record.request.get("request").cloned();
        let request = stored.and_then(|stored| serde_json::from_value(stored).ok());
        Ok(request.unwrap_or(Request { force: record.force, ..Request::default() }))
    }
}
