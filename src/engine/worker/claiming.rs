//! What a worker asks of the state: steps to carry out, runs to move on, and steps to take back.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Worker, WorkerError};
use crate::asset::spec::AssetKind;
use crate::core::key::AssetKey;
use crate::engine::progress::{Progress, Undefined, move_on};
use crate::engine::reconnect::{random, until_reachable};
use crate::engine::units::{Unit, choose, group};
use crate::store::claim::ClaimScope;
use crate::store::worker::Look;

/// How many candidates are looked at when an asset can build ranges.
const RANGE_CANDIDATES: usize = 1_000;

/// How many times as many candidates as units are looked at where the last claim found no range: enough to see one.
const SINGLE_CANDIDATES: usize = 4;

/// How often a claim that collided with another is repeated at once, and after which pause the first time.
const CONFLICT_RETRIES: u32 = 5;
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

impl Worker {
    /// Looks at what there is to do in `runs`, or in any run.
    pub(super) async fn look(
        &self,
        runs: Option<&[Uuid]>,
        look_for_dead: bool,
        stop: &CancellationToken,
    ) -> Result<Look, WorkerError> {
        let environment = &self.environment;
        let known = self.running.known();
        let assets = runs.is_none().then_some(self.assets.as_slice());
        let look = until_reachable("looking for work", stop, || {
            environment.store.look(self.worker_id(), &known, runs, assets, look_for_dead, environment.clock.now())
        });
        Ok(look.await?)
    }

    /// Claims steps for at most `wanted` units, and whether there may be more. Many candidates are looked at only if
    /// `expects_ranges`.
    pub(super) async fn claim(
        &self,
        runs: Option<&[Uuid]>,
        wanted: usize,
        expects_ranges: bool,
        stop: &CancellationToken,
    ) -> Result<(Vec<Unit>, bool), WorkerError> {
        if wanted == 0 || runs.is_some_and(<[Uuid]>::is_empty) {
            return Ok((Vec::new(), false));
        }
        let environment = &self.environment;
        let definitions = &environment.definitions;
        let range_limit = |asset: &str| {
            asset
                .parse::<AssetKey>()
                .ok()
                .and_then(|key| definitions.asset(&key).cloned())
                .filter(|spec| spec.kind == AssetKind::Sql)
                .map_or(1, |spec| usize::try_from(spec.range_partitions).unwrap_or(1))
                .max(1)
        };
        let any_range = definitions.assets().any(|spec| spec.kind == AssetKind::Sql && spec.range_partitions > 1);
        let candidates = match (any_range, expects_ranges) {
            (true, true) => wanted.max(RANGE_CANDIDATES),
            (true, false) => wanted.saturating_mul(SINGLE_CANDIDATES),
            (false, _) => wanted,
        };
        let scope = match runs {
            Some(runs) => ClaimScope::Runs(runs.to_vec()),
            None => ClaimScope::Anything { assets: self.assets.clone() },
        };
        let mut conflicts = 0;
        let claimed = loop {
            let claimed = until_reachable("claiming", stop, || {
                environment.store.claim(
                    self.worker_id(),
                    &scope,
                    definitions.pools(),
                    i64::try_from(candidates).unwrap_or(i64::MAX),
                    environment.clock.now(),
                    |candidates, usage| choose(candidates, usage, definitions.pools(), wanted, range_limit),
                )
            })
            .await;
            match claimed {
                // Another claim took one of these partitions in the same moment. Those who meet wait differently long, and
                // not for ever: what is left is met by the next look.
                Err(error) if error.is_conflict() => {
                    conflicts += 1;
                    if conflicts > CONFLICT_RETRIES || stop.is_cancelled() {
                        return Ok((Vec::new(), false));
                    }
                    tokio::time::sleep(CONFLICT_PAUSE.mul_f64(f64::from(conflicts) * (0.5 + random()))).await;
                }
                claimed => break claimed?,
            }
        };
        Ok((group(claimed.steps, range_limit), claimed.is_more))
    }

    /// Moves a run on.
    pub(super) async fn move_run_on(
        &self,
        run_id: Uuid,
        undefined: Undefined,
        stop: &CancellationToken,
    ) -> Result<Progress, WorkerError> {
        let environment = &self.environment;
        let progress = until_reachable("moving the run on", stop, || move_on(environment, run_id, undefined));
        Ok(progress.await?)
    }

    /// Gives back what this worker holds without knowing it.
    pub(super) async fn give_back_unknown(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let environment = &self.environment;
        let known = self.running.known();
        let given_back = until_reachable("looking for steps held unknowingly", stop, || {
            environment.store.give_back_unknown_steps(self.worker_id(), &known, environment.clock.now())
        })
        .await?;
        if given_back > 0 {
            tracing::warn!(steps = given_back, "a claim was committed without this worker hearing of it; given back");
        }
        Ok(())
    }

    /// Takes back what dead workers left.
    pub(super) async fn take_back(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let environment = &self.environment;
        let lost = until_reachable("taking back steps of dead workers", stop, || {
            environment.store.take_back_lost_steps(
                Some(self.worker_id()),
                environment.lost_attempts_limit,
                environment.clock.now(),
            )
        })
        .await?;
        environment.measures.leases_lost(lost.len() as u64);
        let mut by_asset: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for step in &lost {
            *by_asset.entry((&step.asset_key, &step.state)).or_default() += 1;
        }
        for ((asset, state), partitions) in by_asset {
            tracing::warn!(asset, partitions, state, "a process died while it built partitions; they were taken back");
        }
        Ok(())
    }

    /// Stops what runs here of runs that were canceled.
    pub(super) async fn stop_canceled(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        if self.running.is_empty() {
            return Ok(());
        }
        let environment = &self.environment;
        let steps =
            until_reachable("looking for cancellations", stop, || environment.store.steps_to_cancel(self.worker_id()));
        self.running.cancel(&steps.await?);
        Ok(())
    }

    /// Lets people see that this worker ends.
    pub(super) async fn note_stopping(&self, stop: &CancellationToken) {
        let environment = &self.environment;
        let noted = until_reachable("noting that this worker ends", stop, || {
            environment.store.worker_stopping(self.worker_id(), environment.clock.now())
        });
        if let Err(error) = noted.await {
            tracing::debug!(%error, "that this worker ends could not be noted");
        }
    }
}
