//! What can go wrong between Karat and its database.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

// Of the process, not of a store: errors come from everywhere, and whoever watches wants to know of all.
static OUTAGES: AtomicU64 = AtomicU64::new(0);
static CONFLICTS: AtomicU64 = AtomicU64::new(0);
static REFUSALS: AtomicU64 = AtomicU64::new(0);

/// How many accesses to the orchestration state have failed since this process began, by what came between: `outage` (the
/// server or the connection), `conflict` (another transaction; the access is repeated), or `refusal` (anything else).
#[must_use]
pub fn failed_accesses() -> [(&'static str, u64); 3] {
    [("outage", &OUTAGES), ("conflict", &CONFLICTS), ("refusal", &REFUSALS)]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
}

/// A failed access to the orchestration state: what was being done, and why it failed.
#[derive(Debug)]
pub struct StoreError {
    context: String,
    source: sqlx::Error,
}

impl StoreError {
    /// Names what was being done when `source` happened.
    #[must_use]
    pub fn new(context: impl Into<String>, source: sqlx::Error) -> Self {
        let error = Self { context: context.into(), source };
        let count = match () {
            () if error.is_conflict() => &CONFLICTS,
            () if error.is_transient() => &OUTAGES,
            () => &REFUSALS,
        };
        count.fetch_add(1, Ordering::Relaxed);
        error
    }

    /// Whether the same call can succeed later without any change: connection trouble, a server that starts, stops or
    /// hands over to another, a statement that somebody stopped, or a conflict between transactions.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        is_transient(&self.source)
    }

    /// Whether two transactions collided: the later one has to look again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(sql_state(&self.source).as_deref(), Some("40001" | "40P01" | "23505"))
    }

    /// The database's own error.
    #[must_use]
    pub const fn database_error(&self) -> &sqlx::Error {
        &self.source
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.context, describe(&self.source))?;
        match advice(&self.source) {
            Some(advice) => write!(formatter, ". {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The five-character SQLSTATE of a database error.
#[must_use]
pub fn sql_state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned)
}

/// What PostgreSQL said, with its SQLSTATE; for any other error the error itself.
#[must_use]
pub fn describe(error: &sqlx::Error) -> String {
    // The error's own text would add a line number, which is one of PostgreSQL's source.
    let Some(database) = error.as_database_error() else { return error.to_string() };
    let code = sql_state(error).map_or_else(String::new, |code| format!(" (SQLSTATE {code})"));
    format!("{}{code}", database.message())
}

/// What a person can do about an error of the database, where its code says so.
#[must_use]
pub fn advice(error: &sqlx::Error) -> Option<&'static str> {
    match sql_state(error)?.as_str() {
        "3F000" | "42P01" => Some("The database has no such table: bring it up to date with `migrate`"),
        "42501" => Some("The database user lacks a right that Karat needs: use the database's owner, or grant it"),
        "53100" => {
            Some("The database's disk is full: make room on it, and give the command again; what was committed is kept")
        }
        _ => None,
    }
}

/// Whether an error of the database says "later": the connection or the server went away or only reads (as one that has
/// handed over to another does), resources or time ran out, somebody stopped the statement, or transactions collided
/// (SQLSTATE classes 08, 40, 53, 25006, 25P03, 55P03, 57014, 57P01–57P03).
#[must_use]
pub fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            code.starts_with("08")
                || code.starts_with("40")
                || code.starts_with("53")
                || matches!(&*code, "25006" | "25P03" | "55P03" | "57014" | "57P01" | "57P02" | "57P03")
        }),
        _ => false,
    }
}

/// Attaches what was being done to a result of the database.
pub trait Context<T> {
    /// The same result, its error naming `context`.
    ///
    /// # Errors
    /// When `self` is one.
    fn context(self, context: &str) -> Result<T, StoreError>;
}

impl<T> Context<T> for Result<T, sqlx::Error> {
    fn context(self, context: &str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::new(context, source))
    }
}
