//! How a command ends: the exit code, and the sentence that goes with it.

use std::fmt;
use std::process::ExitCode;

use crate::asset::definitions::{DefinitionErrors, UnknownAsset};
use crate::engine::WorkerError;
use crate::engine::external::AppendError;
use crate::postgres::PostgresError;
use crate::service::{ErrorKind, ListenError, ServiceError};
use crate::store::StoreError;
use crate::store::migrate::SchemaError;

/// What the exit code says. The numbers are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Ok,
    /// Not done: something failed, was refused, or was interrupted.
    Failure,
    /// The command line cannot be meant: an unknown name, an impossible date, a wrong option.
    Usage,
    /// The definitions are wrong.
    Definitions,
    /// `status --exit-code` found something that is not fresh.
    NotFresh,
    /// The database cannot be used.
    Database,
}

/// What `--help` says about exit codes.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do
  1  failed, refused or interrupted
  2  the command line is wrong: an unknown name, an impossible date, a wrong option
  3  the definitions are wrong
  4  `status --exit-code`: something is not fresh
  5  the database, or the server, cannot be used";

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Definitions => 3,
            Self::NotFresh => 4,
            Self::Database => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what it was asked for: a sentence for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, where, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with this exit code and message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let exit = match error.kind() {
            ErrorKind::Request => Exit::Usage,
            ErrorKind::Refused | ErrorKind::Forbidden => Exit::Failure,
            ErrorKind::NothingToDo => Exit::Ok,
            ErrorKind::Database => Exit::Database,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<DefinitionErrors> for Failure {
    fn from(errors: DefinitionErrors) -> Self {
        Self::new(Exit::Definitions, errors.to_string())
    }
}

impl From<UnknownAsset> for Failure {
    fn from(error: UnknownAsset) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<PostgresError> for Failure {
    fn from(error: PostgresError) -> Self {
        Self::new(Exit::Database, error.to_string())
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        Self::new(Exit::Database, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Exit::Database, error.to_string())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::new(Exit::Database, format!("the database did not do what it was asked: {error}"))
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        let exit = match &error {
            WorkerError::Store(_) | WorkerError::UnknownZone { .. } => Exit::Database,
            WorkerError::ClocksDiffer { .. } | WorkerError::Died => Exit::Failure,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::Service(error) => (*error).into(),
            ListenError::NotLoopback(_) => Self::new(Exit::Usage, error.to_string()),
            error => Self::new(Exit::Failure, error.to_string()),
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        let exit = if matches!(error, AppendError::Store(_)) { Exit::Database } else { Exit::Failure };
        Self::new(exit, error.to_string())
    }
}

/// The whole chain of causes, outermost first.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::new(Exit::Failure, format!("{error:#}")),
        }
    }
}
