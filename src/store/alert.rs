//! Alerts: what wants attention, from when it was noticed until it ended.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgExecutor};

use super::error::Context;
use super::{Store, StoreError};

/// What kind of thing wants attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// Partitions of an asset were not built.
    RunFailed,
    /// A check that does not block found something.
    CheckFailed,
    /// A freshness policy is broken.
    FreshnessFailed,
    /// What should run by itself did not.
    SchedulerStalled,
    /// Rows that came too late were put aside.
    QuarantineGrew,
}

impl AlertKind {
    /// The word in the database and in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::CheckFailed => "check_failed",
            Self::FreshnessFailed => "freshness_failed",
            Self::SchedulerStalled => "scheduler_stalled",
            Self::QuarantineGrew => "quarantine_grew",
        }
    }

    /// How bad it is: `error` when data is missing or late, `warning` when it is there and doubtful.
    #[must_use]
    pub const fn severity(self) -> &'static str {
        match self {
            Self::RunFailed | Self::FreshnessFailed | Self::SchedulerStalled => "error",
            Self::CheckFailed | Self::QuarantineGrew => "warning",
        }
    }
}

/// Something to raise an alert about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert {
    /// What kind.
    pub kind: AlertKind,
    /// What it is about: an asset, a check, a reconciler.
    pub subject: String,
    /// In a line.
    pub title: String,
    /// What is known, in sentences.
    pub explanation: String,
    /// The command to look with, without the program's name.
    pub command: String,
    /// The first step or check result it is about.
    pub evidence_from: Option<i64>,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AlertRecord {
    /// Its id.
    pub alert_id: i64,
    /// Its kind, as a word.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// `warning` or `error`.
    pub severity: String,
    /// In a line.
    pub title: String,
    /// What is known, in sentences.
    pub explanation: String,
    /// The command to look with, without the program's name.
    pub command: String,
    /// The first step or check result it is about.
    pub evidence_from: Option<i64>,
    /// When it was noticed.
    pub opened_at: DateTime<Utc>,
    /// When it was last noticed.
    pub last_seen_at: DateTime<Utc>,
    /// When it ended; `None` while it lasts.
    pub recovered_at: Option<DateTime<Utc>>,
}

pub(super) const ALERT_COLUMNS: &str = "a.alert_id, a.kind, a.subject, a.severity, a.title, a.explanation, a.command, \
     a.evidence_from, a.opened_at, a.last_seen_at, a.recovered_at";

/// Raises an alert: opens one, or adds what is known now to the one that is open. True when it was opened.
pub(super) async fn raise(
    executor: impl PgExecutor<'_>,
    alert: &NewAlert,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "insert into karat.alert as a
             (kind, subject, severity, title, explanation, command, evidence_from, opened_at, last_seen_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         on conflict (kind, subject) where recovered_at is null do update
         set title = excluded.title, explanation = excluded.explanation, command = excluded.command,
             evidence_from = least(a.evidence_from, excluded.evidence_from),
             last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at)
         returning opened_at = $8 and last_seen_at = $8",
    )
    .bind(alert.kind.as_str())
    .bind(&alert.subject)
    .bind(alert.kind.severity())
    .bind(&alert.title)
    .bind(&alert.explanation)
    .bind(&alert.command)
    .bind(alert.evidence_from)
    .bind(now)
    .fetch_one(executor)
    .await
    .context("raising an alert")
}

impl Store {
    /// Raises an alert: opens one, or adds what is known now to the one that is open about the same. Doing it twice is
    /// as doing it once.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn raise_alert(&self, alert: &NewAlert, now: DateTime<Utc>) -> Result<bool, StoreError> {
        raise(&self.pool, alert, now).await
    }

    /// Ends those of the alerts that are open; returns how many were.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn recover_alerts(&self, alerts: &[i64], now: DateTime<Utc>) -> Result<u64, StoreError> {
        if alerts.is_empty() {
            return Ok(0);
        }
        let recovered =
            sqlx::query("update karat.alert set recovered_at = $2 where alert_id = any($1) and recovered_at is null")
                .bind(alerts)
                .bind(now)
                .execute(&self.pool)
                .await
                .context("ending alerts")?;
        Ok(recovered.rows_affected())
    }

    /// The open alerts of these kinds, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn open_alerts(&self, kinds: &[AlertKind]) -> Result<Vec<AlertRecord>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select {ALERT_COLUMNS} from karat.alert a where a.recovered_at is null and a.kind = any($1) order by a.alert_id"
        )))
        .bind(kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
        .context("reading the open alerts")
    }

    /// The newest alerts, newest first; only open ones when asked.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn alerts(
        &self,
        open_only: bool,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select {ALERT_COLUMNS} from karat.alert a
             where (not $1 or a.recovered_at is null) and ($2::bigint is null or a.alert_id < $2)
             order by a.alert_id desc limit $3"
        )))
        .bind(open_only)
        .bind(before)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("listing the alerts")
    }

    /// One alert.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn alert(&self, alert_id: i64) -> Result<Option<AlertRecord>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!("select {ALERT_COLUMNS} from karat.alert a where a.alert_id = $1")))
            .bind(alert_id)
            .fetch_optional(&self.pool)
            .await
            .context("reading the alert")
    }
}
