//! Who did what.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{FromRow, PgConnection, PgExecutor, Postgres};
use uuid::Uuid;

use super::error::Context;
use super::text::storable;
use super::{Store, StoreError};

/// Something that somebody did.
#[derive(Clone, Debug)]
pub struct NewAudit<'a> {
    /// When.
    pub happened_at: DateTime<Utc>,
    /// Who: an account's name, or an operating system's user.
    pub who: &'a str,
    /// What they may do.
    pub role: &'a str,
    /// `command_line`, `local`, `session`, `token` or `login`.
    pub via: &'a str,
    /// From where.
    pub address: Option<String>,
    /// What.
    pub action: &'a str,
    /// To what.
    pub target: Option<&'a str>,
    /// The run it is about.
    pub run_id: Option<Uuid>,
    /// The backfill it is about.
    pub backfill_id: Option<Uuid>,
    /// The command line that does the same, without the program's name.
    pub command: Option<&'a str>,
    /// More.
    pub detail: Option<Value>,
}

impl NewAudit<'_> {
    /// The same with what only the change itself knows.
    #[must_use]
    pub(super) fn with_detail(self, detail: Value) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

/// Something that somebody did, as it is kept.
#[derive(Clone, Debug, FromRow)]
pub struct AuditRecord {
    /// Its number.
    pub audit_id: i64,
    /// When.
    pub happened_at: DateTime<Utc>,
    /// Who.
    pub who: String,
    /// What they were allowed to do.
    pub role: String,
    /// By what they were known.
    pub via: String,
    /// From where.
    pub address: Option<String>,
    /// What.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// The run it is about.
    pub run_id: Option<Uuid>,
    /// The backfill it is about.
    pub backfill_id: Option<Uuid>,
    /// The command line that does the same, without the program's name.
    pub command: Option<String>,
    /// More.
    pub detail: Option<Value>,
}

/// Which records, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only of this account or user.
    pub who: Option<String>,
    /// Only of this action, or of those that begin with this word.
    pub action: Option<String>,
    /// Only about this run.
    pub run_id: Option<Uuid>,
    /// Only with numbers below.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// Records what somebody does in the transaction that does it: both are there or neither. Nothing for what nobody asked for.
///
/// # Errors
/// When the database cannot be used; the transaction can only be rolled back then.
pub(super) async fn record(transaction: &mut PgConnection, audit: Option<NewAudit<'_>>) -> Result<(), StoreError> {
    match audit {
        Some(audit) => insert(transaction, audit).await.map(drop),
        None => Ok(()),
    }
}

async fn insert(executor: impl PgExecutor<'_>, audit: NewAudit<'_>) -> Result<i64, StoreError> {
    sqlx::query_scalar(
        "insert into karat.audit
             (happened_at, who, role, via, address, action, target, run_id, backfill_id, command, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         returning audit_id",
    )
    .bind(audit.happened_at)
    .bind(storable(audit.who))
    .bind(audit.role)
    .bind(audit.via)
    .bind(&audit.address)
    .bind(audit.action)
    .bind(audit.target.map(storable))
    .bind(audit.run_id)
    .bind(audit.backfill_id)
    .bind(audit.command.map(storable))
    .bind(&audit.detail)
    .fetch_one(executor)
    .await
    .context("recording who did what")
}

impl Store {
    /// Carries out `change` and records `audit`, both or neither; false, and nothing is recorded, when it changes no row.
    ///
    /// # Errors
    /// When the database cannot be used; nothing has changed then.
    pub(super) async fn change_on_record(
        &self,
        doing: &str,
        change: Query<'_, Postgres, PgArguments>,
        audit: Option<NewAudit<'_>>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await.context(doing)?;
        let changed = change.execute(&mut *transaction).await.context(doing)?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        record(&mut transaction, audit).await?;
        transaction.commit().await.context(doing)?;
        Ok(true)
    }

    /// Records by itself what changes nothing here, or is about to begin, and returns its number. What is one
    /// transaction takes its record along instead.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn record_audit(&self, audit: NewAudit<'_>) -> Result<i64, StoreError> {
        insert(&self.pool, audit).await
    }

    /// Writes what came of something into the record that was made before it began.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn complete_audit(&self, audit_id: i64, detail: &Value) -> Result<(), StoreError> {
        sqlx::query("update karat.audit set detail = $2 where audit_id = $1")
            .bind(audit_id)
            .bind(detail)
            .execute(&self.pool)
            .await
            .context("recording what came of it")
            .map(drop)
    }

    /// Whether there is a place for records: a database that is to be migrated may lack it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn has_audit(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar("select to_regclass('karat.audit') is not null")
            .fetch_one(&self.pool)
            .await
            .context("looking for the record of who did what")
    }

    /// What was done, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        sqlx::query_as(
            "select audit_id, happened_at, who, role, via, address, action, target, run_id, backfill_id, command, detail
             from karat.audit
             where ($1::text is null or who = $1)
               and ($2::text is null or action = $2 or starts_with(action, $2 || ' '))
               and ($3::uuid is null or run_id = $3)
               and ($4::bigint is null or audit_id < $4)
             order by audit_id desc
             limit $5",
        )
        .bind(filter.who.as_deref().map(storable))
        .bind(filter.action.as_deref().map(storable))
        .bind(filter.run_id)
        .bind(filter.before)
        .bind(filter.limit)
        .fetch_all(&self.pool)
        .await
        .context("reading who did what")
    }
}
