//! What runs by itself: reconcilers, one file each.
//!
//! A reconciler takes no input: it looks at the database, the definitions and the clock, brings the state a step closer
//! to what it should be, and says when time alone will give it something to do. Activations may come at any time, be
//! repeated, be left out, and run in two processes at once; each leaves the state right. What fails is tried by the next
//! activation.
//!
//! A [`Daemon`] activates the reconcilers of a process while that process leads.

pub mod alert_channel;
mod alert_sender;
mod alerts;
pub mod automation;
mod drive;
mod freshness;
mod janitor;
mod leader;
mod post;
mod reconciler;
mod retirement;
mod scheduler;
mod sensors;
pub mod tick;

pub use self::alert_sender::{AlertSender, MESSAGES_PER_HOUR};
pub use self::alerts::AlertReconciler;
pub use self::automation::AutomationReconciler;
pub use self::freshness::FreshnessReconciler;
pub use self::janitor::Janitor;
pub use self::leader::Daemon;
pub use self::post::{Posted, Poster};
pub use self::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
pub use self::retirement::Retirement;
pub use self::scheduler::Scheduler;
pub use self::sensors::SensorReconciler;

use crate::store::garbage::Retention;

/// The reconcilers that every program has; what is kept for people is kept as `retention` says. Alerts are said by an
/// [`AlertSender`] beside them, which knows where to.
#[must_use]
pub fn reconcilers(retention: Retention) -> Vec<Box<dyn Reconciler>> {
    vec![
        Box::new(Scheduler),
        Box::new(AutomationReconciler::default()),
        Box::new(SensorReconciler),
        Box::new(FreshnessReconciler),
        Box::new(AlertReconciler),
        Box::new(Retirement),
        Box::new(Janitor::new(retention)),
    ]
}
