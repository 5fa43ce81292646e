//! Raises an alert for every asset whose freshness policy is broken, and ends it when the policy is kept again.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::alerts::local;
use super::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::asset::spec::AssetSpec;
use crate::core::freshness::{Freshness, FreshnessState};
use crate::core::policy::FreshnessPolicy;
use crate::engine::freshness::freshness_of;
use crate::store::alert::{AlertKind, NewAlert};
use crate::store::signal::Signal;

/// Watches the freshness policies.
#[derive(Clone, Copy, Debug, Default)]
pub struct FreshnessReconciler;

impl Reconciler for FreshnessReconciler {
    fn name(&self) -> &'static str {
        "freshness"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[Signal::Published]
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(activate(context))
    }
}

async fn activate(context: &ReconcilerContext) -> Result<Activation, ReconcilerError> {
    let now = context.now();
    let specs = context.definitions.assets().filter(|spec| spec.freshness.is_some());
    let judged = freshness_of(&context.store, &context.definitions, specs, now).await?;
    let open = context.store.open_alerts(&[AlertKind::FreshnessFailed]).await?;
    let known: BTreeSet<&str> = open.iter().map(|alert| alert.subject.as_str()).collect();
    let mut raised = 0;
    for (key, freshness) in &judged {
        if freshness.state != FreshnessState::Fail || known.contains(key.as_str()) {
            continue;
        }
        let Some(spec) = context.definitions.asset(key) else { continue };
        let Some(policy) = spec.freshness else { continue };
        context.store.raise_alert(&overdue(context, spec, policy, *freshness), now).await?;
        raised += 1;
    }
    // Also of an asset that has no policy any more, or is none.
    let kept = open.iter().filter(|alert| {
        let state = alert.subject.parse().ok().and_then(|key| judged.get(&key)).map(|freshness| freshness.state);
        state != Some(FreshnessState::Fail)
    });
    let kept: Vec<i64> = kept.map(|alert| alert.alert_id).collect();
    let recovered = context.store.recover_alerts(&kept, now).await?;
    let report = (raised > 0 || recovered > 0).then(|| format!("{raised} overdue, {recovered} fresh again"));
    if report.is_some() {
        context.store.signal(Signal::Alert).await?;
    }
    let next_at: Option<DateTime<Utc>> = judged.values().filter_map(|freshness| freshness.changes_at).min();
    Ok(Activation { report, next_at })
}

fn overdue(context: &ReconcilerContext, spec: &AssetSpec, policy: FreshnessPolicy, freshness: Freshness) -> NewAlert {
    let since = freshness.due_at.map_or_else(String::new, |due_at| format!(" since {}", local(context, due_at)));
    let (what, command) = if spec.is_materializable() {
        ("Nothing newer was published", format!("why {}", spec.key))
    } else {
        ("No rows landed", format!("asset show {}", spec.key))
    };
    NewAlert {
        kind: AlertKind::FreshnessFailed,
        subject: spec.key.to_string(),
        title: format!("{} is overdue{since}", spec.key),
        explanation: format!("{what} in time: {policy}."),
        command,
        evidence_from: None,
    }
}
