//! Backfills: requested sets of partitions × assets. Their progress is a query over the steps of their runs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::run::StepCounts;
use super::run_list::COUNTED;
use super::{Store, StoreError};

/// A backfill as it stands: each partition counts once, with its newest step.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct BackfillRecord {
    /// Its id.
    pub backfill_id: Uuid,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// What was asked for.
    pub request: Value,
    /// Its runs: the first and its retries, oldest first.
    pub runs: Vec<Uuid>,
    /// Whether one of its runs is paused.
    pub paused: bool,
    /// Whether one of its live runs was asked to cancel.
    pub canceling: bool,
    /// Whether one of its runs is live.
    pub live: bool,
    /// How its newest run ended.
    pub newest_outcome: Option<String>,
    /// Its partitions by the state of their newest step.
    #[sqlx(flatten)]
    pub steps: StepCounts,
    /// Whether `steps` was counted; if not, only the total is there, that of all its runs.
    pub all_counted: bool,
}

impl BackfillRecord {
    /// The state in one word: `running`, `paused`, `canceling`, `succeeded`, `failed` or `canceled`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        if self.live {
            if self.canceling {
                "canceling"
            } else if self.paused {
                "paused"
            } else {
                "running"
            }
        } else if !self.all_counted {
            match self.newest_outcome.as_deref() {
                Some("failed") => "failed",
                Some("canceled") => "canceled",
                _ => "succeeded",
            }
        } else if self.steps.failed + self.steps.blocked > 0 {
            "failed"
        } else if self.steps.canceled > 0 {
            "canceled"
        } else {
            "succeeded"
        }
    }
}

impl Store {
    /// Backfills, newest first: one when `backfill_id` is given, else at most `limit` older than `before`. In a list the
    /// steps of a live or retried one are counted up to [`COUNTED`].
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn backfills(
        &self,
        backfill_id: Option<Uuid>,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<BackfillRecord>, StoreError> {
        sqlx::query_as(include_str!("sql/backfills.sql"))
            .bind(backfill_id)
            .bind(before)
            .bind(limit)
            .bind(if backfill_id.is_some() { i64::MAX } else { COUNTED })
            .fetch_all(&self.pool)
            .await
            .context("listing backfills")
    }

    /// The backfills whose id begins or ends with `text`; at most ten.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn backfills_named(&self, text: &str) -> Result<Vec<Uuid>, StoreError> {
        // A whole id is found by its key; for a part of one all ids are looked through.
        let statement = if Uuid::parse_str(text).is_ok() {
            "select backfill_id from karat.backfill where backfill_id = $1::uuid"
        } else {
            "select backfill_id from karat.backfill
             where starts_with(backfill_id::text, $1) or right(backfill_id::text, length($1)) = $1
             order by backfill_id desc limit 10"
        };
        sqlx::query_scalar(statement)
            .bind(text.to_ascii_lowercase())
            .fetch_all(&self.pool)
            .await
            .context("looking for the backfill")
    }
}
