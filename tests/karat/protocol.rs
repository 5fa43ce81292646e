//! The promises of one attempt: whatever dies, wherever, the tables and the record agree.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use karat::engine::{FailurePoint, WorkerError};
use tokio_util::sync::CancellationToken;

use crate::lake::{Lake, beside};

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
