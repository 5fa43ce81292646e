//! Which process runs the reconcilers, when each is activated, and what becomes of one that fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use karat::clock::Clock;
use karat::daemon::{self, Activation, Daemon, Reconciler, ReconcilerContext, ReconcilerError};
use karat::engine::launch::LaunchError;
use karat::engine::{Shutdown, Wakeups};
use karat::prelude::*;
use karat::store::garbage::Retention;
use karat::store::leadership::RECONCILERS;
use karat::store::signal::Signal;
use karat::store::worker::{Registration, application_name};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lake::{self, Lake, instant};

/// What a reconciler does at its n-th activation.
type Act = Arc<dyn Fn(usize, DateTime<Utc>) -> Result<Activation, ReconcilerError> + Send + Sync>;

struct Scripted {
    activations: Arc<AtomicUsize>,
    wakes_on: &'static [Signal],
    interval: Duration,
    act: Act,
}

impl Reconciler for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        self.wakes_on
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(async move { (self.act)(self.activations.fetch_add(1, Ordering::SeqCst), context.now()) })
    }
}

fn scripted(act: Act) -> (Scripted, Arc<AtomicUsize>) {
    let activations = Arc::new(AtomicUsize::new(0));
    let interval = Duration::from_secs(3_600);
    (Scripted { activations: activations.clone(), wakes_on: &[], interval, act }, activations)
}

fn nothing_to_do() -> Act {
    Arc::new(|_, _| Ok(Activation::default()))
}

/// Registers a worker that lives as long as the connection.
async fn register(lake: &Lake, worker_id: Uuid) -> PgConnection {
    let options = lake.options.clone().application_name(&application_name(worker_id));
    let connection = PgConnection::connect_with(&options).await.unwrap();
    let worker = Registration { worker_id, host: "here".to_owned(), process_id: 1, slots: 0 };
    let now = lake.clock.now();
    lake.store.register_worker(&worker, now, now + chrono::TimeDelta::seconds(15)).await.unwrap();
    connection
}

fn daemon(lake: &Lake, worker_id: Uuid, reconciler: Scripted) -> Daemon {
    let context = ReconcilerContext {
        store: lake.store.clone(),
        definitions: lake.definitions.clone(),
        clock: lake.shared_clock(),
    };
    Daemon::new(context, worker_id, Wakeups::listen(&lake.options), vec![Box::new(reconciler)])
}

/// Waits for a condition, for fifteen seconds.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(15), "this does not become true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs a daemon beside what asks something of it, and stops it.
async fn driven(daemon: Daemon, ask: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let ask = async {
        ask.await;
        stop.cancel();
    };
    tokio::join!(daemon.run(&stop), ask);
}

#[tokio::test]
async fn one_leads_until_it_dies_or_resigns_and_the_epochs_go_on() {
    let lake = Lake::open().await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let now = lake.clock.now();
    let try_lead = async |worker_id| lake.store.try_lead(RECONCILERS, worker_id, lake.clock.now()).await.unwrap();
    // Who is not registered cannot lead.
    assert_eq!(try_lead(first).await, None);
    let of_first = register(&lake, first).await;
    let _of_second = register(&lake, second).await;
    assert_eq!(try_lead(first).await, Some(1));
    assert_eq!(try_lead(second).await, None);
    assert!(lake.store.still_leads(RECONCILERS, first, 1).await.unwrap());
    // It dies: no connection is left.
    of_first.close().await.unwrap();
    until("the connection is gone", async || try_lead(second).await.is_some()).await;
    assert!(!lake.store.still_leads(RECONCILERS, first, 1).await.unwrap());
    assert!(lake.store.still_leads(RECONCILERS, second, 2).await.unwrap());
    // Its lease runs out.
    let _of_first = register(&lake, first).await;
    lake.clock.advance(Duration::from_secs(16));
    let _of_first_again = register(&lake, first).await;
    assert_eq!(try_lead(first).await, Some(3));
    // It resigns.
    let _of_second = register(&lake, second).await;
    assert_eq!(try_lead(second).await, None);
    lake.store.resign(RECONCILERS, first, 3).await.unwrap();
    assert_eq!(try_lead(second).await, Some(4));
    assert!(lake.clock.now() > now);
}

#[tokio::test]
async fn a_second_process_takes_over_when_the_first_one_dies_and_the_first_notices() {
    let lake = Lake::open().await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let of_first = register(&lake, first).await;
    let _of_second = register(&lake, second).await;
    let (mut reconciler, of_old) = scripted(nothing_to_do());
    reconciler.wakes_on = &[Signal::Mark];
    let (successor, of_new) = scripted(nothing_to_do());
    let (old, new) = (daemon(&lake, first, reconciler), daemon(&lake, second, successor));
    let stop = CancellationToken::new();
    let ask = async {
        until("the first leads", async || of_old.load(Ordering::SeqCst) > 0).await;
        until("its activation is recorded", async || {
            lake.text("select worker_id from karat.reconciler").await == first.to_string()
        })
        .await;
        assert_eq!(of_new.load(Ordering::SeqCst), 0);
        let began = Instant::now();
        of_first.close().await.unwrap();
        until("the second leads", async || of_new.load(Ordering::SeqCst) > 0).await;
        assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
        // What wakes the first now finds that it does not lead any more.
        let before = of_old.load(Ordering::SeqCst);
        lake.store.signal(Signal::Mark).await.unwrap();
        lake.store.signal(Signal::Mark).await.unwrap();
        until("the first stands by again", async || {
            lake.text("select worker_id, epoch from karat.leadership").await == format!("{second} | 2")
        })
        .await;
        assert_eq!(of_old.load(Ordering::SeqCst), before);
        stop.cancel();
    };
    let standby = async {
        until("the first leads", async || of_old.load(Ordering::SeqCst) > 0).await;
        new.run(&stop).await;
    };
    tokio::join!(old.run(&stop), standby, ask);
}

#[tokio::test]
async fn a_reconciler_is_activated_by_its_signals_and_signals_that_come_together_are_one() {
    let lake = Lake::open().await;
    let worker_id = Uuid::now_v7();
    let _connection = register(&lake, worker_id).await;
    let (mut reconciler, activations) = scripted(nothing_to_do());
    reconciler.wakes_on = &[Signal::Mark];
    driven(daemon(&lake, worker_id, reconciler), async {
        until("it is activated", async || activations.load(Ordering::SeqCst) > 0).await;
        // The listener may still be connecting, which wakes everybody.
        until("the listener is connected", async || {
            lake.scalar::<bool>(
                "select exists (select from pg_stat_activity where datname = current_database() and query ilike 'listen%')",
            )
            .await
        })
        .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = activations.load(Ordering::SeqCst);
        for _ in 0..50 {
            lake.store.signal(Signal::Mark).await.unwrap();
        }
        lake.store.signal(Signal::Alert).await.unwrap();
        until("it is activated", async || activations.load(Ordering::SeqCst) > before).await;
        assert!(activations.load(Ordering::SeqCst) <= before + 3);
    })
    .await;
}

#[tokio::test]
async fn the_instant_a_reconciler_asked_for_activates_it_and_a_past_one_does_not_spin() {
    let lake = Lake::open().await;
    let worker_id = Uuid::now_v7();
    let _connection = register(&lake, worker_id).await;
    // Always something left to do.
    let (reconciler, activations) =
        scripted(Arc::new(|_, now| Ok(Activation { report: None, next_at: Some(now - chrono::TimeDelta::days(3)) })));
    let began = Instant::now();
    driven(daemon(&lake, worker_id, reconciler), async {
        until("it is activated again and again", async || activations.load(Ordering::SeqCst) >= 5).await;
    })
    .await;
    assert!(began.elapsed() >= Duration::from_millis(800), "five activations in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_failure_or_panic_is_recorded_and_tried_again() {
    let lake = Lake::open().await;
    let worker_id = Uuid::now_v7();
    let _connection = register(&lake, worker_id).await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (reconciler, activations) = scripted(Arc::new(|number, _| match number {
        0 => panic!("the table is upside down"),
        1 => Err(LaunchError::Nothing.into()),
        _ => Ok(Activation { report: Some("turned it round".to_owned()), next_at: None }),
    }));
    driven(daemon(&lake, worker_id, reconciler), async {
        until("the third activation is recorded", async || {
            let record = lake.text("select error, report, succeeded_at is not null from karat.reconciler").await;
            let mut seen = seen.lock().unwrap();
            if seen.last() != Some(&record) {
                seen.push(record.clone());
            }
            record.ends_with("true")
        })
        .await;
    })
    .await;
    assert_eq!(activations.load(Ordering::SeqCst), 3);
    let mut seen = seen.lock().unwrap().clone();
    seen.retain(|record| !record.is_empty());
    assert_eq!(
        seen,
        [
            "it panicked: the table is upside down | ∅ | false".to_owned(),
            format!("{} | ∅ | false", LaunchError::Nothing),
            "∅ | turned it round | true".to_owned()
        ]
    );
}

#[tokio::test]
async fn steps_of_a_retired_asset_end_with_a_reason_and_so_does_their_run() {
    let mut lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    let mut request = lake.request(&[("lake.daily_totals", "2026-03"), ("lake.monthly_report", "2026-03")]);
    request.per_partition = true;
    let launched = lake.launch(request).await;
    // The next version of the program has neither; another version still builds the month.
    let builder = || Definitions::builder(lake::calendar(chrono_tz::Europe::Berlin));
    let none = Arc::new(builder().external::<lake::Events>().build().unwrap());
    let with_all = std::mem::replace(&mut lake.definitions, none);
    let worker = lake.worker();
    // A worker leaves what it does not know to others.
    assert_eq!(worker.work_until_idle().await.unwrap(), 0);
    assert_eq!(lake.outcome(launched).await, "queued: 1 pending, 31 ready");
    let context = ReconcilerContext { store: lake.store.clone(), definitions: with_all, clock: lake.shared_clock() };
    assert_eq!(activate_all(&context).await, [None as Option<String>]);
    let context = ReconcilerContext { definitions: lake.definitions.clone(), ..context };
    assert_eq!(
        activate_all(&context).await,
        [Some(
            "ended 31 waiting steps of lake.daily_totals, 1 waiting step of lake.monthly_report: not defined any more"
                .to_owned()
        )]
    );
    worker.work_until_idle().await.unwrap();
    assert_eq!(lake.outcome(launched).await, "failed: 32 blocked");
    assert_eq!(
        lake.text("select distinct reason from karat.step where asset_key = 'lake.daily_totals'").await,
        "lake.daily_totals is not defined any more in the program that leads"
    );
    assert_eq!(activate_all(&context).await, [None as Option<String>]);
}

/// What the retirement of every program reports.
async fn activate_all(context: &ReconcilerContext) -> Vec<Option<String>> {
    let mut reports = Vec::new();
    for mut reconciler in daemon::reconcilers(Retention::default()) {
        if reconciler.name() == "retirement" {
            reports.push(reconciler.activate(context).await.unwrap().report);
        }
    }
    reports
}

#[tokio::test]
async fn open_steps_before_a_changed_start_end_with_a_reason_and_the_others_are_built() {
    let mut lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    let launched =
        lake.launch(lake.request(&[("lake.daily_totals", "2026-03"), ("lake.monthly_report", "2026-03")])).await;
    let later = Calendar { zone: chrono_tz::Europe::Berlin, first_day: NaiveDate::from_ymd_opt(2026, 3, 10).unwrap() };
    lake.definitions = Arc::new(
        Definitions::builder(later)
            .external::<lake::Events>()
            .sql::<lake::DailyTotals>()
            .rust::<lake::MonthlyReport>()
            .build()
            .unwrap(),
    );
    let worker = lake.worker();
    worker.work_until_idle().await.unwrap();
    assert_eq!(lake.outcome(launched).await, "failed: 23 succeeded, 9 failed");
    assert_eq!(
        lake.text(
            "select max(partition_key), min(reason), max(reason) = min(reason) from karat.step where state = 'failed'"
        )
        .await,
        "2026-03-09 | the partitions of lake.daily_totals changed after this run was launched: launch what is wanted of them again | true"
    );
}

#[tokio::test]
async fn a_process_that_only_reconciles_takes_back_what_others_lost() {
    let mut lake = Lake::open().await;
    let launched = lake.launch(lake.request(&[("lake.daily_totals", "2026-03-01")])).await;
    sqlx::query("update karat.step set state = 'running', worker_id = gen_random_uuid(), lease_epoch = 1")
        .execute(&lake.pool)
        .await
        .unwrap();
    lake.settings.slots = 0;
    lake.settings.heartbeat = Duration::from_millis(50);
    let worker = lake.worker();
    let shutdown = Shutdown::new(Duration::ZERO);
    lake::beside(worker.serve(&shutdown), async {
        until("the step is taken back", async || lake.outcome(launched).await == "queued: 1 ready").await;
        shutdown.begin();
    })
    .await;
    assert_eq!(lake.outcome(launched).await, "queued: 1 ready");
    assert!(instant("2026-05-01T12:00:00Z") <= lake.clock.now());
}
