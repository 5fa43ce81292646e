//! The scheduler on a database: what fires, what it launches, and what survives crashes, rivals and wrong clocks.

use std::sync::Arc;

use chrono::TimeDelta;
use karat::clock::Clock;
use karat::daemon::tick::prepare_tick;
use karat::daemon::{Activation, Reconciler, ReconcilerContext, Scheduler};
use karat::prelude::*;
use karat::store::Store;
use karat::store::schedule::{TickKind, TickOutcome};
use sqlx::postgres::PgPoolOptions;

use super::lake::{DailyTotals, Events, Lake, MonthlyReport, calendar, instant};

/// A lake of days and months with these schedules.
async fn lake(schedules: Vec<Schedule>) -> Lake {
    let mut lake = Lake::open().await;
    declare(&mut lake, schedules);
    lake
}

fn declare(lake: &mut Lake, schedules: Vec<Schedule>) {
    let builder = Definitions::builder(Calendar {
        first_day: NaiveDate::from_ymd_opt(2026, 3, 1).unwrap(),
        ..calendar(chrono_tz::Europe::Berlin)
    })
    .external::<Events>()
    .sql::<DailyTotals>()
    .rust::<MonthlyReport>();
    let builder = schedules.into_iter().fold(builder, |builder, schedule| builder.schedule(schedule));
    lake.definitions = Arc::new(builder.build().unwrap());
}

fn nightly() -> Schedule {
    Schedule::new("nightly", "15 3 * * *")
}

fn context(lake: &Lake) -> ReconcilerContext {
    ReconcilerContext { store: lake.store.clone(), definitions: lake.definitions.clone(), clock: lake.clock.clone() }
}

async fn activate(lake: &Lake) -> Activation {
    Scheduler.activate(&context(lake)).await.unwrap()
}

/// Sets the clock, and lets the scheduler look until there is nothing left to do for the time being.
async fn at(lake: &Lake, time: &str) -> Activation {
    lake.clock.set(instant(time));
    loop {
        let activation = activate(lake).await;
        assert!(activation.next_at.is_none_or(|next| next >= lake.clock.now()), "a time that is over: {activation:?}");
        if activation.next_at.is_none_or(|next| next > lake.clock.now()) {
            return activation;
        }
    }
}

/// All ticks with what came of them: the partitions of their runs, or the message.
async fn ticks(lake: &Lake) -> String {
    lake.text(
        "select to_char(t.tick_at at time zone 'UTC', 'MM-DD HH24:MI') || case t.kind when 'manual' then ' manual' else '' end as at,
                t.outcome,
                coalesce((select string_agg(split_part(s.asset_key, '.', 2) || ' ' || s.partition_key, ', ' order by s.rank, s.ordinal)
                          from karat.step s where s.run_id = t.run_id), '') as built,
                coalesce(t.message, '') as message
         from karat.tick t order by t.schedule, t.tick_at, t.kind",
    )
    .await
}

async fn work_off(lake: &Lake) {
    let runs: Vec<uuid::Uuid> = sqlx::query_scalar("select run_id from karat.run where finished_at is null order by 1")
        .fetch_all(&lake.pool)
        .await
        .unwrap();
    lake.worker().work_off(&runs, &tokio_util::sync::CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn nightly_materializes_yesterday_and_the_month_when_it_closed() {
    let lake = lake(vec![nightly()]).await;
    lake.clock.set(instant("2026-03-29T12:00:00Z"));
    lake.add_event_a_day("2026-03-01", 40).await;
    lake.build(&[("daily_totals", "2026-03-01..2026-03-28")]).await;
    let activation = at(&lake, "2026-03-29T12:00:00Z").await;
    assert_eq!(activation, Activation { report: None, next_at: Some(instant("2026-03-30T01:15:00Z")) });
    for night in ["2026-03-30", "2026-03-31", "2026-04-01", "2026-04-02"] {
        at(&lake, &format!("{night}T01:15:00Z")).await;
        work_off(&lake).await;
    }
    insta::assert_snapshot!(ticks(&lake).await, @"
    03-30 01:15 | launched | daily_totals 2026-03-29 | 
    03-31 01:15 | launched | daily_totals 2026-03-30 | 
    04-01 01:15 | launched | daily_totals 2026-03-31, monthly_report 2026-03 | 
    04-02 01:15 | launched | daily_totals 2026-04-01 |
    ");
    assert_eq!(lake.text("select distinct state from karat.step").await, "succeeded");
    assert_eq!(
        lake.text("select cause, cause_detail::text, request->>'command' from karat.run where cause = 'schedule' order by run_id limit 1").await,
        "schedule | {\"kind\": \"scheduled\", \"tick_at\": \"2026-03-30T01:15:00Z\", \"schedule\": \"nightly\"} | schedule trigger nightly --at 2026-03-30T01:15:00Z"
    );
}

#[tokio::test]
async fn what_lacks_something_upstream_is_left_out_and_told() {
    let lake = lake(vec![nightly()]).await;
    lake.clock.set(instant("2026-04-01T00:00:00Z"));
    activate(&lake).await;
    at(&lake, "2026-04-01T01:15:00Z").await;
    insta::assert_snapshot!(ticks(&lake).await, @"04-01 01:15 | launched | daily_totals 2026-03-31 | not built, because something is missing: lake.monthly_report 2026-03 (1 partition) needs lake.daily_totals 2026-03-01..2026-03-30 (30 partitions). `backfill '*' --missing` builds what is missing");
}

#[tokio::test]
async fn fresh_partitions_are_not_built_again_late_rows_make_them_stale_and_code_does_not() {
    let lake = lake(vec![Schedule::new("hourly", "0 * * * *").selection("daily_totals")]).await;
    lake.clock.set(instant("2026-05-01T12:00:00Z"));
    lake.add_event_a_day("2026-04-30", 1).await;
    activate(&lake).await;
    at(&lake, "2026-05-01T13:00:00Z").await;
    work_off(&lake).await;
    at(&lake, "2026-05-01T14:00:00Z").await;
    lake.add_events(&[("2026-04-30T08:00:00Z", 77, 1)]).await;
    at(&lake, "2026-05-01T15:00:00Z").await;
    work_off(&lake).await;
    sqlx::query("update karat.materialization set code_version = 'another'").execute(&lake.pool).await.unwrap();
    at(&lake, "2026-05-01T16:00:00Z").await;
    insta::assert_snapshot!(ticks(&lake).await, @"
    05-01 13:00 | launched | daily_totals 2026-04-30 | 
    05-01 14:00 | nothing |  | nothing to do: what it would build is there, and nothing it was made of changed
    05-01 15:00 | launched | daily_totals 2026-04-30 | 
    05-01 16:00 | nothing |  | nothing to do: what it would build is there, and nothing it was made of changed
    ");
}

#[tokio::test]
async fn a_schedule_of_all_partitions_repairs_the_whole_history() {
    let weekly = Schedule::new("weekly", "0 4 * * 1").selection("daily_totals").all_partitions();
    let spring = Schedule::new("spring", "0 4 * * 1").selection("daily_totals").partitions("2026-03-27..2026-03-30");
    let odd = Schedule::new("odd", "0 4 * * 1").selection("daily_totals").partitions("2026-13");
    let lake = lake(vec![weekly, spring, odd]).await;
    lake.clock.set(instant("2026-03-31T12:00:00Z"));
    lake.build(&[("daily_totals", "2026-03-02..2026-03-28")]).await;
    lake.clock.set(instant("2026-04-05T12:00:00Z"));
    activate(&lake).await;
    at(&lake, "2026-04-06T02:00:00Z").await;
    insta::assert_snapshot!(lake.text(
        "select t.schedule, t.outcome, coalesce(t.message, ''), (select count(*) from karat.step s where s.run_id = t.run_id) as steps
         from karat.tick t order by t.schedule",
    ).await, @"
    odd | failed | lake.daily_totals: `2026-13` is impossible: there is no month 13 | 0
    spring | launched |  | 2
    weekly | launched |  | 9
    ");
}

#[tokio::test]
async fn three_days_asleep() {
    let of = |name: &str, catch_up| Schedule::new(name, "15 3 * * *").selection("daily_totals").catch_up(catch_up);
    let lake = lake(vec![of("all", CatchUp::All), of("last", CatchUp::Last), of("none", CatchUp::None)]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    let activation = at(&lake, "2026-05-04T12:00:00Z").await;
    assert_eq!(activation.next_at, Some(instant("2026-05-05T01:15:00Z")));
    insta::assert_snapshot!(lake.text(
        "select t.schedule, to_char(t.tick_at at time zone 'UTC', 'MM-DD HH24:MI') as at, t.outcome,
                coalesce(t.message, (select string_agg(s.partition_key, ', ') from karat.step s where s.run_id = t.run_id)) as what
         from karat.tick t order by 1, 2",
    ).await, @"
    all | 05-02 01:15 | launched | 2026-05-01
    all | 05-03 01:15 | launched | 2026-05-02
    all | 05-04 01:15 | launched | 2026-05-03
    last | 05-03 01:15 | skipped | 2 missed ticks were left out since 2026-05-02 03:15:00+02:00 (catch_up = last)
    last | 05-04 01:15 | launched | 2026-05-03
    none | 05-04 01:15 | skipped | 3 missed ticks were left out since 2026-05-02 03:15:00+02:00 (catch_up = none)
    ");
}

#[tokio::test]
async fn a_long_sleep_is_caught_up_with_in_bounded_portions() {
    let lake =
        lake(vec![Schedule::new("often", "*/10 * * * *").selection("daily_totals").catch_up(CatchUp::All)]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    lake.clock.set(instant("2026-05-02T12:00:00Z"));
    let first = activate(&lake).await;
    assert_eq!(first.next_at, Some(lake.clock.now()), "there is more to do");
    assert_eq!(first.report.as_deref(), Some("ticks: 100 launched"));
    let second = activate(&lake).await;
    assert_eq!(second.next_at, Some(instant("2026-05-02T12:10:00Z")));
    let recorded: i64 = lake.scalar("select count(*) from karat.tick").await;
    assert_eq!(recorded, 144);
}

#[tokio::test]
async fn the_clock_jumps_two_hours_either_way() {
    let lake = lake(vec![Schedule::new("hourly", "0 * * * *").selection("daily_totals").catch_up(CatchUp::All)]).await;
    at(&lake, "2026-05-01T12:30:00Z").await;
    at(&lake, "2026-05-01T13:00:00Z").await;
    // Ahead: what lies between fires now.
    at(&lake, "2026-05-01T15:00:00Z").await;
    // Right again: nothing fires twice, and it wakes for the first tick that has not fired.
    for time in ["2026-05-01T13:01:00Z", "2026-05-01T14:00:00Z", "2026-05-01T15:00:00Z"] {
        let activation = at(&lake, time).await;
        assert_eq!(activation, Activation { report: None, next_at: Some(instant("2026-05-01T16:00:00Z")) });
    }
    // Back by two hours, and on.
    for time in ["2026-05-01T16:00:00Z", "2026-05-01T14:00:00Z", "2026-05-01T15:00:00Z", "2026-05-01T16:00:00Z"] {
        at(&lake, time).await;
    }
    at(&lake, "2026-05-01T17:00:00Z").await;
    let fired =
        "select to_char(tick_at at time zone 'UTC', 'HH24') as hour from karat.tick order by recorded_at, tick_at";
    assert_eq!(lake.text(fired).await, "13\n14\n15\n16\n17");
}

#[tokio::test]
async fn a_clock_that_was_a_year_ahead_is_put_right_by_a_resumption() {
    let lake = lake(vec![Schedule::new("hourly", "0 * * * *").selection("daily_totals")]).await;
    at(&lake, "2026-05-01T12:30:00Z").await;
    at(&lake, "2026-05-01T13:00:00Z").await;
    at(&lake, "2027-05-01T13:00:00Z").await;
    let stuck = at(&lake, "2026-05-01T13:01:00Z").await;
    assert_eq!(stuck.next_at, Some(instant("2027-05-01T14:00:00Z")));
    // The pause began before the tick that is on record.
    lake.clock.set(instant("2026-05-01T12:59:00Z"));
    lake.store.pause_schedule("hourly", lake.clock.now(), None).await.unwrap();
    lake.store.resume_schedule("hourly", lake.clock.now(), None).await.unwrap();
    assert_eq!(activate(&lake).await.next_at, Some(instant("2026-05-01T13:00:00Z")));
    assert_eq!(at(&lake, "2026-05-01T13:00:00Z").await.next_at, Some(instant("2026-05-01T14:00:00Z")));
    at(&lake, "2026-05-01T14:00:00Z").await;
    let fired = "select to_char(tick_at at time zone 'UTC', 'YYYY HH24') as hour from karat.tick
                 where outcome = 'launched' order by recorded_at";
    assert_eq!(lake.text(fired).await, "2026 13\n2026 14\n2027 13");
}

#[tokio::test]
async fn both_days_of_change_have_one_night_each() {
    for (eve, days) in [("2026-03-28T12:00:00Z", 3), ("2026-10-24T12:00:00Z", 3)] {
        let lake = lake(vec![
            Schedule::new("half_past_two", "30 2 * * *").selection("daily_totals"),
            Schedule::new("hourly", "30 * * * *").selection("daily_totals"),
        ])
        .await;
        at(&lake, eve).await;
        let mut activation = activate(&lake).await;
        let end = lake.clock.now() + TimeDelta::days(days);
        // As the daemon does: sleep until the next instant, and look.
        while let Some(next) = activation.next_at.filter(|next| *next <= end) {
            assert!(next > lake.clock.now(), "no spin: {next}");
            lake.clock.set(next);
            activation = activate(&lake).await;
        }
        let counts = "select schedule, count(*) from karat.tick group by 1 order by 1";
        assert_eq!(lake.text(counts).await, format!("half_past_two | {days}\nhourly | {}", days * 24), "{eve}");
    }
}

#[tokio::test]
async fn editing_an_expression_never_fires_old_ticks() {
    let mut lake = lake(vec![Schedule::new("report", "0 20 * * *").selection("daily_totals")]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    // The program is replaced while the server is off; both expressions had ticks meanwhile.
    declare(&mut lake, vec![Schedule::new("report", "0 9 * * *").selection("daily_totals").catch_up(CatchUp::All)]);
    let activation = at(&lake, "2026-05-03T12:00:00Z").await;
    assert_eq!(activation, Activation { report: None, next_at: Some(instant("2026-05-04T07:00:00Z")) });
    at(&lake, "2026-05-04T07:00:00Z").await;
    // Another zone is another schedule, too.
    let builder =
        Definitions::builder(calendar(chrono_tz::America::New_York)).external::<Events>().sql::<DailyTotals>();
    let schedule = Schedule::new("report", "0 9 * * *").selection("daily_totals").catch_up(CatchUp::All);
    lake.definitions = Arc::new(builder.schedule(schedule).build().unwrap());
    let activation = at(&lake, "2026-05-05T13:30:00Z").await;
    assert_eq!(activation, Activation { report: None, next_at: Some(instant("2026-05-06T13:00:00Z")) });
    let fired = "select to_char(tick_at at time zone 'UTC', 'MM-DD HH24:MI') as at from karat.tick order by 1";
    assert_eq!(lake.text(fired).await, "05-04 07:00");
}

#[tokio::test]
async fn a_pause_swallows_ticks_and_a_resumption_goes_on() {
    let mut lake = lake(vec![nightly().selection("daily_totals").catch_up(CatchUp::All)]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    assert!(lake.store.pause_schedule("nightly", lake.clock.now(), None).await.unwrap());
    assert!(!lake.store.pause_schedule("nightly", lake.clock.now(), None).await.unwrap(), "it was paused already");
    let activation = at(&lake, "2026-05-04T12:00:00Z").await;
    assert_eq!(activation, Activation::default(), "only a resumption gives it something to do");
    assert!(lake.store.resume_schedule("nightly", lake.clock.now(), None).await.unwrap());
    assert_eq!(at(&lake, "2026-05-05T01:15:00Z").await.report.as_deref(), Some("ticks: 1 launched"));
    let fired = "select to_char(tick_at at time zone 'UTC', 'MM-DD HH24:MI') as at from karat.tick order by 1";
    assert_eq!(lake.text(fired).await, "05-05 01:15");
    // The switch is the database's: a declaration that says otherwise changes nothing.
    declare(&mut lake, vec![nightly().selection("daily_totals").paused(), Schedule::new("other", "@daily").paused()]);
    assert!(activate(&lake).await.next_at.is_some());
    let paused = "select name, paused_at is not null as paused from karat.schedule order by 1";
    assert_eq!(lake.text(paused).await, "nightly | false\nother | true");
}

#[tokio::test]
async fn two_schedulers_at_once_launch_each_tick_once() {
    let lake = lake(vec![Schedule::new("often", "*/5 * * * *").selection("daily_totals").catch_up(CatchUp::All)]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    lake.clock.set(instant("2026-05-01T15:00:00Z"));
    // Each with connections of its own, as in two processes.
    let mut rivals = Vec::new();
    for _ in 0..2 {
        let pool = PgPoolOptions::new().max_connections(2).connect_with(lake.options.clone()).await.unwrap();
        rivals.push(ReconcilerContext { store: Store::new(pool), ..context(&lake) });
    }
    let race = async |context: &ReconcilerContext| {
        while Scheduler.activate(context).await.unwrap().next_at == Some(context.now()) {}
    };
    tokio::join!(race(&rivals[0]), race(&rivals[1]));
    let counts = "select count(*) as ticks, count(distinct run_id) as runs, (select count(*) from karat.run) as launched from karat.tick";
    assert_eq!(lake.text(counts).await, "36 | 36 | 36");
}

#[tokio::test]
async fn a_crash_before_the_commit_leaves_neither_tick_nor_run() {
    let lake = lake(vec![nightly().selection("daily_totals")]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    lake.clock.set(instant("2026-05-02T01:15:00Z"));
    // The run cannot be written: everything before it in the transaction is undone.
    sqlx::query("alter table karat.run add constraint refuse check (cause <> 'schedule')")
        .execute(&lake.pool)
        .await
        .unwrap();
    Scheduler.activate(&context(&lake)).await.unwrap_err();
    let state = "select (select count(*) from karat.tick) as ticks, (select count(*) from karat.run) as runs,
                        evaluated_until < '2026-05-02' as still_due from karat.schedule";
    assert_eq!(lake.text(state).await, "0 | 0 | true");
    sqlx::query("alter table karat.run drop constraint refuse").execute(&lake.pool).await.unwrap();
    activate(&lake).await;
    assert_eq!(lake.text(state).await, "1 | 1 | false");
}

#[tokio::test]
async fn a_schedule_that_cannot_fire_keeps_no_other_from_firing() {
    let named = |name: &str| Schedule::new(name, "15 3 * * *").selection("daily_totals");
    let lake = lake(vec![named("first"), named("second")]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    sqlx::query("alter table karat.tick add constraint refuse check (schedule <> 'first')")
        .execute(&lake.pool)
        .await
        .unwrap();
    lake.clock.set(instant("2026-05-02T01:15:00Z"));
    let error = Scheduler.activate(&context(&lake)).await.unwrap_err();
    assert!(error.to_string().contains("refuse"), "{error}");
    assert_eq!(lake.text("select schedule, outcome from karat.tick").await, "second | launched");
    // It is tried again, and what has fired does not.
    sqlx::query("alter table karat.tick drop constraint refuse").execute(&lake.pool).await.unwrap();
    activate(&lake).await;
    assert_eq!(
        lake.text("select schedule, outcome from karat.tick order by 1").await,
        "first | launched\nsecond | launched"
    );
}

#[tokio::test]
async fn a_tick_that_is_overtaken_launches_nothing() {
    let lake = lake(vec![nightly().selection("daily_totals")]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    let now = instant("2026-05-02T01:15:00Z");
    let schedule = &lake.definitions.schedules()[0];
    let tick = prepare_tick(&lake.store, &lake.definitions, schedule, TickKind::Scheduled, now, now).await.unwrap();
    assert_eq!(tick.outcome, TickOutcome::Launched);
    let record = lake.store.schedules().await.unwrap().remove(0);
    let recorded = tick.record(schedule, TickKind::Scheduled, now, now);
    // Paused between the look and the commit.
    lake.store.pause_schedule("nightly", now, None).await.unwrap();
    assert!(!lake.store.carry_out_tick(&record, &recorded, tick.launch()).await.unwrap());
    lake.store.resume_schedule("nightly", now - TimeDelta::days(1), None).await.unwrap();
    assert!(lake.store.carry_out_tick(&record, &recorded, tick.launch()).await.unwrap());
    // A row that was lost and made anew does not make a tick fire again, nor the scheduler spin.
    sqlx::query("delete from karat.schedule").execute(&lake.pool).await.unwrap();
    at(&lake, "2026-05-01T12:00:00Z").await;
    at(&lake, "2026-05-02T01:15:00Z").await;
    let runs: i64 = lake.scalar("select count(*) from karat.run").await;
    assert_eq!(runs, 1);
}

#[tokio::test]
async fn a_retired_schedule_that_returns_begins_anew() {
    let every_night = || nightly().selection("daily_totals").catch_up(CatchUp::All);
    let mut lake = lake(vec![every_night()]).await;
    at(&lake, "2026-05-01T12:00:00Z").await;
    declare(&mut lake, Vec::new());
    assert_eq!(at(&lake, "2026-05-02T12:00:00Z").await, Activation::default());
    let state = "select name, to_char(retired_at at time zone 'UTC', 'MM-DD') as retired from karat.schedule";
    assert_eq!(lake.text(state).await, "nightly | 05-02");
    declare(&mut lake, vec![every_night()]);
    let activation = at(&lake, "2026-06-01T12:00:00Z").await;
    assert_eq!(activation, Activation { report: None, next_at: Some(instant("2026-06-02T01:15:00Z")) });
    assert_eq!(lake.text(state).await, "nightly | ∅");
}
