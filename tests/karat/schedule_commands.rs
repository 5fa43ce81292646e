//! Schedules on the command line.

use std::sync::Arc;

use insta::assert_snapshot;
use karat::asset::calendar::Calendar;
use karat::asset::definitions::{DefinitionErrors, Definitions};
use karat::cli::Application;
use karat::daemon::{Reconciler, ReconcilerContext, Scheduler};
use karat::store::Store;

use super::service_lake::{APPLICATION, Lake, assets, instant, settings};

async fn activate(lake: &Lake) {
    let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: APPLICATION.first_day };
    let context = ReconcilerContext {
        store: Store::new(lake.pool.clone()),
        definitions: Arc::new(assets::definitions(calendar).unwrap()),
        clock: lake.clock.clone(),
    };
    Scheduler.activate(&context).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switching_and_looking() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    assert_snapshot!(lake.conversation(&["schedule ls", "schedule pause nightly", "schedule pause nightly", "schedule next", "schedule next nightly --count 2"]).await, @"
    $ lake schedule ls
    SCHEDULE  CRON        SELECTION     STATE   LAST TICK  OUTCOME  NEXT TICK
    hourly    30 * * * *  lake.regions  paused  none
    nightly   15 3 * * *  lake.daily+   on      none                2026-03-21 03:15:00+01:00

    hourly
      lake schedule resume hourly

    nightly
      Counts yesterday, and the week when it is over
    [0]
    $ lake schedule pause nightly
    Schedule nightly is paused, since 2026-03-20 11:00:00+01:00.
      undo    lake schedule resume nightly
    [0]
    $ lake schedule pause nightly
    Schedule nightly is paused already, since 2026-03-20 11:00:00+01:00.
      undo    lake schedule resume nightly
    [0]
    $ lake schedule next
    No schedule is on. To see them all: lake schedule ls
    [0]
    $ lake schedule next nightly --count 2
    TICK                       SCHEDULE  NOTE
    2026-03-21 03:15:00+01:00  nightly   paused
    2026-03-22 03:15:00+01:00  nightly   paused
    [0]
    ");
    lake.clock.set(instant("2026-03-20T12:00:00Z"));
    assert_snapshot!(lake.conversation(&["schedule resume nightly", "schedule resume nightly", "schedule pause nigtly", "schedule next --json --count 1", "schedule next"]).await, @r#"
    $ lake schedule resume nightly
    Schedule nightly is on; its next tick is at 2026-03-21 03:15:00+01:00.
      undo    lake schedule pause nightly
    [0]
    $ lake schedule resume nightly
    Schedule nightly is on already; its next tick is at 2026-03-21 03:15:00+01:00.
      undo    lake schedule pause nightly
    [0]
    $ lake schedule pause nigtly
    error: there is no schedule `nigtly`: did you mean `nightly`?
    [2]
    $ lake schedule next --json --count 1
    {
      "zone": "Europe/Berlin",
      "ticks": [
        {
          "schedule": "nightly",
          "tick_at": "2026-03-21T02:15:00Z",
          "local": "2026-03-21T03:15:00+01:00",
          "clock": null,
          "paused": false
        }
      ],
      "clock_changes": []
    }
    [0]
    $ lake schedule next
    TICK                       SCHEDULE  NOTE
    2026-03-21 03:15:00+01:00  nightly
    2026-03-22 03:15:00+01:00  nightly
    2026-03-23 03:15:00+01:00  nightly
    2026-03-24 03:15:00+01:00  nightly
    2026-03-25 03:15:00+01:00  nightly
    2026-03-26 03:15:00+01:00  nightly
    [0]
    "#);
    lake.record(1, 20, 2).await;
    activate(&lake).await;
    lake.clock.set(instant("2026-03-21T02:15:00Z"));
    activate(&lake).await;
    sqlx::query("insert into karat.schedule values ('yearly', '@yearly', 'UTC', '2020-01-01Z', null, '2020-02-01Z')")
        .execute(&lake.pool)
        .await
        .unwrap();
    assert_snapshot!(lake.conversation(&["schedule ls", "schedule pause yearly"]).await, @"
    $ lake schedule ls
    SCHEDULE  CRON        SELECTION     STATE    LAST TICK                  OUTCOME   NEXT TICK
    hourly    30 * * * *  lake.regions  paused   none
    nightly   15 3 * * *  lake.daily+   on       2026-03-21 03:15:00+01:00  launched  2026-03-22 03:15:00+01:00
    yearly    @yearly                   retired  none

    hourly
      lake schedule resume hourly

    nightly
      Counts yesterday, and the week when it is over
      not built, because something is missing: lake.summary all (1 partition) needs lake.weekly 2026-W09..2026-W10 (2 partitions); lake.weekly 2026-W11 (1 partition) needs lake.daily 2026-03-09..2026-03-15 (7 partitions). `backfill 'lake.daily+' --missing` builds what is missing
      lake run show [--id--]
    [0]
    $ lake schedule pause yearly
    error: there is no schedule `yearly`: `lake schedule ls` lists those there are
    [2]
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_days_of_change_are_told_with_offsets_and_in_words() {
    let lake = Lake::new().await;
    assert_snapshot!(lake.conversation(&[
        "schedule next --around 2026-10-25 --count 4",
        "schedule next hourly --around 2026-10-25 --count 4",
        "schedule next hourly --around 2026-03-29 --count 4",
        "schedule next nightly --around 2026-10-25 --zone America/Sao_Paulo --count 2",
    ]).await, @"
    $ lake schedule next --around 2026-10-25 --count 4
    TICK                       SCHEDULE  NOTE
    2026-10-23 03:15:00+02:00  nightly
    2026-10-24 03:15:00+02:00  nightly
    2026-10-25 03:15:00+01:00  nightly
    2026-10-26 03:15:00+01:00  nightly

    Clocks in Europe/Berlin are put back by 1 h, to 2026-10-25 02:00:00+01:00.
    [0]
    $ lake schedule next hourly --around 2026-10-25 --count 4
    TICK                       SCHEDULE  NOTE
    2026-10-25 01:30:00+02:00  hourly    paused
    2026-10-25 02:30:00+02:00  hourly    paused; the clock shows this time twice: first pass
    2026-10-25 02:30:00+01:00  hourly    paused; the clock shows this time twice: second pass
    2026-10-25 03:30:00+01:00  hourly    paused

    Clocks in Europe/Berlin are put back by 1 h, to 2026-10-25 02:00:00+01:00.
    [0]
    $ lake schedule next hourly --around 2026-03-29 --count 4
    TICK                       SCHEDULE  NOTE
    2026-03-29 00:30:00+01:00  hourly    paused
    2026-03-29 01:30:00+01:00  hourly    paused
    2026-03-29 03:30:00+02:00  hourly    paused
    2026-03-29 04:30:00+02:00  hourly    paused

    Clocks in Europe/Berlin are put ahead by 1 h, to 2026-03-29 03:00:00+02:00.
    [0]
    $ lake schedule next nightly --around 2026-10-25 --zone America/Sao_Paulo --count 2
    TICK                       SCHEDULE  NOTE
    2026-10-24 03:15:00-03:00  nightly
    2026-10-25 03:15:00-03:00  nightly
    [0]
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn triggering_by_hand() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.record(1, 20, 2).await;
    assert_snapshot!(lake.conversation(&[
        "schedule trigger nightly --dry-run",
        "schedule trigger nightly",
        "schedule trigger nightly",
    ]).await, @"
    $ lake schedule trigger nightly --dry-run
    The tick of nightly at 2026-03-20 11:00:00+01:00 builds what is not fresh of these at its turn:

    ASSET       COUNT  PARTITIONS
    lake.daily      1  2026-03-19 (1 partition)

    Not built, because something is missing: lake.summary all (1 partition) needs lake.weekly 2026-W09..2026-W10 (2 partitions); lake.weekly 2026-W11 (1 partition) needs lake.daily 2026-03-09..2026-03-15 (7 partitions). `backfill 'lake.daily+' --missing` builds what is missing.
    [0]
    $ lake schedule trigger nightly
    Not built, because something is missing: lake.summary all (1 partition) needs lake.weekly 2026-W09..2026-W10 (2 partitions); lake.weekly 2026-W11 (1 partition) needs lake.daily 2026-03-09..2026-03-15 (7 partitions). `backfill 'lake.daily+' --missing` builds what is missing.
    Launched run [--id--]: 1 partition.
      watch   lake run show [--id--]
      undo    lake run cancel [--id--]
    Run [--id--] succeeded: 1 built of 1 partition in [time].
    [0]
    $ lake schedule trigger nightly
    error: schedule `nightly` was triggered at this very instant already: `lake schedule ls` shows its run
    [1]
    ");
    lake.clock.set(instant("2026-03-20T10:01:00Z"));
    assert_snapshot!(lake.conversation(&[
        "schedule trigger nightly",
        "schedule trigger hourly --at 2026-03-05T03:15 --detach",
        "schedule trigger nightly --at 2026-03-21T03:15 --dry-run",
        "schedule ls",
        "schedule trigger nightly --at 2026-02-05 --dry-run",
        "schedule trigger daily",
    ]).await, @"
    $ lake schedule trigger nightly
    Not built, because something is missing: lake.summary all (1 partition) needs lake.weekly 2026-W09..2026-W10 (2 partitions); lake.weekly 2026-W11 (1 partition) needs lake.daily 2026-03-09..2026-03-15 (7 partitions). `backfill 'lake.daily+' --missing` builds what is missing.
    [0]
    $ lake schedule trigger hourly --at 2026-03-05T03:15 --detach
    Launched run [--id--]: 3 partitions.
      watch   lake run show [--id--]
      undo    lake run cancel [--id--]
      work on lake run resume [--id--]
    [0]
    $ lake schedule trigger nightly --at 2026-03-21T03:15 --dry-run
    error: 2026-03-21 03:15:00+01:00 lies ahead, and what such a tick builds has not ended: choose an earlier time, or leave it out for now
    [2]
    $ lake schedule ls
    SCHEDULE  CRON        SELECTION     STATE   LAST TICK                  OUTCOME            NEXT TICK
    hourly    30 * * * *  lake.regions  paused  2026-03-20 11:01:00+01:00  launched, by hand
    nightly   15 3 * * *  lake.daily+   on      2026-03-20 11:01:00+01:00  nothing, by hand   2026-03-21 03:15:00+01:00

    hourly
      lake run show [--id--]
      lake schedule resume hourly

    nightly
      Counts yesterday, and the week when it is over
      not built, because something is missing: lake.summary all (1 partition) needs lake.weekly 2026-W09..2026-W10 (2 partitions); lake.weekly 2026-W11 (1 partition) needs lake.daily 2026-03-09..2026-03-15 (7 partitions). `backfill 'lake.daily+' --missing` builds what is missing
    [0]
    $ lake schedule trigger nightly --at 2026-02-05 --dry-run
    The tick of nightly at 2026-02-05 00:00:00+01:00 builds nothing.

    Not built, because something is missing: lake.summary all (1 partition) needs lake.weekly 2026-W09..2026-W11 (3 partitions). `backfill 'lake.daily+' --missing` builds what is missing.
    [0]
    $ lake schedule trigger daily
    error: there is no schedule `daily`: `lake schedule ls` lists those there are
    [2]
    ");
    lake.clock.set(instant("2026-03-20T10:02:00Z"));
    assert_snapshot!(lake.says("schedule trigger hourly --detach --json").await, @r#"
    {
      "schedule": "hourly",
      "tick_at": "2026-03-20T10:02:00Z",
      "outcome": "launched",
      "message": null,
      "launched": {
        "run_id": "[uuid]",
        "backfill_id": null,
        "cause": "schedule",
        "steps": 3,
        "requested_at": "2026-03-20T10:02:00Z",
        "plan": null
      }
    }
    [0]
    "#);
}

#[tokio::test]
async fn an_application_without_schedules_says_how_to_get_one() {
    fn without(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
        Definitions::builder(calendar).external::<assets::Event>().build()
    }
    let lake = Lake { application: Application { definitions: without, ..APPLICATION }, ..Lake::new().await };
    assert_snapshot!(lake.conversation(&["schedule ls", "schedule next", "schedule trigger nightly"]).await, @"
    $ lake schedule ls
    There are no schedules: declare one with `.schedule(…)` where the assets are registered.
    [0]
    $ lake schedule next
    No schedule is on. To see them all: lake schedule ls
    [0]
    $ lake schedule trigger nightly
    error: there is no schedule `nightly`: `lake schedule ls` lists those there are
    [2]
    ");
}
