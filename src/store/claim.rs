//! Claiming: the moment a step becomes the business of one worker.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::error::{Context, sql_state};
use super::{Store, StoreError};

/// A step that may be claimed now.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Candidate {
    /// The step.
    pub step_id: i64,
    /// Its run.
    pub run_id: Uuid,
    /// The asset to build.
    pub asset_key: String,
    /// The partition to build.
    pub partition_key: String,
    /// Its ordinal.
    pub ordinal: i64,
    /// The pool it counts against.
    pub pool: Option<String>,
    /// Attempts that count, so far.
    pub attempts: i32,
    /// Whether an attempt at it was recorded: such a step is not tried in company again.
    pub tried: bool,
    /// Skip when fresh.
    pub only_if_stale: bool,
    /// Build in spite of missing inputs.
    pub force: bool,
    /// Never more than one partition a statement.
    pub per_partition: bool,
    /// The run's own limit of running steps.
    pub concurrency_limit: Option<i32>,
    /// When the run was launched, in the order of launches and ends of runs.
    pub launch_number: i64,
}

/// How many steps are running now, for the limits of pools and runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Running steps by pool.
    pub by_pool: BTreeMap<String, u32>,
    /// Running steps by run.
    pub by_run: BTreeMap<Uuid, u32>,
}

/// A step held under a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedStep {
    /// What was claimed.
    pub step: Candidate,
    /// The epoch the fence will ask for.
    pub lease_epoch: i64,
    /// The number of this attempt, counting from 1.
    pub attempt: u32,
}

/// What a claim came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The steps that are held now, in the order in which they were chosen.
    pub steps: Vec<ClaimedStep>,
    /// Whether there were candidates beside them: seen and not chosen, or beyond the limit.
    pub is_more: bool,
}

/// Which steps a worker may claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimScope {
    /// Those of these runs.
    Runs(Vec<Uuid>),
    /// Those of any run, for assets this process knows.
    Anything {
        /// The keys of the assets.
        assets: Vec<String>,
    },
}

impl Store {
    /// Claims the steps that `choose` picks from at most `candidate_limit` candidates, in one transaction.
    ///
    /// Claims of all workers follow one another (an advisory lock), so limits hold exactly: `choose` sees every running
    /// step in [`Usage`]. Nothing is claimed when the others take longer than a second. A candidate's partition is not
    /// being built by any other step, and neither its pool (by `pool_limits`) nor its run is full: what has to wait for
    /// a limit does not stand in the way of what has not. Nothing of a run that was paused or canceled before this
    /// commits is claimed: the run's row is locked against it. What others hold locked is not waited for: a step that is
    /// being ended, and the steps of a run that is being steered, are left out.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn claim(
        &self,
        worker_id: Uuid,
        scope: &ClaimScope,
        pool_limits: &BTreeMap<String, u32>,
        candidate_limit: i64,
        now: DateTime<Utc>,
        choose: impl FnOnce(&[Candidate], &Usage) -> Vec<i64>,
    ) -> Result<Claimed, StoreError> {
        let (runs, assets) = match scope {
            ClaimScope::Runs(runs) => (Some(runs.as_slice()), None),
            ClaimScope::Anything { assets } => (None, Some(assets.as_slice())),
        };
        // A process that is stopped in the middle of a claim must not stop the others with it: they wait for a moment
        // only and go on with what else they have to do, and the server ends a claim that does not move.
        let mut transaction = self
            .pool
            .begin_with(
                "begin; set local lock_timeout = '1s'; set local idle_in_transaction_session_timeout = '5s'; \
                 set local enable_sort = off; set local enable_bitmapscan = off; set local enable_seqscan = off",
            )
            .await
            .context("opening a claim")?;
        // Not part of the opening: when that fails after its `begin`, sqlx does not know of the transaction, and the
        // connection would go back to the pool inside it.
        let turn = sqlx::query("select pg_advisory_xact_lock(hashtextextended('karat.claim', 0))")
            .execute(&mut *transaction)
            .await;
        match turn {
            Err(error) if sql_state(&error).as_deref() == Some("55P03") => {
                transaction.rollback().await.context("giving up a claim")?;
                return Ok(Claimed::default());
            }
            turn => turn.context("waiting for the turn to claim")?,
        };
        let running: Vec<(Uuid, Option<i32>, Option<String>, i64)> = sqlx::query_as(
            "select run_id, r.concurrency_limit, s.pool, count(*)
             from karat.step s join karat.run r using (run_id)
             where s.state = 'running' group by run_id, r.concurrency_limit, s.pool",
        )
        .fetch_all(&mut *transaction)
        .await
        .context("counting running steps")?;
        let mut usage = Usage::default();
        let mut run_limits: BTreeMap<Uuid, u32> = BTreeMap::new();
        for (run_id, limit, pool, count) in running {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            *usage.by_run.entry(run_id).or_default() += count;
            run_limits.extend(limit.and_then(|limit| u32::try_from(limit).ok()).map(|limit| (run_id, limit)));
            if let Some(pool) = pool {
                *usage.by_pool.entry(pool).or_default() += count;
            }
        }
        let used = |pool: &str| usage.by_pool.get(pool).copied().unwrap_or(0);
        let full_pools: Vec<&str> =
            pool_limits.iter().filter(|&(pool, &limit)| used(pool) >= limit).map(|(pool, _)| pool.as_str()).collect();
        let is_full = |run_id: &Uuid, used: u32| run_limits.get(run_id).is_some_and(|&limit| used >= limit);
        let full_runs: Vec<Uuid> =
            usage.by_run.iter().filter(|&(run_id, &used)| is_full(run_id, used)).map(|(&run_id, _)| run_id).collect();
        let candidates: Vec<Candidate> = sqlx::query_as(include_str!("sql/claim_candidates.sql"))
            .bind(now)
            .bind(runs)
            .bind(assets)
            .bind(candidate_limit)
            .bind(&full_pools)
            .bind(&full_runs)
            .fetch_all(&mut *transaction)
            .await
            .context("looking for steps to claim")?;
        if candidates.is_empty() {
            transaction.rollback().await.context("closing an empty claim")?;
            return Ok(Claimed::default());
        }
        let chosen = choose(&candidates, &usage);
        let chosen_steps: BTreeSet<i64> = chosen.iter().copied().collect();
        let runs_of_chosen: BTreeSet<Uuid> = (candidates.iter())
            .filter(|candidate| chosen_steps.contains(&candidate.step_id))
            .map(|candidate| candidate.run_id)
            .collect();
        let runs_of_chosen: Vec<Uuid> = runs_of_chosen.into_iter().collect();
        let claimed: Vec<(i64, i64, i32)> = sqlx::query_as(include_str!("sql/claim_steps.sql"))
            .bind(&chosen)
            .bind(worker_id)
            .bind(now)
            .bind(&runs_of_chosen)
            .fetch_all(&mut *transaction)
            .await
            .context("claiming steps")?;
        transaction.commit().await.context("claiming steps")?;
        let was_all_seen = i64::try_from(candidates.len()).is_ok_and(|seen| seen < candidate_limit);
        let is_more = !was_all_seen || claimed.len() < candidates.len();
        let mut by_id: BTreeMap<i64, Candidate> =
            candidates.into_iter().map(|candidate| (candidate.step_id, candidate)).collect();
        let mut steps: Vec<ClaimedStep> = claimed
            .into_iter()
            .filter_map(|(step_id, lease_epoch, attempts)| {
                let attempt = u32::try_from(attempts).unwrap_or(u32::MAX);
                by_id.remove(&step_id).map(|step| ClaimedStep { step, lease_epoch, attempt })
            })
            .collect();
        let position: BTreeMap<i64, usize> =
            chosen.iter().enumerate().map(|(index, &step_id)| (step_id, index)).collect();
        steps.sort_by_key(|claimed| position.get(&claimed.step.step_id).copied());
        Ok(Claimed { steps, is_more })
    }
}
