//! Lists and figures of one asset's partitions, by their present versions.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// How many versions a series is made of: the newest ones.
pub const SERIES_VERSIONS: i64 = 4_000;

/// In how many versions names of figures are looked for.
const NAMED_IN: i64 = 50;

/// The present version of a partition, with the step that made it.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct VersionRow {
    /// The partition.
    pub partition_key: String,
    /// Rows in it.
    pub row_count: i64,
    /// When it was published.
    pub materialized_at: DateTime<Utc>,
    /// By which run.
    pub run_id: Uuid,
    /// Hash of the content.
    pub data_version: String,
    /// Published before its window closed.
    pub open: bool,
    /// How long its step took, with all partitions that were built together; `None` when the step is not kept any more.
    pub seconds: Option<f64>,
}

/// A figure over neighbouring partitions.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct SeriesBucket {
    /// Which figure, by its place among those that were asked for, from 1.
    pub figure: i64,
    /// The first partition's ordinal as stored.
    pub first: i64,
    /// The last one's.
    pub last: i64,
    /// How many of the partitions have the figure.
    pub count: i64,
    /// The least.
    pub least: f64,
    /// The average.
    pub average: f64,
    /// The most.
    pub most: f64,
}

impl Store {
    /// The present versions of these partitions; those without any are left out.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn version_rows(
        &self,
        asset_key: &str,
        partition_keys: &[String],
    ) -> Result<Vec<VersionRow>, StoreError> {
        sqlx::query_as(
            "select m.*, extract(epoch from s.finished_at - s.started_at)::double precision as seconds
             from unnest($2::text[]) as wanted (partition_key)
             cross join lateral (
                 select partition_key, row_count, materialized_at, run_id, data_version, open, step_id
                 from karat.materialization
                 where asset_key = $1 and partition_key = wanted.partition_key and current
             ) m
             left join karat.step s on s.step_id = m.step_id",
        )
        .bind(asset_key)
        .bind(partition_keys)
        .fetch_all(&self.pool)
        .await
        .context("reading the versions of partitions")
    }

    /// Figures of the present versions with ordinals from `first` to `last`, each as at most `buckets` buckets of
    /// neighbours; of the newest [`SERIES_VERSIONS`] of them. A figure is `rows`, `seconds` (how long the step took), or the
    /// name under which the asset notes a number. In the order of `figures`, and of ordinals.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn series(
        &self,
        asset_key: &str,
        figures: &[String],
        (first, last): (i64, i64),
        buckets: i64,
    ) -> Result<Vec<SeriesBucket>, StoreError> {
        sqlx::query_as(include_str!("sql/series.sql"))
            .bind(asset_key)
            .bind(first)
            .bind(last)
            .bind(buckets.max(1))
            .bind(figures)
            .bind(SERIES_VERSIONS)
            .fetch_all(&self.pool)
            .await
            .context("reading the figures of versions")
    }

    /// The names under which the newest versions of the asset note numbers.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn noted_figures(&self, asset_key: &str) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "select distinct noted.key
             from (
                 select metadata from karat.materialization
                 where asset_key = $1 and current and ordinal is not null
                 order by ordinal desc limit $2
             ) m
             cross join lateral jsonb_each(case when jsonb_typeof(m.metadata) = 'object' then m.metadata end) as noted
             where jsonb_typeof(noted.value) = 'number'
             order by 1",
        )
        .bind(asset_key)
        .bind(NAMED_IN)
        .fetch_all(&self.pool)
        .await
        .context("reading which figures versions have")
    }
}
