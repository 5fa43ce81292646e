//! What a person can ask for: conversations with a small installation.

use insta::assert_snapshot;
use karat::asset::definitions::Definitions;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use super::service_lake::assets::{DayCount, WeekCount};
use super::service_lake::{self, Lake, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_nothing_to_fresh_and_back_after_late_rows() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    assert_snapshot!(lake.conversation(&["status --exit-code", "backfill ls", "run ls"]).await, @r#"
    $ lake status --exit-code
    ASSET         STATE    FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.events   empty        ·      ·        ·       ·       ·     0  never
    lake.daily    missing      ·      ·       19       ·       ·     0  never
    lake.regions  missing      ·      ·        3       ·       ·     0  never
    lake.weekly   missing      ·      ·        3       ·       ·     0  never
    lake.summary  missing      ·      ·        1       ·       ·     0  never

    lake.daily
      missing 2026-03-01..2026-03-19 (19 partitions)
      overdue since 2026-03-20 06:00:00+01:00: at most 30 h are allowed

    lake.regions
      missing europe..asia (3 partitions)

    lake.weekly
      missing 2026-W09..2026-W11 (3 partitions)

    lake.summary
      missing all (1 partition)

    To put it right:
      lake backfill '*' --missing
    [4]
    $ lake backfill ls
    There are no backfills. To begin one: lake backfill '*' --missing
    [0]
    $ lake run ls
    There are no runs. To begin one: lake materialize SELECTION
    [0]
    "#);
    lake.record(2, 19, 5).await;
    assert_snapshot!(
        lake.conversation(&["plan '*' --missing", "backfill '*' --missing", "backfill '*' --missing", "status --exit-code"])
            .await, @r#"
    $ lake plan '*' --missing
    ASSET         KIND  COUNT  PARTITIONS                              BUILT BEFORE  NOTE
    lake.daily    sql      19  2026-03-01..2026-03-19 (19 partitions)             0
    lake.regions  sql       3  europe..asia (3 partitions)                        0
    lake.weekly   rust      3  2026-W09..2026-W11 (3 partitions)                  0
    lake.summary  sql       1  all (1 partition)                                  0

    26 partitions of 4 assets. Not built, because their rows come from outside: lake.events.
    To build it: lake backfill '*' --missing
    [0]
    $ lake backfill '*' --missing
    Launched backfill [--id--]: 26 partitions of 4 assets.
      watch   lake backfill show [--id--]
      undo    lake backfill cancel [--id--]
    Backfill [--id--] succeeded: 26 built of 26 partitions in [time].
    [0]
    $ lake backfill '*' --missing
    nothing to do: no partition of the 4 selected assets is missing
    [0]
    $ lake status --exit-code
    ASSET         STATE     FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.events   external      ·      ·        ·       ·       ·    90  2026-03-20 11:00:00+01:00
    lake.daily    fresh        19      ·        ·       ·       ·    18  2026-03-20 11:00:00+01:00
    lake.regions  fresh         3      ·        ·       ·       ·     3  2026-03-20 11:00:00+01:00
    lake.weekly   fresh         3      ·        ·       ·       ·     3  2026-03-20 11:00:00+01:00
    lake.summary  fresh         1      ·        ·       ·       ·     1  2026-03-20 11:00:00+01:00
    [0]
    "#);
    // A row comes late that changes what is counted on 5 March; another only repeats what was written.
    lake.clock.set(service_lake::instant("2026-03-20T10:05:00Z"));
    lake.record(5, 6, 6).await;
    assert_snapshot!(
        lake.conversation(&["status --exit-code", "why daily 2026-03-05", "why lake.weekly 2026-W10"]).await, @r#"
    $ lake status --exit-code
    ASSET         STATE     FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.events   external      ·      ·        ·       ·       ·    92  2026-03-20 11:05:00+01:00
    lake.daily    stale        17      2        ·       ·       ·    18  2026-03-20 11:00:00+01:00
    lake.regions  stale         ·      3        ·       ·       ·     3  2026-03-20 11:00:00+01:00
    lake.weekly   fresh         3      ·        ·       ·       ·     3  2026-03-20 11:00:00+01:00
    lake.summary  fresh         1      ·        ·       ·       ·     1  2026-03-20 11:00:00+01:00

    lake.daily
      stale 2026-03-05..2026-03-06 (2 partitions): 2 rows landed in lake.events since 2026-03-20 11:05:00+01:00, written by a file

    lake.regions
      stale europe..asia (3 partitions): 6 rows landed in lake.events since 2026-03-20 11:05:00+01:00, written by a file

    To put it right:
      lake backfill '*' --stale
    [4]
    $ lake why daily 2026-03-05
    lake.daily 2026-03-05 is stale.
      Stale, because 1 row landed in lake.events since 2026-03-20 11:05:00+01:00, written by a file.
      Its version of 2026-03-20 11:00:00+01:00 has 1 row.
      That was run [--id--] (backfill [--id--]): lake backfill '*' --missing
      Its window was 2026-03-05 00:00:00+01:00 to 2026-03-06 00:00:00+01:00.
      Automation: not due yet; eager (after 1 min without a change) will be met at 2026-03-20 11:06:00+01:00; the newest change was at 2026-03-20 11:05:00+01:00.
      Schedule nightly: next at 2026-03-21 03:15:00+01:00.
      Freshness: pass (at most 30 h are allowed, due at 2026-03-22 06:00:00+01:00).
      To build it: lake materialize lake.daily 2026-03-05

    It reads:
      ASSET        MAPPING  PARTITIONS                SINCE IT WAS BUILT
      lake.events  overlap  2026-03-05 (1 partition)  changed

    What was done, newest first:
      2026-03-20 11:00:00+01:00 succeeded in run [--id--] (backfill [--id--]): lake backfill '*' --missing

    Its newest checks: 2 passed, 0 failed.
    [0]
    $ lake why lake.weekly 2026-W10
    lake.weekly 2026-W10 is fresh.
      Its version of 2026-03-20 11:00:00+01:00 has 1 row.
      That was run [--id--] (backfill [--id--]): lake backfill '*' --missing
      Its window was 2026-03-02 00:00:00+01:00 to 2026-03-09 00:00:00+01:00.
      Automation: it is built on request only.
      Schedule nightly: next at 2026-03-21 03:15:00+01:00.

    It reads:
      ASSET       MAPPING  PARTITIONS                             SINCE IT WAS BUILT
      lake.daily  overlap  2026-03-02..2026-03-08 (7 partitions)

    What was done, newest first:
      2026-03-20 11:00:00+01:00 succeeded in run [--id--] (backfill [--id--]): lake backfill '*' --missing
    [0]
    "#);
    lake.clock.set(service_lake::instant("2026-03-20T10:10:00Z"));
    assert_snapshot!(
        lake.conversation(&["plan '*' --stale", "backfill '*' --stale", "status lake.daily", "why daily 2026-03-05"]).await, @r#"
    $ lake plan '*' --stale
    ASSET         KIND  COUNT  PARTITIONS                             BUILT BEFORE  NOTE
    lake.daily    sql       2  2026-03-05..2026-03-06 (2 partitions)             2  rebuilt
    lake.regions  sql       3  europe..asia (3 partitions)                       3  rebuilt
    lake.weekly   rust      1  2026-W10 (1 partition)                            1  if its inputs change
    lake.summary  sql       1  all (1 partition)                                 1  if its inputs change

    7 partitions of 4 assets. Not built, because their rows come from outside: lake.events.
    To build it: lake backfill '*' --stale
    [0]
    $ lake backfill '*' --stale
    Launched backfill [--id--]: 7 partitions of 4 assets.
      watch   lake backfill show [--id--]
      undo    lake backfill cancel [--id--]
    Backfill [--id--] succeeded: 7 built of 7 partitions in [time].
    [0]
    $ lake status lake.daily
    ASSET       STATE  FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.daily  fresh     19      ·        ·       ·       ·    18  2026-03-20 11:10:00+01:00
    [0]
    $ lake why daily 2026-03-05
    lake.daily 2026-03-05 is fresh.
      Its version of 2026-03-20 11:10:00+01:00 has 1 row.
      That was run [--id--] (backfill [--id--]): lake backfill '*' --stale
      Its window was 2026-03-05 00:00:00+01:00 to 2026-03-06 00:00:00+01:00.
      Automation: nothing to do: nothing it reads has changed since it was built.
      Schedule nightly: next at 2026-03-21 03:15:00+01:00.
      Freshness: pass (at most 30 h are allowed, due at 2026-03-22 06:00:00+01:00).

    It reads:
      ASSET        MAPPING  PARTITIONS                SINCE IT WAS BUILT
      lake.events  overlap  2026-03-05 (1 partition)

    What was done, newest first:
      2026-03-20 11:10:00+01:00 succeeded in run [--id--] (backfill [--id--]): lake backfill '*' --stale
      2026-03-20 11:00:00+01:00 succeeded in run [--id--] (backfill [--id--]): lake backfill '*' --missing

    Its newest checks: 2 passed, 0 failed.
    [0]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_content_stops_what_reads_it_from_being_built_again() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.record(2, 8, 3).await;
    lake.says("backfill 'lake.daily lake.weekly lake.summary' --all").await;
    // Rows landed, and were taken away again before anybody looked: the day is counted anew with the same result.
    lake.record(4, 4, 4).await;
    sqlx::query("delete from lake.events where event_id = 4004").execute(&lake.pool).await.unwrap();
    assert_snapshot!(
        lake.conversation(&["plan '*' --stale --exclude lake.regions", "backfill '*' --stale --exclude lake.regions"]).await, @r#"
    $ lake plan '*' --stale --exclude lake.regions
    ASSET         KIND  COUNT  PARTITIONS                BUILT BEFORE  NOTE
    lake.daily    sql       1  2026-03-04 (1 partition)             1  rebuilt
    lake.weekly   rust      1  2026-W10 (1 partition)               1  if its inputs change
    lake.summary  sql       1  all (1 partition)                    1  if its inputs change

    3 partitions of 3 assets. Not built, because their rows come from outside: lake.events.
    To build it: lake backfill '* --exclude lake.regions' --stale
    [0]
    $ lake backfill '*' --stale --exclude lake.regions
    Launched backfill [--id--]: 3 partitions of 3 assets.
      watch   lake backfill show [--id--]
      undo    lake backfill cancel [--id--]
    Backfill [--id--] succeeded: 1 built, 2 fresh already of 3 partitions in [time].
    [0]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_check_blocks_what_reads_the_partition_until_it_is_put_right() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.record(2, 15, 3).await;
    lake.record(11, 11, 60).await;
    assert_snapshot!(
        lake.conversation(&["backfill 'lake.daily lake.weekly' --all", "status lake.daily+ --exit-code", "why daily 2026-03-11", "why weekly 2026-W11"])
            .await, @r#"
    $ lake backfill 'lake.daily lake.weekly' --all
    Launched backfill [--id--]: 22 partitions of 2 assets.
      watch   lake backfill show [--id--]
      undo    lake backfill cancel [--id--]
    Backfill [--id--] failed: 20 built, 1 failed, 1 blocked of 22 partitions in [time].
      lake.daily 2026-03-11 failed: check plausible: 1 offending row; the version before stays
      lake.weekly 2026-W11 blocked: upstream lake.daily was not built: 2026-03-11 (1 partition)
      details lake backfill show [--id--]
      retry   lake backfill retry [--id--]
    [1]
    $ lake status lake.daily+ --exit-code
    ASSET         STATE    FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.daily    failed      18      ·        1       1       ·    13  2026-03-20 11:00:00+01:00
    lake.weekly   failed       2      ·        1       1       ·     2  2026-03-20 11:00:00+01:00
    lake.summary  missing      ·      ·        1       ·       ·     0  never

    lake.daily
      failed 2026-03-11 (1 partition): check plausible: 1 offending row; the version before stays
      missing 2026-03-11 (1 partition)

    lake.weekly
      blocked 2026-W11 (1 partition): upstream lake.daily was not built: 2026-03-11 (1 partition)
      missing 2026-W11 (1 partition)

    lake.summary
      missing all (1 partition)

    To put it right:
      lake backfill lake.daily+ --missing
      lake backfill lake.daily+ --failed
    [4]
    $ lake why daily 2026-03-11
    lake.daily 2026-03-11 is failed.
      Because: check plausible: 1 offending row; the version before stays
      Its window was 2026-03-11 00:00:00+01:00 to 2026-03-12 00:00:00+01:00.
      Automation: waiting for a change; eager (after 1 min without a change) waits for a change: nothing has changed since the last step failed; the newest change was at 2026-03-20 11:00:00+01:00.
      Schedule nightly: next at 2026-03-21 03:15:00+01:00.
      Freshness: pass (at most 30 h are allowed, due at 2026-03-22 06:00:00+01:00).
      To build it: lake materialize lake.daily 2026-03-11

    It reads:
      ASSET        MAPPING  PARTITIONS                SINCE IT WAS BUILT
      lake.events  overlap  2026-03-11 (1 partition)

    What was done, newest first:
      2026-03-20 11:00:00+01:00 failed in run [--id--] (backfill [--id--]): lake backfill 'lake.daily lake.weekly' --all
        check plausible: 1 offending row; the version before stays

    Its newest checks: 1 passed, 1 failed.
      plausible (blocking): 1 offending row
    [0]
    $ lake why weekly 2026-W11
    lake.weekly 2026-W11 is blocked.
      Because: upstream lake.daily was not built: 2026-03-11 (1 partition)
      lake.daily 2026-03-11 failed in run [--id--]: check plausible: 1 offending row; the version before stays
        lake why lake.daily 2026-03-11
      Its window was 2026-03-09 00:00:00+01:00 to 2026-03-16 00:00:00+01:00.
      It cannot be built: lake.daily 2026-03-11 (1 partition) is missing.
      Automation: it is built on request only.
      Schedule nightly: next at 2026-03-21 03:15:00+01:00.
      To build it: lake materialize lake.weekly 2026-W11 --upstream

    It reads:
      ASSET       MAPPING  PARTITIONS                             SINCE IT WAS BUILT
      lake.daily  overlap  2026-03-09..2026-03-15 (7 partitions)

    What was done, newest first:
      2026-03-20 11:00:00+01:00 blocked in run [--id--] (backfill [--id--]): lake backfill 'lake.daily lake.weekly' --all
        upstream lake.daily was not built: 2026-03-11 (1 partition)
    [0]
    "#);
    assert_snapshot!(lake.conversation(&["materialize lake.weekly 2026-W11"]).await, @r#"
    $ lake materialize lake.weekly 2026-W11
    error: missing upstream: lake.daily 2026-03-11 (1 partition). Add `--upstream` to build them first, or `--force` to build without them
    [1]
    "#);
    sqlx::query("delete from lake.events where person > 3").execute(&lake.pool).await.unwrap();
    let listed = lake.says("backfill ls --json").await;
    let id = id_in(&listed, "backfill_id");
    assert_snapshot!(lake.conversation(&[&format!("backfill show {id}")]).await.replace(&id, "[id]"), @r#"
    $ lake backfill show [id]
    backfill   [id]
    state      failed
    request    lake backfill 'lake.daily lake.weekly' --all
    created    2026-03-20 11:00:00+01:00
    runs       [--id--]
    partitions 22 of 22 done: 20 succeeded, 1 failed, 1 blocked
    Not built:
      lake.daily 2026-03-11 failed: check plausible: 1 offending row; the version before stays
      lake.weekly 2026-W11 blocked: upstream lake.daily was not built: 2026-03-11 (1 partition)
      retry   lake backfill retry [--id--]
      logs    lake run logs [--id--]
    [0]
    "#);
    assert_snapshot!(
        lake.conversation(&[&format!("backfill retry {id}"), &format!("backfill retry {id}"), &format!("backfill show {}", &id[28..]), "status lake.daily+ --exit-code"])
            .await, @r#"
    $ lake backfill retry [uuid]
    Launched backfill [--id--]: 2 partitions.
      watch   lake backfill show [--id--]
      undo    lake backfill cancel [--id--]
    Backfill [--id--] succeeded: 2 built of 2 partitions in [time].
    [0]
    $ lake backfill retry [uuid]
    nothing to do: no partition of backfill [uuid] failed or was blocked
    [0]
    $ lake backfill show [--id--]
    backfill   [uuid]
    state      succeeded
    request    lake backfill 'lake.daily lake.weekly' --all
    created    2026-03-20 11:00:00+01:00
    runs       [--id--], [--id--]
    partitions 22 of 22 done: 22 succeeded
      logs    lake run logs [--id--]
    [0]
    $ lake status lake.daily+ --exit-code
    ASSET         STATE    FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.daily    fresh       19      ·        ·       ·       ·    14  2026-03-20 11:00:00+01:00
    lake.weekly   fresh        3      ·        ·       ·       ·     3  2026-03-20 11:00:00+01:00
    lake.summary  missing      ·      ·        1       ·       ·     0  never

    lake.summary
      missing all (1 partition)

    To put it right:
      lake backfill lake.daily+ --missing
    [4]
    "#);
}

/// The first value of `field` in a JSON answer.
fn id_in(answer: &str, field: &str) -> String {
    let (_, rest) = answer.split_once(&format!("\"{field}\": \"")).unwrap_or_else(|| panic!("{answer}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_upstream_is_refused_built_first_or_recorded() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.record(2, 19, 3).await;
    assert_snapshot!(
        lake.conversation(&[
            "materialize lake.weekly",
            "plan lake.weekly 2026-W10..2026-W11",
            "materialize lake.weekly 2026-W11 --force",
            "why lake.weekly 2026-W11",
            "plan lake.weekly 2026-W10..2026-W11 --upstream",
            "materialize lake.weekly 2026-W10 --upstream",
            "status lake.weekly",
        ])
        .await, @r#"
    $ lake materialize lake.weekly
    error: missing upstream: lake.daily 2026-03-09..2026-03-15 (7 partitions). Add `--upstream` to build them first, or `--force` to build without them
    [1]
    $ lake plan lake.weekly 2026-W10..2026-W11
    ASSET        KIND  COUNT  PARTITIONS                         BUILT BEFORE  NOTE
    lake.weekly  rust      2  2026-W10..2026-W11 (2 partitions)             0

    2 partitions of 1 asset.
    Missing upstream: lake.daily 2026-03-02..2026-03-15 (14 partitions).
    It cannot be launched like this: add --upstream to build them first, or --force to build without them.
    [1]
    $ lake materialize lake.weekly 2026-W11 --force
    Launched run [--id--]: 1 partition of 1 asset.
      watch   lake run show [--id--]
      undo    lake run cancel [--id--]
      Built by force with inputs missing: lake.daily 2026-03-09..2026-03-15 (7 partitions).
    Run [--id--] succeeded: 1 built of 1 partition in [time].
    [0]
    $ lake why lake.weekly 2026-W11
    lake.weekly 2026-W11 is stale.
      Stale, because it was built by force with inputs missing.
      Its version of 2026-03-20 11:00:00+01:00 has 1 row, and was built by force without lake.daily 2026-03-09..2026-03-15 (7 partitions).
      That was run [--id--] (manual): lake materialize lake.weekly 2026-W11 --force
      Its window was 2026-03-09 00:00:00+01:00 to 2026-03-16 00:00:00+01:00.
      It cannot be built: lake.daily 2026-03-09..2026-03-15 (7 partitions) is missing.
      Automation: it is built on request only.
      Schedule nightly: next at 2026-03-21 03:15:00+01:00.
      To build it: lake materialize lake.weekly 2026-W11 --upstream

    It reads:
      ASSET       MAPPING  PARTITIONS                             SINCE IT WAS BUILT
      lake.daily  overlap  2026-03-09..2026-03-15 (7 partitions)

    What was done, newest first:
      2026-03-20 11:00:00+01:00 succeeded in run [--id--] (manual): lake materialize lake.weekly 2026-W11 --force
    [0]
    $ lake plan lake.weekly 2026-W10..2026-W11 --upstream
    ASSET        KIND  COUNT  PARTITIONS                              BUILT BEFORE  NOTE
    lake.daily   sql      14  2026-03-02..2026-03-15 (14 partitions)             0  missing upstream
    lake.weekly  rust      2  2026-W10..2026-W11 (2 partitions)                  1  rebuilt

    16 partitions of 2 assets.
    To build it: lake backfill lake.weekly 2026-W10..2026-W11 --upstream
    [0]
    $ lake materialize lake.weekly 2026-W10 --upstream
    Launched run [--id--]: 8 partitions of 2 assets.
      watch   lake run show [--id--]
      undo    lake run cancel [--id--]
    Run [--id--] succeeded: 8 built of 8 partitions in [time].
    [0]
    $ lake status lake.weekly
    ASSET        STATE    FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.weekly  missing      1      1        1       ·       ·     2  2026-03-20 11:00:00+01:00

    lake.weekly
      stale 2026-W11 (1 partition): it was built by force with inputs missing
      missing 2026-W09 (1 partition)

    To put it right:
      lake backfill lake.weekly --missing
      lake backfill lake.weekly --stale
    [0]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_can_be_left_to_others_paused_canceled_and_taken_up_again() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.record(2, 19, 3).await;
    let launched = lake.says("backfill lake.daily 2026-03-02..2026-03-09 --detach --json").await;
    let (backfill, run) = (id_in(&launched, "backfill_id"), id_in(&launched, "run_id"));
    let lines = [
        format!("backfill show {backfill}"),
        format!("backfill pause {backfill}"),
        format!("backfill pause {backfill}"),
        "run ls --live".to_owned(),
        format!("backfill resume {backfill} --detach"),
        format!("backfill retry {backfill}"),
        format!("backfill cancel {backfill}"),
        "backfill ls".to_owned(),
    ];
    assert_snapshot!(lake.conversation(&lines.each_ref().map(String::as_str)).await, @r#"
    $ lake backfill show [uuid]
    backfill   [uuid]
    state      running
    request    lake backfill lake.daily 2026-03-02..2026-03-09
    created    2026-03-20 11:00:00+01:00
    runs       [--id--]
    partitions 0 of 8 done: 8 waiting
      go on   lake backfill resume [--id--]
      cancel  lake backfill cancel [--id--]
      logs    lake run logs [--id--]
    [0]
    $ lake backfill pause [uuid]
    Paused backfill [--id--].
      watch   lake backfill show [--id--]
      resume  lake backfill resume [--id--]
    [0]
    $ lake backfill pause [uuid]
    The backfill [--id--] was paused already.
      watch   lake backfill show [--id--]
      resume  lake backfill resume [--id--]
    [0]
    $ lake run ls --live
    RUN       STATE   CAUSE              DONE  TOTAL  FAILED  REQUESTED                  REQUEST
    [--id--]  paused  backfill [--id--]     0      8       0  2026-03-20 11:00:00+01:00  backfill lake.daily 2026-03-02..2026-03-09
    [0]
    $ lake backfill resume [uuid] --detach
    Resumed backfill [--id--].
      watch   lake backfill show [--id--]
      undo    lake backfill cancel [--id--]
    [0]
    $ lake backfill retry [uuid]
    error: backfill [uuid] is still running: wait for its end, or cancel it with `lake backfill cancel`
    [1]
    $ lake backfill cancel [uuid]
    Canceled backfill [--id--].
      watch   lake backfill show [--id--]
      undo    lake backfill retry [--id--] --canceled
    [0]
    $ lake backfill ls
    BACKFILL  STATE     DONE  TOTAL  FAILED  CREATED                    REQUEST
    [--id--]  canceled     8      8       0  2026-03-20 11:00:00+01:00  backfill lake.daily 2026-03-02..2026-03-09
    [0]
    "#);
    let lines = [
        format!("backfill resume {backfill}"),
        format!("backfill retry {backfill}"),
        format!("backfill retry {backfill} --canceled"),
        format!("run show {run}"),
        "run ls".to_owned(),
        "run ls --asset weekly".to_owned(),
        format!("run logs {}", &run[24..]),
    ];
    assert_snapshot!(lake.conversation(&lines.each_ref().map(String::as_str)).await, @r#"
    $ lake backfill resume [uuid]
    error: backfill [uuid] has ended already: it was canceled
    [1]
    $ lake backfill retry [uuid]
    nothing to do: no partition of backfill [uuid] failed or was blocked; 8 were canceled, which --canceled repeats
    [0]
    $ lake backfill retry [uuid] --canceled
    Launched backfill [--id--]: 8 partitions.
      watch   lake backfill show [--id--]
      undo    lake backfill cancel [--id--]
    Backfill [--id--] succeeded: 8 built of 8 partitions in [time].
    [0]
    $ lake run show [uuid]
    run        [uuid]
    state      canceled
    cause      backfill [--id--]
    request    lake backfill lake.daily 2026-03-02..2026-03-09
    requested  2026-03-20 11:00:00+01:00
    finished   2026-03-20 11:00:00+01:00
    backfill   [--id--]
    partitions 8 of 8 done: 8 canceled

    ASSET       STATE     PARTITIONS
    lake.daily  canceled  2026-03-02..2026-03-09 (8 partitions)
      retry   lake run retry [--id--] --canceled
      logs    lake run logs [--id--]
    [0]
    $ lake run ls
    RUN       STATE      CAUSE                  DONE  TOTAL  FAILED  REQUESTED                  REQUEST
    [--id--]  succeeded  retry of run [--id--]     8      8       0  2026-03-20 11:00:00+01:00  backfill retry [uuid]
    [--id--]  canceled   backfill [--id--]         8      8       0  2026-03-20 11:00:00+01:00  backfill lake.daily 2026-03-02..2026-03-09
    [0]
    $ lake run ls --asset weekly
    There are no such runs. All of them: lake run ls
    [0]
    $ lake run logs [----id----]
    The assets said nothing.
    [0]
    "#);
}

#[tokio::test]
async fn a_run_by_itself_is_taken_up_again_and_keeps_what_was_said_in_it() {
    let lake = Lake::new().await;
    // All of this test happens on this thread, the attempts included.
    let said = Targets::new().with_target("karat", LevelFilter::INFO);
    let layer = lake.logs.layer(lake.clock.clone()).with_filter(said);
    let subscriber = tracing_subscriber::registry().with(layer);
    let _subscribed = crate::lake::listen(subscriber);
    let _guard = settings().bind_to_scope();
    lake.record(2, 19, 3).await;
    let run = id_in(&lake.says("materialize '+weekly' 2026-03-09..2026-03-15 --detach --json").await, "run_id");
    assert_snapshot!(
        lake.conversation(&[&format!("run resume {run}"), &format!("run logs {run} --asset weekly"), &format!("run cancel {run}")])
            .await, @r#"
    $ lake run resume [uuid]
    Going on with run [--id--].
    Run [--id--] succeeded: 8 built of 8 partitions in [time].
    [0]
    $ lake run logs [uuid] --asset weekly
    2026-03-20 11:00:00+01:00 info  lake.weekly 2026-W11: counting a week days=7
    [0]
    $ lake run cancel [uuid]
    error: run [uuid] has ended already: it succeeded
    [1]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_says_which_partitions_of_which_assets() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    let mut answers = String::new();
    for request in [
        "'*'",
        "lake.daily 2026-03-10",
        "lake.daily 2026-03-10..2026-03-12,2026-03-15",
        "lake.daily 2026-03",
        "lake.daily 2026",
        "lake.daily latest",
        "'lake.daily lake.weekly' latest",
        // The week of 16 March is open: a range does not take it, its own name does.
        "'lake.daily lake.weekly' 2026-03-09..2026-03-20",
        "'lake.daily lake.weekly' 2026-03-16..",
        "'lake.daily lake.weekly' ..2026-03-03",
        "'lake.daily lake.weekly' 2026-W12",
        "'lake.daily lake.weekly' 2026-03-20",
        "'lake.daily lake.weekly' 2026-W10..2026-W11",
        "'lake.daily lake.weekly lake.regions lake.summary' 2026-W10",
        "'lake.daily lake.regions' 2026-03-18,europe",
        "lake.regions europe..america",
        "lake.regions",
        "lake.summary all",
        "tag:nightly",
        "'lake.* !lake.regions,kind:sql' --all",
        "'1+weekly' 2026-W10",
    ] {
        let words = service_lake::words(&format!("plan {request} --json"));
        let answer = lake.answers(&words).await;
        let json: serde_json::Value = serde_json::from_str(answer.rsplit_once('[').unwrap().0).unwrap();
        let assets: Vec<String> = json["assets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|asset| {
                format!("    {} {}", asset["asset"].as_str().unwrap(), asset["partitions"]["text"].as_str().unwrap())
            })
            .collect();
        answers.push_str(&format!("{request}\n{}\n", assets.join("\n")));
    }
    assert_snapshot!(answers, @r#"
    '*'
        lake.daily 2026-03-19 (1 partition)
        lake.regions europe..asia (3 partitions)
        lake.weekly 2026-W11 (1 partition)
        lake.summary all (1 partition)
    lake.daily 2026-03-10
        lake.daily 2026-03-10 (1 partition)
    lake.daily 2026-03-10..2026-03-12,2026-03-15
        lake.daily 2026-03-10..2026-03-12, 2026-03-15 (4 partitions)
    lake.daily 2026-03
        lake.daily 2026-03-01..2026-03-19 (19 partitions)
    lake.daily 2026
        lake.daily 2026-03-01..2026-03-19 (19 partitions)
    lake.daily latest
        lake.daily 2026-03-19 (1 partition)
    'lake.daily lake.weekly' latest
        lake.daily 2026-03-19 (1 partition)
        lake.weekly 2026-W11 (1 partition)
    'lake.daily lake.weekly' 2026-03-09..2026-03-20
        lake.daily 2026-03-09..2026-03-19 (11 partitions)
        lake.weekly 2026-W11 (1 partition)
    'lake.daily lake.weekly' 2026-03-16..
        lake.daily 2026-03-16..2026-03-19 (4 partitions)
    'lake.daily lake.weekly' ..2026-03-03
        lake.daily 2026-03-01..2026-03-03 (3 partitions)
        lake.weekly 2026-W09..2026-W10 (2 partitions)
    'lake.daily lake.weekly' 2026-W12
        lake.daily 2026-03-16..2026-03-19 (4 partitions)
        lake.weekly 2026-W12 (1 partition)
    'lake.daily lake.weekly' 2026-03-20
        lake.daily 2026-03-20 (1 partition)
    'lake.daily lake.weekly' 2026-W10..2026-W11
        lake.daily 2026-03-02..2026-03-15 (14 partitions)
        lake.weekly 2026-W10..2026-W11 (2 partitions)
    'lake.daily lake.weekly lake.regions lake.summary' 2026-W10
        lake.daily 2026-03-02..2026-03-08 (7 partitions)
        lake.regions europe..asia (3 partitions)
        lake.weekly 2026-W10 (1 partition)
        lake.summary all (1 partition)
    'lake.daily lake.regions' 2026-03-18,europe
        lake.daily 2026-03-18 (1 partition)
        lake.regions europe (1 partition)
    lake.regions europe..america
        lake.regions europe..america (2 partitions)
    lake.regions
        lake.regions europe..asia (3 partitions)
    lake.summary all
        lake.summary all (1 partition)
    tag:nightly
        lake.daily 2026-03-19 (1 partition)
    'lake.* !lake.regions,kind:sql' --all
        lake.daily 2026-03-01..2026-03-19 (19 partitions)
        lake.regions europe..asia (3 partitions)
        lake.weekly 2026-W09..2026-W11 (3 partitions)
        lake.summary all (1 partition)
    '1+weekly' 2026-W10
        lake.daily 2026-03-02..2026-03-08 (7 partitions)
        lake.weekly 2026-W10 (1 partition)
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_gets_a_sentence_and_its_exit_code() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.says("backfill lake.daily 2026-03-10 --detach").await;
    assert_snapshot!(
        lake.conversation(&[
            "status lake.dayli",
            "status layer:gold",
            "status state:stael",
            "status state:failed",
            "status 'lake.daily,lake.weekly'",
            "status 'lake.daily,'",
            "why lake.dayli",
            "why lake.daily 2026-03-21",
            "why lake.daily 2026-03-10..2026-03-12",
            "asset show 'no such thing'",
            "materialize lake.events",
            "materialize lake.daily 2026-02-29",
            "materialize lake.daily 2026-02-28",
            "materialize lake.daily 2026-03-21",
            "materialize lake.daily 2026-03-20..2026-03-25",
            "materialize lake.daily 2026-03-12..2026-03-10",
            "materialize lake.daily 2026-03-20..2026-03-20",
            "materialize lake.daily ,",
            "materialize lake.daily ''",
            "materialize lake.daily europe",
            "materialize lake.regions eurpe",
            "materialize lake.summary 2026-03-10",
            "materialize lake.weekly 2026-03-10",
            "materialize 'lake.daily lake.regions' europe",
            "materialize ''",
            "backfill lake.daily",
            "backfill lake.daily --stale",
            "backfill lake.daily 2026-03-10 --all",
            "backfill lake.daily --concurrency 0",
            "backfill lake.daily --priority high",
            "backfill show abc",
            "backfill show 12345678",
            "run show xyzw",
            "run show 00000000-0000-0000-0000-000000000000",
            "run ls --state stale",
            "run ls --limit 0",
            "gc --keep-logs forever",
            "status --zone Mars/Olympus",
            "status --first-day 2026-13-01",
            "frobnicate",
            "",
        ])
        .await, @r#"
    $ lake status lake.dayli
    error: there is no asset `lake.dayli`: did you mean `lake.daily`?
    [2]
    $ lake status layer:gold
    error: no asset has the layer `gold`: there is `lake`
    [2]
    $ lake status state:stael
    error: cannot read `state:stael` in the selection: did you mean `state:stale`?
    [2]
    $ lake status state:failed
    error: the selection matches no asset: no asset is failed (`state:failed`)
    [2]
    $ lake status 'lake.daily,lake.weekly'
    error: the selection matches no asset: no asset is in all of `lake.daily,lake.weekly`
    [2]
    $ lake status 'lake.daily,'
    error: cannot read `lake.daily,` in the selection: nothing stands before or after a `,`
    [2]
    $ lake why lake.dayli
    error: there is no asset `lake.dayli`: did you mean `lake.daily`?
    [2]
    $ lake why lake.daily 2026-03-21
    error: lake.daily: `2026-03-21` has not begun yet: the newest partition is `2026-03-20`
    [2]
    $ lake why lake.daily 2026-03-10..2026-03-12
    error: lake.daily: `2026-03-10..2026-03-12` is not a partition key: `..` and `,` separate partitions and cannot be part of one
    [2]
    $ lake asset show 'no such thing'
    error: there is no asset `no such thing`: `lake ls` lists all assets
    [2]
    $ lake materialize lake.events
    error: lake.events is external: its rows come from outside and Karat does not build it. Build what reads it, for example with `lake.events+`
    [2]
    $ lake materialize lake.daily 2026-02-29
    error: lake.daily: `2026-02-29` is impossible: February 2026 has 28 days
    [2]
    $ lake materialize lake.daily 2026-02-28
    error: lake.daily: `2026-02-28` lies before the start: the first partition is `2026-03-01`
    [2]
    $ lake materialize lake.daily 2026-03-21
    error: lake.daily: `2026-03-21` has not begun yet: the newest partition is `2026-03-20`
    [2]
    $ lake materialize lake.daily 2026-03-20..2026-03-25
    error: lake.daily: `2026-03-25` has not begun yet: the newest partition is `2026-03-20`
    [2]
    $ lake materialize lake.daily 2026-03-12..2026-03-10
    error: lake.daily: `2026-03-12..2026-03-10` ends before it begins: write `2026-03-10..2026-03-12`
    [2]
    $ lake materialize lake.daily 2026-03-20..2026-03-20
    error: no partition of lake.daily has ended in `2026-03-20..2026-03-20`; one that is still open is built when it is named by its own key
    [2]
    $ lake materialize lake.daily ,
    error: lake.daily: `` selects nothing: write keys or ranges separated by commas, such as `2026-03-01..2026-03-20`
    [2]
    $ lake materialize lake.daily ''
    error: lake.daily: `` selects nothing: write keys or ranges separated by commas, such as `2026-03-01..2026-03-20`
    [2]
    $ lake materialize lake.daily europe
    error: lake.daily: `europe` is no key of daily partitions: a day is written `YYYY-MM-DD`, such as `2026-11-21`
    [2]
    $ lake materialize lake.regions eurpe
    error: lake.regions: there is no partition `eurpe`; did you mean `europe`?
    [2]
    $ lake materialize lake.summary 2026-03-10
    error: lake.summary: `2026-03-10` is no partition: the asset is not partitioned, its one partition is `all`
    [2]
    $ lake materialize lake.weekly 2026-03-10
    error: lake.weekly: `2026-03-10` is no key of weekly partitions: an ISO week is written `YYYY-Www`, such as `2026-W47`
    [2]
    $ lake materialize 'lake.daily lake.regions' europe
    error: `europe` says nothing about lake.daily: add the stretch of time for it, or leave it out with `!lake.daily`
    [2]
    $ lake materialize ''
    error: the selection is empty: name assets, for example `gold.*` or `tag:nightly`, or `*` for all of them
    [2]
    $ lake backfill lake.daily
    error: which partitions? Write a range or list, such as `lake backfill lake.daily 2026-01..2026-03`, or one of --all, --missing, --failed, --stale
    [2]
    $ lake backfill lake.daily --stale
    nothing to do: no partition of lake.daily is stale
    [0]
    $ lake backfill lake.daily 2026-03-10 --all
    error: the argument '[PARTITIONS]' cannot be used with '--all'
    [2]
    $ lake backfill lake.daily --concurrency 0
    error: invalid value '0' for '--concurrency <N>': 0 is not in 1..=1000
    [2]
    $ lake backfill lake.daily --priority high
    error: invalid value 'high' for '--priority <N>': invalid digit found in string
    [2]
    $ lake backfill show abc
    error: `abc` is too short for an id of a backfill: write at least 4 characters from its beginning or end. `lake backfill ls` lists them
    [2]
    $ lake backfill show [--id--]
    error: there is no backfill `[--id--]`: `lake backfill ls` lists them
    [2]
    $ lake run show xyzw
    error: `xyzw` is no id of a run: ids are made of the digits 0-9 and a-f, and `x` is none of them. `lake run ls` lists them
    [2]
    $ lake run show [uuid]
    error: there is no run `[uuid]`: `lake run ls` lists them
    [2]
    $ lake run ls --state stale
    error: invalid value 'stale' for '--state <STATE>'
    [2]
    $ lake run ls --limit 0
    error: invalid value '0' for '--limit <N>': 0 is not in 1..=10000
    [2]
    $ lake gc --keep-logs forever
    error: invalid value 'forever' for '--keep-logs <DURATION>': expected number at 0; write for example 30d, 12h or 1h 30m
    [2]
    $ lake status --zone Mars/Olympus
    error: invalid value 'Mars/Olympus' for '--zone <ZONE>': there is no such zone; write an IANA name such as Europe/Berlin or UTC
    [2]
    $ lake status --first-day 2026-13-01
    error: invalid value '2026-13-01' for '--first-day <DATE>': no date of the calendar; write YYYY-MM-DD, such as 2026-01-31
    [2]
    $ lake frobnicate
    error: unrecognized subcommand 'frobnicate'
    [2]
    $ lake
    error: 'lake' requires a subcommand but one was not provided
    [2]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_may_be_shortened_from_both_sides_and_say_what_else_they_could_be() {
    let lake = Lake::new().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(id_in(&lake.says("materialize lake.daily --detach --json").await, "run_id"));
    }
    // Ids of one moment begin alike.
    let shared: String =
        runs[0].chars().zip(runs[1].chars()).take_while(|(left, right)| left == right).map(|pair| pair.0).collect();
    assert!(shared.len() >= 4, "{runs:?}");
    let answer = lake.says(&format!("run show {shared}")).await;
    assert!(
        answer.starts_with(&format!(
            "error: `{shared}` can be any of several runs, `{}`, `{}`: write more",
            runs[1], runs[0]
        )),
        "{answer}"
    );
    assert!(answer.ends_with("[2]"), "{answer}");
    for name in [&runs[1][..], &runs[1][..25], &runs[1][24..], &runs[1][28..].to_uppercase(), &runs[1].replace('-', "")]
    {
        let answer = lake.says(&format!("run show {name}")).await;
        assert!(answer.starts_with(&format!("run        {}\n", runs[1])), "{name}: {answer}");
    }
    let backfill = id_in(&lake.says("backfill lake.daily 2026-03-10 --detach --json").await, "backfill_id");
    let answer = lake.says(&format!("run cancel {}", &backfill[28..])).await;
    assert!(answer.contains("is a backfill, not a run: use `lake backfill show"), "{answer}");
    let mut misspelt = backfill[28..].to_owned();
    let last = if misspelt.ends_with('0') { "1" } else { "0" };
    misspelt.replace_range(7.., last);
    let answer = lake.says(&format!("backfill show {misspelt}")).await;
    assert!(answer.contains(&format!("did you mean `{}`?", &backfill[28..])), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_goes_and_what_is_current_stays() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.record(2, 19, 3).await;
    for day in [1, 2] {
        lake.clock.advance(std::time::Duration::from_secs(86_400 * day));
        lake.says("backfill 'lake.daily lake.weekly' 2026-03-09..2026-03-15").await;
    }
    lake.record(12, 12, 60).await;
    lake.says("materialize lake.daily 2026-03-12").await;
    let before = lake.says("status").await;
    assert_snapshot!(lake.conversation(&["gc"]).await, @r#"
    $ lake gc
    Nothing has expired: no logs from before 2026-02-21 11:00:00+01:00, no history from before 2025-12-23 11:00:00+01:00.
    [0]
    "#);
    lake.clock.advance(std::time::Duration::from_secs(86_400 * 100));
    assert_snapshot!(lake.conversation(&["gc --dry-run", "gc --dry-run", "gc", "gc"]).await, @r#"
    $ lake gc --dry-run
    To be removed:
      14 tables of logs, events, attempts and ticks from before 2026-06-01 12:00:00+02:00, [size]: attempt_20260321, attempt_20260322, attempt_20260323, attempt_20260324, event_20260322, event_20260324, log_line_20260321, log_line_20260322, log_line_20260323, log_line_20260324, tick_20260321, tick_20260322, tick_20260323, tick_20260324
      7 stray log rows from before 2026-06-01 12:00:00+02:00, [size]
      8 replaced versions from before 2026-04-02 12:00:00+02:00, [size]
      29 check results from before 2026-04-02 12:00:00+02:00, [size]
      16 steps from before 2026-04-02 12:00:00+02:00, [size]
      1 run from before 2026-04-02 12:00:00+02:00, [size]
      1 backfill from before 2026-04-02 12:00:00+02:00, [size]
      4 audit records from before 2026-04-02 12:00:00+02:00, [size]
    Data and everything current stay. To remove it, leave out --dry-run.
    [0]
    $ lake gc --dry-run
    To be removed:
      14 tables of logs, events, attempts and ticks from before 2026-06-01 12:00:00+02:00, [size]: attempt_20260321, attempt_20260322, attempt_20260323, attempt_20260324, event_20260322, event_20260324, log_line_20260321, log_line_20260322, log_line_20260323, log_line_20260324, tick_20260321, tick_20260322, tick_20260323, tick_20260324
      7 stray log rows from before 2026-06-01 12:00:00+02:00, [size]
      8 replaced versions from before 2026-04-02 12:00:00+02:00, [size]
      29 check results from before 2026-04-02 12:00:00+02:00, [size]
      16 steps from before 2026-04-02 12:00:00+02:00, [size]
      1 run from before 2026-04-02 12:00:00+02:00, [size]
      1 backfill from before 2026-04-02 12:00:00+02:00, [size]
      4 audit records from before 2026-04-02 12:00:00+02:00, [size]
    Data and everything current stay. To remove it, leave out --dry-run.
    [0]
    $ lake gc
    Removed:
      14 tables of logs, events, attempts and ticks from before 2026-06-01 12:00:00+02:00, [size]: attempt_20260321, attempt_20260322, attempt_20260323, attempt_20260324, event_20260322, event_20260324, log_line_20260321, log_line_20260322, log_line_20260323, log_line_20260324, tick_20260321, tick_20260322, tick_20260323, tick_20260324
      7 stray log rows from before 2026-06-01 12:00:00+02:00, [size]
      8 replaced versions from before 2026-04-02 12:00:00+02:00, [size]
      29 check results from before 2026-04-02 12:00:00+02:00, [size]
      16 steps from before 2026-04-02 12:00:00+02:00, [size]
      1 run from before 2026-04-02 12:00:00+02:00, [size]
      1 backfill from before 2026-04-02 12:00:00+02:00, [size]
      4 audit records from before 2026-04-02 12:00:00+02:00, [size]
    [0]
    $ lake gc
    Nothing has expired: no logs from before 2026-06-01 12:00:00+02:00, no history from before 2026-04-02 12:00:00+02:00.
    [0]
    "#);
    lake.clock.set(service_lake::instant("2026-03-23T10:00:00Z"));
    assert_eq!(before, lake.says("status").await);
    assert_snapshot!(lake.conversation(&["why daily 2026-03-12", "asset show lake.weekly"]).await, @r#"
    $ lake why daily 2026-03-12
    lake.daily 2026-03-12 is failed.
      Because: check plausible: 1 offending row; the version before stays
      Stale, because 57 rows landed in lake.events since 2026-03-23 11:00:00+01:00, written by a file.
      Its version of 2026-03-23 11:00:00+01:00 has 1 row.
      That was run [--id--] (backfill [--id--]): lake backfill 'lake.daily lake.weekly' 2026-03-09..2026-03-15
      Its window was 2026-03-12 00:00:00+01:00 to 2026-03-13 00:00:00+01:00.
      Automation: waiting for a change; eager (after 1 min without a change) waits for a change: nothing has changed since the last step failed; the newest change was at 2026-03-23 11:00:00+01:00.
      Schedule nightly: next at 2026-03-24 03:15:00+01:00.
      Freshness: fail (at most 30 h are allowed, overdue since 2026-03-18 06:00:00+01:00).
      To build it: lake materialize lake.daily 2026-03-12

    It reads:
      ASSET        MAPPING  PARTITIONS                SINCE IT WAS BUILT
      lake.events  overlap  2026-03-12 (1 partition)  changed

    What was done, newest first:
      2026-03-23 11:00:00+01:00 failed in run [--id--] (manual): lake materialize lake.daily 2026-03-12
        check plausible: 1 offending row; the version before stays

    Its newest checks: 0 passed, 1 failed.
      plausible (blocking): 1 offending row
    [0]
    $ lake asset show lake.weekly
    lake.weekly  missing
      What happened in an ISO week.
    kind       rust
    partitions weekly in Europe/Berlin, from 2026-W09
    reads      lake.daily (overlap)
    read by    lake.summary
    automation manual
    rows       1
    newest     2026-03-23 11:00:00+01:00
    version    386877449d7e91b3
    source     tests/karat/../../examples/lake/assets.rs

    COLUMN   TYPE    NULL      DESCRIPTION
    week     date
    busiest  date    nullable  The day with the most people; none when nothing happened.
    events   bigint

    PARTITION  ROWS  BUILT                      RUN       NOTE
    2026-W11      1  2026-03-23 11:00:00+01:00  [--id--]  current, same content

    metadata   {"days":7}
    [0]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_version_is_not_used() {
    let lake = Lake::migrated_with(&karat::store::migrate::Migrations::karat()).await;
    let _guard = settings().bind_to_scope();
    assert_snapshot!(
        lake.conversation(&["status", "check", "migrate --dry-run", "migrate", "migrate", "check", "status lake.events"]).await, @r"
    $ lake status
    error: the database lacks migration lake/0001 lake. Bring it up to date with `lake migrate`
    [5]
    $ lake check
    Verified as if these migrations had been applied, which the database lacks: lake/0001 lake

    no errors in 5 assets
    [0]
    $ lake migrate --dry-run
    To be applied: 1 migration
      lake/0001 lake
    [0]
    $ lake migrate
    Applied 1 migration
      lake/0001 lake
    Whoever writes into these tables makes their readers stale:
      lake.events
    [0]
    $ lake migrate
    The database is up to date.
    [0]
    $ lake check
    no errors in 5 assets
    [0]
    $ lake status lake.events
    ASSET        STATE  FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.events  empty      ·      ·        ·       ·       ·     0  never
    [0]
    ");
    sqlx::query("update karat.migration_lake set version = 2").execute(&lake.pool).await.unwrap();
    assert_snapshot!(lake.conversation(&["status", "migrate", "materialize lake.daily"]).await, @r#"
    $ lake status
    error: the database is newer than this program: it has migration lake/0002, which this program does not know. Use the newer program; nothing was changed
    [5]
    $ lake migrate
    error: the database is newer than this program: it has migration lake/0002, which this program does not know. Use the newer program; nothing was changed
    [5]
    $ lake materialize lake.daily
    error: the database is newer than this program: it has migration lake/0002, which this program does not know. Use the newer program; nothing was changed
    [5]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_has_a_json_form() {
    let lake = Lake::new().await;
    lake.record(2, 19, 3).await;
    let launched = lake.says("backfill '*' --missing --json").await;
    let (backfill, run) = (id_in(&launched, "backfill_id"), id_in(&launched, "run_id"));
    for line in [
        "ls".to_owned(),
        "ls state:fresh".to_owned(),
        "graph".to_owned(),
        "graph --format json".to_owned(),
        "status".to_owned(),
        "check".to_owned(),
        "why lake.daily".to_owned(),
        "plan '*' --missing".to_owned(),
        "backfill '*' --failed".to_owned(),
        "backfill ls".to_owned(),
        format!("backfill show {backfill}"),
        "run ls".to_owned(),
        format!("run show {run}"),
        format!("run logs {run}"),
        "asset show lake.daily".to_owned(),
        "gc --dry-run".to_owned(),
        "migrate".to_owned(),
    ] {
        let answer = lake.says(&format!("{line} --json")).await;
        let (json, code) = answer.rsplit_once('[').unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{line}: {json}");
        assert_eq!(code, "0]", "{line}: {json}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_declarations_alone_answer_without_a_database() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    sqlx::query("drop schema karat cascade").execute(&lake.pool).await.unwrap();
    assert_snapshot!(
        lake.conversation(&["ls", "ls kind:rust", "graph", "graph +lake.weekly --format dot", "status"]).await, @r#"
    $ lake ls
    ASSET         KIND      PARTITIONS     AUTOMATION  DESCRIPTION
    lake.events   external  daily          manual      Something that somebody did.
    lake.daily    sql       daily          eager       What happened on a day.
    lake.regions  sql       static         manual      All events of a region.
    lake.weekly   rust      weekly         manual      What happened in an ISO week.
    lake.summary  sql       unpartitioned  manual      All weeks together.
    [0]
    $ lake ls kind:rust
    ASSET        KIND  PARTITIONS  AUTOMATION  DESCRIPTION
    lake.weekly  rust  weekly      manual      What happened in an ISO week.
    [0]
    $ lake graph
    lake.events  (external, daily)
    ├─ lake.daily  (sql, daily)
    │  └─ lake.weekly  (rust, weekly)
    │     └─ lake.summary  (sql, unpartitioned by all)
    └─ lake.regions  (sql, static by all)
    [0]
    $ lake graph +lake.weekly --format dot
    digraph assets {
      rankdir=LR;
      node [shape=box];
      "lake.events" [tooltip="external, daily"];
      "lake.daily" [tooltip="sql, daily"];
      "lake.weekly" [tooltip="rust, weekly"];
      "lake.events" -> "lake.daily";
      "lake.daily" -> "lake.weekly";
    }
    [0]
    $ lake status
    error: the database lacks migrations karat/[migrations], lake/0001 lake. Bring it up to date with `lake migrate`
    [5]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_is_shown_with_all_that_is_declared_and_known_of_it() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.record(2, 19, 3).await;
    assert_snapshot!(
        lake.conversation(&["asset show daily", "backfill lake.daily+ 2026-03-09..2026-03-15 --force", "asset show weekly", "asset show lake.events", "why summary"]).await, @r#"
    $ lake asset show daily
    lake.daily  missing
      What happened on a day.
    kind       sql
    partitions daily in Europe/Berlin, from 2026-03-01
    reads      lake.events (overlap)
    read by    lake.weekly
    automation eager
    owner      ada
    tags       nightly
    rows       0
    newest     never
    version    7ca86564d0e95915
    source     tests/karat/../../examples/lake/assets.rs

    COLUMN  TYPE    NULL  DESCRIPTION
    day     date
    people  bigint        Distinct people.
    events  bigint

    CHECK                 NEWEST  OF PARTITION
    unique_day  blocking          never evaluated
    plausible   blocking          never evaluated

    Never built. To build it: lake materialize lake.daily
    [0]
    $ lake backfill lake.daily+ 2026-03-09..2026-03-15 --force
    Launched backfill [--id--]: 9 partitions of 3 assets.
      watch   lake backfill show [--id--]
      undo    lake backfill cancel [--id--]
      Built by force with inputs missing: lake.weekly 2026-W09..2026-W10 (2 partitions).
    Backfill [--id--] succeeded: 9 built of 9 partitions in [time].
    [0]
    $ lake asset show weekly
    lake.weekly  missing
      What happened in an ISO week.
    kind       rust
    partitions weekly in Europe/Berlin, from 2026-W09
    reads      lake.daily (overlap)
    read by    lake.summary
    automation manual
    rows       1
    newest     2026-03-20 11:00:00+01:00
    version    386877449d7e91b3
    source     tests/karat/../../examples/lake/assets.rs

    COLUMN   TYPE    NULL      DESCRIPTION
    week     date
    busiest  date    nullable  The day with the most people; none when nothing happened.
    events   bigint

    PARTITION  ROWS  BUILT                      RUN       NOTE
    2026-W11      1  2026-03-20 11:00:00+01:00  [--id--]  current

    metadata   {"days":7}
    [0]
    $ lake asset show lake.events
    lake.events  fresh
      Something that somebody did.
    kind       external
    partitions daily in Europe/Berlin, from 2026-03-01
    read by    lake.daily, lake.regions
    automation manual
    rows       54
    newest     2026-03-20 11:00:00+01:00
    version    7011f6d682eb442c
    source     tests/karat/../../examples/lake/assets.rs

    COLUMN       TYPE                      NULL  DESCRIPTION
    event_id     bigint
    occurred_at  timestamp with time zone
    person       bigint
    region       text
    [0]
    $ lake why summary
    lake.summary all is stale.
      Stale, because it was built by force with inputs missing.
      Its version of 2026-03-20 11:00:00+01:00 has 1 row, and was built by force without lake.weekly 2026-W09..2026-W10 (2 partitions).
      That was run [--id--] (backfill [--id--]): lake backfill lake.daily+ 2026-03-09..2026-03-15 --force
      It cannot be built: lake.weekly 2026-W09..2026-W10 (2 partitions) is missing.
      Automation: it is built on request only.
      Schedule nightly: next at 2026-03-21 03:15:00+01:00.
      To build it: lake materialize lake.summary all --upstream

    It reads:
      ASSET        MAPPING  PARTITIONS                         SINCE IT WAS BUILT
      lake.weekly  all      2026-W09..2026-W12 (4 partitions)

    What was done, newest first:
      2026-03-20 11:00:00+01:00 succeeded in run [--id--] (backfill [--id--]): lake backfill lake.daily+ 2026-03-09..2026-03-15 --force
    [0]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_definitions_are_told_all_at_once_before_anything_is_connected() {
    let mut lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    lake.application.definitions =
        |calendar| Definitions::builder(calendar).sql::<DayCount>().rust::<WeekCount>().rust::<WeekCount>().build();
    sqlx::query("drop schema karat cascade").execute(&lake.pool).await.unwrap();
    assert_snapshot!(lake.conversation(&["ls", "status", "backfill '*' --all"]).await, @r#"
    $ lake ls
    error: 2 problems in the definitions

    lake.daily (tests/karat/../../examples/lake/assets.rs)
      * upstream `lake.events` is not registered
        register it with `Definitions::builder`, or do not name it

    lake.weekly (tests/karat/../../examples/lake/assets.rs)
      * the key `lake.weekly` is registered twice
        register each asset once, and give each its own key
    [3]
    $ lake status
    error: 2 problems in the definitions

    lake.daily (tests/karat/../../examples/lake/assets.rs)
      * upstream `lake.events` is not registered
        register it with `Definitions::builder`, or do not name it

    lake.weekly (tests/karat/../../examples/lake/assets.rs)
      * the key `lake.weekly` is registered twice
        register each asset once, and give each its own key
    [3]
    $ lake backfill '*' --all
    error: 2 problems in the definitions

    lake.daily (tests/karat/../../examples/lake/assets.rs)
      * upstream `lake.events` is not registered
        register it with `Definitions::builder`, or do not name it

    lake.weekly (tests/karat/../../examples/lake/assets.rs)
      * the key `lake.weekly` is registered twice
        register each asset once, and give each its own key
    [3]
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    let mut answers = String::new();
    for url in [
        "postgres://ada:opensesame@127.0.0.1:1/lake",
        "postgres://ada:opensesame@127.0.0.1:port/lake",
        "postgres://ada:opensesame@[1/lake",
        "mysql://ada:opensesame@127.0.0.1/lake",
        "opensesame",
    ] {
        answers.push_str(&lake.answers_at(url, &service_lake::words("status")).await);
        answers.push('\n');
    }
    assert!(!answers.contains("opensesame"), "{answers}");
    assert_snapshot!(answers, @r#"
    error: cannot connect to the database at 127.0.0.1:1 (database `lake`): Connection refused (os error 111). Check that the server runs and that DATABASE_URL names it
    [5]
    error: DATABASE_URL is not a usable PostgreSQL URL: invalid port number. Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or unset it to let Karat run its own PostgreSQL
    [5]
    error: DATABASE_URL is not a usable PostgreSQL URL: invalid IPv6 address. Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or unset it to let Karat run its own PostgreSQL
    [5]
    error: DATABASE_URL is not a usable PostgreSQL URL: it does not begin with `postgres://`. Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or unset it to let Karat run its own PostgreSQL
    [5]
    error: DATABASE_URL is not a usable PostgreSQL URL: it does not begin with `postgres://`. Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or unset it to let Karat run its own PostgreSQL
    [5]
    "#);
    let working = lake.database.url();
    let elsewhere = working.replacen(lake.database.name(), "nowhere", 1);
    assert_ne!(working, elsewhere);
    let answer = lake.answers_at(&elsewhere, &service_lake::words("status")).await;
    assert!(
        answer.contains(r#"database "nowhere" does not exist. Create the database, or correct its name"#),
        "{answer}"
    );
    assert!(answer.ends_with("[5]"), "{answer}");
}
