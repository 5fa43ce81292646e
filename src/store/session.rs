//! Sessions: who logged in, where, and whether it is still valid.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::account::end_sessions;
use super::audit::{NewAudit, record};
use super::error::Context;
use super::text::storable;
use super::{Store, StoreError};

/// A session to be begun.
#[derive(Clone, Copy)]
pub struct NewSession<'a> {
    /// The hash of its secret.
    pub session_hash: &'a [u8],
    /// Whose it is.
    pub account_id: i64,
    /// When it begins.
    pub created_at: DateTime<Utc>,
    /// When it is over at the latest.
    pub expires_at: DateTime<Utc>,
    /// From where.
    pub address: Option<&'a str>,
    /// With what, as that says.
    pub user_agent: Option<&'a str>,
}

/// The account that a valid session or token belongs to.
#[derive(Clone, Debug, FromRow)]
pub struct Bearer {
    /// The session or token.
    pub id: i64,
    /// The account.
    pub account_id: i64,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// The token's role; none of a session, which may do what the account may.
    pub token_role: Option<String>,
    /// When the session or token was last used, with a tolerance.
    pub used_at: Option<DateTime<Utc>>,
}

/// A session in a list.
#[derive(Clone, Debug, FromRow)]
pub struct SessionRecord {
    /// Its number.
    pub session_id: i64,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, with a tolerance.
    pub last_seen_at: DateTime<Utc>,
    /// When it is over at the latest.
    pub expires_at: DateTime<Utc>,
    /// From where.
    pub address: Option<String>,
    /// With what, as that says.
    pub user_agent: Option<String>,
}

impl Store {
    /// Begins a session and records `audit`. The account's oldest valid ones end so that at most `most` are left.
    ///
    /// # Errors
    /// When the database cannot be used; no session was begun then.
    pub async fn begin_session(
        &self,
        session: NewSession<'_>,
        most: i64,
        audit: NewAudit<'_>,
    ) -> Result<i64, StoreError> {
        let mut transaction = self.pool.begin().await.context("beginning a session")?;
        let session_id = sqlx::query_scalar(
            "insert into karat.session
                 (session_hash, account_id, created_at, last_seen_at, expires_at, address, user_agent)
             values ($1, $2, $3, $3, $4, $5, $6) returning session_id",
        )
        .bind(session.session_hash)
        .bind(session.account_id)
        .bind(session.created_at)
        .bind(session.expires_at)
        .bind(session.address)
        .bind(session.user_agent.map(storable))
        .fetch_one(&mut *transaction)
        .await
        .context("beginning a session")?;
        sqlx::query(
            "update karat.session set revoked_at = $2
             where account_id = $1 and revoked_at is null and session_id <= (
                 select session_id from karat.session where account_id = $1 and revoked_at is null
                 order by session_id desc offset $3 limit 1
             )",
        )
        .bind(session.account_id)
        .bind(session.created_at)
        .bind(most)
        .execute(&mut *transaction)
        .await
        .context("ending an account's oldest sessions")?;
        record(&mut transaction, Some(audit)).await?;
        transaction.commit().await.context("beginning a session")?;
        Ok(session_id)
    }

    /// Whose session this is, if it is valid at `now`, was seen after `seen_after`, and the account is not disabled.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn session_bearer(
        &self,
        session_hash: &[u8],
        now: DateTime<Utc>,
        seen_after: DateTime<Utc>,
    ) -> Result<Option<Bearer>, StoreError> {
        sqlx::query_as(
            "select s.session_id as id, a.account_id, a.name, a.role, null::text as token_role, s.last_seen_at as used_at
             from karat.session s join karat.account a using (account_id)
             where s.session_hash = $1 and s.revoked_at is null and s.expires_at > $2 and s.last_seen_at > $3
               and a.disabled_at is null",
        )
        .bind(session_hash)
        .bind(now)
        .bind(seen_after)
        .fetch_optional(&self.pool)
        .await
        .context("reading a session")
    }

    /// Whether a session is valid still.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn is_session_valid(
        &self,
        session_id: i64,
        now: DateTime<Utc>,
        seen_after: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "select exists (
                 select from karat.session s join karat.account a using (account_id)
                 where s.session_id = $1 and s.revoked_at is null and s.expires_at > $2 and s.last_seen_at > $3
                   and a.disabled_at is null
             )",
        )
        .bind(session_id)
        .bind(now)
        .bind(seen_after)
        .fetch_one(&self.pool)
        .await
        .context("reading a session")
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn session_seen(&self, session_id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query("update karat.session set last_seen_at = $2 where session_id = $1 and last_seen_at < $2")
            .bind(session_id)
            .bind(now)
            .execute(&self.pool)
            .await
            .context("noting that a session was used")
            .map(drop)
    }

    /// The valid sessions of an account, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn sessions(
        &self,
        account_id: i64,
        now: DateTime<Utc>,
        seen_after: DateTime<Utc>,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        sqlx::query_as(
            "select session_id, created_at, last_seen_at, expires_at, address, user_agent
             from karat.session
             where account_id = $1 and revoked_at is null and expires_at > $2 and last_seen_at > $3
             order by session_id desc",
        )
        .bind(account_id)
        .bind(now)
        .bind(seen_after)
        .fetch_all(&self.pool)
        .await
        .context("reading sessions")
    }

    /// Ends one session of an account and records `audit`; false, and nothing is recorded, when it has ended already or is
    /// another's.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn end_session(
        &self,
        account_id: i64,
        session_id: i64,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<bool, StoreError> {
        let end = sqlx::query(
            "update karat.session set revoked_at = $3
             where account_id = $1 and session_id = $2 and revoked_at is null",
        )
        .bind(account_id)
        .bind(session_id)
        .bind(now);
        self.change_on_record("ending a session", end, audit).await
    }

    /// Ends all sessions of an account except `kept`, records `audit` with how many, and returns how many.
    ///
    /// # Errors
    /// When the database cannot be used; none has ended then.
    pub async fn end_sessions(
        &self,
        account_id: i64,
        kept: Option<i64>,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin().await.context("ending sessions")?;
        let ended = end_sessions(&mut transaction, account_id, kept, now).await?;
        let audit = audit.map(|audit| audit.with_detail(serde_json::json!({ "ended": ended })));
        record(&mut transaction, audit).await?;
        transaction.commit().await.context("ending sessions")?;
        Ok(ended)
    }
}
