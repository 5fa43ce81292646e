//! What all reconcilers have in common.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use crate::asset::definitions::Definitions;
use crate::clock::SharedClock;
use crate::engine::launch::LaunchError;
use crate::store::signal::Signal;
use crate::store::{Store, StoreError};

/// Everything a reconciler may look at. Cheap to clone.
#[derive(Clone)]
pub struct ReconcilerContext {
    /// The state.
    pub store: Store,
    /// The assets, schedules and sensors of this program.
    pub definitions: Arc<Definitions>,
    /// The time.
    pub clock: SharedClock,
}

impl ReconcilerContext {
    /// The present instant.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// How one activation ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activation {
    /// What was done, in a few words for people; `None` when there was nothing to do.
    pub report: Option<String>,
    /// When time alone will give it something to do; `None` when only a change in the database can.
    pub next_at: Option<DateTime<Utc>>,
}

/// Why an activation ended early. What it had committed stays; the next activation goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReconcilerError {
    /// The state could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run could not be launched.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

/// Brings one aspect of the state closer to what it should be.
///
/// What it keeps in memory between activations only saves work: a reconciler made anew comes to the same decisions.
pub trait Reconciler: Send {
    /// Its name in the state, in metrics and in logs; one word.
    fn name(&self) -> &'static str;

    /// What to be woken by.
    fn wakes_on(&self) -> &'static [Signal];

    /// The longest time between two activations, whatever happens: what a lost wake-up costs.
    fn interval(&self) -> Duration;

    /// Looks and acts once. Bounded: what is too much for one activation is left to the next, by a `next_at` that has
    /// come already.
    fn activate<'a>(&'a mut self, context: &'a ReconcilerContext)
    -> BoxFuture<'a, Result<Activation, ReconcilerError>>;
}
