//! Carrying out a plan: launching runs, building partitions in one transaction each, and knowing what is stale.

mod attempt;
mod checks;
mod execute;

mod failure_point;
mod heartbeat;
mod inputs;

pub mod logs;
mod panics;
mod progress;
mod reconnect;

mod units;
mod worker;
mod write;

pub use failure_point::{FailurePoint, FaultHook};
pub use worker::{Worker, WorkerError, WorkerSettings};
