//! Keys under which requests are carried out once.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::error::Context;
use super::{Store, StoreError};

/// How many expired keys are removed along with a claim.
const REMOVED_AT_ONCE: i64 = 100;

/// A key that was claimed before.
#[derive(Clone, Debug, FromRow)]
pub struct KeyRecord {
    /// Hash of the request that it was claimed for.
    pub request_hash: Vec<u8>,
    /// The status of the answer; `None` when there is none.
    pub status: Option<i16>,
    /// The media type of the answer.
    pub media_type: Option<String>,
    /// The answer.
    pub answer: Option<String>,
}

impl Store {
    /// Claims `key` of `caller` for a request; returns `None` to exactly one of those who claim it, and to the others what
    /// it was claimed for and what was answered. Keys that were claimed before `expired_before` are forgotten.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn claim_key(
        &self,
        caller: &str,
        key: &str,
        request_hash: &[u8],
        expired_before: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<KeyRecord>, StoreError> {
        const WHAT: &str = "claiming the key of a request";
        // This key first: another that is expired may wait, this one must not be taken for a live one.
        sqlx::query(
            "delete from karat.idempotency_key
             where (caller, key) in (
                 select caller, key from karat.idempotency_key
                 where created_at < $3
                 order by (caller, key) = ($1, $2) desc, created_at
                 limit $4
                 for update skip locked
             )",
        )
        .bind(caller)
        .bind(key)
        .bind(expired_before)
        .bind(REMOVED_AT_ONCE)
        .execute(&self.pool)
        .await
        .context(WHAT)?;
        let claimed = sqlx::query(
            "insert into karat.idempotency_key (caller, key, request_hash, created_at)
             values ($1, $2, $3, $4) on conflict (caller, key) do nothing",
        )
        .bind(caller)
        .bind(key)
        .bind(request_hash)
        .bind(now)
        .execute(&self.pool)
        .await
        .context(WHAT)?;
        if claimed.rows_affected() == 1 {
            return Ok(None);
        }
        sqlx::query_as(
            "select request_hash, status, media_type, answer from karat.idempotency_key where caller = $1 and key = $2",
        )
        .bind(caller)
        .bind(key)
        .fetch_one(&self.pool)
        .await
        .map(Some)
        .context(WHAT)
    }

    /// Records the answer to the request for which the caller claimed the key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn answer_key(
        &self,
        caller: &str,
        key: &str,
        status: i16,
        media_type: Option<&str>,
        answer: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update karat.idempotency_key set finished_at = $3, status = $4, media_type = $5, answer = $6
             where caller = $1 and key = $2 and finished_at is null",
        )
        .bind(caller)
        .bind(key)
        .bind(now)
        .bind(status)
        .bind(media_type)
        .bind(answer)
        .execute(&self.pool)
        .await
        .context("recording the answer to a request")?;
        Ok(())
    }

    /// Gives a key back whose request did nothing.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn release_key(&self, caller: &str, key: &str) -> Result<(), StoreError> {
        sqlx::query("delete from karat.idempotency_key where caller = $1 and key = $2 and finished_at is null")
            .bind(caller)
            .bind(key)
            .execute(&self.pool)
            .await
            .context("giving back the key of a request")?;
        Ok(())
    }
}
