//! What is kept for people only, and has been kept long enough.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, FromRow};

use super::error::{Context, sql_state};
use super::{Store, StoreError};

/// How many rows one statement removes: short transactions that nobody has to wait for.
const BATCH_ROWS: i64 = 5_000;

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// What lies in days: log lines, events, attempts, ticks.
    pub logs: Duration,
    /// Replaced versions, runs that have ended with their steps, check results, and what people did.
    pub history: Duration,
}

impl Default for Retention {
    /// Thirty days of logs, ninety of history.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self { logs: DAY * 30, history: DAY * 90 }
    }
}

impl Retention {
    /// What is old enough at `now`.
    #[must_use]
    pub fn cutoffs(self, now: DateTime<Utc>) -> Cutoffs {
        let before = |kept: Duration| {
            let kept = TimeDelta::from_std(kept).unwrap_or(TimeDelta::MAX);
            now.checked_sub_signed(kept).unwrap_or(DateTime::<Utc>::MIN_UTC)
        };
        Cutoffs { logs_before: before(self.logs), history_before: before(self.history) }
    }
}

/// What is old enough to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// What lies in days goes from before this, by whole days in UTC.
    pub logs_before: DateTime<Utc>,
    /// History from before this goes.
    pub history_before: DateTime<Utc>,
}

/// The table of a day of log lines, events, attempts or ticks.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct DayTable {
    /// Its name within the schema.
    pub name: String,
    /// What it takes on disk.
    pub bytes: i64,
}

/// What is removed row by row, in this order: a run goes after its steps, a backfill after its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removable {
    /// Versions of partitions that were replaced.
    Materializations,
    /// Results of checks that newer ones followed, and those that passed.
    CheckResults,
    /// Steps of runs that have ended.
    Steps,
    /// Runs that have ended and built nothing that is still there.
    Runs,
    /// Backfills without runs.
    Backfills,
    /// Rows that came late and were put into their table after all.
    Quarantine,
    /// Alerts that have ended, with what was said about them.
    Alerts,
    /// Sessions that are over.
    Sessions,
    /// Tokens that are worth nothing any more.
    Tokens,
    /// What people did.
    Audit,
}

/// The condition under which the step `s` goes once its run has.
///
/// The newest step of a partition that was not built says why, and stays until another follows: without it, automation
/// would begin again what failed or what somebody canceled. Steps go oldest first, and a step that hides an older one of
/// these stays as long as that does: what was repaired must not look failed again.
fn step_goes(s: &str) -> String {
    format!(
        "not ({s}.state in ('failed', 'blocked', 'canceled')
              and not exists (
                  select from karat.step newer
                  where newer.asset_key = {s}.asset_key and newer.partition_key = {s}.partition_key
                    and newer.step_id > {s}.step_id))
         and not exists (
             select from karat.step older join karat.run kept on kept.run_id = older.run_id
             where older.asset_key = {s}.asset_key and older.partition_key = {s}.partition_key
               and older.step_id < {s}.step_id and older.state in ('failed', 'blocked', 'canceled')
               and (kept.finished_at is null or kept.finished_at >= $1))"
    )
}

/// The condition under which the run `r` goes once the steps with `steps_that_stay` have been left.
fn run_goes(r: &str, steps_that_stay: &str) -> String {
    format!(
        "{r}.finished_at is not null and {r}.finished_at < $1
         and not exists (select from karat.materialization m where m.run_id = {r}.run_id and m.current)
         and not exists (select from karat.step s where s.run_id = {r}.run_id and {steps_that_stay})"
    )
}

impl Removable {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Materializations,
        Self::CheckResults,
        Self::Steps,
        Self::Runs,
        Self::Backfills,
        Self::Quarantine,
        Self::Alerts,
        Self::Sessions,
        Self::Tokens,
        Self::Audit,
    ];

    /// What it is called where programs read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Materializations => "replaced_materializations",
            Self::CheckResults => "check_results",
            Self::Steps => "steps",
            Self::Runs => "runs",
            Self::Backfills => "backfills",
            Self::Quarantine => "released_rows",
            Self::Alerts => "alerts",
            Self::Sessions => "sessions",
            Self::Tokens => "tokens",
            Self::Audit => "audit_records",
        }
    }

    /// What one of them is called where people read.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Materializations => "replaced version",
            Self::CheckResults => "check result",
            Self::Steps => "step",
            Self::Runs => "run",
            Self::Backfills => "backfill",
            Self::Quarantine => "released row",
            Self::Alerts => "alert",
            Self::Sessions => "session",
            Self::Tokens => "token",
            Self::Audit => "audit record",
        }
    }

    /// The table, and the order in which its rows `t` go.
    const fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::Materializations => ("karat.materialization", "t.materialization_id"),
            Self::CheckResults => ("karat.check_result", "t.check_result_id"),
            Self::Steps => ("karat.step", "t.step_id"),
            Self::Runs => ("karat.run", "t.launch_number"),
            Self::Backfills => ("karat.backfill", "t.backfill_id"),
            Self::Quarantine => ("karat.quarantine", "t.quarantine_id"),
            Self::Alerts => ("karat.alert", "t.alert_id"),
            Self::Sessions => ("karat.session", "t.session_id"),
            Self::Tokens => ("karat.token", "t.token_id"),
            Self::Audit => ("karat.audit", "t.audit_id"),
        }
    }

    /// The condition on the rows `t` that go, with the cutoff as `$1`; with `ahead`, as if what goes before them had gone.
    ///
    /// Nothing current goes: neither the present version of a partition, nor the run that made it, nor a partition's
    /// newest step or check when that failed or was canceled.
    fn condition(self, ahead: bool) -> String {
        match self {
            Self::Materializations => "not t.current and t.materialized_at < $1".to_owned(),
            Self::CheckResults => {
                let other = "select from karat.check_result other
                     where other.asset_key = t.asset_key and other.partition_key = t.partition_key
                       and other.check_name = t.check_name";
                format!(
                    "t.checked_at < $1
                     and (t.passed or exists ({other} and other.check_result_id > t.check_result_id))
                     and not exists ({other} and other.check_result_id < t.check_result_id and not other.passed
                                     and other.checked_at >= $1)"
                )
            }
            Self::Steps => format!(
                "exists (select from karat.run r where r.run_id = t.run_id and r.finished_at < $1) and {}",
                step_goes("t")
            ),
            Self::Runs if ahead => run_goes("t", &format!("not ({})", step_goes("s"))),
            Self::Runs => run_goes("t", "true"),
            // What was refused for good stays: it is data, and is nowhere else.
            Self::Quarantine => "t.released_at < $1".to_owned(),
            Self::Alerts => "t.recovered_at < $1".to_owned(),
            Self::Sessions => "least(t.revoked_at, t.expires_at) < $1".to_owned(),
            Self::Tokens => "least(t.revoked_at, t.expires_at) < $1".to_owned(),
            Self::Audit => "t.happened_at < $1".to_owned(),
            Self::Backfills => {
                let stays = if ahead {
                    format!("not ({})", run_goes("r", &format!("not ({})", step_goes("s"))))
                } else {
                    "true".to_owned()
                };
                format!(
                    "t.created_at < $1
                     and not exists (select from karat.run r where r.backfill_id = t.backfill_id and {stays})"
                )
            }
        }
    }
}

/// How much of something there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow)]
pub struct Amount {
    /// Rows.
    pub rows: i64,
    /// What they take, indexes aside.
    pub bytes: i64,
}

impl Store {
    /// The tables of days that ended before the cutoff.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn expired_day_tables(&self, cutoffs: &Cutoffs) -> Result<Vec<DayTable>, StoreError> {
        let tables: Vec<DayTable> = sqlx::query_as(
            "select c.relname::text as name, pg_total_relation_size(c.oid) as bytes
             from pg_partitioned_table p
             join pg_class parent on parent.oid = p.partrelid
             join pg_inherits i on i.inhparent = p.partrelid
             join pg_class c on c.oid = i.inhrelid
             where parent.relnamespace = 'karat'::regnamespace and substring(c.relname from '_(\\d{8})$') < $1
             order by c.relname",
        )
        // Only of these the size is asked: that looks at every file of a table.
        .bind(cutoffs.logs_before.date_naive().format("%Y%m%d").to_string())
        .fetch_all(&self.pool)
        .await
        .context("looking for expired days")?;
        let is_expired = |table: &DayTable| {
            let day = table.name.rsplit_once('_').and_then(|(_, day)| NaiveDate::parse_from_str(day, "%Y%m%d").ok());
            day.and_then(|day| day.succ_opt()).is_some_and(|next| next <= cutoffs.logs_before.date_naive())
        };
        Ok(tables.into_iter().filter(is_expired).collect())
    }

    /// Drops the table of a day; one that is gone already does no harm. False when somebody kept it busy for longer
    /// than a second: dropping locks the whole log for a moment, and nobody should wait behind it for long.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn drop_day_table(&self, table: &DayTable) -> Result<bool, StoreError> {
        let mut transaction =
            self.pool.begin_with("begin; set local lock_timeout = 1000").await.context("dropping expired days")?;
        match sqlx::query(AssertSqlSafe(format!("drop table if exists karat.{}", table.name)))
            .execute(&mut *transaction)
            .await
        {
            Err(error) if sql_state(&error).as_deref() == Some("55P03") => {
                transaction.rollback().await.context("leaving an expired day for later")?;
                return Ok(false);
            }
            dropped => dropped.context("dropping expired days")?,
        };
        transaction.commit().await.context("dropping expired days")?;
        Ok(true)
    }

    /// What is old enough and lies in no day's table: `(parent, time column, table)` of the tables for the rest.
    async fn rest_tables(&self) -> Result<Vec<(String, String)>, StoreError> {
        sqlx::query_as(
            "select p.partdefid::regclass::text, quote_ident(time.attname)
             from pg_partitioned_table p
             join pg_class parent on parent.oid = p.partrelid
             join pg_attribute time on time.attrelid = p.partrelid and time.attnum = p.partattrs[0]
             where parent.relnamespace = 'karat'::regnamespace and p.partdefid <> 0
             order by 1",
        )
        .fetch_all(&self.pool)
        .await
        .context("looking for expired rows")
    }

    /// How many log lines, events, attempts and ticks lie in no day's table and would go.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn measure_stray_rows(&self, cutoffs: &Cutoffs) -> Result<Amount, StoreError> {
        let mut amount = Amount::default();
        for (table, time) in self.rest_tables().await? {
            let found = self.measure_rows(&table, &format!("t.{time} < $1"), cutoffs.logs_before).await?;
            amount.rows += found.rows;
            amount.bytes += found.bytes;
        }
        Ok(amount)
    }

    /// Removes log lines, events, attempts and ticks that lie in no day's table, and returns how many: at most one batch of
    /// each.
    ///
    /// # Errors
    /// When the database cannot be used; what was removed before stays removed.
    pub async fn remove_stray_rows(&self, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
        let mut removed = 0;
        for (table, time) in self.rest_tables().await? {
            removed +=
                self.remove_rows(&table, &format!("t.{time} < $1"), &format!("t.{time}"), cutoffs.logs_before).await?;
        }
        Ok(removed)
    }

    /// How much of a kind would go.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn measure_removable(&self, removable: Removable, cutoffs: &Cutoffs) -> Result<Amount, StoreError> {
        let (table, _) = removable.table();
        self.measure_rows(table, &removable.condition(true), cutoffs.history_before).await
    }

    /// Removes the oldest rows of a kind that are old enough, at most one batch of them, and returns how many; 0 when none
    /// is left.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn remove_batch(&self, removable: Removable, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
        let (table, order) = removable.table();
        self.remove_rows(table, &removable.condition(false), order, cutoffs.history_before).await
    }

    async fn measure_rows(&self, table: &str, condition: &str, before: DateTime<Utc>) -> Result<Amount, StoreError> {
        sqlx::query_as(AssertSqlSafe(format!(
            "select count(*) as rows, coalesce(sum(pg_column_size(t.*)), 0)::bigint as bytes from {table} t where {condition}"
        )))
        .bind(before)
        .fetch_one(&self.pool)
        .await
        .context("counting what has expired")
    }

    async fn remove_rows(
        &self,
        table: &str,
        condition: &str,
        order: &str,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let statement = format!(
            "delete from {table}
             where ctid = any(array(select t.ctid from {table} t where {condition} order by {order} limit {BATCH_ROWS}))"
        );
        Ok(sqlx::query(AssertSqlSafe(statement))
            .bind(before)
            .execute(&self.pool)
            .await
            .context("removing what has expired")?
            .rows_affected())
    }
}
