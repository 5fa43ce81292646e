//! Marks: the append-only notes that rows landed in a partition of an external asset.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::audit::{NewAudit, record};
use super::error::Context;
use super::{Store, StoreError};

/// Rows that landed in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMark {
    /// The partition.
    pub partition_key: String,
    /// Its ordinal.
    pub ordinal: i64,
    /// How many rows.
    pub row_count: i64,
}

/// Appends marks in the transaction that wrote the rows: both commit together, under the same transaction id.
///
/// # Errors
/// When the statement fails.
pub async fn append_marks(
    connection: &mut PgConnection,
    asset_key: &str,
    writer: &str,
    marks: &[NewMark],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if marks.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into karat.mark (asset_key, partition_key, ordinal, row_count, writer, marked_at)
         select $1, m.partition_key, m.ordinal, m.row_count, $2, $3
         from unnest($4::text[], $5::bigint[], $6::bigint[]) as m (partition_key, ordinal, row_count)",
    )
    .bind(asset_key)
    .bind(writer)
    .bind(now)
    .bind(marks.iter().map(|mark| mark.partition_key.as_str()).collect::<Vec<_>>())
    .bind(marks.iter().map(|mark| mark.ordinal).collect::<Vec<_>>())
    .bind(marks.iter().map(|mark| mark.row_count).collect::<Vec<_>>())
    .execute(connection)
    .await
    .context("noting where rows landed")?;
    Ok(())
}

/// A mark that says when its rows happened, and not yet in which partition they lie.
///
/// Triggers leave such marks: only the definitions know how time is cut into partitions.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct UnfiledMark {
    /// The external asset.
    pub asset_key: String,
    /// The first value of the partition column; of a `date` column the date as midnight in UTC.
    pub first_at: DateTime<Utc>,
    /// The last one, less than a quarter of an hour later.
    pub last_at: DateTime<Utc>,
    transaction_id: String,
    row_count: i64,
    rows_removed: i64,
    writer: String,
    marked_at: DateTime<Utc>,
}

/// What makes marks of one partition one mark.
type FiledUnder<'m> = (&'m str, i64, String, &'m str, &'m str);

impl Store {
    /// Appends marks for which no row is written, and `audit`; both or neither.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn mark(
        &self,
        asset_key: &str,
        writer: &str,
        marks: &[NewMark],
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await.context("marking by hand")?;
        append_marks(&mut transaction, asset_key, writer, marks, now).await?;
        record(&mut transaction, audit).await?;
        transaction.commit().await.context("marking by hand")
    }

    /// Files at most `limit` marks of `assets` under the partitions that `partitions_of` names, by key and ordinal;
    /// returns how many marks were taken up.
    ///
    /// A filed mark has the transaction of the one it replaces, so every snapshot sees of it what it saw before. Any
    /// number of processes may do this at once: each mark is taken up by one.
    ///
    /// # Errors
    /// When the database cannot be used; nothing was filed then.
    pub async fn file_marks(
        &self,
        assets: &[&str],
        limit: i64,
        partitions_of: impl Fn(&UnfiledMark) -> Vec<(String, i64)>,
    ) -> Result<u64, StoreError> {
        const DOING: &str = "filing marks under partitions";
        let mut transaction = self.pool.begin().await.context(DOING)?;
        let unfiled: Vec<UnfiledMark> = sqlx::query_as(
            "delete from karat.mark
             where mark_id = any(array(
                 select mark_id from karat.mark where ordinal is null and asset_key = any($1)
                 order by asset_key, first_at limit $2 for update skip locked))
             returning asset_key, first_at, last_at, transaction_id::text as transaction_id, row_count, rows_removed,
                       writer, marked_at",
        )
        .bind(assets)
        .bind(limit)
        .fetch_all(&mut *transaction)
        .await
        .context(DOING)?;
        if unfiled.is_empty() {
            return Ok(0);
        }
        let mut filed: BTreeMap<FiledUnder<'_>, (i64, i64, DateTime<Utc>)> = BTreeMap::new();
        for mark in &unfiled {
            // Of a mark that touches several partitions the first has the rows.
            let (mut came, mut went) = (mark.row_count, mark.rows_removed);
            for (key, ordinal) in partitions_of(mark) {
                let under = (mark.asset_key.as_str(), ordinal, key, mark.transaction_id.as_str(), mark.writer.as_str());
                let entry = filed.entry(under).or_insert((0, 0, mark.marked_at));
                entry.0 += std::mem::take(&mut came);
                entry.1 += std::mem::take(&mut went);
                entry.2 = entry.2.min(mark.marked_at);
            }
        }
        sqlx::query(
            "insert into karat.mark
                 (asset_key, ordinal, partition_key, transaction_id, writer, row_count, rows_removed, marked_at)
             select m.asset_key, m.ordinal, m.partition_key, m.transaction_id::xid8, m.writer, m.came, m.went, m.marked_at
             from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                         $8::timestamptz[])
                  as m (asset_key, ordinal, partition_key, transaction_id, writer, came, went, marked_at)",
        )
        .bind(filed.keys().map(|under| under.0).collect::<Vec<_>>())
        .bind(filed.keys().map(|under| under.1).collect::<Vec<_>>())
        .bind(filed.keys().map(|under| under.2.as_str()).collect::<Vec<_>>())
        .bind(filed.keys().map(|under| under.3).collect::<Vec<_>>())
        .bind(filed.keys().map(|under| under.4).collect::<Vec<_>>())
        .bind(filed.values().map(|counts| counts.0).collect::<Vec<_>>())
        .bind(filed.values().map(|counts| counts.1).collect::<Vec<_>>())
        .bind(filed.values().map(|counts| counts.2).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await
        .context(DOING)?;
        transaction.commit().await.context(DOING)?;
        Ok(unfiled.len() as u64)
    }

    /// The assets with marks made before `before` that may be merged: those of which one writer made several in one
    /// partition.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn assets_with_repeated_marks(&self, before: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "select distinct asset_key from (
                 select asset_key from karat.mark where ordinal is not null and marked_at < $1
                 group by asset_key, ordinal, partition_key, writer having count(*) > 1
             ) repeated",
        )
        .bind(before)
        .fetch_all(&self.pool)
        .await
        .context("looking for marks to merge")
    }

    /// Merges marks of `asset` that were made before `before` and that no snapshot tells apart, and returns how many
    /// rows of the table that saved.
    ///
    /// Marks of one partition and writer become one when every current version of `readers` sees all of them or none,
    /// and every transaction that is under way sees all of them. The merged mark has the counts of all and the newest of
    /// their transactions and times, so every answer about staleness stays what it was.
    ///
    /// # Errors
    /// When the database cannot be used; nothing was merged then.
    pub async fn compact_marks(&self, asset: &str, readers: &[&str], before: DateTime<Utc>) -> Result<u64, StoreError> {
        const DOING: &str = "merging marks";
        let mut transaction = self.pool.begin().await.context(DOING)?;
        // A statement of its own: what began after it sees everything below.
        let (snapshot, oldest): (String, Option<String>) =
            sqlx::query_as(include_str!("sql/mark_horizon.sql")).fetch_one(&mut *transaction).await.context(DOING)?;
        let saved: i64 = sqlx::query_scalar(include_str!("sql/compact_marks.sql"))
            .bind(asset)
            .bind(readers)
            .bind(before)
            .bind(snapshot)
            .bind(oldest)
            .fetch_one(&mut *transaction)
            .await
            .context(DOING)?;
        transaction.commit().await.context(DOING)?;
        Ok(u64::try_from(saved).unwrap_or(0))
    }
}
