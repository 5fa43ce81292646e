//! Lists and figures of one asset's partitions, by their present versions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// How many versions a series is made of: the newest ones.
pub const SERIES_VERSIONS: i64 = 1_000;

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
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesBucket {
    /// Which figure, by its place among those that were asked for, from 0.
    pub figure: usize,
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
        let mut noted = 5..;
        let column = |figure: &String| match figure.as_str() {
            "rows" => "v.row_count::double precision".to_owned(),
            "seconds" => "extract(epoch from s.finished_at - s.started_at)::double precision".to_owned(),
            _ => {
                let name = noted.next().unwrap_or_default();
                format!(
                    "case when jsonb_typeof(v.metadata -> ${name}) = 'number'
                          then (v.metadata -> ${name})::double precision end"
                )
            }
        };
        let columns: Vec<String> = figures.iter().map(column).collect();
        // Steps that nobody asks for are not joined: the server knows that there is one at most. Of all versions it reads those
        // of the asset together, of few each by itself.
        let statement = format!(
            "select v.ordinal, array[{}]::double precision[]
             from (
                 select ordinal, row_count, step_id, metadata
                 from karat.materialization
                 where asset_key = $1 and current and ordinal between $2 and $3
                 order by ordinal desc
                 limit $4
             ) v
             left join karat.step s on s.step_id = v.step_id and s.asset_key = $1",
            columns.join(", ")
        );
        let mut query =
            sqlx::query_as(AssertSqlSafe(statement)).bind(asset_key).bind(first).bind(last).bind(SERIES_VERSIONS);
        for name in figures.iter().filter(|figure| !matches!(figure.as_str(), "rows" | "seconds")) {
            query = query.bind(name);
        }
        let what = "reading the figures of versions";
        // To begin another process would take longer than what it would help with.
        let alone = "begin; set local max_parallel_workers_per_gather = 0";
        let mut transaction = self.pool.begin_with(alone).await.context(what)?;
        let versions: Vec<VersionFigures> = query.fetch_all(&mut *transaction).await.context(what)?;
        transaction.commit().await.context(what)?;
        Ok(bucketed(&versions, buckets.max(1)))
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

/// A version's ordinal, and its figures.
type VersionFigures = (i64, Vec<Option<f64>>);

/// The figures as so many stretches of equal length at most, from the first ordinal to the last: by figure, then by ordinal.
///
/// The server would take several times as long for it.
fn bucketed(versions: &[VersionFigures], buckets: i64) -> Vec<SeriesBucket> {
    let ordinals = || versions.iter().map(|(ordinal, _)| *ordinal);
    let (Some(first), Some(last)) = (ordinals().min(), ordinals().max()) else { return Vec::new() };
    let mut made: BTreeMap<(usize, i64), SeriesBucket> = BTreeMap::new();
    for (ordinal, values) in versions {
        let bucket = (ordinal - first) * buckets / (last - first + 1);
        for (figure, value) in values.iter().enumerate() {
            let Some(value) = *value else { continue };
            let bucket = made.entry((figure, bucket)).or_insert(SeriesBucket {
                figure,
                first: *ordinal,
                last: *ordinal,
                count: 0,
                least: value,
                average: 0.0,
                most: value,
            });
            bucket.first = bucket.first.min(*ordinal);
            bucket.last = bucket.last.max(*ordinal);
            bucket.count += 1;
            bucket.least = bucket.least.min(value);
            bucket.average += (value - bucket.average) / bucket.count as f64;
            bucket.most = bucket.most.max(value);
        }
    }
    made.into_values().collect()
}
