//! What can go wrong with a simulated installation, other than what a test is about.

use crate::daemon::ReconcilerError;
use crate::engine::WorkerError;
use crate::engine::external::AppendError;
use crate::service::ServiceError;
use crate::testing::TestingError;

/// Why a simulation cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// There is no database.
    #[error(transparent)]
    Testing(#[from] TestingError),
    /// An activation ended early.
    #[error("the reconciler `{name}` failed: {source}")]
    Reconciler {
        /// Which.
        name: &'static str,
        /// Why.
        source: Box<ReconcilerError>,
    },
    /// The worker cannot go on.
    #[error("the worker failed: {0}")]
    Worker(#[from] WorkerError),
    /// There was more to do after every round.
    #[error("the step has not come to rest after {rounds} rounds; so far:\n{happened}")]
    NotSettled {
        /// How many rounds.
        rounds: usize,
        /// What happened in them.
        happened: String,
    },
    /// Rows were not written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A request was refused, or the state cannot be read.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// An asset is not defined, or has no such partition.
    #[error("{0}")]
    Unknown(String),
    /// The database refuses a breakage.
    #[error("cannot break or mend {asset}: {source}")]
    Breakage {
        /// The asset.
        asset: String,
        /// What the database says.
        source: sqlx::Error,
    },
}
