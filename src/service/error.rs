//! Why a request could not be served.

use crate::asset::definitions::UnknownAsset;
use crate::core::key::AssetKey;
use crate::core::selection::SelectionError;
use crate::engine::extent::ExtentError;
use crate::engine::external::AppendError;
use crate::engine::launch::LaunchError;
use crate::engine::reading::ReadError;
use crate::engine::verify::VerifyError;
use crate::store::StoreError;
use crate::store::migrate::SchemaError;

/// Whose fault it is, which decides what a program that asked does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong: a name, a date, a range, a selection. Asking again is of no use.
    Request,
    /// The request is understood and cannot be carried out as things stand.
    Refused,
    /// Everything asked for is as it should be already.
    NothingToDo,
    /// Who asks may not.
    Forbidden,
    /// The database cannot be used.
    Database,
}

/// Why a request could not be served: a sentence with what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The selection selects nothing.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// A name that is no asset's.
    #[error(transparent)]
    Asset(#[from] UnknownAsset),
    /// The partitions asked for are none.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// Every partition asked for is in the wanted state already.
    #[error("{0}")]
    NothingToDo(String),
    /// Only external assets were selected.
    #[error(
        "{0} is external: its rows come from outside and Karat does not build it. Build what reads it, for example with `{0}+`"
    )]
    External(AssetKey),
    /// An id that is none, or that of several.
    #[error("{0}")]
    Id(String),
    /// What was typed cannot be taken.
    #[error("{0}")]
    Input(String),
    /// Who asks may not do that.
    #[error("{0}")]
    Forbidden(String),
    /// The thing asked for is not in a state in which that can be done.
    #[error("{0}")]
    Refused(String),
    /// Rows could not be written.
    #[error(transparent)]
    Append(AppendError),
    /// The run could not be launched.
    #[error(transparent)]
    Launch(LaunchError),
    /// Rows could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// The database is not at this program's version.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The declarations could not be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The state could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ServiceError {
    /// Whose fault it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Selection(_)
            | Self::Asset(_)
            | Self::Extent(_)
            | Self::External(_)
            | Self::Id(_)
            | Self::Input(_)
            | Self::Read(ReadError::Cursor | ReadError::Value(_))
            | Self::Launch(LaunchError::Nothing | LaunchError::External(_) | LaunchError::Undefined(_)) => {
                ErrorKind::Request
            }
            Self::Forbidden(_) => ErrorKind::Forbidden,
            Self::NothingToDo(_) => ErrorKind::NothingToDo,
            Self::Append(_)
            | Self::Refused(_)
            | Self::Read(ReadError::TooLong(_))
            | Self::Launch(LaunchError::MissingInputs(_)) => ErrorKind::Refused,
            Self::Schema(_)
            | Self::Verify(_)
            | Self::Store(_)
            | Self::Read(ReadError::Store(_))
            | Self::Launch(LaunchError::Store(_)) => ErrorKind::Database,
        }
    }
}

impl From<AppendError> for ServiceError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Store(error) => Self::Store(error),
            error => Self::Append(error),
        }
    }
}

impl From<ReadError> for ServiceError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => Self::Store(error),
            error => Self::Read(error),
        }
    }
}

impl From<LaunchError> for ServiceError {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Store(error) => Self::Store(error),
            error => Self::Launch(error),
        }
    }
}
