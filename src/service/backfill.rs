//! Backfills: listing, showing, and steering them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::accounts::{Done, Role};
use super::run::command_of;
use super::{EstimateView, FailureView, Service, ServiceError};
use crate::core::key::AssetKey;
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
    /// Whether `steps` is exact; of a large one that is live or was retried a list has only the total, of all its runs.
    pub all_counted: bool,
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

/// How far a backfill is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackfillProgressView {
    /// The backfill, with the first partitions that were not built.
    #[serde(flatten)]
    pub detail: BackfillDetailView,
    /// The same by asset, upstream first.
    pub assets: Vec<BackfillAssetView>,
    /// How many of its steps may run at once; `None` is as many as there are slots.
    pub concurrency_limit: Option<i32>,
    /// How long what is left takes; `None` when nothing is.
    pub left: Option<EstimateView>,
}

/// The partitions of one asset in a backfill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackfillAssetView {
    /// The asset.
    pub asset: String,
    /// Its partitions by the state of their newest step.
    #[serde(flatten)]
    pub steps: StepCounts,
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
            all_counted: record.all_counted,
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
            Some(run_id) => self.first_failures(&[run_id]).await?,
            None => Vec::new(),
        };
        Ok(BackfillDetailView { backfill, failures })
    }

    /// How far a backfill is, by asset, and how long the rest takes.
    ///
    /// # Errors
    /// When there is none of that id, or the state cannot be read.
    pub async fn backfill_progress(&self, backfill_id: Uuid) -> Result<BackfillProgressView, ServiceError> {
        let detail = self.backfill(backfill_id).await?;
        let runs = &detail.backfill.runs;
        let order: BTreeMap<&str, usize> =
            self.definitions.graph().topological_order().iter().map(AssetKey::as_str).zip(0..).collect();
        let mut assets: Vec<BackfillAssetView> = self
            .store
            .backfill_assets(runs)
            .await?
            .into_iter()
            .map(|record| BackfillAssetView { asset: record.asset_key, steps: record.steps })
            .collect();
        assets.sort_by_key(|view| order.get(view.asset.as_str()).copied().unwrap_or(usize::MAX));
        let concurrency_limit = match runs.last() {
            Some(&run_id) => self.store.concurrency_limit(run_id).await?,
            None => None,
        };
        let open: BTreeMap<AssetKey, u64> = assets
            .iter()
            .filter_map(|view| {
                let open = u64::try_from(view.steps.total - view.steps.finished()).unwrap_or(0);
                Some((view.asset.parse().ok()?, open)).filter(|_| open > 0)
            })
            .collect();
        let left = match open.is_empty() {
            true => None,
            false => Some(self.estimate(&open, concurrency_limit.and_then(|limit| u32::try_from(limit).ok())).await?),
        };
        Ok(BackfillProgressView { detail, assets, concurrency_limit, left })
    }

    /// Says how many steps of a backfill may run at once from now on; `None` is as many as there are slots. What runs
    /// already goes on.
    ///
    /// # Errors
    /// When it has ended, or the state cannot be used.
    pub async fn limit_backfill(&self, backfill_id: Uuid, limit: Option<u32>) -> Result<ControlledView, ServiceError> {
        self.authorize(Role::Operator)?;
        let backfill = self.backfill(backfill_id).await?.backfill;
        if !matches!(backfill.state, "running" | "paused" | "canceling") {
            return Err(ServiceError::Refused(format!(
                "backfill {backfill_id} has ended already: it {}",
                ended(backfill.state)
            )));
        }
        let limit = match limit {
            Some(0) => {
                return Err(ServiceError::Refused(
                    "at least one partition runs at once: pause the backfill to begin nothing more".to_owned(),
                ));
            }
            limit => limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)),
        };
        let number = limit.map_or_else(String::new, |limit| format!(" {limit}"));
        let (target, command) = (backfill_id.to_string(), format!("backfill limit {backfill_id}{number}"));
        let audit = self.record_of(Done {
            action: "backfill limit",
            target: Some(&target),
            backfill_id: Some(backfill_id),
            detail: Some(serde_json::json!({ "concurrency_limit": limit })),
            command: Some(&command),
            ..Done::default()
        });
        let changed = self.store.limit_runs(&backfill.runs, limit, self.now(), audit).await?;
        Ok(ControlledView { changed, live: backfill.runs })
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
        self.authorize(Role::Operator)?;
        let detail = self.backfill(backfill_id).await?.backfill;
        let action = match control {
            Control::Pause => "backfill pause",
            Control::Resume => "backfill resume",
            Control::Cancel => "backfill cancel",
        };
        let (target, command) = (backfill_id.to_string(), format!("{action} {backfill_id}"));
        let done = Done {
            action,
            target: Some(&target),
            backfill_id: Some(backfill_id),
            command: Some(&command),
            ..Done::default()
        };
        let has_ended = || format!("backfill {backfill_id} has ended already: it {}", ended(detail.state));
        self.control(&detail.runs, control, done, has_ended).await
    }
}

/// The state of something that ended, after "it".
pub(super) fn ended(state: &str) -> String {
    match state {
        "canceled" => "was canceled".to_owned(),
        state => state.to_owned(),
    }
}
