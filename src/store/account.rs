//! Accounts: who may do what.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::audit::{NewAudit, record};
use super::error::Context;
use super::text::storable;
use super::{Store, StoreError};

/// How many accounts a list has at most.
const LISTED: i64 = 10_000;

/// An account as it stands. It does not show its password's hash.
#[derive(Clone, FromRow)]
pub struct AccountRecord {
    /// Its number.
    pub account_id: i64,
    /// Its name, lower case.
    pub name: String,
    /// `viewer`, `operator` or `admin`.
    pub role: String,
    /// argon2id with its parameters and salt; without one it cannot log in with a password.
    pub password_hash: Option<String>,
    /// Who else vouches for it.
    pub login_provider: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing.
    pub disabled_at: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for AccountRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AccountRecord")
            .field("account_id", &self.account_id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("disabled_at", &self.disabled_at)
            .finish_non_exhaustive()
    }
}

/// An account in a list.
#[derive(Clone, Debug, FromRow)]
pub struct ListedAccount {
    /// The account.
    #[sqlx(flatten)]
    pub account: AccountRecord,
    /// When it last logged in, as far as its sessions are kept.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Sessions that are valid.
    pub sessions: i64,
    /// Tokens that are valid.
    pub tokens: i64,
}

/// An account to be made.
#[derive(Clone, Copy)]
pub struct NewAccount<'a> {
    /// Its name, lower case.
    pub name: &'a str,
    /// Its role.
    pub role: &'a str,
    /// Its password's hash.
    pub password_hash: Option<&'a str>,
}

/// What a provider of logins says of somebody.
#[derive(Clone, Copy, Debug)]
pub struct ProvidedIdentity<'a> {
    /// The provider.
    pub provider: &'a str,
    /// Its id for them, which never changes.
    pub subject: &'a str,
    /// The name that a new account gets, lower case.
    pub name: &'a str,
    /// The role they have now.
    pub role: &'a str,
}

/// A change of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange<'a> {
    /// Another role.
    Role(&'a str),
    /// It may do nothing; its sessions end.
    Disable,
    /// It may log in again.
    Enable,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChanged {
    /// It took effect.
    Changed,
    /// It was so already.
    Unchanged,
    /// It would have left nobody who can log in as admin, and did not take effect.
    LastAdmin,
}

const COLUMNS: &str = "account_id, name, role, password_hash, login_provider, created_at, disabled_at";

impl Store {
    /// Makes an account; `None` when the name is taken. While there is no admin who can log in, only such an admin can be
    /// made; anything else gives `Some(None)`. An account that is made is recorded with `audit`.
    ///
    /// # Errors
    /// When the database cannot be used; no account was made then.
    pub async fn create_account(
        &self,
        account: NewAccount<'_>,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<Option<Option<AccountRecord>>, StoreError> {
        let mut transaction = self.pool.begin().await.context("making an account")?;
        lock_accounts(&mut transaction).await?;
        let created: Option<AccountRecord> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "insert into karat.account (name, role, password_hash, created_at) values ($1, $2, $3, $4)
             on conflict (name) do nothing returning {COLUMNS}"
        )))
        .bind(account.name)
        .bind(account.role)
        .bind(account.password_hash)
        .bind(now)
        .fetch_optional(&mut *transaction)
        .await
        .context("making an account")?;
        let Some(created) = created else { return Ok(None) };
        if !has_admin(&mut transaction).await? {
            transaction.rollback().await.context("making no account")?;
            return Ok(Some(None));
        }
        record(&mut transaction, audit).await?;
        transaction.commit().await.context("making an account")?;
        Ok(Some(Some(created)))
    }

    /// The account of somebody a provider vouches for, with the role they have now; made when there is none. `None`, and
    /// nothing changes, when it is disabled, another account has the name, or they are the last admin and would not be
    /// one any more. `made` is recorded with an account that is made, and with another role what `another_role` makes of
    /// the account as it was.
    ///
    /// # Errors
    /// When the database cannot be used; nothing changed then.
    pub async fn provided_account(
        &self,
        identity: ProvidedIdentity<'_>,
        now: DateTime<Utc>,
        made: NewAudit<'_>,
        another_role: impl FnOnce(&AccountRecord) -> NewAudit<'_>,
    ) -> Result<Option<AccountRecord>, StoreError> {
        let mut transaction = self.pool.begin().await.context("finding the account of a login")?;
        lock_accounts(&mut transaction).await?;
        let known: Option<AccountRecord> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select {COLUMNS} from karat.account where login_provider = $1 and login_subject = $2 and disabled_at is null"
        )))
        .bind(identity.provider)
        .bind(storable(identity.subject))
        .fetch_optional(&mut *transaction)
        .await
        .context("finding the account of a login")?;
        let account = match known {
            Some(account) if account.role == identity.role => return Ok(Some(account)),
            Some(account) => {
                record(&mut transaction, Some(another_role(&account))).await?;
                give_role(&mut transaction, account, identity.role).await.map(Some)?
            }
            None => {
                let account = insert_provided(&mut transaction, identity, now).await?;
                record(&mut transaction, account.as_ref().map(|_| made)).await?;
                account
            }
        };
        if account.is_none() || !has_admin(&mut transaction).await? {
            transaction.rollback().await.context("making no account for a login")?;
            return Ok(None);
        }
        transaction.commit().await.context("finding the account of a login")?;
        Ok(account)
    }

    /// The account of this name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn account(&self, name: &str) -> Result<Option<AccountRecord>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!("select {COLUMNS} from karat.account where name = $1")))
            .bind(storable(name))
            .fetch_optional(&self.pool)
            .await
            .context("reading an account")
    }

    /// All accounts by name, at most 10,000.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn accounts(
        &self,
        now: DateTime<Utc>,
        seen_after: DateTime<Utc>,
    ) -> Result<Vec<ListedAccount>, StoreError> {
        sqlx::query_as(include_str!("sql/accounts.sql"))
            .bind(now)
            .bind(seen_after)
            .bind(LISTED)
            .fetch_all(&self.pool)
            .await
            .context("reading the accounts")
    }

    /// Whether there is any account, disabled ones included.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn has_accounts(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar("select exists (select from karat.account)")
            .fetch_one(&self.pool)
            .await
            .context("looking for accounts")
    }

    /// Gives an account another password, ends its sessions except `kept`, and records `audit`.
    ///
    /// # Errors
    /// When the database cannot be used; nothing changed then.
    pub async fn set_password(
        &self,
        account_id: i64,
        password_hash: &str,
        kept: Option<i64>,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await.context("changing a password")?;
        sqlx::query("update karat.account set password_hash = $2 where account_id = $1")
            .bind(account_id)
            .bind(password_hash)
            .execute(&mut *transaction)
            .await
            .context("changing a password")?;
        end_sessions(&mut transaction, account_id, kept, now).await?;
        record(&mut transaction, audit).await?;
        transaction.commit().await.context("changing a password")
    }

    /// Changes an account, and records `audit` if that changed it. Whatever it is, there is an admin left who can log in.
    ///
    /// # Errors
    /// When the database cannot be used; nothing changed then.
    pub async fn change_account(
        &self,
        account_id: i64,
        change: AccountChange<'_>,
        now: DateTime<Utc>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<AccountChanged, StoreError> {
        let mut transaction = self.pool.begin().await.context("changing an account")?;
        lock_accounts(&mut transaction).await?;
        let (role, disabled_at) = match change {
            AccountChange::Role(role) => (Some(role), None),
            AccountChange::Disable => (None, Some(now)),
            AccountChange::Enable => (None, None),
        };
        let changed = sqlx::query(
            "update karat.account
             set role = coalesce($2, role), disabled_at = case when $2 is null then $3 else disabled_at end
             where account_id = $1
               and case when $2 is null then (disabled_at is null) <> ($3::timestamptz is null) else role <> $2 end",
        )
        .bind(account_id)
        .bind(role)
        .bind(disabled_at)
        .execute(&mut *transaction)
        .await
        .context("changing an account")?;
        if changed.rows_affected() == 0 {
            return Ok(AccountChanged::Unchanged);
        }
        if !has_admin(&mut transaction).await? {
            transaction.rollback().await.context("leaving an account as it is")?;
            return Ok(AccountChanged::LastAdmin);
        }
        if change == AccountChange::Disable {
            end_sessions(&mut transaction, account_id, None, now).await?;
        }
        record(&mut transaction, audit).await?;
        transaction.commit().await.context("changing an account")?;
        Ok(AccountChanged::Changed)
    }
}

async fn give_role(
    transaction: &mut PgConnection,
    account: AccountRecord,
    role: &str,
) -> Result<AccountRecord, StoreError> {
    sqlx::query("update karat.account set role = $2 where account_id = $1")
        .bind(account.account_id)
        .bind(role)
        .execute(transaction)
        .await
        .context("changing the role of a login")?;
    Ok(AccountRecord { role: role.to_owned(), ..account })
}

/// Makes the account of somebody a provider vouches for; `None` when that cannot be.
async fn insert_provided(
    transaction: &mut PgConnection,
    identity: ProvidedIdentity<'_>,
    now: DateTime<Utc>,
) -> Result<Option<AccountRecord>, StoreError> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "insert into karat.account (name, role, login_provider, login_subject, created_at)
         values ($1, $2, $3, $4, $5) on conflict do nothing returning {COLUMNS}"
    )))
    .bind(storable(identity.name))
    .bind(identity.role)
    .bind(identity.provider)
    .bind(storable(identity.subject))
    .bind(now)
    .fetch_optional(transaction)
    .await
    .context("making an account for a login")
}

/// Changes of accounts wait for one another, so that each sees whether it would be the last admin's.
async fn lock_accounts(transaction: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("lock table karat.account in share row exclusive mode")
        .execute(transaction)
        .await
        .context("waiting for other changes of accounts")
        .map(drop)
}

/// Whether somebody can log in as admin by means of their own.
async fn has_admin(transaction: &mut PgConnection) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "select exists (
             select from karat.account
             where role = 'admin' and disabled_at is null and (password_hash is not null or login_provider is not null)
         )",
    )
    .fetch_one(transaction)
    .await
    .context("looking for an admin")
}

/// Ends the sessions of an account except `kept`, and returns how many.
pub(super) async fn end_sessions(
    executor: &mut PgConnection,
    account_id: i64,
    kept: Option<i64>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let ended = sqlx::query(
        "update karat.session set revoked_at = $3
         where account_id = $1 and revoked_at is null and session_id is distinct from $2",
    )
    .bind(account_id)
    .bind(kept)
    .bind(now)
    .execute(executor)
    .await
    .context("ending sessions")?;
    Ok(ended.rows_affected())
}
