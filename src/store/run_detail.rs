//! One run in detail: its attempts over time, what it published and read, its log in parts.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow};
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

/// How many of the last lines of a log are looked through for those that are asked for.
pub const SEARCHED_LINES: i64 = 5_000;

/// The last lines of a run by time.
const LINES_OF_RUN: &str = "
    with lines as not materialized (
        select * from karat.log_line l
        where l.run_id = $1 and l.logged_at >= $8 and l.logged_at <= $9
        order by logged_at desc, step_id desc, lease_epoch desc, sequence desc
        limit $7
    )";

/// Those of a partition, by its steps.
const LINES_OF_PARTITION: &str = "
    with lines as not materialized (
        select l.* from karat.log_line l
        where l.step_id = any(array(
                  select step_id from karat.step
                  where run_id = $1 and partition_key = $3 and ($2::text is null or asset_key = $2)))
          and l.logged_at >= $8 and l.logged_at <= $9
        order by logged_at desc, step_id desc, lease_epoch desc, sequence desc
        limit $7
    )";

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
        let Some(span) = self.run_span(run_id).await? else { return Ok(Vec::new()) };
        sqlx::query_as(include_str!("sql/run_attempts.sql"))
            .persistent(false)
            .bind(run_id)
            .bind(limit)
            .bind(span.first)
            .bind(span.last)
            .fetch_all(self.pool())
            .await
            .context("reading the attempts of the run")
    }

    /// The assets of a run, in no order.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_assets(&self, run_id: Uuid) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("select asset_key from karat.run_asset where run_id = $1")
            .bind(run_id)
            .fetch_all(self.pool())
            .await
            .context("reading the assets of the run")
    }

    /// From when to when the steps of each of these assets of a run were carried out, by state.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_spans(&self, run_id: Uuid, assets: &[String]) -> Result<Vec<AttemptRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/run_spans.sql"))
            .bind(run_id)
            .bind(assets)
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

    /// The last lines of a run's log that fit, oldest first. At most [`SEARCHED_LINES`] of the last lines are looked
    /// through, of errors and warnings alone as many of these.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_log_tail(
        &self,
        run_id: Uuid,
        filter: &LogFilter,
        limit: i64,
    ) -> Result<Vec<LogRecord>, StoreError> {
        let Some(span) = self.run_span(run_id).await? else { return Ok(Vec::new()) };
        let is_notable = |levels: &Vec<&str>| levels.iter().all(|level| matches!(*level, "error" | "warn"));
        let source = match (&filter.partition_key, &filter.levels) {
            (Some(_), _) => LINES_OF_PARTITION.to_owned(),
            (None, Some(levels)) if is_notable(levels) => {
                LINES_OF_RUN.replace("l.run_id = $1", "l.run_id = $1 and l.level in ('error', 'warn')")
            }
            (None, _) => LINES_OF_RUN.to_owned(),
        };
        let statement = format!("{source}\n{}", include_str!("sql/run_log_tail.sql"));
        let mut lines: Vec<LogRecord> = sqlx::query_as(AssertSqlSafe(statement))
            .persistent(false)
            .bind(run_id)
            .bind(&filter.asset_key)
            .bind(&filter.partition_key)
            .bind(&filter.levels)
            .bind(&filter.text)
            .bind(limit)
            .bind(SEARCHED_LINES)
            .bind(span.first)
            .bind(span.last)
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
        let Some(span) = self.run_span(run_id).await? else { return Ok(Vec::new()) };
        sqlx::query_as(include_str!("sql/run_log_after.sql"))
            .persistent(false)
            .bind(run_id)
            .bind(after.0.max(span.first))
            .bind(after.1)
            .bind(after.2)
            .bind(after.3)
            .bind(&filter.asset_key)
            .bind(&filter.partition_key)
            .bind(&filter.levels)
            .bind(&filter.text)
            .bind(limit)
            .bind(span.last)
            .fetch_all(self.pool())
            .await
            .context("reading the log")
    }
}
