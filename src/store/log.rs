//! Logs of steps and events of runs.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::error::{Context, sql_state};
use super::{Store, StoreError};

/// One line an asset said while it was computed.
#[derive(Clone, Debug, PartialEq, FromRow, Serialize)]
pub struct LogLine {
    /// When.
    pub logged_at: DateTime<Utc>,
    /// The run; `None` of attempts that do not say theirs.
    #[sqlx(default)]
    pub run_id: Option<Uuid>,
    /// The step.
    pub step_id: i64,
    /// The attempt, by its lease epoch.
    pub lease_epoch: i64,
    /// Order within the attempt.
    pub sequence: i64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The module it came from.
    pub target: String,
    /// The text.
    pub message: String,
    /// The structured fields.
    pub fields: Value,
}

/// Something that happened to a run or step.
#[derive(Clone, Debug, PartialEq, FromRow, Serialize)]
pub struct EventRecord {
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// What, such as `run_launched`.
    pub kind: String,
    /// The run.
    pub run_id: Option<Uuid>,
    /// The step.
    pub step_id: Option<i64>,
    /// More.
    pub detail: Value,
}

impl Store {
    /// Appends log lines in bulk.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn append_log_lines(&self, lines: &[LogLine]) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into karat.log_line (logged_at, run_id, step_id, lease_epoch, sequence, level, target, message, fields)
             select * from unnest($1::timestamptz[], $9::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
                                  $7::text[], $8::jsonb[])",
        )
        .bind(lines.iter().map(|line| line.logged_at).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.step_id).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.lease_epoch).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.sequence).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.level.as_str()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.target.as_str()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.fields.clone()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.run_id).collect::<Vec<_>>())
        .execute(&self.pool)
        .await
        .context("keeping log lines")?;
        Ok(())
    }

    /// The log of a run, oldest first, optionally of one asset and partition, at most the last `limit` lines.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_log(
        &self,
        run_id: Uuid,
        asset_key: Option<&str>,
        partition_key: Option<&str>,
        limit: i64,
    ) -> Result<Vec<(String, String, LogLine)>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            asset_key: String,
            partition_key: String,
            #[sqlx(flatten)]
            line: LogLine,
        }
        let Some(span) = self.run_span(run_id).await? else { return Ok(Vec::new()) };
        let mut rows: Vec<Row> = sqlx::query_as(
            "select s.asset_key, s.partition_key, l.logged_at, l.run_id, l.step_id, l.lease_epoch, l.sequence, l.level, l.target, l.message, l.fields
             from karat.log_line l join karat.step s on s.step_id = l.step_id
             where l.run_id = $1 and l.logged_at >= $5 and l.logged_at <= $6
               and ($2::text is null or s.asset_key = $2) and ($3::text is null or s.partition_key = $3)
             order by l.logged_at desc, l.step_id desc, l.lease_epoch desc, l.sequence desc
             limit $4",
        )
        .persistent(false)
        .bind(run_id)
        .bind(asset_key)
        .bind(partition_key)
        .bind(limit)
        .bind(span.first)
        .bind(span.last)
        .fetch_all(&self.pool)
        .await
        .context("reading the log")?;
        rows.reverse();
        Ok(rows.into_iter().map(|row| (row.asset_key, row.partition_key, row.line)).collect())
    }

    /// How much text the log of a run keeps, in bytes.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_log_bytes(&self, run_id: Uuid) -> Result<u64, StoreError> {
        let Some(span) = self.run_span(run_id).await? else { return Ok(0) };
        let bytes: i64 = sqlx::query_scalar(
            "select coalesce(sum(octet_length(l.message) + octet_length(l.fields::text)), 0)::bigint
             from karat.log_line l
             where l.run_id = $1 and l.logged_at >= $2 and l.logged_at <= $3",
        )
        .persistent(false)
        .bind(run_id)
        .bind(span.first)
        .bind(span.last)
        .fetch_one(&self.pool)
        .await
        .context("measuring the log")?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// What happened to a run, oldest first, at most the last `limit` events.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_events(&self, run_id: Uuid, limit: i64) -> Result<Vec<EventRecord>, StoreError> {
        let Some(span) = self.run_span(run_id).await? else { return Ok(Vec::new()) };
        let mut events: Vec<EventRecord> = sqlx::query_as(
            "select occurred_at, kind, run_id, step_id, detail from karat.event
             where run_id = $1 and occurred_at >= $3 and occurred_at <= $4
             -- what happened at one instant in the order in which it was written: nothing is ever changed here
             order by occurred_at desc, ctid desc limit $2",
        )
        .persistent(false)
        .bind(run_id)
        .bind(limit)
        .bind(span.first)
        .bind(span.last)
        .fetch_all(&self.pool)
        .await
        .context("reading the events")?;
        events.reverse();
        Ok(events)
    }

    /// Whether the server knows the time zone `name`; attempts set it, and an unknown one would fail each of them.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn knows_zone(&self, name: &str) -> Result<bool, StoreError> {
        match sqlx::query("select timestamptz 'epoch' at time zone $1").bind(name).execute(&self.pool).await {
            Ok(_) => Ok(true),
            Err(error) if sql_state(&error).as_deref() == Some("22023") => Ok(false),
            Err(error) => Err(StoreError::new("looking up the time zone", error)),
        }
    }

    /// Makes the tables of `day` (UTC) and the day after for all that lies in days: log lines, events, attempts, ticks.
    ///
    /// When somebody keeps the logs busy for longer than two seconds nothing is made: rows of a day without a table are
    /// kept and found all the same, and nobody should wait behind this for long.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn ensure_log_partitions(&self, day: NaiveDate) -> Result<(), StoreError> {
        const WHAT: &str = "making the tables of a day";
        let mut transaction = self.pool.begin_with("begin; set local lock_timeout = 2000").await.context(WHAT)?;
        // Two processes that begin a day together would collide in the catalog; the lock makes one of them wait.
        let made = match sqlx::query("select pg_advisory_xact_lock(hashtextextended('karat.log_partitions', 0))")
            .execute(&mut *transaction)
            .await
        {
            Ok(_) => {
                sqlx::query("select karat.ensure_log_partitions($1), karat.ensure_log_partitions($1 + 1)")
                    .bind(day)
                    .execute(&mut *transaction)
                    .await
            }
            turn => turn,
        };
        match made {
            Err(error) if sql_state(&error).as_deref() == Some("55P03") => transaction.rollback().await.context(WHAT),
            made => {
                made.context(WHAT)?;
                transaction.commit().await.context(WHAT)
            }
        }
    }
}
