//! Carrying out a plan: launching runs, building partitions in one transaction each, and knowing what is stale.

mod attempt;
mod checks;
mod ending;
mod execute;
pub mod external;
mod failure_point;
mod heartbeat;
mod inputs;
pub mod launch;
pub mod logs;
mod panics;
mod progress;
mod reconnect;
pub mod status;
mod units;
pub mod verify;
mod worker;
mod write;

pub use failure_point::{FailurePoint, FaultHook};
pub use worker::{Worker, WorkerError, WorkerSettings};
