//! One run in detail: its attempts over time, what it published and read, its log in parts.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::log::LogLine;
use super::{Store, StoreError};

/// Attempts that were one statement, or one that is being carried out.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AttemptRecord {
    /// The asset.
    pub asset_key: String,
    /// The first partition, by its ordinal.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// How many.
    pub partitions: i64,
    /// Which try it was, from 1.
    pub attempt: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it lasts.
    pub finished_at: Option<DateTime<Utc>>,
    /// `running`, or how it ended.
    pub outcome: String,
}

/// A version that a run published.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct PublishedRecord {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// Rows in it.
    pub row_count: i64,
    /// Hash of the content.
    pub data_version: String,
    /// Hash of the declaration.
    pub code_version: String,
    /// Whether the content differed from the version before.
    pub content_changed: bool,
    /// Upstream asset → digest of the versions read.
    pub input_versions: Value,
    /// Whether it is the present version.
    pub current: bool,
}

/// Which lines of a run's log.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Only of this asset.
    pub asset_key: Option<String>,
    /// Only of this partition.
    pub partition_key: Option<String>,
    /// Only of these levels.
    pub levels: Option<Vec<&'static str>>,
    /// Only with this text, in small letters.
    pub text: Option<String>,
}

/// A line with whose it is.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct LogRecord {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// The line.
    #[sqlx(flatten)]
    pub line: LogLine,
}

impl Store {
    /// The attempts of a run over time, upstream first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_attempts(&self, run_id: Uuid, limit: i64) -> Result<Vec<AttemptRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/run_attempts.sql"))
            .bind(run_id)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .context("reading the attempts of the run")
    }

    /// From when to when the steps of each asset of a run were carried out, by state.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_spans(&self, run_id: Uuid) -> Result<Vec<AttemptRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/run_spans.sql"))
            .bind(run_id)
            .fetch_all(self.pool())
            .await
            .context("reading when the steps of the run were carried out")
    }

    /// The first versions that a run published, upstream first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_versions(&self, run_id: Uuid, limit: i64) -> Result<Vec<PublishedRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/run_versions.sql"))
            .bind(run_id)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .context("reading what the run published")
    }

    /// The last lines of a run's log, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_log_tail(
        &self,
        run_id: Uuid,
        filter: &LogFilter,
        limit: i64,
    ) -> Result<Vec<LogRecord>, StoreError> {
        let mut lines: Vec<LogRecord> = sqlx::query_as(include_str!("sql/run_log_tail.sql"))
            .bind(run_id)
            .bind(&filter.asset_key)
            .bind(&filter.partition_key)
            .bind(&filter.levels)
            .bind(&filter.text)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .context("reading the log")?;
        lines.reverse();
        Ok(lines)
    }

    /// The lines of a run's log that follow `after` (time, step, attempt, sequence), in this order.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_log_after(
        &self,
        run_id: Uuid,
        filter: &LogFilter,
        after: (DateTime<Utc>, i64, i64, i64),
        limit: i64,
    ) -> Result<Vec<LogRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/run_log_after.sql"))
            .bind(run_id)
            .bind(after.0)
            .bind(after.1)
            .bind(after.2)
            .bind(after.3)
            .bind(&filter.asset_key)
            .bind(&filter.partition_key)
            .bind(&filter.levels)
            .bind(&filter.text)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .context("reading the log")
    }
}
