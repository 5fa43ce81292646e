//! Tokens: what programs show instead of a password.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgExecutor};

use super::audit::{NewAudit, record};
use super::error::Context;
use super::session::Bearer;
use super::{Store, StoreError};

/// How many tokens a list has at most.
const LISTED: i64 = 10_000;

/// A token to be made.
#[derive(Clone, Copy)]
pub struct NewToken<'a> {
    /// The hash of its secret.
    pub token_hash: &'a [u8],
    /// Whose it is.
    pub account_id: i64,
    /// Its name.
    pub name: &'a str,
    /// How it begins.
    pub prefix: &'a str,
    /// The most it may do.
    pub role: &'a str,
    /// When it is over.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token as it stands, without its secret, which nobody knows.
#[derive(Clone, Debug, FromRow)]
pub struct TokenRecord {
    /// Its number.
    pub token_id: i64,
    /// Whose it is.
    pub account: String,
    /// Its name.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// The most it may do.
    pub role: String,
    /// What its account may do.
    pub account_role: String,
    /// Since when its account may do nothing.
    pub account_disabled_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is over.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is worth nothing.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, with a tolerance.
    pub last_used_at: Option<DateTime<Utc>>,
}

const TOKENS: &str = "
    select t.token_id, a.name as account, t.name, t.prefix, t.role, a.role as account_role,
           a.disabled_at as account_disabled_at, t.created_at, t.expires_at, t.revoked_at, t.last_used_at
    from karat.token t join karat.account a using (account_id)
    where ";

impl Store {
    /// Makes a token and records `audit`; `None`, and nothing is recorded, when a valid one of the account has the name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn create_token(
        &self,
        token: NewToken<'_>,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<Option<TokenRecord>, StoreError> {
        let mut transaction = self.pool.begin().await.context("making a token")?;
        let token_id: Option<i64> = sqlx::query_scalar(
            "insert into karat.token (token_hash, account_id, name, prefix, role, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (account_id, name) where revoked_at is null do nothing
             returning token_id",
        )
        .bind(token.token_hash)
        .bind(token.account_id)
        .bind(token.name)
        .bind(token.prefix)
        .bind(token.role)
        .bind(now)
        .bind(token.expires_at)
        .fetch_optional(&mut *transaction)
        .await
        .context("making a token")?;
        let Some(token_id) = token_id else { return Ok(None) };
        record(&mut transaction, audit).await?;
        // Before it is there for good: who made it hears of it, or it was never made.
        let created = one(&mut *transaction, token_id).await?;
        transaction.commit().await.context("making a token")?;
        Ok(created)
    }

    /// The token of this number.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn token(&self, token_id: i64) -> Result<Option<TokenRecord>, StoreError> {
        one(&self.pool, token_id).await
    }

    /// The tokens of an account, or of all, newest first, at most 10,000; revoked ones too.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn tokens(&self, account: Option<&str>) -> Result<Vec<TokenRecord>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{TOKENS} ($1::text is null or a.name = $1) order by t.token_id desc limit $2"
        )))
        .bind(account)
        .bind(LISTED)
        .fetch_all(&self.pool)
        .await
        .context("reading tokens")
    }

    /// Whose token this is, if it is valid at `now` and the account is not disabled.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn token_bearer(&self, token_hash: &[u8], now: DateTime<Utc>) -> Result<Option<Bearer>, StoreError> {
        sqlx::query_as(
            "select t.token_id as id, a.account_id, a.name, a.role, t.role as token_role, t.last_used_at as used_at
             from karat.token t join karat.account a using (account_id)
             where t.token_hash = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)
               and a.disabled_at is null",
        )
        .bind(token_hash)
        .bind(now)
        .fetch_optional(&self.pool)
        .await
        .context("reading a token")
    }

    /// Whether a token is valid still.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn is_token_valid(&self, token_id: i64, now: DateTime<Utc>) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "select exists (
                 select from karat.token t join karat.account a using (account_id)
                 where t.token_id = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)
                   and a.disabled_at is null
             )",
        )
        .bind(token_id)
        .bind(now)
        .fetch_one(&self.pool)
        .await
        .context("reading a token")
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn token_used(&self, token_id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query(
            "update karat.token set last_used_at = $2
             where token_id = $1 and (last_used_at is null or last_used_at < $2)",
        )
        .bind(token_id)
        .bind(now)
        .execute(&self.pool)
        .await
        .context("noting that a token was used")
        .map(drop)
    }

    /// Makes a token worthless and records `audit`; false, and nothing is recorded, when it is already.
    ///
    /// # Errors
    /// When the database cannot be used; the token is worth what it was then.
    pub async fn revoke_token(
        &self,
        token_id: i64,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<bool, StoreError> {
        let revoke = sqlx::query("update karat.token set revoked_at = $2 where token_id = $1 and revoked_at is null")
            .bind(token_id)
            .bind(now);
        self.change_on_record("revoking a token", revoke, audit).await
    }
}

async fn one(executor: impl PgExecutor<'_>, token_id: i64) -> Result<Option<TokenRecord>, StoreError> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{TOKENS} t.token_id = $1")))
        .bind(token_id)
        .fetch_optional(executor)
        .await
        .context("reading a token")
}
