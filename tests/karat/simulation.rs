//! The simulation kit: an installation that stands still between two steps.

use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Europe::Berlin;
use futures_util::future::BoxFuture;
use karat::daemon::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use karat::prelude::Calendar;
use karat::service::{Extent, LaunchKind, PartitionState, Request};
use karat::store::signal::Signal;
use karat::testing::{MakeReconcilers, Simulation, SimulationError};

use crate::lake::{DailyTotals, Events, MonthlyReport, calendar, instant, migrations};
use crate::service_lake::assets;

const HOUR: Duration = Duration::from_secs(3600);

fn definitions() -> karat::prelude::Definitions {
    karat::prelude::Definitions::builder(calendar(Berlin))
        .external::<Events>()
        .sql::<DailyTotals>()
        .rust::<MonthlyReport>()
        .build()
        .unwrap()
}

async fn simulation(make: MakeReconcilers) -> Simulation {
    Simulation::with_reconcilers(definitions(), migrations(), instant("2023-01-01T12:00:00Z"), make).await.unwrap()
}

/// A reconciler that is a function.
struct Scripted(&'static str, Box<dyn FnMut(&ReconcilerContext) -> Activation + Send>);

impl Reconciler for Scripted {
    fn name(&self) -> &'static str {
        self.0
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[]
    }

    fn interval(&self) -> Duration {
        HOUR
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(async move { Ok((self.1)(context)) })
    }
}

/// Tells each hour once: asked again in the same hour, it has nothing to do.
fn cuckoo(name: &'static str) -> Box<dyn Reconciler> {
    let mut told = None;
    Box::new(Scripted(
        name,
        Box::new(move |context| Activation {
            report: (told.replace(context.now()) != Some(context.now())).then(|| "cuckoo".to_owned()),
            next_at: Some(context.now() + TimeDelta::hours(1)),
        }),
    ))
}

fn event(id: i64, at: &str, amount: i64) -> Events {
    Events { at: instant(at), id, amount }
}

#[tokio::test]
async fn a_month_by_hand() {
    let mut simulation = simulation(Vec::new).await;
    simulation.append(&[event(1, "2023-01-01T11:00:00Z", 5), event(2, "2023-01-03T23:30:00Z", 7)]).await.unwrap();
    simulation.run_until(instant("2023-02-01T00:00:00Z"), HOUR * 24).await.unwrap();
    simulation.launch(&Request::new("*", Extent::All), LaunchKind::Backfill).await.unwrap();
    insta::assert_snapshot!(simulation.step().await.unwrap(), @r"
    2023-02-01 01:00+01:00
      worker       carried out 2 units
    ");
    insta::assert_snapshot!(simulation.status_text().await.unwrap(), @r"
    2023-02-01 01:00+01:00
    lake.events              2 rows landed in 2023-01-01, 2023-01-04
    lake.daily_totals        fresh 2023-01-01..2023-01-31
    lake.monthly_report      fresh 2023-01
    run 1 2023-02-01 01:00+01:00 backfill succeeded
      lake.daily_totals 2023-01-01..2023-01-31 succeeded
      lake.monthly_report 2023-01 succeeded
    ");
}

#[tokio::test]
async fn a_night_without_anybody() {
    let calendar = Calendar { zone: Berlin, first_day: "2026-03-28".parse().unwrap() };
    let definitions = assets::definitions(calendar).unwrap();
    let mut simulation =
        Simulation::new(definitions, assets::migrations(), instant("2026-03-28T18:00:00Z")).await.unwrap();
    let event = |event_id, at, person| assets::Event {
        event_id,
        occurred_at: instant(at),
        person,
        region: "europe".to_owned(),
    };
    simulation.append(&[event(1, "2026-03-28T17:00:00Z", 1), event(2, "2026-03-28T17:30:00Z", 2)]).await.unwrap();
    // The clock is set forward at two.
    let night = simulation.run_until(instant("2026-03-29T04:00:00Z"), HOUR).await.unwrap();
    insta::assert_snapshot!(night, @r"
    2026-03-29 01:00+01:00
      automation   launched run 1 with 1 partition of lake.daily
      worker       carried out 1 unit
    2026-03-29 04:00+02:00
      scheduler    ticks: 1 launched
      worker       carried out 1 unit
    ");
    // Something that happened before midnight arrives in the morning.
    simulation.append(&[event(3, "2026-03-28T22:30:00Z", 1)]).await.unwrap();
    insta::assert_snapshot!(simulation.step().await.unwrap(), @"nothing happened until 2026-03-29 06:00+02:00");
    insta::assert_snapshot!(simulation.status_text().await.unwrap(), @r"
    2026-03-29 06:00+02:00
    lake.events              3 rows landed in 2026-03-28
    lake.daily               stale 2026-03-28: 1 row landed in lake.events since 2026-03-29 06:00:00+02:00, written by simulation
    lake.regions             missing europe..asia
    lake.weekly              empty
    lake.summary             fresh all
    schedule hourly paused, no tick yet
    schedule nightly on, last tick 2026-03-29 03:15+02:00 launched
    run 1 2026-03-29 01:00+01:00 automation succeeded
      lake.daily 2026-03-28 succeeded
    run 2 2026-03-29 04:00+02:00 schedule succeeded
      lake.summary all succeeded
    ");
    let morning = simulation.run_until(instant("2026-03-29T06:00:00Z"), Duration::from_secs(600)).await.unwrap();
    insta::assert_snapshot!(morning, @r"
    2026-03-29 06:10+02:00
      automation   launched run 3 with 1 partition of lake.daily
      worker       carried out 1 unit
    2026-03-29 07:10+02:00
      janitor      cleared 1 mark
    ");
}

#[tokio::test]
async fn reconcilers_rest_until_something_wakes_them() {
    let mut simulation = simulation(|| vec![cuckoo("clock")]).await;
    simulation.let_rest(HOUR * 24);
    simulation.step().await.unwrap();
    // It asked for the next hour, and for nothing before.
    assert!(simulation.advance(HOUR / 2).await.unwrap().is_nothing());
    assert!(!simulation.advance(HOUR / 2).await.unwrap().is_nothing());
    // A clock that was put back is something to look at, whoever rests.
    simulation.jump(TimeDelta::hours(-3));
    assert!(!simulation.step().await.unwrap().is_nothing());
}

#[tokio::test]
async fn what_is_broken_fails_until_it_is_mended() {
    let mut simulation = simulation(Vec::new).await;
    let rows =
        [event(1, "2023-01-01T11:00:00Z", 1), event(2, "2023-01-02T11:00:00Z", 2), event(3, "2023-01-03T11:00:00Z", 3)];
    simulation.append(&rows).await.unwrap();
    simulation.advance(HOUR * 72).await.unwrap();
    simulation.break_partitions("daily_totals", "2023-01-02").await.unwrap();
    let request = Request::new("daily_totals", Extent::All);
    simulation.launch(&request, LaunchKind::Materialize).await.unwrap();
    simulation.step().await.unwrap();
    insta::assert_snapshot!(simulation.status_text().await.unwrap(), @r#"
    2023-01-04 13:00+01:00
    lake.events              3 rows landed in 2023-01-01..2023-01-03
    lake.daily_totals        fresh 2023-01-01, 2023-01-03
                             missing 2023-01-02
                             failed 2023-01-02: error returned from database: new row for relation "daily_totals" violates check constraint "broken by the simulation" (SQLSTATE 23514)
    lake.monthly_report      empty
    run 1 2023-01-04 13:00+01:00 manual failed
      lake.daily_totals 2023-01-02 failed
      lake.daily_totals 2023-01-01, 2023-01-03 succeeded
    "#);
    simulation.mend("daily_totals").await.unwrap();
    let failed = Request { states: [PartitionState::Missing].into(), ..request };
    simulation.launch(&failed, LaunchKind::Materialize).await.unwrap();
    assert_eq!(simulation.step().await.unwrap().units(), 1);
    let unknown = simulation.break_partitions("daily_total", "2023-01-02").await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no asset `daily_total`: did you mean `lake.daily_totals`?");
}

#[tokio::test]
async fn reconcilers_are_activated_in_order_until_nothing_moves() {
    let mut simulation = simulation(|| vec![cuckoo("first"), cuckoo("second")]).await;
    let happened = simulation.run_until(instant("2023-01-01T14:30:00Z"), HOUR).await.unwrap();
    insta::assert_snapshot!(happened, @r"
    2023-01-01 14:00+01:00
      first        cuckoo
      second       cuckoo
    2023-01-01 15:00+01:00
      first        cuckoo
      second       cuckoo
    2023-01-01 15:30+01:00
      first        cuckoo
      second       cuckoo
    ");
    // Nobody is there to see these hours.
    simulation.jump(TimeDelta::hours(10));
    assert_eq!(simulation.now(), instant("2023-01-02T00:30:00Z"));
    // An instant that has passed is reached at once.
    let nothing = simulation.run_until(instant("2023-01-01T14:30:00Z"), HOUR).await.unwrap();
    assert!(nothing.is_nothing());
    insta::assert_snapshot!(nothing, @"nothing happened until 2023-01-02 01:30+01:00");
}

#[tokio::test]
async fn a_step_that_never_comes_to_rest_is_an_error() {
    let mut spinning = simulation(|| {
        let at_once = |context: &ReconcilerContext| Activation { report: None, next_at: Some(context.now()) };
        vec![Box::new(Scripted("spinning", Box::new(at_once)))]
    })
    .await;
    let error = spinning.step().await.unwrap_err();
    assert!(matches!(error, SimulationError::NotSettled { rounds: 100, .. }), "{error}");
}

#[tokio::test]
async fn another_process_knows_what_is_in_the_database() {
    let mut simulation = simulation(Vec::new).await;
    simulation.advance(HOUR * 24).await.unwrap();
    simulation.launch(&Request::new("daily_totals", Extent::All), LaunchKind::Materialize).await.unwrap();
    // The process ends before it begins, and another takes over.
    simulation.restart(definitions()).await;
    assert_eq!(simulation.step().await.unwrap().units(), 1);
}
