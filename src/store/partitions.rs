//! Some partitions of an asset, one by one: for tables and charts of them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// The present version of a partition.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct PartitionVersion {
    /// The partition.
    pub partition_key: String,
    /// Its ordinal.
    pub ordinal: i64,
    /// The run that published it.
    pub run_id: Uuid,
    /// Rows.
    pub row_count: i64,
    /// Hash of the content.
    pub data_version: String,
    /// Hash of the declaration.
    pub code_version: String,
    /// Published before its window closed.
    pub open: bool,
    /// What the asset said of it.
    pub metadata: Option<Value>,
    /// When it was published.
    pub materialized_at: DateTime<Utc>,
    /// How long building it took, with all that was built in the same statement.
    pub seconds: Option<f64>,
}

impl Store {
    /// The present versions of these partitions of an asset; those without one are left out.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn partition_versions(
        &self,
        asset_key: &str,
        ordinals: &[i64],
    ) -> Result<Vec<PartitionVersion>, StoreError> {
        sqlx::query_as(include_str!("sql/partition_versions.sql"))
            .bind(asset_key)
            .bind(ordinals)
            .fetch_all(self.pool())
            .await
            .context("reading the versions of partitions")
    }
}
