//! Rows that came too late to be taken in unasked, until a person decides.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::audit::{NewAudit, record};
use super::error::Context;
use super::{Store, StoreError};
use crate::asset::statement::identifier;

/// Which staged rows of an asset come too late.
#[derive(Clone, Debug)]
pub struct LateRows {
    /// The asset, whose key is its table.
    pub asset_key: String,
    /// Where the rows are staged.
    pub staging_table: String,
    /// The SQL condition on a staged row that comes too late, made of quoted names and literals.
    pub condition: String,
    /// The columns of the natural key; none where the table has no such key.
    pub natural_key: Vec<String>,
    /// What is said about them.
    pub reason: String,
}

/// Moves rows that come too late from the staging table into quarantine, and returns how many were not there before.
///
/// Rows that the asset's table has already go nowhere, and neither do rows that are or were in quarantine: a file may be
/// read any number of times.
///
/// # Errors
/// When a statement fails.
pub async fn quarantine_staged(
    connection: &mut PgConnection,
    late: &LateRows,
    writer: &str,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    const DOING: &str = "putting late rows into quarantine";
    let LateRows { asset_key, staging_table, condition, natural_key, reason } = late;
    let known = if natural_key.is_empty() {
        String::new()
    } else {
        let same = |column: &String| format!("t.{0} = s.{0}", identifier(column));
        let same: Vec<String> = natural_key.iter().map(same).collect();
        format!("and not exists (select from {asset_key} t where {})", same.join(" and "))
    };
    let moved = format!(
        "with late as (select karat.row_json(s) as row_data from {staging_table} s where {condition} {known}),
         added as (
             insert into karat.quarantine (asset_key, row_data, row_key, reason, writer, quarantined_at)
             select $1, row_data, karat.row_key(row_data, $2), $3, $4, $5 from late
             on conflict do nothing
             returning 1
         )
         select count(*) from added"
    );
    let added: i64 = sqlx::query_scalar(AssertSqlSafe(moved))
        .bind(asset_key)
        .bind(natural_key)
        .bind(reason)
        .bind(writer)
        .bind(now)
        .fetch_one(&mut *connection)
        .await
        .context(DOING)?;
    sqlx::query(AssertSqlSafe(format!("delete from {staging_table} where {condition}")))
        .execute(connection)
        .await
        .context(DOING)?;
    Ok(u64::try_from(added).unwrap_or(0))
}

/// Rows that were taken out of quarantine and are staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The columns of the table that the rows have values for.
    pub columns: Vec<String>,
    /// How many rows.
    pub rows: u64,
}

/// Takes waiting rows of one shape (all of `ids`, or of the asset) out of quarantine and stages them in a temporary
/// table of that name; `None` when none waits any more.
///
/// # Errors
/// When a statement fails.
pub async fn stage_waiting(
    connection: &mut PgConnection,
    asset_key: &str,
    staging_table: &str,
    ids: Option<&[i64]>,
    now: DateTime<Utc>,
) -> Result<Option<Staged>, StoreError> {
    const DOING: &str = "releasing rows from quarantine";
    let taken: Vec<i64> = sqlx::query_scalar(
        "with waiting as (
             select quarantine_id, array(select jsonb_object_keys(row_data) order by 1) as shape
             from karat.quarantine
             where asset_key = $1 and ($2::bigint[] is null or quarantine_id = any($2))
               and released_at is null and discarded_at is null
             for update
         )
         update karat.quarantine q set released_at = $3
         from waiting w
         where q.quarantine_id = w.quarantine_id and w.shape = (select shape from waiting order by quarantine_id limit 1)
         returning q.quarantine_id",
    )
    .bind(asset_key)
    .bind(ids)
    .bind(now)
    .fetch_all(&mut *connection)
    .await
    .context(DOING)?;
    if taken.is_empty() {
        return Ok(None);
    }
    // A column that PostgreSQL fills by itself takes no value.
    let columns: Vec<String> = sqlx::query_scalar(
        "select a.attname::text from pg_attribute a
         where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
           and a.attgenerated = '' and a.attidentity <> 'a'
           and (select q.row_data ? a.attname from karat.quarantine q where q.quarantine_id = $2)
         order by a.attnum",
    )
    .bind(asset_key)
    .bind(taken[0])
    .fetch_all(&mut *connection)
    .await
    .context(DOING)?;
    // Parameters cannot stand in `create table as`; these are numbers.
    let list: Vec<String> = taken.iter().map(i64::to_string).collect();
    let stage = format!(
        "create temporary table {} on commit drop as
         select r.* from karat.quarantine q cross join lateral jsonb_populate_record(null::{asset_key}, q.row_data) r
         where q.quarantine_id in ({})",
        staging_table.trim_start_matches("pg_temp."),
        list.join(", ")
    );
    sqlx::query(AssertSqlSafe(stage)).execute(connection).await.context(DOING)?;
    Ok(Some(Staged { columns, rows: taken.len() as u64 }))
}

/// A row in quarantine.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct QuarantinedRow {
    /// Its number.
    pub quarantine_id: i64,
    /// The asset whose table it is not in.
    pub asset_key: String,
    /// Its columns, times in UTC.
    pub row_data: Value,
    /// Why it is here.
    pub reason: String,
    /// Who brought it.
    pub writer: String,
    /// When.
    pub quarantined_at: DateTime<Utc>,
    /// When it was put into the table after all.
    pub released_at: Option<DateTime<Utc>>,
    /// When it was refused for good.
    pub discarded_at: Option<DateTime<Utc>>,
}

/// How much waits in quarantine for a decision about one asset.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct QuarantineCount {
    /// The asset.
    pub asset_key: String,
    /// Rows that wait.
    pub row_count: i64,
    /// When the newest of them came.
    pub newest_at: DateTime<Utc>,
}

const ROW_COLUMNS: &str =
    "quarantine_id, asset_key, row_data, reason, writer, quarantined_at, released_at, discarded_at";

/// Records a decision about so many waiting rows in the transaction that carries it out; none about no row.
///
/// # Errors
/// When the database cannot be used; the transaction can only be rolled back then.
pub async fn record_decision(
    transaction: &mut PgConnection,
    audit: Option<NewAudit<'_>>,
    rows: u64,
) -> Result<(), StoreError> {
    let audit = audit.filter(|_| rows > 0).map(|audit| audit.with_detail(serde_json::json!({ "rows": rows })));
    record(transaction, audit).await
}

impl Store {
    /// How many rows wait in quarantine, by asset; assets without any are left out.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn quarantine_counts(&self) -> Result<BTreeMap<String, QuarantineCount>, StoreError> {
        let counts: Vec<QuarantineCount> = sqlx::query_as(
            "select asset_key, count(*) as row_count, max(quarantined_at) as newest_at from karat.quarantine
             where released_at is null and discarded_at is null group by asset_key",
        )
        .fetch_all(&self.pool)
        .await
        .context("counting the rows in quarantine")?;
        Ok(counts.into_iter().map(|count| (count.asset_key.clone(), count)).collect())
    }

    /// At most `limit` rows that wait in quarantine, of one asset or of all, newest first, with numbers below `before`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn quarantined(
        &self,
        asset: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<QuarantinedRow>, StoreError> {
        sqlx::query_as(AssertSqlSafe(format!(
            "select {ROW_COLUMNS} from karat.quarantine
             where released_at is null and discarded_at is null
               and ($1::text is null or asset_key = $1) and ($2::bigint is null or quarantine_id < $2)
             order by quarantine_id desc limit $3"
        )))
        .bind(asset)
        .bind(before)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading the quarantine")
    }

    /// The rows of these numbers, decided or not, in order.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn quarantined_rows(&self, ids: &[i64]) -> Result<Vec<QuarantinedRow>, StoreError> {
        sqlx::query_as(AssertSqlSafe(format!(
            "select {ROW_COLUMNS} from karat.quarantine where quarantine_id = any($1) order by quarantine_id"
        )))
        .bind(ids)
        .fetch_all(&self.pool)
        .await
        .context("reading the quarantine")
    }

    /// Refuses waiting rows for good (all of `ids`, or of the asset), and returns how many. They stay recorded, so that
    /// the same rows do not come back with the next reading of their file. If there were any, `audit` is recorded with how
    /// many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn discard_quarantined(
        &self,
        asset: &str,
        ids: Option<&[i64]>,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin().await.context("refusing rows in quarantine")?;
        let discarded = sqlx::query(
            "update karat.quarantine set discarded_at = $3
             where asset_key = $1 and ($2::bigint[] is null or quarantine_id = any($2))
               and released_at is null and discarded_at is null",
        )
        .bind(asset)
        .bind(ids)
        .bind(now)
        .execute(&mut *transaction)
        .await
        .context("refusing rows in quarantine")?;
        record_decision(&mut transaction, audit, discarded.rows_affected()).await?;
        transaction.commit().await.context("refusing rows in quarantine")?;
        Ok(discarded.rows_affected())
    }
}
