//! The steps of a run, one by one.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Service, ServiceError};
use crate::core::partition::Ordinal;

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStepView {
    /// The step.
    pub step_id: i64,
    /// The asset.
    pub asset: String,
    /// The partition.
    pub partition: String,
    /// Its number.
    pub ordinal: Ordinal,
    /// `pending`, `ready`, `running`, `succeeded`, `skipped`, `failed`, `blocked` or `canceled`.
    pub state: String,
    /// Why it was skipped, failed, blocked or canceled.
    pub reason: Option<String>,
    /// How often it was tried, as far as that counts.
    pub attempts: i32,
    /// When its newest attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Where in the steps of a run: after the partition of that number of that asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPlace {
    /// The asset.
    pub asset: String,
    /// The partition's number.
    pub ordinal: Ordinal,
}

impl RunStepView {
    /// Where the steps after this one begin.
    #[must_use]
    pub fn place(&self) -> StepPlace {
        StepPlace { asset: self.asset.clone(), ordinal: self.ordinal }
    }
}

impl fmt::Display for StepPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.asset, self.ordinal)
    }
}

impl FromStr for StepPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (asset, ordinal) = text.rsplit_once('/').ok_or(())?;
        Ok(Self { asset: asset.to_owned(), ordinal: ordinal.parse().map_err(|_| ())? })
    }
}

impl Service {
    /// The steps of a run by asset and partition: at most `limit` of those after `after`, only those in `state` when that
    /// is given.
    ///
    /// # Errors
    /// When there is no such run, or the state cannot be read.
    pub async fn run_steps(
        &self,
        run_id: Uuid,
        state: Option<&str>,
        after: Option<StepPlace>,
        limit: u32,
    ) -> Result<Vec<RunStepView>, ServiceError> {
        self.require_run(run_id).await?;
        let after = after.as_ref().map(|place| (place.asset.as_str(), place.ordinal));
        let steps = self.store.steps_after(run_id, state, after, i64::from(limit)).await?;
        let views = steps.into_iter().map(|step| RunStepView {
            step_id: step.step_id,
            asset: step.asset_key,
            partition: step.partition_key,
            ordinal: step.ordinal,
            state: step.state,
            reason: step.reason,
            attempts: step.attempts,
            started_at: step.started_at,
            finished_at: step.finished_at,
        });
        Ok(views.collect())
    }
}
