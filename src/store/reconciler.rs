//! The last activation of each reconciler.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// How the last recorded activation of a reconciler ended.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ReconcilerRecord {
    /// The reconciler.
    pub name: String,
    /// Whose activation it was.
    pub worker_id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When one last succeeded.
    pub succeeded_at: Option<DateTime<Utc>>,
    /// Why it failed; `None` when it did not.
    pub error: Option<String>,
    /// What it did; `None` when there was nothing to do.
    pub report: Option<String>,
}

impl Store {
    /// Records how an activation ended.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn record_activation(
        &self,
        name: &str,
        worker_id: Uuid,
        started_at: DateTime<Utc>,
        finished_at: DateTime<Utc>,
        outcome: Result<Option<&str>, &str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into karat.reconciler as r (name, worker_id, started_at, finished_at, succeeded_at, error, report)
             values ($1, $2, $3, $4, case when $5::text is null then $4::timestamptz end, $5, $6)
             on conflict (name) do update
             set worker_id = excluded.worker_id, started_at = excluded.started_at, finished_at = excluded.finished_at,
                 succeeded_at = coalesce(excluded.succeeded_at, r.succeeded_at), error = excluded.error,
                 report = excluded.report",
        )
        .bind(name)
        .bind(worker_id)
        .bind(started_at)
        .bind(finished_at)
        .bind(outcome.err())
        .bind(outcome.ok().flatten())
        .execute(&self.pool)
        .await
        .context("recording an activation")?;
        Ok(())
    }

    /// The reconcilers that were ever activated, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn reconcilers(&self) -> Result<Vec<ReconcilerRecord>, StoreError> {
        sqlx::query_as(
            "select name, worker_id, started_at, finished_at, succeeded_at, error, report from karat.reconciler order by name",
        )
        .fetch_all(&self.pool)
        .await
        .context("listing the reconcilers")
    }
}
