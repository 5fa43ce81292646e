//! Leadership: which of the processes on a database runs what only one should run.
//!
//! It is a lease without a time of its own: who leads leads for as long as its worker lives.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::error::Context;
use super::worker::APPLICATION_NAME_PREFIX;
use super::{Store, StoreError};

/// The leadership of the reconcilers.
pub const RECONCILERS: &str = "reconcilers";

impl Store {
    /// Takes the leadership `name` for a registered worker when nobody has it, or when who has it is dead (by the rule
    /// of [`take_back_lost_steps`](Self::take_back_lost_steps)) or has resigned. Returns the epoch under which it
    /// leads, `None` when another leads.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn try_lead(&self, name: &str, worker_id: Uuid, now: DateTime<Utc>) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar(concat!(
            "with dead as (",
            include_str!("sql/dead_workers.sql"),
            ")",
            include_str!("sql/try_lead.sql")
        ))
        .bind(worker_id)
        .bind(now)
        .bind(APPLICATION_NAME_PREFIX)
        .bind(name)
        .fetch_optional(&self.pool)
        .await
        .context("asking to lead")
    }

    /// Whether the worker still leads under this epoch.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn still_leads(&self, name: &str, worker_id: Uuid, epoch: i64) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "select exists (select from karat.leadership where name = $1 and worker_id = $2 and epoch = $3)",
        )
        .bind(name)
        .bind(worker_id)
        .bind(epoch)
        .fetch_one(&self.pool)
        .await
        .context("looking who leads")
    }

    /// Gives the leadership up, so that the next who asks gets it at once. The epochs go on.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn resign(&self, name: &str, worker_id: Uuid, epoch: i64) -> Result<(), StoreError> {
        // No worker has the nil id.
        sqlx::query("update karat.leadership set worker_id = $4 where name = $1 and worker_id = $2 and epoch = $3")
            .bind(name)
            .bind(worker_id)
            .bind(epoch)
            .bind(Uuid::nil())
            .execute(&self.pool)
            .await
            .context("giving up the lead")?;
        Ok(())
    }
}
