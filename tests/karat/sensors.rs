//! Sensors: what they request is launched once, and their cursor moves with it or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use karat::asset::definitions::Definitions;
use karat::clock::Clock;
use karat::daemon::{Activation, Reconciler, ReconcilerContext, SensorReconciler};
use karat::prelude::*;
use karat::store::sensor::SensorChange;

use super::lake::{DailyTotals, Events, Lake, MonthlyReport, calendar, instant};
use super::service_lake::{self, settings};

const MINUTE: Duration = Duration::from_secs(60);
const DAILY: &str = "lake.daily_totals";

/// A lake whose only sensor does what `evaluate` does.
async fn lake_with<F>(evaluate: impl Fn(SensorContext) -> F + Send + Sync + 'static) -> Lake
where
    F: Future<Output = Result<SensorResult, AssetError>> + Send + 'static,
{
    lake_of(Sensor::new("files", MINUTE, evaluate)).await
}

async fn lake_of(sensor: Sensor) -> Lake {
    let mut lake = Lake::open().await;
    let definitions = Definitions::builder(calendar(chrono_tz::Europe::Berlin))
        .external::<Events>()
        .sql::<DailyTotals>()
        .rust::<MonthlyReport>()
        .sensor(sensor);
    lake.definitions = Arc::new(definitions.build().unwrap());
    lake
}

async fn evaluate(lake: &Lake) -> Activation {
    let context = ReconcilerContext {
        store: lake.store.clone(),
        definitions: lake.definitions.clone(),
        clock: lake.shared_clock(),
    };
    SensorReconciler.activate(&context).await.unwrap()
}

/// The next evaluation, when it is due.
async fn next(lake: &Lake) -> Activation {
    lake.clock.set(lake.scalar::<DateTime<Utc>>("select due_at from karat.sensor").await);
    evaluate(lake).await
}

async fn ticks(lake: &Lake) -> String {
    lake.text(
        "select to_char(tick_at at time zone 'UTC', 'HH24:MI') || '..' || to_char(until_at at time zone 'UTC', 'HH24:MI')
                as time, outcome, message, cardinality(run_ids) as runs
         from karat.sensor_tick order by tick_at",
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_requests_runs_and_goes_on_from_its_cursor() {
    let files = Arc::new(Mutex::new(vec!["2026-04-20", "2026-04-21"]));
    let listed = files.clone();
    let lake = lake_with(move |context| {
        let files = listed.lock().unwrap().clone();
        async move {
            let seen: usize = context.cursor.as_deref().map_or(Ok(0), str::parse).map_err(AssetError::fatal)?;
            if seen == files.len() {
                return Ok(SensorResult::skip(format!("no file after number {seen}")));
            }
            let requests = files[seen..].iter().map(|day| RunRequest::new(DAILY).partitions(day).run_key(*day));
            Ok(SensorResult::requests(requests.collect()).with_cursor(files.len().to_string()))
        }
    })
    .await;
    let first = evaluate(&lake).await;
    assert_eq!(
        first,
        Activation { report: Some("2 launched".to_owned()), next_at: Some(instant("2026-05-01T12:01:00Z")) }
    );
    assert_eq!(evaluate(&lake).await, Activation { report: None, ..first }, "it is not due");
    assert_eq!(
        lake.text(
            "select r.cause, r.cause_detail, r.request ->> 'command' as command, s.partition_key, s.state
             from karat.run r join karat.step s using (run_id) order by s.ordinal"
        )
        .await,
        "sensor | {\"sensor\": \"files\", \"run_key\": \"2026-04-20\"} | materialize 'lake.daily_totals' '2026-04-20' | 2026-04-20 | ready\n\
         sensor | {\"sensor\": \"files\", \"run_key\": \"2026-04-21\"} | materialize 'lake.daily_totals' '2026-04-21' | 2026-04-21 | ready"
    );
    for _ in 0..3 {
        assert_eq!(next(&lake).await.report, None);
    }
    files.lock().unwrap().push("2026-04-22");
    assert_eq!(next(&lake).await.report.as_deref(), Some("1 launched"));
    // The cursor is lost, and yet nothing is requested twice.
    lake.clock.advance(MINUTE);
    lake.store.change_sensor("files", &SensorChange::Cursor(None), lake.clock.now(), None).await.unwrap();
    assert_eq!(next(&lake).await.report, None);
    assert_snapshot!(ticks(&lake).await, @r"
    12:00..12:00 | requested | ∅ | 2
    12:01..12:03 | skipped | no file after number 2 | 0
    12:04..12:04 | requested | ∅ | 1
    12:05..12:05 | skipped | 3 runs were requested before | 0
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_takes_effect_unless_everything_does() {
    let lake = lake_with(|_| async {
        let requests = vec![
            RunRequest::new(DAILY).partitions("2026-04-20").run_key("good"),
            RunRequest::new("lake.monthly_report").partitions("2026-04").run_key("needs the days"),
        ];
        Ok(SensorResult::requests(requests).with_cursor("there"))
    })
    .await;
    assert_eq!(evaluate(&lake).await.report.as_deref(), Some("1 failed"));
    let written =
        "select (select count(*) from karat.run) as runs, (select count(*) from karat.sensor_run_key) as keys,
                          (select cursor from karat.sensor) as cursor";
    assert_eq!(lake.text(written).await, "0 | 0 | ∅");
    let told = lake.text("select message from karat.sensor_tick").await;
    assert!(
        told.starts_with("the request for lake.monthly_report: missing upstream: lake.daily_totals 2026-04-01"),
        "{told}"
    );
    // When the days are there, the same request is served.
    lake.build(&[(DAILY, "2026-04")]).await;
    assert_eq!(next(&lake).await.report.as_deref(), Some("2 launched"));
    assert_eq!(lake.text(written).await, "3 | 2 | there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_evaluations_of_the_same_state_one_counts() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (counted, barrier) = (calls.clone(), Arc::new(tokio::sync::Barrier::new(2)));
    let lake = lake_with(move |_| {
        let (calls, barrier) = (counted.clone(), barrier.clone());
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            barrier.wait().await;
            Ok(SensorResult::requests(vec![RunRequest::new(DAILY)]))
        }
    })
    .await;
    // Two processes that both believe they lead.
    let (one, other) = tokio::join!(evaluate(&lake), evaluate(&lake));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let launched = [one.report, other.report].into_iter().flatten().count();
    assert_eq!((launched, lake.scalar::<i64>("select count(*) from karat.run").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_panics_and_silence_are_recorded_and_tried_again_ever_more_rarely() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let sensor = Sensor::new("files", MINUTE, move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                0 => Err(AssetError::retryable("the line is busy")),
                1 => panic!("the flux capacitor is empty"),
                2 => std::future::pending().await,
                3 => Ok(SensorResult::requests(vec![RunRequest::new("lake.daily_total")])),
                4..8 => Ok(SensorResult::requests(vec![RunRequest::new(DAILY); 101])),
                _ => Ok(SensorResult::skip("all is quiet")),
            }
        }
    });
    // Long enough for everything but the one that never answers: printing a panic takes its time.
    let lake = lake_of(sensor.timeout(Duration::from_secs(5))).await;
    let mut waits = Vec::new();
    evaluate(&lake).await;
    for _ in 0..8 {
        let begin = lake.clock.now();
        next(&lake).await;
        waits.push((lake.clock.now() - begin).num_minutes());
    }
    assert_eq!(waits, [1, 1, 2, 4, 8, 16, 32, 60]);
    assert_snapshot!(ticks(&lake).await, @r"
    12:00..12:00 | failed | the line is busy | 0
    12:01..12:01 | failed | it panicked: the flux capacitor is empty | 0
    12:02..12:02 | failed | it did not answer within 5s | 0
    12:04..12:04 | failed | the request for lake.daily_total: there is no asset `lake.daily_total`: did you mean `lake.daily_totals`? | 0
    12:08..13:04 | failed | it requests 101 runs at once: 100 at most, and the rest from a later cursor | 0
    14:04..14:04 | skipped | all is quiet | 0
    ");
    assert_eq!(lake.text("select failing_since from karat.sensor").await, "∅");
    assert_eq!(evaluate(&lake).await.next_at, Some(instant("2026-05-01T14:05:00Z")), "and then as often as ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_postgres_cannot_store_is_a_failure_of_the_sensor_and_not_of_the_reconciler() {
    let calls = Arc::new(AtomicUsize::new(0));
    let sensor = Sensor::new("files", MINUTE, move |_| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                0 => Err(AssetError::fatal("`\0` is no digit")),
                1 => Ok(SensorResult::skip("nothing").with_cursor("\0")),
                2 => Ok(SensorResult::requests(vec![RunRequest::new(DAILY).run_key("\0")])),
                _ => Ok(SensorResult::skip("`\0` is no file")),
            }
        }
    });
    let lake = lake_of(sensor).await;
    evaluate(&lake).await;
    for _ in 0..3 {
        next(&lake).await;
    }
    assert_eq!(
        lake.text("select outcome, message from karat.sensor_tick order by tick_at").await,
        "failed | `\u{fffd}` is no digit\n\
         failed | its cursor has a zero byte, which PostgreSQL does not store: write it in another way\n\
         failed | a run_key has a zero byte, which PostgreSQL does not store: write it in another way\n\
         skipped | `\u{fffd}` is no file"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_sensor_rests_and_a_clock_that_is_put_back_stops_none() {
    let lake = lake_of(Sensor::new("files", MINUTE, async |_| Ok(SensorResult::skip("nothing"))).off()).await;
    assert_eq!(evaluate(&lake).await, Activation::default());
    lake.clock.advance(10 * MINUTE);
    assert_eq!(evaluate(&lake).await, Activation::default());
    assert_eq!(ticks(&lake).await, "");
    assert!(lake.store.change_sensor("files", &SensorChange::Resume, lake.clock.now(), None).await.unwrap());
    assert!(!lake.store.change_sensor("files", &SensorChange::Resume, lake.clock.now(), None).await.unwrap());
    evaluate(&lake).await;
    assert_eq!(ticks(&lake).await, "12:10..12:10 | skipped | nothing | 0");
    lake.clock.set(instant("2026-05-01T10:10:00Z"));
    assert_eq!(evaluate(&lake).await.next_at, Some(instant("2026-05-01T10:11:00Z")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_newest_evaluations_are_kept() {
    let calls = AtomicUsize::new(0);
    let lake = lake_with(move |_| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        async move { Ok(SensorResult::skip(format!("look {call}"))) }
    })
    .await;
    for _ in 0..1_005 {
        next_or_first(&lake).await;
    }
    assert_eq!(lake.text("select count(*), min(message) from karat.sensor_tick").await, "1000 | look 10");
}

async fn next_or_first(lake: &Lake) {
    lake.clock.advance(MINUTE);
    evaluate(lake).await;
}

#[test]
fn what_is_wrong_with_a_declaration_is_said() {
    let built = |sensors: Vec<Sensor>| {
        let builder = Definitions::builder(calendar(chrono_tz::Europe::Berlin)).external::<Events>();
        let error = sensors.into_iter().fold(builder, |builder, sensor| builder.sensor(sensor)).build().unwrap_err();
        error.to_string()
    };
    let sensor = |name: &str, interval| Sensor::new(name, interval, async |_| Ok(SensorResult::default()));
    assert!(built(vec![sensor("Files", MINUTE)]).contains("sensor `Files`: its name cannot be"));
    assert!(built(vec![sensor("files", Duration::ZERO)]).contains("sensor `files`: its interval is 0ns"));
    assert!(built(vec![sensor("files", MINUTE); 2]).contains("sensor `files`: it is declared twice"));
    assert!(built(vec![sensor("files", MINUTE).timeout(Duration::ZERO)]).contains("its timeout is zero"));
}

fn definitions_with_sensor(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
    let lake = service_lake::assets::definitions(calendar)?;
    assert!(lake.sensors().is_empty());
    let sensor = Sensor::new("files", MINUTE, async |context: SensorContext| {
        Ok(SensorResult::skip("no new file").with_cursor(context.now.format("%H:%M").to_string()))
    });
    Definitions::builder(calendar)
        .external::<service_lake::assets::Event>()
        .sql::<service_lake::assets::DayCount>()
        .sensor(sensor.description("Looks for new files"))
        .build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sensors_on_the_command_line() {
    let mut lake = service_lake::Lake::new().await;
    let _guard = settings().bind_to_scope();
    assert_snapshot!(lake.says("sensor ls").await, @r"
    There are no sensors: declare one with `.sensor(…)` where the assets are registered.
    [0]
    ");
    lake.application.definitions = definitions_with_sensor;
    assert_snapshot!(lake.conversation(&["sensor ls", "sensor show files", "sensor show file", "sensor pause files",
        "sensor trigger files", "sensor resume files"]).await, @r"
    $ lake sensor ls
    SENSOR  STATE  EVERY  EVALUATED  CURSOR  DESCRIPTION
    files   on      60 s  never      ·       Looks for new files
    [0]
    $ lake sensor show files
    files is on, evaluated every 60 s.
      Looks for new files
      cursor     at the beginning
      next       2026-03-20 11:00:00+01:00

    It was never evaluated. A process that leads does it: lake up
    [0]
    $ lake sensor show file
    error: there is no sensor `file`: did you mean `files`?
    [2]
    $ lake sensor pause files
    Sensor files is paused.
      undo    lake sensor resume files
    [0]
    $ lake sensor trigger files
    error: sensor files is paused and is not evaluated: `lake sensor resume files` switches it on and evaluates it at once
    [1]
    $ lake sensor resume files
    Sensor files is on and evaluated next.
      watch   lake sensor show files
    [0]
    ");
    let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: "2026-03-01".parse().unwrap() };
    let context = ReconcilerContext {
        store: karat::store::Store::new(lake.pool.clone()),
        definitions: Arc::new(definitions_with_sensor(calendar).unwrap()),
        clock: lake.clock.clone(),
    };
    SensorReconciler.activate(&context).await.unwrap();
    assert_snapshot!(lake.conversation(&["sensor ls", "sensor show files", "sensor reset-cursor files --to 09:00",
        "sensor trigger files"]).await, @r"
    $ lake sensor ls
    SENSOR  STATE  EVERY  EVALUATED                  CURSOR  DESCRIPTION
    files   on      60 s  2026-03-20 11:00:00+01:00  10:00   Looks for new files
    [0]
    $ lake sensor show files
    files is on, evaluated every 60 s.
      Looks for new files
      cursor     10:00
      evaluated  2026-03-20 11:00:00+01:00
      next       2026-03-20 11:01:00+01:00

    EVALUATED                  AND UNTIL  OUTCOME  RUNS  WHY
    2026-03-20 11:00:00+01:00  ·          skipped  ·     no new file
    [0]
    $ lake sensor reset-cursor files --to 09:00
    Sensor files goes on from there.
      watch   lake sensor show files
    [0]
    $ lake sensor trigger files
    Sensor files is evaluated next.
      watch   lake sensor show files
    [0]
    ");
}
