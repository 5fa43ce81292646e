//! Failures that alerts are about: those that nobody has looked at yet, and what is left of those that somebody has.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::alert::{self, AlertKind, NewAlert};
use super::error::Context;
use super::{Store, StoreError};

/// Partitions of one asset that a run did not build, and that have not been built since.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct RunFailure {
    /// The run.
    pub run_id: Uuid,
    /// Why it existed.
    pub cause: String,
    /// The asset; empty when everything has been built since.
    pub asset_key: Option<String>,
    /// `failed` or `blocked`.
    pub state: Option<String>,
    /// How many partitions.
    pub partitions: i64,
    /// The first of them.
    pub partition_key: Option<String>,
    /// Why that one was not built.
    pub reason: Option<String>,
    /// The first of the steps.
    pub first_step: Option<i64>,
}

/// A check that does not block and found something, in a partition in which nothing else was found since.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CheckFailure {
    /// The result.
    pub check_result_id: i64,
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// The check.
    pub check_name: String,
    /// What it found.
    pub message: String,
    /// Whether it is the newest result of that check on that partition.
    pub newest: bool,
}

/// Something that is still wrong about an open alert.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Unsettled {
    /// The alert.
    pub alert_id: i64,
    /// A partition.
    pub partition_key: String,
    /// Its ordinal; 0 for checks, which do not know it.
    pub ordinal: i64,
}

/// What of all that alerts are about is there at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct AlertNews {
    /// Failed runs that nobody has looked at.
    pub run_failures: bool,
    /// Failed results of checks that do not block that nobody has looked at.
    pub check_failures: bool,
    /// Open alerts of the kinds in question.
    pub open_alerts: bool,
    /// Rows that wait in quarantine.
    pub quarantined: bool,
}

impl Store {
    /// Whether there is anything to raise or to end alerts of these kinds for, in one cheap statement.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn alert_news(&self, kinds: &[AlertKind]) -> Result<AlertNews, StoreError> {
        sqlx::query_as(
            "select exists (select from karat.run where outcome = 'failed' and failure_seen_at is null) as run_failures,
                    exists (
                        select from karat.check_result where not passed and not blocking and failure_seen_at is null
                    ) as check_failures,
                    exists (select from karat.alert where recovered_at is null and kind = any($1)) as open_alerts,
                    exists (
                        select from karat.quarantine where released_at is null and discarded_at is null
                    ) as quarantined",
        )
        .bind(kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>())
        .fetch_one(&self.pool)
        .await
        .context("looking for something to alert about")
    }

    /// The failed runs that nobody has looked at, at most `limit`, oldest first: a row for each asset with unbuilt
    /// partitions, and one without an asset where everything has been built since.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unseen_run_failures(&self, limit: i64) -> Result<Vec<RunFailure>, StoreError> {
        sqlx::query_as(include_str!("sql/unseen_run_failures.sql"))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .context("looking for failed runs")
    }

    /// The failed results of checks that do not block that nobody has looked at, at most `limit`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unseen_check_failures(&self, limit: i64) -> Result<Vec<CheckFailure>, StoreError> {
        sqlx::query_as(
            "select c.check_result_id, c.asset_key, c.partition_key, c.check_name, c.message,
                    not exists (
                        select from karat.check_result n
                        where n.asset_key = c.asset_key and n.partition_key = c.partition_key
                          and n.check_result_id > c.check_result_id and n.check_name = c.check_name
                    ) as newest
             from karat.check_result c
             where not c.passed and not c.blocking and c.failure_seen_at is null
             order by c.check_result_id limit $1",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("looking for failed checks")
    }

    /// Raises alerts and notes that these runs and check results have been looked at: all of it or nothing. True when
    /// an alert was opened.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn raise_for_failures(
        &self,
        alerts: &[NewAlert],
        runs: &[Uuid],
        check_results: &[i64],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await.context("raising alerts")?;
        let mut opened = false;
        for alert in alerts {
            opened |= alert::raise(&mut *transaction, alert, now).await?;
        }
        sqlx::query("update karat.run set failure_seen_at = $2 where run_id = any($1)")
            .bind(runs)
            .bind(now)
            .execute(&mut *transaction)
            .await
            .context("noting which failed runs were looked at")?;
        sqlx::query("update karat.check_result set failure_seen_at = $2 where check_result_id = any($1)")
            .bind(check_results)
            .bind(now)
            .execute(&mut *transaction)
            .await
            .context("noting which failed checks were looked at")?;
        transaction.commit().await.context("raising alerts")?;
        Ok(opened)
    }

    /// What is left of what the open alerts `run_failed` are about: partitions of the asset that were not built since
    /// the alert's first evidence nor after, at most `limit` for each.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unbuilt_since_alerts(&self, limit: i64) -> Result<Vec<Unsettled>, StoreError> {
        sqlx::query_as(include_str!("sql/unbuilt_since_alerts.sql"))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .context("looking at what failed")
    }

    /// What is left of what the open alerts `check_failed` are about: partitions whose newest result of the check is
    /// still a failed one, at most `limit` for each.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unpassed_since_alerts(&self, limit: i64) -> Result<Vec<Unsettled>, StoreError> {
        sqlx::query_as(include_str!("sql/unpassed_since_alerts.sql"))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .context("looking at what checks found")
    }
}
