//! What is watched from outside: health and metrics, one statement each.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// Who is alive.
#[derive(Clone, Debug, FromRow)]
pub struct HealthRecord {
    /// When the lease of the worker that was asked for ends; `None` when there is no such worker.
    pub lease_ends_at: Option<DateTime<Utc>>,
    /// When the lease of the process whose reconcilers run ends; `None` when there is none.
    pub leader_lease_ends_at: Option<DateTime<Utc>>,
    /// The reconcilers that ever ran, by name.
    pub reconcilers: Json<Vec<ReconcilerHealth>>,
}

/// How a reconciler fared last.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReconcilerHealth {
    /// Its name.
    pub name: String,
    /// When an activation last succeeded.
    pub succeeded_at: Option<DateTime<Utc>>,
    /// What the last one failed with, if it failed.
    pub error: Option<String>,
}

/// A figure of the state.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Figure {
    /// What it is.
    pub figure: String,
    /// What it is of.
    pub first: Option<String>,
    /// What of that.
    pub second: Option<String>,
    /// The figure: a number of things, seconds, or seconds since 1970.
    pub value: f64,
}

impl Store {
    /// Who is alive; `worker_id` is the worker of the process that asks.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn health(&self, worker_id: Option<Uuid>) -> Result<HealthRecord, StoreError> {
        sqlx::query_as(include_str!("sql/health.sql"))
            .bind(worker_id)
            .fetch_one(&self.pool)
            .await
            .context("asking who is alive")
    }

    /// The figures that metrics are made of, as of `now`; `external` are the assets that rows land in.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn figures(&self, external: &[&str], now: DateTime<Utc>) -> Result<Vec<Figure>, StoreError> {
        sqlx::query_as(include_str!("sql/metrics.sql"))
            .bind(now)
            .bind(external)
            .fetch_all(&self.pool)
            .await
            .context("counting for metrics")
    }
}
