//! What runs by itself: reconcilers, one file each.
//!
//! A reconciler takes no input: it looks at the database, the definitions and the clock, brings the state a step closer
//! to what it should be, and says when time alone will give it something to do. Activations may come at any time, be
//! repeated, be left out, and run in two processes at once; each leaves the state right. What fails is tried by the next
//! activation.

pub mod alert_channel;
mod alert_sender;
mod alerts;
pub mod automation;
mod freshness;
mod janitor;
mod post;
mod reconciler;
mod scheduler;
mod sensors;
pub mod tick;

pub use self::alert_sender::{AlertSender, MESSAGES_PER_HOUR};
pub use self::alerts::AlertReconciler;
pub use self::automation::AutomationReconciler;
pub use self::freshness::FreshnessReconciler;
pub use self::janitor::Janitor;
pub use self::post::{Posted, Poster};
pub use self::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
pub use self::scheduler::Scheduler;
pub use self::sensors::SensorReconciler;
