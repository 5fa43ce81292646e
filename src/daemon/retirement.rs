//! Retirement: what waits to be built of an asset that is not defined any more ends with a reason.
//!
//! The definitions of the process that leads decide. A worker of another version may know more assets or fewer, and
//! leaves what it does not know to others.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::core::count::counted;
use crate::store::signal::Signal;

/// The longest time between two activations.
const INTERVAL: Duration = Duration::from_secs(60);

/// Ends the steps of retired assets that nobody has begun.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retirement;

impl Reconciler for Retirement {
    fn name(&self) -> &'static str {
        "retirement"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[]
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(async move {
            let defined: Vec<&str> = context.definitions.assets().map(|spec| spec.key.as_str()).collect();
            let retired = context.store.end_steps_of_retired_assets(&defined, context.now()).await?;
            if retired.is_empty() {
                return Ok(Activation::default());
            }
            // Their runs move on or end.
            context.store.signal(Signal::Work).await?;
            let told: Vec<String> = retired
                .iter()
                .map(|(asset, steps)| format!("{} of {asset}", counted(*steps, "waiting step")))
                .collect();
            Ok(Activation { report: Some(format!("ended {}: not defined any more", told.join(", "))), next_at: None })
        })
    }
}
