//! One run in detail: what failed first, its attempts over time, what it published and read, its log in parts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{AttemptView, LogLineView, RunView, Service, ServiceError};
use crate::core::key::AssetKey;
use crate::core::partition::Described;
use crate::core::subset::PartitionSubset;
use crate::core::told::Told;
use crate::store::run_detail::{AttemptRecord, LogFilter, LogRecord};

/// How many attempts are told one by one.
const TOLD_ATTEMPTS: usize = 200;

/// How many assets are told where attempts are not.
const TOLD_ASSETS: usize = 100;

/// Runs with more steps than this are told by asset.
const TOLD_STEPS: i64 = 5_000;

/// How many lines of a log are read together when all of it is asked for.
const LOG_PART: i64 = 1_000;

/// The levels of log lines, the gravest first.
pub const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// A step that failed, with what was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FailedStepView {
    /// The asset.
    pub asset: String,
    /// The partition.
    pub partition: String,
    /// Why.
    pub reason: Option<String>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// The attempts of a run over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RunTimesView {
    /// Whether there are too many attempts: then an entry is all of an asset's steps in one state.
    pub is_by_asset: bool,
    /// What was carried out, upstream first.
    pub entries: Vec<RunTimeView>,
    /// How many assets further downstream the run has that are not told: of a hundred at most it is told by asset.
    pub more_assets: usize,
}

/// Something that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RunTimeView {
    /// The asset.
    pub asset: String,
    /// The partitions, in words.
    #[schema(value_type = String)]
    pub partitions: Told<Described>,
    /// How many.
    pub count: i64,
    /// Which try it was, from 1.
    pub attempt: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it lasts.
    pub finished_at: Option<DateTime<Utc>>,
    /// `running`, or how it ended.
    pub outcome: String,
}

/// A version that a run published, and the versions it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RunVersionView {
    /// The asset.
    pub asset: String,
    /// The partition.
    pub partition: String,
    /// Rows in it.
    pub row_count: i64,
    /// Hash of the content.
    pub data_version: String,
    /// Hash of the declaration that built it.
    pub code_version: String,
    /// Whether the content differed from the version before.
    pub content_changed: bool,
    /// Upstream asset → digest of the versions that were read.
    pub inputs: BTreeMap<String, String>,
    /// Whether it is the present version.
    pub current: bool,
}

/// Which lines of a run's log, and how many of the last.
#[derive(Clone, Debug, Default)]
pub struct LogTailQuery {
    /// Only of this asset, by its key or table.
    pub asset: Option<String>,
    /// Only of this partition.
    pub partition: Option<String>,
    /// Only lines of this level or a graver one.
    pub level: Option<String>,
    /// Only lines with this text, small and large letters alike.
    pub text: Option<String>,
    /// How many of the last.
    pub limit: u32,
}

/// Where reading a log goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPlace(DateTime<Utc>, i64, i64, i64);

impl Service {
    /// The first steps of a run that failed, with what was tried.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn failed_steps(&self, run_id: Uuid, limit: u32) -> Result<Vec<FailedStepView>, ServiceError> {
        let steps = self.store.run_steps(run_id, &["failed"], i64::from(limit)).await?;
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = steps.iter().map(|step| step.step_id).collect();
        let attempts = self.store.attempts(&ids).await?;
        let views = steps.into_iter().map(|step| {
            let own = attempts.iter().filter(|attempt| attempt.step_id == step.step_id);
            FailedStepView {
                attempts: own.cloned().map(AttemptView::from).collect(),
                asset: step.asset_key,
                partition: step.partition_key,
                reason: step.reason,
            }
        });
        Ok(views.collect())
    }

    /// When what of a run was carried out; by asset when there is much.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn run_times(&self, run: &RunView) -> Result<RunTimesView, ServiceError> {
        let limit = i64::try_from(TOLD_ATTEMPTS).unwrap_or(i64::MAX) + 1;
        if run.steps.total <= TOLD_STEPS {
            let attempts = self.store.run_attempts(run.run_id, limit).await?;
            if attempts.len() <= TOLD_ATTEMPTS {
                let entries = attempts.into_iter().map(|record| self.run_time(record, false)).collect();
                return Ok(RunTimesView { is_by_asset: false, entries, more_assets: 0 });
            }
        }
        let mut assets = self.store.run_assets(run.run_id).await?;
        let rank = |asset: &str| asset.parse().ok().and_then(|key| self.definitions.graph().rank(&key));
        assets.sort_by_cached_key(|asset| (rank(asset).unwrap_or(usize::MAX), asset.clone()));
        let more_assets = assets.len().saturating_sub(TOLD_ASSETS);
        assets.truncate(TOLD_ASSETS);
        let spans = self.store.run_spans(run.run_id, &assets).await?;
        let entries = spans.into_iter().map(|record| self.run_time(record, true)).collect();
        Ok(RunTimesView { is_by_asset: true, entries, more_assets })
    }

    fn run_time(&self, record: AttemptRecord, is_by_asset: bool) -> RunTimeView {
        let spec = record.asset_key.parse::<AssetKey>().ok().and_then(|key| self.definitions.asset(&key));
        let partitions = match spec {
            Some(spec) if !is_by_asset => {
                spec.partitions.described(&PartitionSubset::from_range(record.first, record.last))
            }
            _ => Described { count: u64::try_from(record.partitions).unwrap_or(0), ..Described::default() },
        };
        RunTimeView {
            asset: record.asset_key,
            partitions: partitions.into(),
            count: record.partitions,
            attempt: record.attempt,
            started_at: record.started_at,
            finished_at: record.finished_at,
            outcome: record.outcome,
        }
    }

    /// The first versions that a run published, upstream first, with the versions they were made of.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn run_versions(&self, run_id: Uuid, limit: u32) -> Result<Vec<RunVersionView>, ServiceError> {
        let records = self.store.run_versions(run_id, i64::from(limit)).await?;
        let views = records.into_iter().map(|record| RunVersionView {
            asset: record.asset_key,
            partition: record.partition_key,
            row_count: record.row_count,
            data_version: record.data_version,
            code_version: record.code_version,
            content_changed: record.content_changed,
            inputs: serde_json::from_value(record.input_versions).unwrap_or_default(),
            current: record.current,
        });
        Ok(views.collect())
    }

    /// The last lines of a run's log that `query` asks for, oldest first; none of a run that does not exist.
    ///
    /// # Errors
    /// When the asset is unknown, or the state cannot be read.
    pub async fn log_tail(&self, run_id: Uuid, query: &LogTailQuery) -> Result<Vec<LogLineView>, ServiceError> {
        let filter = self.log_filter(query)?;
        let lines = self.store.run_log_tail(run_id, &filter, i64::from(query.limit)).await?;
        Ok(lines.into_iter().map(line_view).collect())
    }

    /// The next part of a run's log, oldest first, and where it goes on; `None` when this was the last.
    ///
    /// # Errors
    /// When the asset is unknown, or the state cannot be read.
    pub async fn log_part(
        &self,
        run_id: Uuid,
        query: &LogTailQuery,
        place: LogPlace,
    ) -> Result<(Vec<LogLineView>, Option<LogPlace>), ServiceError> {
        let filter = self.log_filter(query)?;
        let LogPlace(at, step, attempt, sequence) = place;
        let lines = self.store.run_log_after(run_id, &filter, (at, step, attempt, sequence), LOG_PART).await?;
        let is_full = i64::try_from(lines.len()).is_ok_and(|count| count == LOG_PART);
        let last = lines.last().filter(|_| is_full);
        let next = last.map(|last| {
            let line = &last.line;
            LogPlace(line.logged_at, line.step_id, line.lease_epoch, line.sequence)
        });
        Ok((lines.into_iter().map(line_view).collect(), next))
    }

    pub(super) fn log_filter(&self, query: &LogTailQuery) -> Result<LogFilter, ServiceError> {
        let asset_key = match &query.asset {
            Some(name) => Some(self.definitions.find(name)?.key.to_string()),
            None => None,
        };
        let level = query.level.as_deref().and_then(|level| LOG_LEVELS.iter().position(|known| *known == level));
        Ok(LogFilter {
            asset_key,
            partition_key: query.partition.clone(),
            levels: level.and_then(|level| LOG_LEVELS.get(..=level)).map(<[_]>::to_vec),
            text: query.text.as_deref().filter(|text| !text.is_empty()).map(str::to_lowercase),
        })
    }
}

pub(super) fn line_view(record: LogRecord) -> LogLineView {
    LogLineView {
        at: record.line.logged_at,
        asset: record.asset_key,
        partition: record.partition_key,
        attempt: record.line.lease_epoch,
        level: record.line.level,
        target: record.line.target,
        message: record.line.message,
        fields: record.line.fields,
    }
}
