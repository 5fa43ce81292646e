//! How far runs are, and how they ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Service, ServiceError};
use crate::store::run::StepCounts;

/// How many failures a summary names.
const NAMED_FAILURES: i64 = 10;

/// How far some runs are, taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgressView {
    /// Their steps by state.
    #[serde(flatten)]
    pub steps: StepCounts,
    /// How many of the runs are live.
    pub live_runs: usize,
    /// How many of these are paused.
    pub paused_runs: usize,
    /// How many of these were asked to stop.
    pub canceling_runs: usize,
}

/// A partition that was not built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureView {
    /// The asset.
    pub asset: String,
    /// The partition.
    pub partition: String,
    /// `failed` or `blocked`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
}

/// How runs ended, or how far they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SummaryView {
    /// The runs.
    pub runs: Vec<Uuid>,
    /// Their steps.
    #[serde(flatten)]
    pub progress: ProgressView,
    /// The first partitions that were not built; failed ones before those that were blocked by them.
    pub failures: Vec<FailureView>,
    /// When the last of them ended; `None` while one is live.
    pub finished_at: Option<DateTime<Utc>>,
}

impl SummaryView {
    /// Whether everything that was asked for is there now.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        let steps = &self.progress.steps;
        self.progress.live_runs == 0 && steps.failed + steps.blocked + steps.canceled == 0
    }
}

impl Service {
    /// How far `runs` are, taken together; unknown ones count for nothing.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn progress(&self, runs: &[Uuid]) -> Result<ProgressView, ServiceError> {
        Ok(self.progress_and_end(runs).await?.0)
    }

    async fn progress_and_end(&self, runs: &[Uuid]) -> Result<(ProgressView, Option<DateTime<Utc>>), ServiceError> {
        let mut view = ProgressView::default();
        let mut finished_at = None;
        for &run_id in runs {
            let Some(run) = self.store.run(run_id).await? else { continue };
            let (sum, steps) = (&mut view.steps, run.steps);
            for (total, more) in [
                (&mut sum.total, steps.total),
                (&mut sum.pending, steps.pending),
                (&mut sum.ready, steps.ready),
                (&mut sum.running, steps.running),
                (&mut sum.succeeded, steps.succeeded),
                (&mut sum.skipped, steps.skipped),
                (&mut sum.failed, steps.failed),
                (&mut sum.blocked, steps.blocked),
                (&mut sum.canceled, steps.canceled),
            ] {
                *total += more;
            }
            finished_at = finished_at.max(run.finished_at);
            if run.finished_at.is_none() {
                view.live_runs += 1;
                view.paused_runs += usize::from(run.paused_at.is_some());
                view.canceling_runs += usize::from(run.cancel_requested_at.is_some());
            }
        }
        Ok((view, finished_at.filter(|_| view.live_runs == 0)))
    }

    /// How `runs` ended, or how far they came, with the first reasons of failure.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn summary(&self, runs: &[Uuid]) -> Result<SummaryView, ServiceError> {
        let (progress, finished_at) = self.progress_and_end(runs).await?;
        let failures = self.first_failures(runs).await?;
        Ok(SummaryView { runs: runs.to_vec(), progress, failures, finished_at })
    }

    /// What failed in runs and what was blocked by it, as much as is named; nothing is counted for that.
    pub(super) async fn first_failures(&self, runs: &[Uuid]) -> Result<Vec<FailureView>, ServiceError> {
        let mut failures = Vec::new();
        for state in ["failed", "blocked"] {
            for &run_id in runs {
                for step in self.store.run_steps(run_id, &[state], NAMED_FAILURES).await? {
                    failures.push(FailureView {
                        asset: step.asset_key,
                        partition: step.partition_key,
                        state: step.state,
                        reason: step.reason,
                    });
                }
            }
        }
        failures.truncate(usize::try_from(NAMED_FAILURES).unwrap_or(usize::MAX));
        Ok(failures)
    }
}
