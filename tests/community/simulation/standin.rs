//! THROWAWAY.
use std::collections::BTreeSet;
use futures_util::future::BoxFuture;
use karat::daemon::*;
use karat::core::plan::*;
use karat::core::status::Staleness;
use karat::core::subset::PartitionSubset;
use karat::engine::launch::*;
use karat::engine::status::asset_statuses;
use karat::prelude::*;
use karat::store::launch::RunCause;
use karat::store::signal::Signal;

pub(super) struct StandIn;
impl Reconciler for StandIn {
    fn name(&self) -> &'static str { "automation" }
    fn wakes_on(&self) -> &'static [Signal] { &[] }
    fn interval(&self) -> Duration { Duration::from_secs(60) }
    fn activate<'a>(&'a mut self, context: &'a ReconcilerContext) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(async move {
            let now = context.now();
            let keys: Vec<AssetKey> = context.definitions.assets().filter(|a| a.is_materializable()).map(|a| a.key.clone()).collect();
            let statuses = asset_statuses(&context.store, &context.definitions, &keys, now).await?;
            let todo = |key: &AssetKey| statuses.get(key).map(|status| {
                let stale = status.stale.iter().filter(|(_, r)| r.iter().any(|r| *r != Staleness::Code));
                PartitionSubset::from_ordinals(stale.map(|(&o, _)| o)).union(&status.missing)
            }).unwrap_or_default();
            let mut plan = PartitionSets::new();
            for key in &keys {
                let status = &statuses[key];
                let mut wanted = todo(key).difference(&status.queued).difference(&status.running).difference(&status.failed_partitions());
                for (upstream, mapping) in context.definitions.upstreams(key) {
                    let blocked = partitions_reading(&*context.definitions, key, upstream, mapping, &todo(upstream), now);
                    wanted = wanted.difference(&blocked);
                }
                if !wanted.is_empty() { plan.insert(key.clone(), wanted); }
            }
            if plan.is_empty() { return Ok(Activation::default()); }
            let only_if_stale: BTreeSet<_> = plan.keys().cloned().collect();
            let report = format!("{:?}", described(&context.definitions, &plan));
            launch(&context.store, &context.definitions, LaunchRequest { plan, only_if_stale, force: false, per_partition: false, concurrency_limit: None, priority: 0, cause: RunCause::Automation, cause_detail: None, backfill_id: None, retry_of: None, request: serde_json::json!({}) }, now).await?;
            Ok(Activation { report: Some(report), next_at: None })
        })
    }
}
