//! Real processes that are killed, stopped and started, and a real server that is.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use karat::clock::{Clock, SystemClock};
use karat::engine::launch::launch;
use karat::engine::logs::LogCollector;
use karat::engine::{Worker, WorkerSettings};
use karat::store::Store;
use karat::store::launch::RunCause;
use karat::testing::TestServer;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lake::{self, Lake, beside};

const DAILY: &str = "lake.daily_totals";
const MONTHLY: &str = "lake.monthly_report";
const URL: &str = "KARAT_TEST_WORKER_URL";
const RUN: &str = "KARAT_TEST_WORKER_RUN";

/// A worker process: this test binary again, carrying out the run that the environment names, or one that it launches.
#[tokio::test]
async fn worker_process() {
    let Ok(url) = std::env::var(URL) else { return };
    let run = std::env::var(RUN).unwrap();
    let options: PgConnectOptions = url.parse().unwrap();
    let definitions = Arc::new(lake::definitions(chrono_tz::Europe::Berlin));
    let clock = Arc::new(SystemClock);
    let run_id = match run.parse::<Uuid>() {
        Ok(run_id) => run_id,
        Err(_) => {
            let spec = definitions.find(DAILY).unwrap();
            let subset = spec.partitions.parse_selection(&run, clock.now()).unwrap();
            let store = Store::new(PgPool::connect_with(options.clone()).await.unwrap());
            let request = lake::request_of([(spec.key.clone(), subset)].into(), RunCause::Backfill, true);
            launch(&store, &definitions, request, clock.now()).await.unwrap().run_id
        }
    };
    println!("\nworking");
    let settings = WorkerSettings {
        slots: 2,
        lease: Duration::from_secs(2),
        heartbeat: Duration::from_millis(200),
        lost_attempts_limit: 1_000,
        ..WorkerSettings::default()
    };
    let worker = Worker::new(&options, definitions, clock, LogCollector::default(), settings);
    worker.work_off(&[run_id], &CancellationToken::new()).await.unwrap();
}

/// Starts [`worker_process`] for a run id or a range of days; returns when it begins to work.
fn start_worker(lake: &Lake, run: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::worker_process", "--nocapture"])
        .env(URL, lake.database.url())
        .env(RUN, run)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "working"), "the worker process did not begin");
    // What it says further is read and forgotten, or the pipe would fill.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

/// A small generator of repeatable choices (splitmix64).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

async fn prepared(lake: &mut Lake) {
    lake.worker_clock = Arc::new(SystemClock);
    lake.settings = WorkerSettings {
        slots: 2,
        lease: Duration::from_secs(2),
        heartbeat: Duration::from_millis(200),
        lost_attempts_limit: 1_000,
        ..WorkerSettings::default()
    };
    lake.add_event_a_day("2026-01-01", 120).await;
}

const BUILT: &str = "select 'day', day::text, events, amount from lake.daily_totals
    union all select 'month', month::text, days, amount from lake.monthly_report order by 1, 2";
const RECORDED: &str = "select asset_key, partition_key, row_count, data_version, input_versions
    from karat.materialization where current order by 1, 2";

#[tokio::test]
async fn killed_at_fifty_random_moments_the_tables_are_those_of_an_undisturbed_run() {
    let sets = [(DAILY, "2026-01-01..2026-04-30"), (MONTHLY, "2026-01..2026-04")];
    let mut calm = Lake::open().await;
    prepared(&mut calm).await;
    calm.build(&sets).await;

    let mut lake = Lake::open().await;
    prepared(&mut lake).await;
    let launch_again = async |lake: &Lake| {
        let mut request = lake.request(&sets);
        request.per_partition = true;
        lake.launch(request).await
    };
    let mut launched = launch_again(&lake).await;
    let mut seed = 20_261_123;
    let mut interrupted = 0;
    for _ in 0..50 {
        let mut child = start_worker(&lake, &launched.run_id.to_string());
        let milliseconds = draw(&mut seed) % 250;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        let run = lake.store.run(launched.run_id).await.unwrap().unwrap();
        if run.steps.pending + run.steps.ready + run.steps.running == 0 {
            // All done before the kill: ask for everything once more, so that every kill hits work. The run before is
            // ended first, or what it built would answer the new request too.
            lake.work_off(launched).await.unwrap();
            launched = launch_again(&lake).await;
        } else {
            interrupted += 1;
        }
    }
    assert!(interrupted >= 20, "only {interrupted} kills interrupted anything");
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.outcome(launched).await, "succeeded: 124 succeeded");
    assert_eq!(lake.text(BUILT).await, calm.text(BUILT).await);
    assert_eq!(lake.text(RECORDED).await, calm.text(RECORDED).await);
    assert_eq!(
        lake.text("select asset_key, partition_key from karat.materialization where current group by 1, 2 having count(*) <> 1").await,
        ""
    );
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.step where state = 'running'").await, 0);
}

#[tokio::test]
async fn a_stopped_process_cannot_commit_after_its_partition_was_rebuilt() {
    let mut lake = Lake::open().await;
    prepared(&mut lake).await;
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03-10")])).await;
    // The process gets as far as the table, which is locked: its transaction is open, its snapshot taken.
    let mut lock = lake.pool.begin().await.unwrap();
    sqlx::query("lock table lake.daily_totals in access exclusive mode").execute(&mut *lock).await.unwrap();
    let mut zombie = start_worker(&lake, &launched.run_id.to_string());
    while lake
        .scalar::<i64>(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .await
        == 0
    {
        tokio::task::yield_now().await;
    }
    signal(&zombie, Signal::STOP);
    lock.rollback().await.unwrap();
    lake.add_events(&[("2026-03-10T18:00:00Z", 1_000, 1_000)]).await;
    // Another worker takes over as soon as the lease has run out, and builds with the newer rows.
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.text("select * from lake.daily_totals").await, "2026-03-10 | 2 | 1069");
    signal(&zombie, Signal::CONT);
    assert!(zombie.wait().unwrap().success());
    assert_eq!(lake.text("select * from lake.daily_totals").await, "2026-03-10 | 2 | 1069");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization").await, 1);
    assert_eq!(lake.text("select outcome from karat.attempt order by lease_epoch").await, "lost\nsucceeded");
}

#[tokio::test]
async fn two_processes_that_backfill_the_same_thousand_partitions_build_each_once() {
    let mut lake = Lake::open().await;
    prepared(&mut lake).await;
    let mut children = [start_worker(&lake, "2023-06-01..2026-02-24"), start_worker(&lake, "2023-06-01..2026-02-24")];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization").await, 1_000);
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization where current").await, 1_000);
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.run where outcome = 'succeeded'").await, 2);
    assert_eq!(
        lake.text("select state, count(*) from karat.step group by 1 order by 1").await,
        "skipped | 1000\nsucceeded | 1000"
    );
}

#[tokio::test]
async fn a_server_restarted_in_immediate_mode_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    // The server's account must be able to reach the folder.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let directory = folder.path().join("server");
    let server = TestServer::start(directory.clone(), Duration::from_secs(60)).await.unwrap();
    let mut lake = Lake::on(server.create_database(&lake::migrations()).await.unwrap()).await;
    prepared(&mut lake).await;
    let mut request = lake.request(&[(DAILY, "2026-01-01..2026-04-30"), (MONTHLY, "2026-01..2026-04")]);
    request.per_partition = true;
    let launched = lake.launch(request).await;
    let worker = lake.worker();
    let stop = CancellationToken::new();
    let runs = [launched.run_id];
    let postmaster = server.embedded().postmaster_pid().unwrap();
    let pool = lake.pool.clone();
    let restart = async {
        while sqlx::query_scalar::<_, i64>("select count(*) from karat.materialization").fetch_one(&pool).await.unwrap()
            < 10
        {
            tokio::task::yield_now().await;
        }
        kill_process(Pid::from_raw(postmaster).unwrap(), Signal::QUIT).unwrap();
        // Starting waits until the old one is gone, and recovers.
        TestServer::start(directory.clone(), Duration::from_secs(60)).await.unwrap()
    };
    let restarted = beside(worker.work_off(&runs, &stop), restart).await;
    assert_ne!(restarted.embedded().postmaster_pid(), Some(postmaster));
    assert_eq!(lake.outcome(launched).await, "succeeded: 124 succeeded");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization where current").await, 124);
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.attempt where outcome = 'failed'").await, 0);
}
