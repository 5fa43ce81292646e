//! Logins that failed lately, and what the processes of an installation share.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;

use super::error::Context;
use super::{Store, StoreError};

/// Whose failures are counted, and how long the next login has to wait after so many.
#[derive(Clone, Debug)]
pub struct LoginCounter {
    /// The hash of an account's name, or of an address.
    pub subject_hash: Vec<u8>,
    /// How long to wait after so many failures.
    pub wait: fn(failures: i32) -> Duration,
}

#[derive(FromRow)]
struct Failures {
    subject_hash: Vec<u8>,
    failures: i32,
    failed_at: DateTime<Utc>,
}

impl Store {
    /// Counts a login as failed, in advance, unless it has to wait: then how long, and nothing is counted. Logins at the
    /// same moment wait for one another here, so that none escapes the count. Failures before `forgotten_before` are
    /// forgotten, whosever they are.
    ///
    /// # Errors
    /// When the database cannot be used; nothing was counted then.
    pub async fn count_login(
        &self,
        counters: &[LoginCounter],
        forgotten_before: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<Duration>, StoreError> {
        let subjects: Vec<&[u8]> = counters.iter().map(|counter| counter.subject_hash.as_slice()).collect();
        let mut transaction = self.pool.begin().await.context("counting a login")?;
        sqlx::query(
            "delete from karat.login_failure
             where subject_hash = any(array(
                 select subject_hash from karat.login_failure where failed_at < $1
                 order by subject_hash limit 1000 for update skip locked
             ))",
        )
        .bind(forgotten_before)
        .execute(&mut *transaction)
        .await
        .context("forgetting failed logins")?;
        // In one order, so that two of them never wait for each other.
        sqlx::query(
            "insert into karat.login_failure (subject_hash, failures, failed_at)
             select subject_hash, 0, $2 from unnest($1::bytea[]) as s (subject_hash) order by subject_hash
             on conflict (subject_hash) do nothing",
        )
        .bind(&subjects)
        .bind(now)
        .execute(&mut *transaction)
        .await
        .context("counting a login")?;
        let known: Vec<Failures> = sqlx::query_as(
            "select subject_hash, failures, failed_at from karat.login_failure
             where subject_hash = any($1) order by subject_hash for update",
        )
        .bind(&subjects)
        .fetch_all(&mut *transaction)
        .await
        .context("reading failed logins")?;
        let wait = known
            .iter()
            .filter_map(|known| {
                let counter = counters.iter().find(|counter| counter.subject_hash == known.subject_hash)?;
                let wait = TimeDelta::from_std((counter.wait)(known.failures)).ok()?;
                // A failure noted by a clock that was ahead is not waited for.
                let passed = now - known.failed_at;
                (passed >= TimeDelta::zero() && passed < wait).then(|| wait - passed)
            })
            .max();
        if let Some(wait) = wait {
            transaction.rollback().await.context("counting no login")?;
            return Ok(wait.to_std().ok());
        }
        sqlx::query(
            "update karat.login_failure set failures = failures + 1, failed_at = $2 where subject_hash = any($1)",
        )
        .bind(&subjects)
        .bind(now)
        .execute(&mut *transaction)
        .await
        .context("counting a login")?;
        transaction.commit().await.context("counting a login")?;
        Ok(None)
    }

    /// Takes back what [`count_login`](Self::count_login) counted, because the login did not fail: `forgotten` begins
    /// anew, of `given_back` one failure is taken away.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn login_succeeded(&self, forgotten: &[u8], given_back: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "with forgotten as (delete from karat.login_failure where subject_hash = $1)
             update karat.login_failure set failures = greatest(failures - 1, 0) where subject_hash = $2",
        )
        .bind(forgotten)
        .bind(given_back)
        .execute(&self.pool)
        .await
        .context("counting a login that succeeded")
        .map(drop)
    }

    /// The secret of this name: `proposed`, if nobody made one before.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn shared_secret(&self, name: &str, proposed: &[u8], now: DateTime<Utc>) -> Result<Vec<u8>, StoreError> {
        let kept = || async {
            sqlx::query_scalar("select value from karat.secret where name = $1")
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .context("reading what the processes share")
        };
        if let Some(value) = kept().await? {
            return Ok(value);
        }
        sqlx::query(
            "insert into karat.secret (name, value, created_at) values ($1, $2, $3) on conflict (name) do nothing",
        )
        .bind(name)
        .bind(proposed)
        .bind(now)
        .execute(&self.pool)
        .await
        .context("writing what the processes share")?;
        Ok(kept().await?.unwrap_or_else(|| proposed.to_vec()))
    }
}
