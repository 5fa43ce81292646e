//! Why a partition was built, and why it is not: causes and obstacles as people read them.

use std::sync::Arc;

use chrono::NaiveDate;
use insta::assert_snapshot;
use karat::asset::calendar::Calendar;
use karat::asset::definitions::{DefinitionErrors, Definitions};
use karat::clock::Clock;
use karat::daemon::{AutomationReconciler, Reconciler, ReconcilerContext, Scheduler};
use karat::engine::launch::{LaunchRequest, launch};
use karat::prelude::*;
use karat::store::Store;
use karat::store::launch::RunCause;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::service;
use crate::service_lake::{Lake, assets, settings};

table! {
    /// What was asked for over a narrow line.
    pub struct Fetched {
        pub day: NaiveDate,
        pub events: i64,
    }
}

impl Asset for Fetched {
    const KEY: AssetKey = AssetKey::new("lake.fetched");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (assets::DayCount,);
    const POOL: Option<&'static str> = Some("line");
}

impl SqlAsset for Fetched {
    const SQL: &'static str =
        "select day, events from lake.daily where day >= $1::timestamptz::date and day < $2::timestamptz::date";
}

/// The lake, and an asset of a pool with a single place.
fn narrow(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
    Definitions::builder(calendar)
        .external::<assets::Event>()
        .sql::<assets::DayCount>()
        .sql::<Fetched>()
        .pool("line", 1)
        .build()
}

async fn open() -> Lake {
    let mut lake = Lake::new().await;
    lake.application.definitions = narrow;
    sqlx::query("create table lake.fetched (day date not null, events bigint not null)")
        .execute(&lake.pool)
        .await
        .unwrap();
    lake
}

/// What `why` says, without what was done before and what is read.
async fn why(lake: &Lake, partition: &str) -> String {
    let said = lake.says(&format!("why {partition}")).await;
    said.split("\n\n").next().unwrap().to_owned()
}

fn definitions(lake: &Lake) -> Arc<Definitions> {
    let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: lake.application.first_day };
    Arc::new((lake.application.definitions)(calendar).unwrap())
}

/// Launches one partition for this cause; its run.
async fn launched(lake: &Lake, asset: &str, day: &str, cause: RunCause, detail: Option<Value>) -> Uuid {
    let definitions = definitions(lake);
    let spec = definitions.find(asset).unwrap();
    let now = lake.clock.now();
    let request = LaunchRequest {
        plan: [(spec.key.clone(), spec.partitions.parse_selection(day, now).unwrap())].into(),
        only_if_stale: [].into(),
        force: true,
        per_partition: false,
        concurrency_limit: None,
        priority: 0,
        cause,
        cause_detail: detail,
        backfill_id: None,
        retry_of: None,
        requested_by: None,
        request: json!({ "command": format!("materialize {asset} {day}") }),
    };
    launch(&Store::new(lake.pool.clone()), &definitions, request, now).await.unwrap().run_id
}

async fn execute(lake: &Lake, sql: &'static str, run_id: Uuid) {
    sqlx::query(sql).bind(run_id).bind(lake.clock.now()).execute(&lake.pool).await.unwrap();
}

#[tokio::test]
async fn a_step_that_is_not_begun_says_what_it_waits_for() {
    let _settings = settings().bind_to_scope();
    let lake = open().await;
    let waiting = launched(&lake, "lake.fetched", "2026-03-05", RunCause::Manual, None).await;
    assert_snapshot!(why(&lake, "lake.fetched 2026-03-05").await, @r"
    lake.fetched 2026-03-05 is queued.
      A run has it to build.
      No worker is alive: start one with `up` or `worker`, or work on the run from here.
        lake run resume [--id--]
      Its window was 2026-03-05 00:00:00+01:00 to 2026-03-06 00:00:00+01:00.
      Automation: it is built on request only.
    ");

    // A worker comes, and holds the only place of the pool for another partition.
    let other = launched(&lake, "lake.fetched", "2026-03-04", RunCause::Manual, None).await;
    execute(
        &lake,
        "with worker as (
             insert into karat.worker (worker_id, host, process_id, slots, started_at, heartbeat_at, expires_at)
             values ($1, 'here', 1, 4, $2, $2, $2 + interval '1 hour') returning worker_id
         )
         update karat.step set state = 'running', started_at = $2, worker_id = worker.worker_id from worker where run_id = $1",
        other,
    )
    .await;
    assert_snapshot!(why(&lake, "lake.fetched 2026-03-05").await, @r"
    lake.fetched 2026-03-05 is queued.
      A run has it to build.
      The pool line is full, 1 of 1 at once: it is held by lake.fetched 2026-03-04 (run [--id--] since 2026-03-20 11:00:00+01:00).
      Its window was 2026-03-05 00:00:00+01:00 to 2026-03-06 00:00:00+01:00.
      Automation: it is built on request only.
    ");
    assert_snapshot!(why(&lake, "lake.fetched 2026-03-04").await, @r"
    lake.fetched 2026-03-04 is running.
      It is being built, by run [--id--] since 2026-03-20 11:00:00+01:00.
      Its window was 2026-03-04 00:00:00+01:00 to 2026-03-05 00:00:00+01:00.
      Automation: it is built on request only.
    ");

    execute(&lake, "update karat.run set paused_at = $2 where run_id = $1", waiting).await;
    assert_snapshot!(why(&lake, "lake.fetched 2026-03-05").await, @r"
    lake.fetched 2026-03-05 is queued.
      A run has it to build.
      Its run [--id--] is paused since 2026-03-20 11:00:00+01:00.
        lake run resume [--id--]
      The pool line is full, 1 of 1 at once: it is held by lake.fetched 2026-03-04 (run [--id--] since 2026-03-20 11:00:00+01:00).
      Its window was 2026-03-05 00:00:00+01:00 to 2026-03-06 00:00:00+01:00.
      Automation: it is built on request only.
    ");
    execute(&lake, "update karat.run set cancel_requested_at = $2 where run_id = $1", waiting).await;
    assert_snapshot!(why(&lake, "lake.fetched 2026-03-05").await, @r"
    lake.fetched 2026-03-05 is queued.
      A run has it to build.
      Its run [--id--] was asked to stop: nothing of it begins any more.
      Its window was 2026-03-05 00:00:00+01:00 to 2026-03-06 00:00:00+01:00.
      Automation: it is built on request only.
    ");
}

#[tokio::test]
async fn a_step_waits_for_the_steps_of_its_run_that_build_what_it_reads() {
    let _settings = settings().bind_to_scope();
    let lake = open().await;
    lake.record(1, 3, 2).await;
    lake.says("backfill 'lake.daily lake.fetched' 2026-03-01..2026-03-03 --detach").await;
    assert_snapshot!(why(&lake, "lake.fetched 2026-03-02").await, @r"
    lake.fetched 2026-03-02 is queued.
      A run has it to build.
      It waits for what run [--id--] builds first: lake.daily 2026-03-02 (1 partition).
      Its window was 2026-03-02 00:00:00+01:00 to 2026-03-03 00:00:00+01:00.
      Automation: it is built on request only.
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_blocked_names_the_failure_at_the_root() {
    let _settings = settings().bind_to_scope();
    let lake = open().await;
    lake.record(1, 3, 2).await;
    lake.record(2, 2, 60).await;
    lake.says("backfill 'lake.daily lake.fetched' 2026-03-01..2026-03-03").await;
    assert_snapshot!(why(&lake, "lake.fetched 2026-03-02").await, @r"
    lake.fetched 2026-03-02 is blocked.
      Because: upstream lake.daily was not built: 2026-03-02 (1 partition)
      lake.daily 2026-03-02 failed in run [--id--]: check plausible: 1 offending row; the version before stays
        lake why lake.daily 2026-03-02
      Its window was 2026-03-02 00:00:00+01:00 to 2026-03-03 00:00:00+01:00.
      It cannot be built: lake.daily 2026-03-02 (1 partition) is missing.
      Automation: it is built on request only.
      To build it: lake materialize lake.fetched 2026-03-02 --upstream
    ");
    let json: Value =
        serde_json::from_str(lake.says("why lake.fetched 2026-03-02 --json").await.trim_end_matches("[0]")).unwrap();
    assert_eq!(json["obstacles"][0]["kind"], "failed_upstream");
    assert_eq!(json["obstacles"][0]["command"], "why lake.daily 2026-03-02");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_run_says_what_caused_it() {
    let _settings = settings().bind_to_scope();
    let lake = Lake::new().await;
    lake.record(15, 19, 2).await;
    let context = ReconcilerContext {
        store: Store::new(lake.pool.clone()),
        definitions: definitions(&lake),
        clock: lake.clock.clone(),
    };
    // Known to the scheduler from now on, so that the tick of the night is due in the morning.
    Scheduler.activate(&context).await.unwrap();
    lake.says("backfill lake.daily 2026-03-15..2026-03-19").await;
    lake.clock.set("2026-03-21T02:20:00Z".parse().unwrap());
    Scheduler.activate(&context).await.unwrap();
    // So that automation finds nothing in progress.
    sqlx::query("update karat.step set state = 'canceled' where state in ('pending', 'ready')")
        .execute(&lake.pool)
        .await
        .unwrap();
    lake.record(16, 16, 5).await;
    lake.clock.set("2026-03-21T02:30:00Z".parse().unwrap());
    AutomationReconciler::default().activate(&context).await.unwrap();
    let detail = json!({ "sensor": "files", "run_key": "2026-03-17.csv" });
    launched(&lake, "lake.daily", "2026-03-17", RunCause::Sensor, Some(detail)).await;
    assert_snapshot!(lake.says("run ls").await, @r"
    RUN       STATE      CAUSE                                                         DONE  TOTAL  FAILED  REQUESTED                  REQUEST
    [--id--]  queued     sensor files, run key 2026-03-17.csv                             0      1       0  2026-03-21 03:30:00+01:00  materialize lake.daily 2026-03-17
    [--id--]  queued     automation: lake.daily 2026-03-01..2026-03-14, 2026-03-20, …     0     16       0  2026-03-21 03:30:00+01:00  automation: 16 partitions of lake.daily
    [--id--]  running    schedule nightly, tick of 2026-03-21 03:15:00+01:00              1      1       0  2026-03-21 03:20:00+01:00  schedule trigger nightly --at 2026-03-21T02:15:00Z
    [--id--]  succeeded  backfill [--id--]                                                5      5       0  2026-03-20 11:00:00+01:00  backfill lake.daily 2026-03-15..2026-03-19
    [0]
    ");
    assert_snapshot!(lake.says("run ls --cause sensor").await, @r"
    RUN       STATE   CAUSE                                 DONE  TOTAL  FAILED  REQUESTED                  REQUEST
    [--id--]  queued  sensor files, run key 2026-03-17.csv     0      1       0  2026-03-21 03:30:00+01:00  materialize lake.daily 2026-03-17
    [0]
    ");
    assert_snapshot!(lake.says("why lake.daily 2026-03-16").await, @r"
    lake.daily 2026-03-16 is queued.
      A run has it to build.
      No worker is alive: start one with `up` or `worker`, or work on the run from here.
        lake run resume [--id--]
      14 other steps come before it.
      Stale, because 3 rows landed in lake.events since 2026-03-21 03:20:00+01:00, written by a file.
      Its version of 2026-03-20 11:00:00+01:00 has 1 row.
      That was run [--id--] (backfill [--id--]): lake backfill lake.daily 2026-03-15..2026-03-19
      Its window was 2026-03-16 00:00:00+01:00 to 2026-03-17 00:00:00+01:00.
      Automation: in progress: a run has it to build; eager (after 1 min without a change) is met; the newest change was at 2026-03-21 03:20:00+01:00.
      Schedule nightly: next at 2026-03-22 03:15:00+01:00.
      Freshness: pass (at most 30 h are allowed, due at 2026-03-22 06:00:00+01:00).

    It reads:
      ASSET        MAPPING  PARTITIONS                SINCE IT WAS BUILT
      lake.events  overlap  2026-03-16 (1 partition)  changed

    What was done, newest first:
      2026-03-21 03:30:00+01:00 ready in run [--id--] (automation, because 3 rows landed in lake.events since 2026-03-21 03:20:00+01:00, written by a file): automation: 16 partitions of lake.daily
      2026-03-20 11:00:00+01:00 succeeded in run [--id--] (backfill [--id--]): lake backfill lake.daily 2026-03-15..2026-03-19

    Its newest checks: 2 passed, 0 failed.
    [0]
    ");
    assert_snapshot!(lake.says("run ls --cause shedule").await, @r"
    error: invalid value 'shedule' for '--cause <CAUSE>'
    [2]
    ");
    let run = service(&lake, &lake.database.connect_options())
        .runs(&karat::service::RunQuery { cause: Some("schedule".to_owned()), limit: 1, ..Default::default() })
        .await
        .unwrap()
        .remove(0);
    assert_eq!(run.cause_detail.unwrap()["schedule"], "nightly");
    assert_snapshot!(lake.says(&format!("run show {}", run.run_id)).await, @r"
    run        [uuid]
    state      running
    cause      schedule nightly, tick of 2026-03-21 03:15:00+01:00
    request    lake schedule trigger nightly --at 2026-03-21T02:15:00Z
    requested  2026-03-21 03:20:00+01:00
    partitions 1 of 1 done: 1 canceled

    ASSET       STATE     PARTITIONS
    lake.daily  canceled  2026-03-20 (1 partition)
      go on   lake run resume [--id--]
      cancel  lake run cancel [--id--]
      logs    lake run logs [--id--]
    [0]
    ");
}
