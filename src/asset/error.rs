//! Why computing an asset failed, and whether trying again can help.

use std::error::Error;
use std::fmt;

type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Why an attempt at an asset failed.
///
/// It is either *retryable* (the same attempt may succeed later: the network, a restarted server, a lost conflict) or
/// *fatal* (the same attempt would fail again: wrong SQL, a value that does not fit). `?` classifies the errors of
/// sqlx, of input and output, and of `anyhow` by what lies at their bottom; [`AssetError::retryable`] and
/// [`AssetError::fatal`] say it explicitly.
#[derive(Debug)]
pub struct AssetError {
    source: BoxError,
    kind: AssetErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AssetErrorKind {
    Retryable,
    Fatal,
    Cancelled,
}

impl AssetErrorKind {
    const fn retryable_if(retryable: bool) -> Self {
        if retryable { Self::Retryable } else { Self::Fatal }
    }
}

impl AssetError {
    /// An error after which another attempt may succeed.
    pub fn retryable(error: impl Into<BoxError>) -> Self {
        Self { source: error.into(), kind: AssetErrorKind::Retryable }
    }

    /// An error that another attempt would meet again.
    pub fn fatal(error: impl Into<BoxError>) -> Self {
        Self { source: error.into(), kind: AssetErrorKind::Fatal }
    }

    /// What the function of an asset meets when it goes on after its attempt was cancelled.
    #[must_use]
    pub fn cancelled() -> Self {
        Self { source: "the attempt was cancelled".into(), kind: AssetErrorKind::Cancelled }
    }

    /// Whether the retry policy applies.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, AssetErrorKind::Retryable)
    }

    /// Whether the function ended because its attempt was cancelled, and not for a reason of its own.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self.kind, AssetErrorKind::Cancelled)
    }

    /// PostgreSQL's five-character code of the database error at the bottom, when there is one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<String> {
        self.database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
    }

    /// The database error at the bottom, when there is one.
    #[must_use]
    pub fn database_error(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        causes(self.source.as_ref())
            .find_map(|cause| cause.downcast_ref::<sqlx::Error>())
            .and_then(sqlx::Error::as_database_error)
    }

    /// The whole chain of causes in one line, outermost first.
    ///
    /// A cause whose text its parent already contains is not said twice.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = String::new();
        for cause in causes(self.source.as_ref()) {
            let text = text_of(cause);
            if report.is_empty() {
                report = text;
            } else if !report.contains(&text) {
                report.push_str(": ");
                report.push_str(&text);
            }
        }
        report
    }
}

/// A database error says nothing of the line in PostgreSQL's own sources where it was raised, as sqlx would.
fn text_of(cause: &(dyn Error + 'static)) -> String {
    match cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error) {
        Some(error) => format!("error returned from database: {}", error.message()),
        None => match cause.downcast_ref::<Box<dyn sqlx::error::DatabaseError>>() {
            Some(error) => error.message().to_owned(),
            None => cause.to_string(),
        },
    }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

impl fmt::Display for AssetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.report())
    }
}

impl Error for AssetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

impl From<sqlx::Error> for AssetError {
    fn from(error: sqlx::Error) -> Self {
        let retryable = is_retryable_sqlx(&error);
        Self { source: error.into(), kind: AssetErrorKind::retryable_if(retryable) }
    }
}

impl From<std::io::Error> for AssetError {
    fn from(error: std::io::Error) -> Self {
        Self::retryable(error)
    }
}

impl From<serde_json::Error> for AssetError {
    fn from(error: serde_json::Error) -> Self {
        Self::fatal(error)
    }
}

impl From<RowError> for AssetError {
    fn from(error: RowError) -> Self {
        Self::fatal(error)
    }
}

/// An `anyhow` error is retryable when an asset error, an sqlx error or an input/output error in its chain is.
impl From<anyhow::Error> for AssetError {
    fn from(error: anyhow::Error) -> Self {
        let retryable = error.chain().any(|cause| {
            cause.downcast_ref::<Self>().is_some_and(Self::is_retryable)
                || cause.downcast_ref::<sqlx::Error>().is_some_and(is_retryable_sqlx)
                || cause.is::<std::io::Error>()
        });
        Self { source: error.into(), kind: AssetErrorKind::retryable_if(retryable) }
    }
}

/// Lost connections, a server that shuts down or starts, exhausted resources and lost conflicts pass; everything else
/// that a server answers would be answered again.
fn is_retryable_sqlx(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| is_retryable_sqlstate(&code)),
        _ => false,
    }
}

/// Whether the same statement may succeed later, by PostgreSQL's error code.
#[must_use]
pub fn is_retryable_sqlstate(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03" | "57P01" | "57P02" | "57P03")
        || code.starts_with("08")
        || code.starts_with("53")
}

/// A row from Rust that cannot be stored.
#[derive(Debug, thiserror::Error)]
#[error("row {row_number} of {asset}, column `{column}`: {reason}")]
pub struct RowError {
    /// The asset's key.
    pub asset: String,
    /// Which row of this attempt, counting from 1.
    pub row_number: u64,
    /// The column whose value it is.
    pub column: &'static str,
    /// What is wrong with the value, and what to do.
    pub reason: String,
}
