//! Pools and workers: what runs where, and who waits for whom.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Service, ServiceError, WorkerView};
use crate::store::waiting::RunningStep;

/// How many units of one worker or pool are told.
const TOLD: usize = 50;

/// Partitions of one asset that one worker builds for one run, begun at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunningView {
    /// The asset.
    pub asset: String,
    /// The first of the partitions, and the last when there are several.
    pub partitions: String,
    /// How many.
    pub count: u64,
    /// The run.
    pub run_id: Uuid,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// The machine of the worker.
    pub host: Option<String>,
    /// The worker's process there.
    pub process_id: Option<i32>,
}

/// A worker and what it carries out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerLoadView {
    /// The worker.
    #[serde(flatten)]
    pub worker: WorkerView,
    /// What it carries out, the oldest first; at most fifty.
    pub running: Vec<RunningView>,
}

/// A pool, who holds it and who waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PoolView {
    /// Its name.
    pub pool: String,
    /// How many steps of it may run at once, over all workers.
    pub limit: u32,
    /// How many do.
    pub held: u64,
    /// Who holds it, the oldest first; at most fifty.
    pub holders: Vec<RunningView>,
    /// Who is ready and waits, in their order; at most fifty.
    pub waiting: Vec<PoolWaitingView>,
    /// The assets that count against it.
    pub assets: Vec<String>,
}

/// Steps of one asset and run that wait for a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PoolWaitingView {
    /// The asset.
    pub asset: String,
    /// The run.
    pub run_id: Uuid,
    /// How many.
    pub count: i64,
}

/// Workers and pools at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadView {
    /// The workers, the oldest first.
    pub workers: Vec<WorkerLoadView>,
    /// The pools, by name.
    pub pools: Vec<PoolView>,
}

impl Service {
    /// What every worker carries out, and who holds and waits for every pool.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn load(&self) -> Result<LoadView, ServiceError> {
        let running = self.store.running_steps().await?;
        let waiting = match self.definitions.pools().is_empty() {
            true => Vec::new(),
            false => self.store.waiting_in_pools().await?,
        };
        let workers = self.workers().await?.into_iter().map(|worker| WorkerLoadView {
            running: units(running.iter().filter(|step| step.worker_id == Some(worker.worker_id))),
            worker,
        });
        let pools = self.definitions.pools().iter().map(|(pool, &limit)| {
            let held = || running.iter().filter(|step| step.pool.as_ref() == Some(pool));
            let waits = waiting.iter().filter(|waiting| &waiting.pool == pool).take(TOLD);
            let assets = self.definitions.assets().filter(|asset| asset.pool.as_ref() == Some(pool));
            PoolView {
                pool: pool.clone(),
                limit,
                held: held().count() as u64,
                holders: units(held()),
                waiting: waits
                    .map(|waiting| PoolWaitingView {
                        asset: waiting.asset_key.clone(),
                        run_id: waiting.run_id,
                        count: waiting.steps,
                    })
                    .collect(),
                assets: assets.map(|asset| asset.key.to_string()).collect(),
            }
        });
        Ok(LoadView { workers: workers.collect(), pools: pools.collect() })
    }
}

/// What steps that were begun together have in common: when they began, their run and their asset.
type Unit<'a> = (Option<DateTime<Utc>>, Uuid, &'a str);

/// Steps that were begun together, as one.
fn units<'a>(steps: impl Iterator<Item = &'a RunningStep>) -> Vec<RunningView> {
    let mut units: BTreeMap<Unit<'_>, Vec<&RunningStep>> = BTreeMap::new();
    for step in steps {
        units.entry((step.started_at, step.run_id, &step.asset_key)).or_default().push(step);
    }
    let views = units.into_iter().take(TOLD).filter_map(|((since, run_id, asset), steps)| {
        let first = steps.iter().map(|step| &step.partition_key).min()?;
        let last = steps.iter().map(|step| &step.partition_key).max()?;
        let one = steps.first()?;
        Some(RunningView {
            asset: asset.to_owned(),
            partitions: if first == last { first.clone() } else { format!("{first}..{last}") },
            count: steps.len() as u64,
            run_id,
            since,
            host: one.host.clone(),
            process_id: one.process_id,
        })
    });
    views.collect()
}
