//! Backfills: listing, showing, and steering them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::accounts::Done;
use super::run::command_of;
use super::{FailureView, Service, ServiceError};
use crate::core::word::{self, Word};
use crate::store::backfill::BackfillRecord;
use crate::store::run::{Control, StepCounts};

/// A backfill as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackfillView {
    /// Its id.
    pub backfill_id: Uuid,
    /// `running`, `paused`, `canceling`, `succeeded`, `failed` or `canceled`.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub state: Word,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// What was asked for: the command line, without the program's name.
    pub command: String,
    /// Its runs, oldest first: the first one, and the retries.
    pub runs: Vec<Uuid>,
    /// Its partitions by the state of their newest step.
    pub steps: StepCounts,
}

/// A backfill in detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackfillDetailView {
    /// The backfill.
    #[serde(flatten)]
    pub backfill: BackfillView,
    /// The first partitions of its newest run that were not built.
    pub failures: Vec<FailureView>,
}

/// What a steering request changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ControlledView {
    /// The runs that changed; none when they were in the wanted state already.
    pub changed: Vec<Uuid>,
    /// The live runs that the request was about.
    pub live: Vec<Uuid>,
}

impl From<BackfillRecord> for BackfillView {
    fn from(record: BackfillRecord) -> Self {
        Self {
            backfill_id: record.backfill_id,
            state: record.state(),
            created_at: record.created_at,
            command: command_of(&record.request),
            runs: record.runs,
            steps: record.steps,
        }
    }
}

impl Service {
    /// The newest backfills, at most `limit`, older than `before` when that is given.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn backfills(&self, before: Option<Uuid>, limit: u32) -> Result<Vec<BackfillView>, ServiceError> {
        let records = self.store.backfills(None, before, i64::from(limit)).await?;
        Ok(records.into_iter().map(BackfillView::from).collect())
    }

    /// A backfill in detail.
    ///
    /// # Errors
    /// When there is none of that id, or the state cannot be read.
    pub async fn backfill(&self, backfill_id: Uuid) -> Result<BackfillDetailView, ServiceError> {
        let record = self.store.backfills(Some(backfill_id), None, 1).await?.into_iter().next();
        let record = record.ok_or_else(|| {
            ServiceError::Id(format!("there is no backfill `{backfill_id}`: `backfill ls` lists them"))
        })?;
        let backfill = BackfillView::from(record);
        let newest = backfill.runs.last().copied();
        let failures = match newest {
            Some(run_id) => self.summary(&[run_id]).await?.failures,
            None => Vec::new(),
        };
        Ok(BackfillDetailView { backfill, failures })
    }

    /// Starts nothing new of the backfill until it is resumed; what runs goes on.
    ///
    /// # Errors
    /// When it has ended, or the state cannot be used.
    pub async fn pause_backfill(&self, backfill_id: Uuid) -> Result<ControlledView, ServiceError> {
        self.control_backfill(backfill_id, Control::Pause).await
    }

    /// Ends a pause; to be called as well before working a backfill off. A backfill that is not paused stays as it is.
    ///
    /// # Errors
    /// When it has ended, or the state cannot be used.
    pub async fn resume_backfill(&self, backfill_id: Uuid) -> Result<ControlledView, ServiceError> {
        self.control_backfill(backfill_id, Control::Resume).await
    }

    /// Starts nothing new of the backfill ever, and stops what runs. What was built stays.
    ///
    /// # Errors
    /// When it has ended, or the state cannot be used.
    pub async fn cancel_backfill(&self, backfill_id: Uuid) -> Result<ControlledView, ServiceError> {
        self.control_backfill(backfill_id, Control::Cancel).await
    }

    async fn control_backfill(&self, backfill_id: Uuid, control: Control) -> Result<ControlledView, ServiceError> {
        let detail = self.backfill(backfill_id).await?.backfill;
        let view = self
            .control(&detail.runs, control, || {
                format!("backfill {backfill_id} has ended already: it {}", ended(detail.state))
            })
            .await?;
        let action = match control {
            Control::Pause => "backfill pause",
            Control::Resume => "backfill resume",
            Control::Cancel => "backfill cancel",
        };
        if !view.changed.is_empty() {
            self.record(Done {
                action,
                target: Some(&backfill_id.to_string()),
                backfill_id: Some(backfill_id),
                command: Some(&format!("{action} {backfill_id}")),
                ..Done::default()
            })
            .await;
        }
        Ok(view)
    }
}

/// The state of something that ended, after "it".
pub(super) fn ended(state: &str) -> String {
    match state {
        "canceled" => "was canceled".to_owned(),
        state => state.to_owned(),
    }
}
