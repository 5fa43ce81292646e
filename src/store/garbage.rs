//! What is kept for people only, and has been kept long enough.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, FromRow};

use super::error::Context;
use super::{Store, StoreError};

/// How many rows one statement removes: short transactions that nobody has to wait for.
const BATCH_ROWS: i64 = 10_000;

/// What is old enough to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// Log lines and events from before this go, by whole days in UTC.
    pub logs_before: DateTime<Utc>,
    /// Replaced versions from before this go, and attempts and check results that newer ones followed.
    pub history_before: DateTime<Utc>,
}

/// The table of a day of log lines or events.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LogTable {
    /// Its name within the schema.
    pub name: String,
    /// What it takes on disk.
    pub bytes: i64,
}

/// What is removed row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removable {
    /// Events that lie in no day's table.
    StrayEvents,
    /// Log lines that lie in no day's table.
    StrayLogLines,
    /// Versions of partitions that were replaced.
    Materializations,
    /// Attempts of steps that a newer step of the same partition followed.
    Attempts,
    /// Check results of such steps.
    CheckResults,
}

impl Removable {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::StrayEvents, Self::StrayLogLines, Self::Materializations, Self::Attempts, Self::CheckResults];

    /// The table, the condition on its rows `t`, and the cutoff that is `$1` in it.
    ///
    /// Nothing current goes: neither the present version of a partition, nor what belongs to the step that made it, nor
    /// what belongs to a partition's newest step, which says why it failed.
    fn rows(self, cutoffs: &Cutoffs) -> (&'static str, String, DateTime<Utc>) {
        let followed = |time: &str| {
            format!(
                "t.{time} < $1
                 and exists (
                     select from karat.step s join karat.step newer using (asset_key, partition_key)
                     where s.step_id = t.step_id and newer.step_id > s.step_id)
                 and not exists (
                     select from karat.step s join karat.materialization m using (asset_key, partition_key)
                     where s.step_id = t.step_id and m.current and m.step_id = t.step_id)"
            )
        };
        match self {
            Self::StrayEvents => ("karat.event_default", "t.occurred_at < $1".to_owned(), cutoffs.logs_before),
            Self::StrayLogLines => ("karat.log_line_default", "t.logged_at < $1".to_owned(), cutoffs.logs_before),
            Self::Materializations => {
                ("karat.materialization", "not t.current and t.materialized_at < $1".to_owned(), cutoffs.history_before)
            }
            Self::Attempts => ("karat.attempt", followed("finished_at"), cutoffs.history_before),
            Self::CheckResults => ("karat.check_result", followed("checked_at"), cutoffs.history_before),
        }
    }
}

impl Store {
    /// The tables of days of log lines and events that ended before the cutoff.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn expired_log_tables(&self, cutoffs: &Cutoffs) -> Result<Vec<LogTable>, StoreError> {
        let tables: Vec<LogTable> = sqlx::query_as(
            "select c.relname::text as name, pg_total_relation_size(c.oid) as bytes
             from pg_inherits i join pg_class c on c.oid = i.inhrelid
             where i.inhparent in ('karat.event'::regclass, 'karat.log_line'::regclass)
             order by c.relname",
        )
        .fetch_all(&self.pool)
        .await
        .context("looking for expired logs")?;
        let is_expired = |table: &LogTable| {
            let day = table.name.rsplit_once('_').and_then(|(_, day)| NaiveDate::parse_from_str(day, "%Y%m%d").ok());
            day.and_then(|day| day.succ_opt()).is_some_and(|next| next <= cutoffs.logs_before.date_naive())
        };
        Ok(tables.into_iter().filter(is_expired).collect())
    }

    /// Drops tables of days; those that are gone already do no harm.
    ///
    /// # Errors
    /// When the database cannot be used, or somebody holds one of the tables for longer than five seconds.
    pub async fn drop_log_tables(&self, tables: &[LogTable]) -> Result<(), StoreError> {
        for table in tables {
            // One after another: dropping locks the whole log for a moment, and writers come in between.
            let mut transaction =
                self.pool.begin_with("begin; set local lock_timeout = 5000").await.context("dropping expired logs")?;
            sqlx::query(AssertSqlSafe(format!("drop table if exists karat.{}", table.name)))
                .execute(&mut *transaction)
                .await
                .context("dropping expired logs")?;
            transaction.commit().await.context("dropping expired logs")?;
        }
        Ok(())
    }

    /// How many rows of a kind would go.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn count_removable(&self, removable: Removable, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
        let (table, condition, before) = removable.rows(cutoffs);
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table} t where {condition}")))
            .bind(before)
            .fetch_one(&self.pool)
            .await
            .context("counting what has expired")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Removes all rows of a kind that are old enough, and returns how many.
    ///
    /// # Errors
    /// When the database cannot be used; what was removed before stays removed.
    pub async fn remove(&self, removable: Removable, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
        let (table, condition, before) = removable.rows(cutoffs);
        let statement = format!(
            "delete from {table} where ctid = any(array(select t.ctid from {table} t where {condition} limit {BATCH_ROWS}))"
        );
        let mut removed = 0;
        loop {
            let batch = sqlx::query(AssertSqlSafe(statement.clone()))
                .bind(before)
                .execute(&self.pool)
                .await
                .context("removing what has expired")?
                .rows_affected();
            removed += batch;
            if batch == 0 {
                return Ok(removed);
            }
        }
    }
}
