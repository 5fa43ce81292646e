//! Workers that carry out whatever is launched: until nothing can go on, and until they are asked to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use karat::engine::{FailurePoint, Shutdown, Wakeups};
use karat::store::StoreError;
use karat::store::run::Control;
use karat::store::signal::Signal;

use crate::lake::{Lake, beside, instant};

const DAILY: &str = "lake.daily_totals";
const MONTHLY: &str = "lake.monthly_report";

/// Waits for a condition on the database, for ten seconds.
async fn becomes_true(lake: &Lake, sql: &'static str) {
    let began = Instant::now();
    while !lake.scalar::<bool>(sql).await {
        assert!(began.elapsed() < Duration::from_secs(10), "this does not become true: {sql}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const SLEEPS: &str =
    "select exists (select from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active'
    and datname = current_database() and pid <> pg_backend_pid())";
const NO_STEP_RUNS: &str = "select not exists (select from karat.step where state = 'running')";
const A_STEP_RUNS: &str = "select exists (select from karat.step where state = 'running')";
const NO_RUN_IS_LIVE: &str = "select not exists (select from karat.run where finished_at is null)";

#[tokio::test]
async fn everything_that_can_go_on_is_carried_out_in_all_runs() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    let worker = lake.worker();
    assert_eq!(worker.work_until_idle().await.unwrap(), 0);
    let month = lake.launch(lake.request(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")])).await;
    let day = lake.launch(lake.request(&[(DAILY, "2026-04-01")])).await;
    let paused = lake.launch(lake.request(&[(DAILY, "2026-04-02")])).await;
    lake.store.control_runs(&[paused.run_id], Control::Pause, instant("2026-05-01T12:00:00Z"), None).await.unwrap();
    // The days in one range, the month, and the day.
    assert_eq!(worker.work_until_idle().await.unwrap(), 3);
    assert_eq!(lake.outcome(month).await, "succeeded: 32 succeeded");
    assert_eq!(lake.outcome(day).await, "succeeded: 1 succeeded");
    assert_eq!(lake.outcome(paused).await, "paused: 1 ready");
    assert_eq!(worker.work_until_idle().await.unwrap(), 0);
    // Registered between calls, and not any more when it says so.
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.worker").await, 1);
    worker.close().await;
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.worker").await, 0);
}

#[tokio::test]
async fn what_waits_for_a_later_instant_is_left_until_the_clock_shows_it() {
    let mut lake = Lake::open().await;
    lake.settings.slots = 1;
    let worker = lake.worker();
    let retried = lake.launch(lake.request(&[("lake.troublesome", "retryable")])).await;
    sqlx::query("update karat.step set retry_at = '2026-05-01T13:00:00Z'").execute(&lake.pool).await.unwrap();
    assert_eq!(worker.work_until_idle().await.unwrap(), 0);
    // A jump of a day is longer than any lease; the worker does not take itself for dead.
    lake.clock.advance(Duration::from_secs(86_400));
    assert_eq!(worker.work_until_idle().await.unwrap(), 3);
    assert_eq!(lake.outcome(retried).await, "failed: 1 failed");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.attempt where outcome = 'lost'").await, 0);
}

#[tokio::test]
async fn a_call_with_nothing_to_do_is_two_statements() {
    let lake = Lake::open().await;
    // What a connection did is counted at its end at the latest.
    let transactions = async |worker: karat::engine::Worker| {
        drop(worker);
        becomes_true(
            &lake,
            "select not exists (select from pg_stat_activity
                where datname = current_database() and application_name like 'karat worker%')",
        )
        .await;
        lake.scalar::<i64>(
            "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()",
        )
        .await
    };
    let worker = lake.worker();
    worker.work_until_idle().await.unwrap();
    let before = transactions(worker).await;
    let worker = lake.worker();
    for _ in 0..=100 {
        assert_eq!(worker.work_until_idle().await.unwrap(), 0);
    }
    let between = transactions(worker).await - before;
    assert!((200..250).contains(&between), "{between} transactions for 100 calls");
}

#[tokio::test]
async fn a_worker_that_serves_is_woken_by_a_launch() {
    let mut lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    // By the clock alone it would look every hundred seconds.
    lake.settings.heartbeat = Duration::from_secs(10);
    let worker = lake.worker().woken_by(Wakeups::listen(&lake.options));
    let shutdown = Shutdown::new(Duration::from_secs(10));
    let ask = async {
        becomes_true(&lake, "select exists (select from karat.worker where slots = 4)").await;
        becomes_true(
            &lake,
            "select exists (select from pg_stat_activity where datname = current_database() and query ilike 'listen%')",
        )
        .await;
        for day in ["2026-03-01", "2026-03-02", "2026-03-03"] {
            let launched = lake.launch(lake.request(&[(DAILY, day)])).await;
            let began = Instant::now();
            becomes_true(&lake, "select not exists (select from karat.step where state = 'ready')").await;
            assert!(began.elapsed() < Duration::from_secs(2), "claimed only after {:?}", began.elapsed());
            becomes_true(&lake, NO_RUN_IS_LIVE).await;
            assert_eq!(lake.outcome(launched).await, "succeeded: 1 succeeded");
        }
        shutdown.begin();
    };
    beside(worker.serve(&shutdown), ask).await;
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.worker").await, 0);
}

#[tokio::test]
async fn a_worker_that_hears_nothing_finds_work_by_looking() {
    let mut lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    lake.settings.heartbeat = Duration::from_millis(20);
    let worker = lake.worker();
    let shutdown = Shutdown::new(Duration::from_secs(10));
    let ask = async {
        becomes_true(&lake, "select exists (select from karat.worker)").await;
        let launched = lake.launch(lake.request(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")])).await;
        becomes_true(&lake, NO_RUN_IS_LIVE).await;
        assert_eq!(lake.outcome(launched).await, "succeeded: 32 succeeded");
        shutdown.begin();
    };
    beside(worker.serve(&shutdown), ask).await;
}

#[tokio::test]
async fn a_cancellation_reaches_a_worker_by_signal_and_by_looking() {
    for by_signal in [true, false] {
        let mut lake = Lake::open().await;
        // Without the signal, a sign of life is what looks for cancellations.
        lake.settings.heartbeat = Duration::from_millis(if by_signal { 60_000 } else { 100 });
        let mut worker = lake.worker();
        if by_signal {
            worker = worker.woken_by(Wakeups::listen(&lake.options));
        }
        let shutdown = Shutdown::new(Duration::ZERO);
        let mut waiting = lake.request(&[("lake.sleepy", "all"), (DAILY, "2026-03")]);
        waiting.concurrency_limit = Some(1);
        waiting.priority = 1;
        let ask = async {
            let launched = lake.launch(waiting).await;
            becomes_true(&lake, SLEEPS).await;
            let began = Instant::now();
            lake.store
                .control_runs(&[launched.run_id], Control::Cancel, instant("2026-05-01T12:00:00Z"), None)
                .await
                .unwrap();
            becomes_true(&lake, NO_STEP_RUNS).await;
            assert!(!lake.scalar::<bool>(SLEEPS).await);
            assert!(began.elapsed() < Duration::from_secs(5));
            becomes_true(&lake, NO_RUN_IS_LIVE).await;
            assert!(lake.outcome(launched).await.starts_with("canceled: "));
            shutdown.begin();
        };
        beside(worker.serve(&shutdown), ask).await;
    }
}

#[tokio::test]
async fn what_runs_may_finish_within_the_limit_and_nothing_more_is_begun() {
    let mut lake = Lake::open().await;
    lake.settings.slots = 1;
    let launched = lake.launch(lake.request(&[("lake.troublesome", "none,recovers")])).await;
    let mut lock = lake.pool.begin().await.unwrap();
    sqlx::query("lock table lake.troublesome in access exclusive mode").execute(&mut *lock).await.unwrap();
    let worker = lake.worker();
    let shutdown = Shutdown::new(Duration::from_secs(20));
    let ask = async {
        becomes_true(&lake, A_STEP_RUNS).await;
        shutdown.begin();
        // What was claimed ahead goes back at once; what was begun waits for the lock.
        becomes_true(&lake, "select exists (select from karat.worker where stopping_at is not null)").await;
        assert_eq!(lake.text("select state, attempts from karat.step order by 1").await, "ready | 0\nrunning | 1");
        lock.rollback().await.unwrap();
    };
    beside(worker.serve(&shutdown), ask).await;
    assert_eq!(lake.outcome(launched).await, "running: 1 ready, 1 succeeded");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.worker").await, 0);
}

#[tokio::test]
async fn what_does_not_finish_within_the_limit_is_handed_back() {
    let lake = Lake::open().await;
    lake.launch(lake.request(&[("lake.sleepy", "all")])).await;
    let worker = lake.worker();
    let shutdown = Shutdown::new(Duration::from_millis(300));
    let ask = async {
        becomes_true(&lake, SLEEPS).await;
        shutdown.begin();
    };
    beside(worker.serve(&shutdown), ask).await;
    assert_eq!(lake.text("select state, attempts from karat.step").await, "ready | 0");
    assert!(!lake.scalar::<bool>(SLEEPS).await);
}

#[tokio::test]
async fn a_defect_of_the_engine_is_tried_again_and_not_for_ever() {
    let mut lake = Lake::open().await;
    lake.settings.lost_attempts_limit = 3;
    lake.settings.fault = Some(Arc::new(|at| {
        assert!(at != FailurePoint::Begun, "the engine has a defect");
        false
    }));
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03-01")])).await;
    assert_eq!(lake.worker().work_until_idle().await.unwrap(), 3);
    assert_eq!(lake.outcome(launched).await, "failed: 1 failed");
    assert_eq!(lake.text("select reason from karat.step").await, "the engine has a defect");
    assert_eq!(
        lake.text("select outcome, error_kind, count(*) from karat.attempt group by 1, 2").await,
        "lost | defect | 3"
    );
}

#[tokio::test]
async fn every_connection_of_the_database_ended_and_the_work_goes_on() {
    let mut lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    lake.settings.heartbeat = Duration::from_millis(100);
    let worker = lake.worker().woken_by(Wakeups::listen(&lake.options));
    let shutdown = Shutdown::new(Duration::from_secs(10));
    let ask = async {
        becomes_true(&lake, "select exists (select from karat.worker)").await;
        for day in ["2026-03-01", "2026-03-02", "2026-03-03"] {
            lake.text(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid() and application_name like 'karat%'",
            )
            .await;
            lake.launch(lake.request(&[(DAILY, day)])).await;
            becomes_true(&lake, NO_RUN_IS_LIVE).await;
        }
        shutdown.begin();
    };
    beside(worker.serve(&shutdown), ask).await;
    assert_eq!(lake.text("select state, count(*) from karat.step group by 1").await, "succeeded | 3");
}

#[tokio::test]
async fn an_attempt_whose_connection_is_gone_without_a_word_is_tried_again() {
    let mut lake = Lake::open().await;
    lake.settings.heartbeat = Duration::from_millis(100);
    lake.settings.lease = Duration::from_millis(500);
    let worker = lake.worker();
    let launched = lake.launch(lake.request(&[("lake.troublesome", "hangs")])).await;
    let shutdown = Shutdown::new(Duration::ZERO);
    let ask = async {
        becomes_true(&lake, A_STEP_RUNS).await;
        // It waits for something else, and hears nothing of its connection.
        becomes_true(
            &lake,
            "select count(pg_terminate_backend(pid)) > 0 from pg_stat_activity
             where datname = current_database() and application_name like 'karat worker %/%'",
        )
        .await;
        becomes_true(&lake, "select exists (select from karat.step where losses = 1)").await;
        lake.store
            .control_runs(&[launched.run_id], Control::Cancel, instant("2026-05-01T12:01:00Z"), None)
            .await
            .unwrap();
        becomes_true(&lake, NO_RUN_IS_LIVE).await;
        shutdown.begin();
    };
    beside(worker.serve(&shutdown), ask).await;
    assert_eq!(
        lake.text("select outcome, error_kind from karat.attempt order by lease_epoch limit 1").await,
        "lost | connection"
    );
}

#[tokio::test]
async fn a_statement_that_somebody_stopped_and_a_server_that_only_reads_are_waited_out() {
    let lake = Lake::open().await;
    for (state, statements) in [
        ("57014", "select pg_sleep(0.001), pg_cancel_backend(pg_backend_pid()), pg_sleep(10)"),
        ("25006", "begin read only; create table lake.never ()"),
    ] {
        let mut connection = lake.pool.acquire().await.unwrap().detach();
        let error = sqlx::raw_sql(statements).execute(&mut connection).await.unwrap_err();
        let error = StoreError::new("trying", error);
        assert!(error.to_string().contains(state), "{error}");
        assert!(error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn everybody_in_a_process_hears_a_signal_and_is_told_when_some_were_missed() {
    let lake = Lake::open().await;
    let wakeups = Wakeups::listen(&lake.options);
    let (mut first, mut second) = (wakeups.subscribe(), wakeups.subscribe());
    // Connected.
    assert!(first.next().await.concerns(&[]));
    assert!(second.next().await.concerns(&[]));
    lake.store.signal(Signal::Mark).await.unwrap();
    for subscription in [&mut first, &mut second] {
        let heard = subscription.next().await;
        assert!(heard.concerns(&[Signal::Mark]) && !heard.concerns(&[Signal::Work]));
    }
    // The connection is lost.
    lake.text(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and query ilike 'listen%'",
    )
    .await;
    assert!(first.next().await.concerns(&[]));
    lake.store.signal(Signal::Alert).await.unwrap();
    assert!(first.next().await.concerns(&[Signal::Alert]));
}

#[tokio::test]
async fn a_worker_whose_clock_is_wrong_is_refused() {
    struct Ahead;
    impl karat::clock::Clock for Ahead {
        fn now(&self) -> chrono::DateTime<chrono::Utc> {
            karat::clock::Clock::now(&karat::clock::SystemClock) + chrono::TimeDelta::hours(2)
        }
        fn is_real(&self) -> bool {
            true
        }
    }
    let mut lake = Lake::open().await;
    lake.worker_clock = Arc::new(Ahead);
    let refused = lake.worker().serve(&Shutdown::new(Duration::ZERO)).await.unwrap_err();
    assert!(refused.to_string().starts_with("this machine's clock differs by -7200 s"), "{refused}");
}
