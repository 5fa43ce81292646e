//! When a reconciler is activated.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::daemon::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::store::signal::Signal;

/// A reconciler with what would wake it.
pub(super) struct Sleeper {
    reconciler: Box<dyn Reconciler>,
    /// When it was activated last; never is the same as being woken.
    activated_at: Option<DateTime<Utc>>,
    next_at: Option<DateTime<Utc>>,
    is_woken: bool,
}

impl Sleeper {
    pub(super) fn new(reconciler: Box<dyn Reconciler>) -> Self {
        Self { reconciler, activated_at: None, next_at: None, is_woken: true }
    }

    pub(super) fn name(&self) -> &'static str {
        self.reconciler.name()
    }

    pub(super) fn hear(&mut self, signal: Signal) {
        self.is_woken |= self.reconciler.wakes_on().contains(&signal);
    }

    /// Whether it is activated at `now`, where one that nothing wakes is left alone for `rest`.
    pub(super) fn is_due(&self, now: DateTime<Utc>, rest: Duration) -> bool {
        let is_rested = |last: DateTime<Utc>| (now - last).to_std().is_ok_and(|slept| slept < rest);
        self.is_woken || self.next_at.is_some_and(|next_at| next_at <= now) || !self.activated_at.is_some_and(is_rested)
    }

    pub(super) async fn activate(&mut self, context: &ReconcilerContext) -> Result<Activation, ReconcilerError> {
        self.is_woken = false;
        self.activated_at = Some(context.now());
        let activation = self.reconciler.activate(context).await?;
        self.next_at = activation.next_at;
        Ok(activation)
    }
}
