//! The promises of one attempt: whatever dies, wherever, the tables and the record agree.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use karat::engine::{FailurePoint, WorkerError};
use karat::store::Store;
use karat::store::attempt::{AttemptFailure, AttemptRecord, Ending};
use karat::store::claim::{Candidate, ClaimScope, Claimed};
use karat::store::run::Control;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;

use crate::lake::{Lake, beside, instant};

const DAILY: &str = "lake.daily_totals";
const MONTHLY: &str = "lake.monthly_report";

/// Everything that must not depend on what happened on the way.
async fn final_state(lake: &Lake) -> String {
    let tables = lake
        .text("select 'day', day::text, events, amount from lake.daily_totals union all select 'month', month::text, days, amount from lake.monthly_report order by 1, 2")
        .await;
    let record = lake
        .text("select asset_key, partition_key, row_count, data_version, code_version, input_versions, current from karat.materialization where current order by 1, 2")
        .await;
    let steps = lake.text("select asset_key, partition_key, state from karat.step order by 1, 2").await;
    format!("{tables}\n{record}\n{steps}")
}

async fn prepared() -> Lake {
    let mut lake = Lake::open().await;
    lake.settings.slots = 2;
    lake.add_event_a_day("2026-03-01", 31).await;
    lake
}

async fn undisturbed() -> String {
    let lake = prepared().await;
    lake.build(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")]).await;
    final_state(&lake).await
}

#[tokio::test]
async fn dying_at_any_point_and_starting_again_gives_the_same_state() {
    let expected = undisturbed().await;
    for point in FailurePoint::ALL {
        for per_partition in [false, true] {
            let mut lake = prepared().await;
            let mut request = lake.request(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")]);
            request.per_partition = per_partition;
            let launched = lake.launch(request).await;
            // Dies at the third time the point is passed, when it is passed so often: in the middle of the work.
            let passed = Arc::new(AtomicUsize::new(0));
            let after = if per_partition { 2 } else { 0 };
            lake.settings.fault =
                Some(Arc::new(move |at| at == point && passed.fetch_add(1, Ordering::SeqCst) == after));
            assert!(matches!(lake.work_off(launched).await, Err(WorkerError::Died)), "{point:?} is not passed");
            lake.settings.fault = None;
            lake.work_off(launched).await.unwrap();
            assert_eq!(final_state(&lake).await, expected, "after dying at {point:?}, per partition: {per_partition}");
        }
    }
}

#[tokio::test]
async fn every_step_executed_twice_gives_the_same_state() {
    let expected = undisturbed().await;
    let mut lake = prepared().await;
    let mut request = lake.request(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")]);
    request.per_partition = true;
    let launched = lake.launch(request).await;
    lake.settings.slots = 1;
    lake.settings.lost_attempts_limit = 1_000;
    // Each attempt dies just before its commit the first time: the worker first repeats the step that died, then dies
    // at the next one.
    for repeats in std::iter::once(0).chain(std::iter::repeat_n(1, 32)) {
        let passed = Arc::new(AtomicUsize::new(0));
        lake.settings.fault =
            Some(Arc::new(move |at| at == FailurePoint::Recorded && passed.fetch_add(1, Ordering::SeqCst) == repeats));
        match lake.work_off(launched).await {
            Ok(()) | Err(WorkerError::Died) => {}
            Err(error) => panic!("{error}"),
        }
    }
    lake.settings.fault = None;
    lake.work_off(launched).await.unwrap();
    assert_eq!(final_state(&lake).await, expected);
    let lost = lake.scalar::<i64>("select count(distinct step_id) from karat.attempt where outcome = 'lost'").await;
    assert_eq!(lost, 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_after_the_lease_went_to_another_is_refused() {
    let mut lake = prepared().await;
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03-01")])).await;
    let pool = lake.pool.clone();
    // When the zombie is about to look at its inputs, its step is taken by somebody else.
    let stolen = Arc::new(AtomicBool::new(false));
    let (reached, mut at_point) = tokio::sync::mpsc::unbounded_channel::<std::sync::mpsc::Sender<()>>();
    lake.settings.fault = Some(Arc::new(move |at| {
        if at == FailurePoint::Claimed && !stolen.swap(true, Ordering::SeqCst) {
            let (go_on, wait) = std::sync::mpsc::channel();
            reached.send(go_on).unwrap();
            wait.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        false
    }));
    let thief = async {
        let go_on = at_point.recv().await.unwrap();
        sqlx::query("update karat.step set lease_epoch = lease_epoch + 1, worker_id = gen_random_uuid()")
            .execute(&pool)
            .await
            .unwrap();
        go_on.send(()).unwrap();
    };
    let worker = lake.worker();
    let stop = CancellationToken::new();
    let runs = [launched.run_id];
    // The stolen step belongs to a worker that does not exist, so it is taken back and built properly afterwards.
    beside(worker.work_off(&runs, &stop), thief).await;
    assert_eq!(lake.outcome(launched).await, "succeeded: 1 succeeded");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization").await, 1);
    assert_eq!(lake.scalar::<i64>("select lease_epoch from karat.materialization").await, 4);
}

#[tokio::test]
async fn two_workers_share_a_run_and_overlapping_runs_build_each_partition_once() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-01-01", 100).await;
    let mut requests = Vec::new();
    for _ in 0..2 {
        let mut request = lake.request(&[(DAILY, "2026-01-01..2026-04-10")]);
        request.per_partition = true;
        requests.push(lake.launch(request).await);
    }
    let stop = CancellationToken::new();
    let first = [requests[0].run_id];
    let second = [requests[1].run_id];
    let workers = [lake.worker(), lake.worker(), lake.worker()];
    let (a, b, c) = tokio::join!(
        workers[0].work_off(&first, &stop),
        workers[1].work_off(&first, &stop),
        workers[2].work_off(&second, &stop)
    );
    a.unwrap();
    b.unwrap();
    c.unwrap();
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization").await, 100);
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization where current").await, 100);
    assert_eq!(
        lake.scalar::<i64>("select count(*) from karat.step where state in ('succeeded', 'skipped')").await,
        200
    );
}

#[tokio::test]
async fn limits_of_pools_and_runs_hold_over_workers() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-01-01", 60).await;
    let mut request = lake.request(&[(DAILY, "2026-01-01..2026-03-01")]);
    request.per_partition = true;
    request.concurrency_limit = Some(3);
    let launched = lake.launch(request).await;
    let highest = Arc::new(AtomicUsize::new(0));
    let done = AtomicBool::new(false);
    let watch = async {
        while !done.load(Ordering::SeqCst) {
            let running: i64 = lake.scalar("select count(*) from karat.step where state = 'running'").await;
            highest.fetch_max(usize::try_from(running).unwrap(), Ordering::SeqCst);
        }
    };
    let stop = CancellationToken::new();
    let runs = [launched.run_id];
    let workers = [lake.worker(), lake.worker()];
    let work = async {
        let (a, b) = tokio::join!(workers[0].work_off(&runs, &stop), workers[1].work_off(&runs, &stop));
        a.unwrap();
        b.unwrap();
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(work, watch);
    assert_eq!(lake.outcome(launched).await, "succeeded: 60 succeeded");
    let highest = highest.load(Ordering::SeqCst);
    assert!((1..=3).contains(&highest), "{highest} steps ran at once");
}

#[tokio::test]
async fn a_broken_connection_does_not_count_against_the_asset() {
    let lake = prepared().await;
    let mut request = lake.request(&[(DAILY, "2026-03")]);
    request.per_partition = true;
    let launched = lake.launch(request).await;
    let pool = lake.pool.clone();
    let killed = Arc::new(AtomicUsize::new(0));
    let kill = async {
        // Every connection of every worker, several times while it works.
        while lake.scalar::<i64>("select count(*) from karat.run where finished_at is null").await == 1 {
            if killed.load(Ordering::SeqCst) < 5 {
                let ended: Vec<bool> = sqlx::query_scalar(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and starts_with(application_name, 'karat worker')",
                )
                .fetch_all(&pool)
                .await
                .unwrap();
                killed.fetch_add(usize::from(!ended.is_empty()), Ordering::SeqCst);
            }
        }
    };
    let worker = lake.worker();
    let stop = CancellationToken::new();
    let runs = [launched.run_id];
    beside(worker.work_off(&runs, &stop), kill).await;
    assert!(killed.load(Ordering::SeqCst) >= 1);
    assert_eq!(lake.outcome(launched).await, "succeeded: 31 succeeded");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization where current").await, 31);
    let kinds: BTreeSet<String> =
        lake.text("select distinct outcome from karat.attempt").await.lines().map(str::to_owned).collect();
    assert!(!kinds.contains("failed"), "{kinds:?}");
}

const NOW: &str = "2026-05-01T12:00:00Z";

#[tokio::test]
async fn a_claim_that_gives_up_waiting_leaves_its_connection_usable() {
    let lake = prepared().await;
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03-01")])).await;
    sqlx::query("update karat.step set state = 'ready', ready_at = '2026-05-01'").execute(&lake.pool).await.unwrap();
    let only_one = PgPoolOptions::new().max_connections(1).connect_with(lake.options.clone()).await.unwrap();
    let store = Store::new(only_one);
    let claim = async || {
        store
            .claim(
                uuid::Uuid::now_v7(),
                &ClaimScope::Runs(vec![launched.run_id]),
                lake.definitions.pools(),
                10,
                instant(NOW),
                |candidates, _| candidates.iter().map(|candidate| candidate.step_id).collect(),
            )
            .await
    };
    let mut stopped = lake.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('karat.claim', 0))")
        .execute(&mut *stopped)
        .await
        .unwrap();
    assert_eq!(claim().await.unwrap(), Claimed::default());
    stopped.rollback().await.unwrap();
    assert_eq!(claim().await.unwrap().steps.len(), 1);
}

#[tokio::test]
async fn what_waits_for_a_limit_does_not_stand_in_the_way_of_what_does_not() {
    let lake = prepared().await;
    let mut limited = lake.request(&[(DAILY, "2026-03-01..2026-03-10")]);
    limited.concurrency_limit = Some(1);
    let limited = lake.launch(limited).await;
    let pooled = lake.launch(lake.request(&[(DAILY, "2026-03-11..2026-03-20")])).await;
    let free = lake.launch(lake.request(&[(DAILY, "2026-03-21")])).await;
    sqlx::query("update karat.step set state = 'ready', ready_at = '2026-05-01'").execute(&lake.pool).await.unwrap();
    sqlx::query("update karat.step set pool = 'narrow' where run_id = $1")
        .bind(pooled.run_id)
        .execute(&lake.pool)
        .await
        .unwrap();
    // One candidate at a time: each claim meets only steps that nothing keeps from running.
    let (mut claimed, mut are_more) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let first = |candidates: &[Candidate]| candidates.iter().map(|candidate| candidate.step_id).collect();
        let claim = lake
            .store
            .claim(
                uuid::Uuid::now_v7(),
                &ClaimScope::Runs(vec![limited.run_id, pooled.run_id, free.run_id]),
                &[("narrow".to_owned(), 1)].into(),
                1,
                instant(NOW),
                |candidates, _| first(candidates),
            )
            .await
            .unwrap();
        are_more.push(claim.is_more);
        claimed.extend(claim.steps.into_iter().map(|claimed| claimed.step.run_id));
    }
    assert_eq!(claimed, [limited.run_id, pooled.run_id, free.run_id]);
    // What has to wait for a limit is nothing to choose from, and beyond its limit a claim does not see.
    assert_eq!(are_more, [true, true, true, false]);
}

#[tokio::test]
async fn a_claim_goes_past_what_somebody_else_holds_locked() {
    let lake = prepared().await;
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03-01..2026-03-03")])).await;
    let steered = lake.launch(lake.request(&[(DAILY, "2026-03-11")])).await;
    sqlx::query("update karat.step set state = 'ready', ready_at = '2026-05-01'").execute(&lake.pool).await.unwrap();
    let claim = async || {
        let runs = ClaimScope::Runs(vec![launched.run_id, steered.run_id]);
        let all = |candidates: &[Candidate]| candidates.iter().map(|candidate| candidate.step_id).collect();
        let (worker_id, pools) = (uuid::Uuid::now_v7(), lake.definitions.pools());
        let claim = lake.store.claim(worker_id, &runs, pools, 10, instant(NOW), |candidates, _| all(candidates));
        claim.await.unwrap().steps.into_iter().map(|claimed| claimed.step.partition_key).collect::<Vec<_>>()
    };
    let mut other = lake.pool.begin().await.unwrap();
    for statement in [
        "select from karat.step where partition_key = '2026-03-02' for no key update",
        "select from karat.run r where run_id in (select run_id from karat.step where partition_key = '2026-03-11')
         for no key update",
    ] {
        sqlx::query(statement).execute(&mut *other).await.unwrap();
    }
    // Waiting for a lock would be an error after a second.
    assert_eq!(claim().await, ["2026-03-01", "2026-03-03"]);
    assert_eq!(claim().await, [""; 0]);
    other.rollback().await.unwrap();
    assert_eq!(claim().await, ["2026-03-02", "2026-03-11"]);
}

/// One step, held by `worker_id` under epoch 1.
async fn held_step(lake: &Lake, worker_id: uuid::Uuid) -> (uuid::Uuid, i64) {
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03-01")])).await;
    let step_id = sqlx::query_scalar(
        "update karat.step set state = 'running', attempts = 1, lease_epoch = 1, worker_id = $1, started_at = '2026-05-01'
         where run_id = $2 returning step_id",
    )
    .bind(worker_id)
    .bind(launched.run_id)
    .fetch_one(&lake.pool)
    .await
    .unwrap();
    (launched.run_id, step_id)
}

async fn end(lake: &Lake, worker_id: uuid::Uuid, run_id: uuid::Uuid, step_id: i64, ending: &Ending) -> u64 {
    let record = AttemptRecord {
        worker_id,
        asset_key: DAILY,
        code_version: "",
        run_id,
        metadata: None,
        started_at: instant(NOW),
        finished_at: instant(NOW),
    };
    lake.store.end_attempts(&record, &[(step_id, 1)], ending, &AttemptFailure::default(), &[], 20).await.unwrap()
}

#[tokio::test]
async fn no_step_goes_back_to_waiting_in_a_canceled_run() {
    let lake = prepared().await;
    for ending in [Some(Ending::HandedBack), Some(Ending::Lost), Some(Ending::Retry { at: instant(NOW) }), None] {
        let worker_id = uuid::Uuid::now_v7();
        let (run_id, step_id) = held_step(&lake, worker_id).await;
        lake.store.control_runs(&[run_id], Control::Cancel, instant(NOW), None).await.unwrap();
        let ended = match &ending {
            Some(ending) => end(&lake, worker_id, run_id, step_id, ending).await,
            None => lake.store.give_back_unknown_steps(worker_id, &[], instant(NOW)).await.unwrap(),
        };
        assert_eq!(ended, 1);
        let run = lake.store.run(run_id).await.unwrap().unwrap();
        assert_eq!((run.steps.canceled, run.steps.ready), (1, 0), "after {ending:?}");
        assert_eq!(lake.store.finish_run(run_id, instant(NOW)).await.unwrap().unwrap().outcome, "canceled");
    }
}

#[tokio::test]
async fn a_cancellation_at_the_moment_a_step_is_handed_back_is_not_lost() {
    let lake = prepared().await;
    let worker_id = uuid::Uuid::now_v7();
    let (run_id, step_id) = held_step(&lake, worker_id).await;
    // The first half of a cancellation: the run is marked, nothing is committed.
    let mut canceling = lake.pool.begin().await.unwrap();
    sqlx::query("update karat.run set cancel_requested_at = '2026-05-01' where run_id = $1")
        .bind(run_id)
        .execute(&mut *canceling)
        .await
        .unwrap();
    let commit = async {
        while lake
            .scalar::<i64>(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
            )
            .await
            == 0
        {
            tokio::task::yield_now().await;
        }
        canceling.commit().await.unwrap();
    };
    let (ended, ()) = tokio::join!(end(&lake, worker_id, run_id, step_id, &Ending::HandedBack), commit);
    assert_eq!(ended, 1);
    assert_eq!(lake.text("select state, reason from karat.step").await, "canceled | the run was canceled");
}

#[tokio::test]
async fn a_step_whose_number_means_another_partition_by_now_is_not_built() {
    let lake = prepared().await;
    let launched = lake.launch(lake.request(&[("lake.troublesome", "none,recovers")])).await;
    // As if the keys had been declared in another order when the run was launched.
    sqlx::query("update karat.step set ordinal = 1 where partition_key = 'none'").execute(&lake.pool).await.unwrap();
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.outcome(launched).await, "failed: 1 succeeded, 1 failed");
    assert_eq!(
        lake.text("select partition_key, reason from karat.step where state = 'failed'").await,
        "none | the partitions of lake.troublesome changed after this run was launched: launch what is wanted of them again"
    );
    assert_eq!(lake.text("select partition_key from karat.materialization").await, "recovers");
}

#[tokio::test]
async fn what_was_handed_back_untried_is_built_in_company_again() {
    let lake = prepared().await;
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03")])).await;
    sqlx::query("update karat.step set lease_epoch = 1").execute(&lake.pool).await.unwrap();
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.scalar::<i64>("select max(range_size)::bigint from karat.attempt").await, 31);
}

#[tokio::test]
async fn a_statement_canceled_by_somebody_else_can_be_tried_again() {
    let lake = prepared().await;
    let launched = lake.launch(lake.request(&[("lake.sleepy", "all")])).await;
    let pool = lake.pool.clone();
    // Asked again until it took effect: between parsing and executing a statement the server has nothing to cancel.
    let cancel = async {
        while sqlx::query_scalar::<_, i64>("select count(*) from karat.attempt").fetch_one(&pool).await.unwrap() == 0 {
            sqlx::query(
                "select pg_cancel_backend(pid) from pg_stat_activity
                 where query like '%pg_sleep(60)%' and state = 'active' and datname = current_database() and pid <> pg_backend_pid()",
            )
            .execute(&pool)
            .await
            .unwrap();
            tokio::task::yield_now().await;
        }
    };
    let worker = lake.worker();
    let stop = CancellationToken::new();
    let runs = [launched.run_id];
    beside(worker.work_off(&runs, &stop), cancel).await;
    assert_eq!(
        lake.text("select error_kind, error from karat.attempt").await,
        "retryable | a statement of lake.sleepy was canceled on the server, by nobody here"
    );
}

/// The machine's clock, ahead by ten seconds: another worker would see this one's leases end at once.
struct Fast;

impl karat::clock::Clock for Fast {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        chrono::Utc::now() + chrono::TimeDelta::seconds(10)
    }

    fn is_real(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_clock_that_differs_by_most_of_a_lease_is_refused() {
    let mut lake = prepared().await;
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03-01")])).await;
    lake.worker_clock = Arc::new(Fast);
    let refused = lake.work_off(launched).await;
    assert!(matches!(refused, Err(WorkerError::ClocksDiffer { difference_seconds: -11..=-9 })), "{refused:?}");
}
