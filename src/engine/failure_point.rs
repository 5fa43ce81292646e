//! The places where a process may die during an attempt, named so that tests can die at each of them.

use std::sync::Arc;

/// A place in the protocol of one attempt; see [`crate::engine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailurePoint {
    /// The lease is held, no transaction is open.
    Claimed,
    /// The transaction is open, nothing was read.
    Begun,
    /// The versions of the inputs were read.
    InputsRead,
    /// The partition's old rows are deleted.
    Deleted,
    /// The new rows are written.
    Written,
    /// The checks have run.
    Checked,
    /// The fence held and the materialization is recorded, nothing is committed.
    Recorded,
    /// Everything is committed, the process does not know it yet.
    Committed,
}

impl FailurePoint {
    /// Every point, in the order in which an attempt passes them.
    pub const ALL: [Self; 8] = [
        Self::Claimed,
        Self::Begun,
        Self::InputsRead,
        Self::Deleted,
        Self::Written,
        Self::Checked,
        Self::Recorded,
        Self::Committed,
    ];
}

/// Decides at each point whether the worker dies there: it then stops at once, ends nothing and hands nothing back, as a
/// killed process would.
pub type FaultHook = Arc<dyn Fn(FailurePoint) -> bool + Send + Sync>;
