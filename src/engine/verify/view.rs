//! A statement asked of PostgreSQL: as a temporary view, which is gone again when the answer is there.

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use sqlx::{Connection, PgConnection};

use super::VerifyError;
use super::catalog::{self, Function, Read, ViewColumn};
use super::place::WithoutParameters;
use super::report::DatabaseReason;
use crate::asset::statement::generated;
use crate::store::error::is_transient;

const VIEW: &str = "pg_temp.karat_verification";

/// What PostgreSQL understood.
pub(super) struct View {
    pub(super) columns: Vec<ViewColumn>,
    pub(super) reads: Vec<Read>,
    pub(super) functions: Vec<Function>,
}

/// That PostgreSQL refuses a statement, and why.
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) reason: DatabaseReason,
    /// The byte of the statement with its parameters.
    pub(super) byte: Option<usize>,
}

/// What PostgreSQL makes of the `select`, or why it refuses it. `doing` says what this is for, in case the database fails.
pub(super) async fn describe(
    connection: &mut PgConnection,
    statement: &WithoutParameters,
    doing: &str,
) -> Result<Result<View, Refusal>, VerifyError> {
    let failed = |error| VerifyError::database(doing, error);
    let create = format!("create temporary view {VIEW} as ");
    let sql = format!("{create}{}", statement.text());
    let mut savepoint = connection.begin().await.map_err(failed)?;
    let created = sqlx::query(generated(sql)).persistent(false).execute(&mut *savepoint).await;
    let described = match created {
        Ok(_) => Ok(View {
            columns: catalog::view_columns(&mut savepoint, VIEW).await.map_err(failed)?,
            reads: catalog::reads(&mut savepoint, VIEW).await.map_err(failed)?,
            functions: catalog::functions(&mut savepoint, VIEW).await.map_err(failed)?,
        }),
        Err(error) => {
            Err(refusal(&error, |position| Some(statement.original_byte(position.checked_sub(create.len())?)))
                .ok_or_else(|| VerifyError::database(doing, error))?)
        }
    };
    savepoint.rollback().await.map_err(failed)?;
    Ok(described)
}

/// Runs a statement that may be refused, without harm to the transaction; whether it succeeded.
pub(super) async fn try_statement(connection: &mut PgConnection, sql: &str, doing: &str) -> Result<bool, VerifyError> {
    let failed = |error| VerifyError::database(doing, error);
    let mut savepoint = connection.begin().await.map_err(failed)?;
    match sqlx::raw_sql(generated(sql.to_owned())).execute(&mut *savepoint).await {
        Ok(_) => savepoint.commit().await.map_err(failed).map(|()| true),
        Err(error) if refusal(&error, |_| None).is_some() => savepoint.rollback().await.map_err(failed).map(|()| false),
        Err(error) => Err(failed(error)),
    }
}

/// The error as a refusal; `None` when it says nothing about the statement but that the database has trouble.
fn refusal(error: &sqlx::Error, byte_of: impl Fn(usize) -> Option<usize>) -> Option<Refusal> {
    let database = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    // Transaction state, operators, system and configuration errors.
    let is_trouble = ["25", "57", "58", "F0", "XX"].iter().any(|class| database.code().starts_with(class));
    if is_trouble || is_transient(error) {
        return None;
    }
    let byte = match database.position() {
        Some(PgErrorPosition::Original(position)) => byte_of(position),
        Some(PgErrorPosition::Internal { .. }) | None => None,
    };
    Some(Refusal {
        message: database.message().to_owned(),
        reason: DatabaseReason {
            sql_state: database.code().to_owned(),
            detail: database.detail().map(str::to_owned),
            hint: database.hint().map(str::to_owned),
        },
        byte,
    })
}
