//! Late rows are never lost: whatever is written while a partition is being built makes it stale again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use karat::clock::Clock;
use karat::engine::FailurePoint;
use karat::engine::external::append_rows;
use karat::prelude::*;
use sqlx::Connection;
use tokio_util::sync::CancellationToken;

use crate::lake::{Events, Lake, beside, instant};
use crate::service_lake;

const DAILY: &str = "lake.daily_totals";
const DAY: &str = "2026-03-02";

async fn counted(lake: &Lake) -> i64 {
    lake.scalar("select coalesce(sum(events), 0)::bigint from lake.daily_totals where day = '2026-03-02'").await
}

async fn built() -> Lake {
    let lake = Lake::open().await;
    lake.install_triggers().await;
    lake.add_event_a_day("2026-03-01", 3).await;
    lake.build(&[(DAILY, DAY)]).await;
    assert_eq!((counted(&lake).await, lake.late(DAILY).await.as_str()), (1, ""));
    lake
}

#[tokio::test]
async fn a_row_whose_transaction_was_open_during_the_build_is_found_later() {
    let lake = built().await;
    for karat_writes in [false, true] {
        let before = counted(&lake).await;
        // The row and its mark are written, the transaction is held open at its commit.
        sqlx::raw_sql(
            "create or replace function lake.wait() returns trigger language plpgsql as
                 'begin perform pg_advisory_xact_lock(4711); return null; end';
             create constraint trigger waits after insert on lake.events deferrable initially deferred
                 for each row execute function lake.wait()",
        )
        .execute(&lake.pool)
        .await
        .unwrap();
        let mut gate = lake.stranger("gate").await;
        sqlx::query("select pg_advisory_lock(4711)").execute(&mut gate).await.unwrap();
        let id = 100 + i64::from(karat_writes);
        let (pool, definitions, clock) = (lake.pool.clone(), lake.definitions.clone(), lake.clock.clone());
        let options = lake.options.clone();
        let writing = tokio::spawn(async move {
            if karat_writes {
                let rows = [Events { at: instant("2026-03-02T10:00:00Z"), id, amount: 1 }];
                append_rows(&pool, &definitions, &*clock as &dyn Clock, "collector", &rows).await.unwrap();
            } else {
                let mut psql = sqlx::PgConnection::connect_with(&options.application_name("psql")).await.unwrap();
                let insert = "insert into lake.events values ('2026-03-02T10:00:00Z', $1, 1)";
                sqlx::query(insert).bind(id).execute(&mut psql).await.unwrap();
            }
        });
        while lake
            .scalar::<i64>("select count(*) from pg_locks where locktype = 'advisory' and not granted and objid = 4711")
            .await
            == 0
        {
            assert!(!writing.is_finished());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Built in the meantime, without the row, and nothing says so yet.
        assert_eq!(lake.build(&[(DAILY, DAY)]).await, "succeeded: 1 succeeded");
        assert_eq!((counted(&lake).await, lake.late(DAILY).await.as_str()), (before, ""));
        gate.close().await.unwrap();
        writing.await.unwrap();
        assert!(lake.late(DAILY).await.starts_with("2026-03-02: 1 row landed"), "{}", lake.late(DAILY).await);
        lake.build(&[(DAILY, DAY)]).await;
        assert_eq!((counted(&lake).await, lake.late(DAILY).await.as_str()), (before + 1, ""));
        sqlx::raw_sql("drop trigger waits on lake.events").execute(&lake.pool).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_lands_while_the_partition_is_being_built_is_in_it_or_makes_it_stale() {
    let mut lake = built().await;
    let mut rows = 1;
    for (number, point) in (0..).zip(FailurePoint::ALL) {
        let (reached, mut at_point) = tokio::sync::mpsc::unbounded_channel::<std::sync::mpsc::Sender<()>>();
        let stopped = Arc::new(AtomicBool::new(false));
        lake.settings.fault = Some(Arc::new(move |at| {
            if at == point && !stopped.swap(true, Ordering::SeqCst) {
                let (go_on, wait) = std::sync::mpsc::channel();
                reached.send(go_on).unwrap();
                tokio::task::block_in_place(|| wait.recv_timeout(Duration::from_secs(60)).unwrap());
            }
            false
        }));
        let launched = lake.launch(lake.request(&[(DAILY, DAY)])).await;
        let writer = async {
            let go_on = at_point.recv().await.unwrap();
            if number % 2 == 0 {
                lake.add_events(&[("2026-03-02T10:00:00Z", 200 + number, 1)]).await;
            } else {
                let mut psql = lake.stranger("psql").await;
                let insert = "insert into lake.events values ('2026-03-02T10:00:00Z', $1, 1)";
                sqlx::query(insert).bind(200 + number).execute(&mut psql).await.unwrap();
            }
            // The janitor comes by, too.
            karat::engine::marks::file_marks(&lake.store, &lake.definitions).await.unwrap();
            let later = lake.clock.now() + chrono::TimeDelta::hours(1);
            lake.store.compact_marks("lake.events", &[DAILY], later).await.unwrap();
            go_on.send(()).unwrap();
        };
        let (worker, stop, runs) = (lake.worker(), CancellationToken::new(), [launched.run_id]);
        beside(worker.work_off(&runs, &stop), writer).await;
        assert_eq!(lake.outcome(launched).await, "succeeded: 1 succeeded");
        rows += 1;
        let is_in_it = counted(&lake).await == rows;
        assert_eq!(lake.late(DAILY).await.is_empty(), is_in_it, "the row landed at {point:?}");
        lake.settings.fault = None;
        lake.build(&[(DAILY, DAY)]).await;
        assert_eq!((counted(&lake).await, lake.late(DAILY).await.as_str()), (rows, ""), "after {point:?}");
    }
}

#[tokio::test]
async fn a_mark_that_is_merged_while_another_is_made_takes_nothing_with_it() {
    let lake = built().await;
    let mut late = lake.stranger("late").await;
    let mut open = late.begin().await.unwrap();
    sqlx::query("insert into lake.events values ('2026-03-02T10:00:00Z', 100, 1)").execute(&mut *open).await.unwrap();
    for id in 101..104 {
        lake.add_events(&[("2026-03-02T11:00:00Z", id, 1)]).await;
    }
    lake.build(&[(DAILY, DAY)]).await;
    let later = lake.clock.now() + chrono::TimeDelta::hours(1);
    lake.store.compact_marks("lake.events", &[DAILY], later).await.unwrap();
    assert_eq!(lake.late(DAILY).await, "");
    open.commit().await.unwrap();
    lake.store.compact_marks("lake.events", &[DAILY], later).await.unwrap();
    karat::engine::marks::file_marks(&lake.store, &lake.definitions).await.unwrap();
    lake.store.compact_marks("lake.events", &[DAILY], later).await.unwrap();
    assert!(lake.late(DAILY).await.starts_with("2026-03-02: 1 row landed"), "{}", lake.late(DAILY).await);
}

#[tokio::test]
async fn rows_from_before_the_first_day_count_when_the_first_day_moves() {
    let mut lake = Lake::open().await;
    let appended = lake.add_events(&[("2022-12-30T10:00:00Z", 1, 5), ("2023-01-02T10:00:00Z", 2, 5)]).await;
    assert_eq!((appended.inserted, appended.outside, appended.partitions.len()), (2, 1, 1));
    let earlier =
        Calendar { first_day: "2022-12-01".parse().unwrap(), ..crate::lake::calendar(chrono_tz::Europe::Berlin) };
    lake.definitions =
        Arc::new(Definitions::builder(earlier).external::<Events>().sql::<crate::lake::DailyTotals>().build().unwrap());
    let spec = lake.definitions.find("lake.events").unwrap();
    let keys = [spec.key.clone()];
    let statuses =
        karat::engine::status::asset_statuses(&lake.store, &lake.definitions, &keys, lake.clock.now()).await.unwrap();
    let landed = &statuses[&spec.key].materialized;
    assert_eq!(spec.partitions.describe(landed), "2022-12-30, 2023-01-02 (2 partitions)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_marks_what_nobody_could_see() {
    let lake = service_lake::Lake::new().await;
    let _guard = service_lake::settings().bind_to_scope();
    lake.record(1, 19, 2).await;
    lake.says("backfill '*' --missing").await;
    insta::assert_snapshot!(lake.conversation(&[
        "mark lake.events --from 2026-03-05 --to 2026-03-06 --reason 'a disk was restored' --dry-run",
        "status lake.daily",
        "mark lake.events --from 2026-03-05 --to 2026-03-06 --reason 'a disk was restored'",
        "status lake.daily",
        "mark lake.daily --from 2026-03-05 --reason 'looks odd'",
        "mark lake.event --from 2026-03-05 --reason 'looks odd'",
        "mark lake.events --from 2026-03-32 --reason 'looks odd'",
    ]).await, @r"
    $ lake mark lake.events --from 2026-03-05 --to 2026-03-06 --reason 'a disk was restored' --dry-run
    To be marked: lake.events 2026-03-05..2026-03-06 (2 partitions)
    It would make stale:
      lake.daily 2026-03-05..2026-03-06 (2 partitions)
      lake.regions europe..asia (3 partitions)
    [0]
    $ lake status lake.daily
    ASSET       STATE  FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.daily  fresh     19      ·        ·       ·       ·    19  2026-03-20 11:00:00+01:00
    [0]
    $ lake mark lake.events --from 2026-03-05 --to 2026-03-06 --reason 'a disk was restored'
    Marked lake.events 2026-03-05..2026-03-06 (2 partitions)
    Stale by it:
      lake.daily 2026-03-05..2026-03-06 (2 partitions)
      lake.regions europe..asia (3 partitions)
    To build these again: lake backfill 'lake.daily lake.regions' --stale
    [0]
    $ lake status lake.daily
    ASSET       STATE  FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    lake.daily  stale     17      2        ·       ·       ·    19  2026-03-20 11:00:00+01:00

    lake.daily
      stale 2026-03-05..2026-03-06 (2 partitions): lake.events was marked since 2026-03-20 11:00:00+01:00, by hand: a disk was restored

    To put it right:
      lake backfill lake.daily --stale
    [0]
    $ lake mark lake.daily --from 2026-03-05 --reason 'looks odd'
    error: lake.daily is computed by Karat: nobody else writes into it. To build it again: `lake materialize lake.daily 2026-03-05`
    [1]
    $ lake mark lake.event --from 2026-03-05 --reason 'looks odd'
    error: there is no asset `lake.event`: did you mean `lake.events`?
    [2]
    $ lake mark lake.events --from 2026-03-32 --reason 'looks odd'
    error: lake.events: `2026-03-32` is impossible: March 2026 has 31 days
    [2]
    ");
}

#[tokio::test]
async fn a_database_restored_on_another_server_keeps_what_is_stale() {
    let lake = built().await;
    let now = lake.clock.now();
    let adopt = async || karat::engine::cluster::adopt_cluster(&lake.store, &lake.definitions, now).await.unwrap();
    assert!(!adopt().await, "the first look only notes the server");
    lake.build(&[(DAILY, "2026-03-01")]).await;
    lake.add_events(&[("2026-03-01T10:00:00Z", 100, 1)]).await;
    // The other server had made many more transactions, and this one will make the same numbers again.
    for shift in [
        "update karat.mark set transaction_id = (transaction_id::text::bigint + 1000000000)::text::xid8",
        "update karat.materialization set snapshot = (pg_snapshot_xmin(snapshot)::text::bigint + 1000000000 || ':'
             || pg_snapshot_xmax(snapshot)::text::bigint + 1000000000 || ':')::pg_snapshot",
        "update karat.cluster set system_identifier = 1",
    ] {
        sqlx::query(shift).execute(&lake.pool).await.unwrap();
    }
    assert!(lake.late(DAILY).await.starts_with("2026-03-01:"));
    assert!(adopt().await && !adopt().await);
    let late = lake.late(DAILY).await;
    assert!(late.starts_with("2026-03-01: ") && late.lines().count() == 1, "{late}");
    lake.add_events(&[("2026-03-02T10:00:00Z", 101, 1)]).await;
    assert!(lake.late(DAILY).await.contains("2026-03-02: 1 row landed"), "{}", lake.late(DAILY).await);
    lake.build(&[(DAILY, "2026-03-01..2026-03-02")]).await;
    assert_eq!(lake.late(DAILY).await, "");
}
