//! The newest of each asset, found by index whatever the length of its history.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::error::Context;
use super::{Store, StoreError};

/// The newest version of a window.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct NewestWindow {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// Its ordinal when it was built.
    pub ordinal: i64,
}

impl Store {
    /// For each of `assets` the newest current version up to the ordinal beside it that was published after its window
    /// had ended; assets without any have no answer.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn newest_windows(&self, assets: &[(&str, i64)]) -> Result<Vec<NewestWindow>, StoreError> {
        if assets.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as(
            // The lists are questions of their own: the server then plans once, not at each call for their length.
            "select q.asset_key, newest.partition_key, newest.ordinal
             from unnest((select $1::text[]), (select $2::bigint[])) as q (asset_key, last)
             cross join lateral (
                 select m.partition_key, m.ordinal from karat.materialization m
                 where m.asset_key = q.asset_key and m.ordinal <= q.last and m.current and not m.open
                 order by m.ordinal desc limit 1
             ) newest",
        )
        .bind(assets.iter().map(|(asset, _)| *asset).collect::<Vec<_>>())
        .bind(assets.iter().map(|(_, last)| *last).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
        .context("looking for the newest versions")
    }

    /// When the oldest of the current versions of these partitions (asset and partition key) was published, by asset.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn oldest_current(
        &self,
        partitions: &[(&str, &str)],
    ) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as(
            "select q.asset_key, min(m.materialized_at)
             from unnest($1::text[], $2::text[]) as q (asset_key, partition_key)
             join karat.materialization m
               on m.asset_key = q.asset_key and m.partition_key = q.partition_key and m.current
             group by q.asset_key",
        )
        .bind(partitions.iter().map(|(asset, _)| *asset).collect::<Vec<_>>())
        .bind(partitions.iter().map(|(_, key)| *key).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
        .context("looking for the ages of versions")
    }

    /// When rows last landed in each of these external assets; assets without any have no answer.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn newest_marks(&self, assets: &[&str]) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
        if assets.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as(
            "select q.asset_key, newest.marked_at
             from unnest($1::text[]) as q (asset_key)
             cross join lateral (
                 select k.marked_at from karat.mark k
                 where k.asset_key = q.asset_key order by k.marked_at desc limit 1
             ) newest",
        )
        .bind(assets)
        .fetch_all(&self.pool)
        .await
        .context("looking for the newest marks")
    }
}
