//! Carrying out a plan: launching runs, building partitions in one transaction each, and knowing what is stale.
//!
//! # From a plan to the commit
//!
//! [`launch`] writes a run and its steps, one for each asset and partition. From then on the run exists, whoever works
//! on it. A [`Worker`] repeats: move runs on (pending steps whose inputs are built become ready), claim ready steps under
//! a lease, group neighbours of an asset into units, and carry each unit through.
//!
//! # One attempt
//!
//! An attempt is one transaction, under repeatable read:
//!
//! 1. read the versions of the inputs; missing ones block, and a partition that proved fresh is skipped;
//! 2. delete the rows of the partitions and insert the new ones;
//! 3. run the checks: a failed blocking check rolls back, and a range is split until only the offending partitions fail;
//! 4. compute the data versions from the inserted rows;
//! 5. the fence: the steps must still be held by this worker under the epoch of its claim, or nothing is published;
//! 6. record the materializations with what they were made of and `pg_current_snapshot()`, and commit.
//!
//! A process may die anywhere: [`FailurePoint`] names the places, and tests die at each of them.
//!
//! # Leases
//!
//! A worker's row is its lease on all steps it runs; a thread of its own renews it. A worker is dead when its lease is
//! over or when none of its connections is left but those that build a partition. Whoever notices ends what connections remain and takes the steps back
//! under a higher epoch, at which the fence refuses what the dead one may still try to commit.
//!
//! # Late data
//!
//! [`external`] writes rows of external assets together with marks, append-only notes of which partitions they fall into.
//! A materialization is stale when a mark in what it read was not visible to its snapshot; see [`status`].

mod attempt;
mod checks;
pub mod cluster;
mod ending;
mod execute;
pub mod extent;
pub mod external;
mod failure_point;
pub mod freshness;
mod heartbeat;
mod inputs;
mod landing;
pub mod launch;
pub mod logs;
pub mod marks;
pub mod measure;
pub mod needs;
pub(crate) mod panics;
mod progress;
pub mod readers;
pub mod reading;
pub(crate) mod reconnect;
mod shutdown;
pub mod status;
mod units;
pub mod verify;
mod wakeups;
mod worker;
mod write;

pub use failure_point::{FailurePoint, FaultHook};
pub use shutdown::Shutdown;
pub use wakeups::{Subscription, Wakeup, Wakeups};
pub use worker::{Worker, WorkerError, WorkerSettings};
