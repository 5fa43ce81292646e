//! Automation at work: what runs by itself when rows land, windows close, attempts fail and declarations change.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;
use karat::asset::spec::AssetSpec;
use karat::clock::Clock;
use karat::core::partition::Ordinal;
use karat::core::policy::WaitPolicy;
use karat::core::subset::PartitionSubset;
use karat::daemon::automation::explain;
use karat::daemon::{AutomationReconciler, Reconciler, ReconcilerContext};
use karat::engine::needs::{needs, partition_needs};
use karat::prelude::*;
use karat::store::mark::{NewMark, append_marks};
use karat::store::run_list::RunFilter;
use tokio_util::sync::CancellationToken;

use crate::lake::{DailyTotals, Events, Lake, MonthlyReport, instant};

table! {
    /// Everything up to the end of a month.
    pub struct Cohorts {
        /// First day of the month.
        pub month: NaiveDate,
        /// How much.
        pub amount: i64,
    }
}

impl Asset for Cohorts {
    const KEY: AssetKey = AssetKey::new("lake.cohorts");
    type Partitions = Monthly;
    const PARTITION_COLUMN: &'static str = "month";
    type Upstream = (Mapped<DailyTotals, History>,);
    const RETRY: RetryPolicy = RetryPolicy::NONE;
}

impl SqlAsset for Cohorts {
    const SQL: &'static str = "
        select $3::date as month, coalesce(sum(amount), 0)::bigint as amount
        from lake.daily_totals where day < ($3::date + interval '1 month')";
}

const DAILY: &str = "lake.daily_totals";
const MONTHLY: &str = "lake.monthly_report";
const COHORTS: &str = "lake.cohorts";
/// 2026-03-10 as a number of days.
const TENTH_OF_MARCH: i64 = 20_522;

/// The lake from 2026-03-01 on with automations, a reconciler, and somebody who works off what it launches.
struct Robot {
    lake: Lake,
    reconciler: AutomationReconciler,
}

/// How assets are automated in a test.
type Policies<'a> = &'a [(&'a str, Automation, WaitPolicy)];

const EAGER: Automation = Automation::eager();
const ALL_EAGER: Policies<'static> =
    &[(DAILY, EAGER, WaitPolicy::All), (MONTHLY, EAGER, WaitPolicy::All), (COHORTS, EAGER, WaitPolicy::All)];

fn definitions(policies: Policies<'_>, sql_of_days: Option<&str>) -> Definitions {
    let calendar =
        Calendar { zone: chrono_tz::Europe::Berlin, first_day: NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() };
    let plain = Definitions::builder(calendar)
        .external::<Events>()
        .sql::<DailyTotals>()
        .rust::<MonthlyReport>()
        .sql::<Cohorts>()
        .build()
        .unwrap();
    let specs = plain.assets().map(|spec| {
        let mut spec = AssetSpec::clone(spec);
        if let Some((_, automation, wait)) = policies.iter().find(|(key, ..)| *key == spec.key.as_str()) {
            spec.automation = automation.clone();
            spec.wait = *wait;
        }
        if let Some(sql) = sql_of_days.filter(|_| spec.key.as_str() == DAILY) {
            spec.sql = Some(sql.to_owned());
        }
        spec
    });
    Definitions::from_specs(calendar, specs.collect(), Default::default()).unwrap()
}

impl Robot {
    async fn new(policies: Policies<'_>, now: &str) -> Self {
        let mut lake = Lake::open().await;
        sqlx::query("create table lake.cohorts (month date not null, amount bigint not null)")
            .execute(&lake.pool)
            .await
            .unwrap();
        lake.clock.set(instant(now));
        lake.definitions = Arc::new(definitions(policies, None));
        Self { lake, reconciler: AutomationReconciler::default() }
    }

    fn context(&self) -> ReconcilerContext {
        ReconcilerContext {
            store: self.lake.store.clone(),
            definitions: self.lake.definitions.clone(),
            clock: self.lake.shared_clock(),
        }
    }

    /// As a program with other declarations that is started now.
    fn restart(&mut self, definitions: Definitions) {
        self.lake.definitions = Arc::new(definitions);
        self.reconciler = AutomationReconciler::default();
    }

    /// One activation; what it launched, as `asset partitions: why`, one line for each reason.
    async fn activate(&mut self) -> String {
        let context = self.context();
        let before = self.runs().await;
        self.reconciler.activate(&context).await.unwrap();
        let mut lines = Vec::new();
        for run in self.runs().await.difference(&before) {
            let detail: serde_json::Value = sqlx::query_scalar("select cause_detail from karat.run where run_id = $1")
                .bind(run)
                .fetch_one(&self.lake.pool)
                .await
                .unwrap();
            let cause: karat::daemon::automation::AutomationCause = serde_json::from_value(detail).unwrap();
            lines.extend(cause.entries.iter().map(|entry| {
                format!("{} {}: {}", entry.asset.table(), entry.partitions, entry.sentences().join("; "))
            }));
        }
        lines.join("\n")
    }

    async fn runs(&self) -> BTreeSet<uuid::Uuid> {
        let filter = RunFilter { limit: 10_000, ..RunFilter::default() };
        self.lake.store.runs(&filter).await.unwrap().into_iter().map(|run| run.run_id).collect()
    }

    async fn work(&self) {
        let filter = RunFilter { live: true, limit: 10_000, ..RunFilter::default() };
        let live: Vec<_> = self.lake.store.runs(&filter).await.unwrap().into_iter().map(|run| run.run_id).collect();
        self.lake.worker().work_off(&live, &CancellationToken::new()).await.unwrap();
    }

    /// Activates and works until nothing more is launched at this instant.
    async fn settle(&mut self) -> String {
        let mut told = Vec::new();
        loop {
            let launched = self.activate().await;
            if launched.is_empty() {
                return told.join("\n");
            }
            told.push(launched);
            self.work().await;
        }
    }

    /// Goes on for `minutes`, looking each minute; what was launched, with how many minutes had passed.
    async fn watch(&mut self, minutes: u32) -> String {
        let mut told = Vec::new();
        for minute in 1..=minutes {
            self.lake.clock.advance(Duration::from_secs(60));
            let launched = self.settle().await;
            if !launched.is_empty() {
                told.push(format!("after {minute} min\n{launched}"));
            }
        }
        told.join("\n")
    }

    /// Notes that a row landed in this day; what it was is no concern.
    async fn note(&self, ordinal: i64) {
        let mut transaction = self.lake.pool.begin().await.unwrap();
        self.note_in(&mut transaction, ordinal).await;
        transaction.commit().await.unwrap();
    }

    async fn note_in(&self, connection: &mut sqlx::PgConnection, ordinal: i64) {
        let key = self.lake.definitions.find(DAILY).unwrap().partitions.key(ordinal).to_string();
        let mark = NewMark { partition_key: key, ordinal, row_count: 1 };
        append_marks(connection, "lake.events", "test", &[mark], self.lake.clock.now()).await.unwrap();
    }

    async fn explain(&self, asset: &str, partition: &str) -> String {
        let spec = self.lake.definitions.find(asset).unwrap();
        let ordinal = spec.partitions.ordinal(&partition.parse().unwrap()).unwrap();
        let evaluation =
            explain(&self.lake.store, &self.lake.definitions, spec, ordinal, self.lake.clock.now()).await.unwrap();
        let mut lines = vec![evaluation.verdict.to_string()];
        lines.extend(evaluation.conditions.iter().map(ToString::to_string));
        lines.extend(evaluation.next_at.map(|instant| format!("next at {instant}")));
        lines.join("\n")
    }
}

#[tokio::test]
async fn a_history_is_built_from_the_bottom_up_and_then_nothing_runs() {
    let mut robot = Robot::new(ALL_EAGER, "2026-05-02T12:00:00Z").await;
    robot.lake.add_event_a_day("2026-03-01", 62).await;
    insta::assert_snapshot!(robot.watch(3).await, @r"
    after 1 min
    daily_totals 2026-03-01..2026-05-01: missing: its window has ended and it was never built
    after 2 min
    cohorts 2026-03..2026-04: missing: its window has ended and it was never built
    monthly_report 2026-03..2026-04: missing: its window has ended and it was never built
    ");
    assert_eq!(robot.watch(10).await, "");
    assert_eq!(
        robot.lake.text("select * from lake.monthly_report order by 1").await,
        "2026-03-01 | 31 | 496\n2026-04-01 | 30 | 1395"
    );
    assert_eq!(robot.lake.text("select * from lake.cohorts order by 1").await, "2026-03-01 | 496\n2026-04-01 | 1891");
}

/// Everything up to the end of April is built, and it is noon on 2 May.
async fn built(policies: Policies<'_>) -> Robot {
    let mut robot = Robot::new(policies, "2026-05-02T12:00:00Z").await;
    robot.lake.add_event_a_day("2026-03-01", 62).await;
    robot.lake.build(&[(DAILY, "..2026-05-01"), (MONTHLY, "2026-03,2026-04"), (COHORTS, "2026-03,2026-04")]).await;
    assert_eq!(robot.watch(3).await, "");
    robot
}

#[tokio::test]
async fn a_late_row_is_followed_once_through_day_month_and_cohorts() {
    let mut robot = built(ALL_EAGER).await;
    robot.lake.add_events(&[("2026-03-10T10:00:00Z", 1000, 7)]).await;
    insta::assert_snapshot!(robot.watch(60).await, @r"
    after 1 min
    daily_totals 2026-03-10: 1 row landed in lake.events since 2026-05-02 12:03:00Z, written by test
    after 2 min
    cohorts 2026-03..2026-04: lake.daily_totals changed
    monthly_report 2026-03: lake.daily_totals changed
    ");
    assert_eq!(robot.lake.text("select amount from lake.cohorts order by month").await, "503\n1898");
    assert_eq!(
        robot
            .lake
            .text("select asset_key, count(*) from karat.materialization where not current group by 1 order by 1")
            .await,
        "lake.cohorts | 2\nlake.daily_totals | 1\nlake.monthly_report | 1"
    );
}

#[tokio::test]
async fn equal_content_ends_the_wave_at_the_first_level() {
    let mut robot = built(ALL_EAGER).await;
    robot.note(TENTH_OF_MARCH).await;
    insta::assert_snapshot!(robot.watch(60).await, @r"
    after 1 min
    daily_totals 2026-03-10: 1 row landed in lake.events since 2026-05-02 12:03:00Z, written by test
    ");
}

#[tokio::test]
async fn a_burst_of_rows_is_waited_out() {
    let mut robot = built(ALL_EAGER).await;
    for id in 0..3 {
        robot.lake.add_events(&[("2026-03-10T10:00:00Z", 2000 + id, 1)]).await;
        robot.lake.clock.advance(Duration::from_secs(50));
        assert_eq!(robot.settle().await, "");
    }
    insta::assert_snapshot!(robot.watch(5).await, @r"
    after 1 min
    daily_totals 2026-03-10: 3 rows landed in lake.events since 2026-05-02 12:03:00Z, written by test
    after 2 min
    cohorts 2026-03..2026-04: lake.daily_totals changed
    monthly_report 2026-03: lake.daily_totals changed
    ");
}

#[tokio::test]
async fn a_month_waits_for_all_its_days_and_says_for_which() {
    let mut robot = Robot::new(&[(MONTHLY, EAGER, WaitPolicy::All)], "2026-04-03T12:00:00Z").await;
    robot.lake.add_event_a_day("2026-03-01", 31).await;
    assert_eq!(robot.watch(2).await, "");
    robot.lake.build(&[(DAILY, "2026-03-01..2026-03-02,2026-03-04..2026-03-06,2026-03-08..2026-03-31")]).await;
    assert_eq!(robot.watch(5).await, "");
    insta::assert_snapshot!(robot.explain(MONTHLY, "2026-03").await, @r"
    waiting for a change
    waiting for 2 of 31 days of lake.daily_totals: 2026-03-03, 2026-03-07
    eager (after 1 min without a change) is met; the newest change was at 2026-04-03 14:02:00+02:00
    ");
    robot.lake.build(&[(DAILY, "2026-03-03,2026-03-07")]).await;
    insta::assert_snapshot!(robot.explain(MONTHLY, "2026-03").await, @r"
    not due yet
    eager (after 1 min without a change) will be met at 2026-04-03 14:08:00+02:00; the newest change was at 2026-04-03 14:07:00+02:00
    next at 2026-04-03 12:08:00 UTC
    ");
    insta::assert_snapshot!(robot.watch(5).await, @r"
    after 1 min
    monthly_report 2026-03: missing: its window has ended and it was never built
    ");
    insta::assert_snapshot!(robot.explain(MONTHLY, "2026-03").await, @"nothing to do: nothing it reads has changed since it was built");
    insta::assert_snapshot!(robot.explain(MONTHLY, "2026-04").await, @r"
    not due: its window has not ended
    next at 2026-04-30 22:00:00 UTC
    ");
    // A day that waits to be built again is waited for as well.
    robot.lake.add_events(&[("2026-03-10T10:00:00Z", 1000, 7)]).await;
    robot.lake.build(&[(DAILY, "2026-03-11")]).await;
    robot.lake.add_events(&[("2026-03-11T10:00:00Z", 1001, 7)]).await;
    robot.lake.build(&[(DAILY, "2026-03-11")]).await;
    assert_eq!(robot.watch(5).await, "");
    insta::assert_snapshot!(robot.explain(MONTHLY, "2026-03").await, @r"
    waiting for a change
    waiting for 1 of 31 days of lake.daily_totals: 2026-03-10
    eager (after 1 min without a change) is met; the newest change was at 2026-04-03 14:12:00+02:00
    ");
}

#[tokio::test]
async fn enough_days_are_enough_and_more_days_make_it_better() {
    let mut robot = Robot::new(&[(MONTHLY, EAGER, WaitPolicy::at_least(20))], "2026-04-03T12:00:00Z").await;
    robot.lake.add_event_a_day("2026-03-01", 31).await;
    robot.lake.build(&[(DAILY, "2026-03-01..2026-03-19")]).await;
    assert_eq!(robot.watch(3).await, "");
    robot.lake.build(&[(DAILY, "2026-03-20")]).await;
    insta::assert_snapshot!(robot.explain(MONTHLY, "2026-03").await, @r"
    not due yet
    waiting for 11 of 31 days of lake.daily_totals: 2026-03-21..2026-03-31
    20 of each upstream are enough
    eager (after 1 min without a change) will be met at 2026-04-03 14:04:00+02:00; the newest change was at 2026-04-03 14:03:00+02:00
    next at 2026-04-03 12:04:00 UTC
    ");
    insta::assert_snapshot!(robot.watch(10).await, @r"
    after 1 min
    monthly_report 2026-03: missing: its window has ended and it was never built
    ");
    assert_eq!(
        robot
            .lake
            .text("select incomplete_inputs from karat.materialization where asset_key = 'lake.monthly_report'")
            .await,
        r#"{"lake.daily_totals": "2026-03-21..2026-03-31 (11 partitions)"}"#
    );
    // It stays as it is until more is there.
    robot.reconciler = AutomationReconciler::default();
    assert_eq!(robot.watch(10).await, "");
    robot.lake.build(&[(DAILY, "2026-03-21..2026-03-31")]).await;
    insta::assert_snapshot!(robot.watch(10).await, @r"
    after 1 min
    monthly_report 2026-03: lake.daily_totals changed; it was built by force with inputs missing
    ");
    assert_eq!(
        robot.lake.text("select current, incomplete_inputs from karat.materialization where asset_key = 'lake.monthly_report' order by 1").await,
        r#"false | {"lake.daily_totals": "2026-03-21..2026-03-31 (11 partitions)"}"#.to_owned() + "\ntrue | ∅"
    );
}

const OTHER_SQL: &str = "
    select at::date as day, count(*) as events, coalesce(sum(amount), 0)::bigint as amount
    from lake.events where at >= $1 and at < $2 group by 1";

#[tokio::test]
async fn changed_code_starts_nothing_and_holds_nothing_up() {
    let mut robot = built(ALL_EAGER).await;
    robot.restart(definitions(ALL_EAGER, Some(OTHER_SQL)));
    assert_eq!(robot.watch(30).await, "");
    insta::assert_snapshot!(robot.explain(DAILY, "2026-03-10").await, @"nothing to do: nothing it reads has changed since it was built");
    // Only what has other data is built, and what reads it does not wait for the days of the old code.
    robot.lake.add_events(&[("2026-04-10T10:00:00Z", 1000, 7)]).await;
    insta::assert_snapshot!(robot.watch(30).await, @r"
    after 1 min
    daily_totals 2026-04-10: 1 row landed in lake.events since 2026-05-02 12:33:00Z, written by test
    after 2 min
    cohorts 2026-04: lake.daily_totals changed
    monthly_report 2026-04: lake.daily_totals changed
    ");
}

#[tokio::test]
async fn what_fails_is_not_tried_again_until_there_is_something_new() {
    let mut robot = built(ALL_EAGER).await;
    robot.lake.add_events(&[("2026-04-10T10:00:00Z", 1000, -500)]).await;
    insta::assert_snapshot!(robot.watch(60).await, @r"
    after 1 min
    daily_totals 2026-04-10: 1 row landed in lake.events since 2026-05-02 12:03:00Z, written by test
    ");
    insta::assert_snapshot!(robot.explain(DAILY, "2026-04-10").await, @r"
    waiting for a change
    eager (after 1 min without a change) waits for a change: nothing has changed since the last step failed; the newest change was at 2026-05-02 14:03:00+02:00
    ");
    insta::assert_snapshot!(robot.explain(MONTHLY, "2026-04").await, @"nothing to do: nothing it reads has changed since it was built");
    // A reconciler that knows nothing of it does not try again either.
    robot.reconciler = AutomationReconciler::default();
    assert_eq!(robot.watch(10).await, "");
    robot.lake.add_events(&[("2026-04-10T11:00:00Z", 1001, 600)]).await;
    insta::assert_snapshot!(robot.watch(10).await, @r"
    after 1 min
    daily_totals 2026-04-10: 2 rows landed in lake.events since 2026-05-02 12:03:00Z, written by test
    after 2 min
    cohorts 2026-04: lake.daily_totals changed
    monthly_report 2026-04: lake.daily_totals changed
    ");
}

#[tokio::test]
async fn at_a_tick_what_failed_is_tried_once_more() {
    const HOURLY: Automation = Automation::Cron("@hourly");
    let mut robot = built(&[(DAILY, HOURLY, WaitPolicy::All)]).await;
    robot.lake.add_events(&[("2026-04-10T10:00:00Z", 1000, -500)]).await;
    insta::assert_snapshot!(robot.watch(150).await, @r"
    after 57 min
    daily_totals 2026-04-10: 1 row landed in lake.events since 2026-05-02 12:03:00Z, written by test
    after 117 min
    daily_totals 2026-04-10: 1 row landed in lake.events since 2026-05-02 12:03:00Z, written by test
    ");
    assert_eq!(robot.lake.text("select count(*) from karat.step where state = 'failed'").await, "2");
}

#[tokio::test]
async fn what_was_canceled_stays_so_until_there_is_something_new() {
    let mut robot = built(ALL_EAGER).await;
    robot.lake.add_events(&[("2026-03-10T10:00:00Z", 1000, 7)]).await;
    robot.lake.clock.advance(Duration::from_secs(60));
    assert!(robot.activate().await.contains("daily_totals 2026-03-10"));
    // While it waits for its turn nobody launches it again, whoever looks.
    robot.lake.clock.advance(Duration::from_secs(600));
    assert_eq!(robot.activate().await, "");
    let known = std::mem::take(&mut robot.reconciler);
    assert_eq!(robot.activate().await, "");
    robot.reconciler = known;
    let live: Vec<_> = robot.runs().await.into_iter().collect();
    robot
        .lake
        .store
        .control_runs(&live, karat::store::run::Control::Cancel, robot.lake.clock.now(), None)
        .await
        .unwrap();
    robot.work().await;
    assert_eq!(robot.watch(10).await, "");
    robot.lake.add_events(&[("2026-03-10T11:00:00Z", 1001, 7)]).await;
    insta::assert_snapshot!(robot.watch(2).await, @r"
    after 1 min
    daily_totals 2026-03-10: 2 rows landed in lake.events since 2026-05-02 12:03:00Z, written by test
    after 2 min
    cohorts 2026-03..2026-04: lake.daily_totals changed
    monthly_report 2026-03: lake.daily_totals changed
    ");
}

#[tokio::test]
async fn on_close_builds_when_the_window_ends_and_never_again() {
    const ON_CLOSE: Automation = Automation::OnClose { grace: Duration::from_secs(30 * 60) };
    let mut robot = built(&[(DAILY, ON_CLOSE, WaitPolicy::All)]).await;
    // Built at noon and provisional: the day ends at 22:00 UTC.
    robot.lake.build(&[(DAILY, "2026-05-02")]).await;
    robot.lake.clock.set(instant("2026-05-02T22:00:00Z"));
    assert_eq!(robot.settle().await, "");
    let context = robot.context();
    let next = robot.reconciler.activate(&context).await.unwrap().next_at;
    assert_eq!(next, Some(instant("2026-05-02T22:30:00Z")));
    insta::assert_snapshot!(robot.watch(35).await, @r"
    after 30 min
    daily_totals 2026-05-02: it was built before its window closed
    ");
    robot.lake.add_events(&[("2026-05-02T10:00:00Z", 1000, 7)]).await;
    assert_eq!(robot.watch(60).await, "");
}

#[tokio::test]
async fn three_days_asleep_are_made_up_for_at_once_and_once() {
    const NIGHTLY: Automation = Automation::Cron("15 3 * * *");
    let mut robot = built(&[(DAILY, NIGHTLY, WaitPolicy::All), (MONTHLY, EAGER, WaitPolicy::All)]).await;
    robot.lake.add_events(&[("2026-03-10T10:00:00Z", 1000, 7)]).await;
    assert_eq!(robot.watch(5).await, "");
    robot.lake.clock.set(instant("2026-05-05T20:00:00Z"));
    insta::assert_snapshot!(robot.watch(3).await, @r"
    after 1 min
    daily_totals 2026-03-10: 1 row landed in lake.events since 2026-05-02 12:03:00Z, written by test
    daily_totals 2026-05-02..2026-05-04: missing: its window has ended and it was never built
    after 2 min
    monthly_report 2026-03: lake.daily_totals changed
    ");
    assert_eq!(robot.watch(300).await, "");
    // A clock that is put back, and then right again, leads to nothing.
    robot.lake.clock.set(instant("2026-05-05T23:30:00Z"));
    assert_eq!(robot.settle().await, "");
    robot.lake.clock.set(instant("2026-05-05T20:30:00Z"));
    assert_eq!(robot.settle().await, "");
    robot.lake.clock.set(instant("2026-05-05T23:30:00Z"));
    assert_eq!(robot.settle().await, "");
}

#[tokio::test]
async fn rows_that_commit_late_are_seen_whatever_their_time() {
    let mut robot = built(ALL_EAGER).await;
    // A transaction that began before everything that follows, with a time long past.
    let mut slow = robot.lake.pool.begin().await.unwrap();
    sqlx::query("insert into lake.events values ('2026-03-10T10:00:00Z', 1000, 7)").execute(&mut *slow).await.unwrap();
    robot.note_in(&mut slow, TENTH_OF_MARCH).await;
    assert_eq!(robot.watch(3).await, "");
    // Another row lands in the same day; it is built while the transaction is still open.
    robot.lake.add_events(&[("2026-03-10T11:00:00Z", 1001, 7)]).await;
    insta::assert_snapshot!(robot.watch(1).await, @r"
    after 1 min
    daily_totals 2026-03-10: 1 row landed in lake.events since 2026-05-02 12:06:00Z, written by test
    ");
    slow.commit().await.unwrap();
    insta::assert_snapshot!(robot.watch(5).await, @r"
    after 1 min
    daily_totals 2026-03-10: 1 row landed in lake.events since 2026-05-02 12:03:00Z, written by test
    after 2 min
    cohorts 2026-03..2026-04: lake.daily_totals changed
    monthly_report 2026-03: lake.daily_totals changed
    ");
    assert_eq!(robot.lake.text("select amount from lake.daily_totals where day = '2026-03-10'").await, "24");
}

/// What is left to chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

impl Robot {
    /// Something happens, as it may.
    async fn disturb(&mut self, chance: &mut Chance, id: i64) -> String {
        match chance.below(8) {
            0 | 1 => {
                let date = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + chrono::Days::new(chance.below(70));
                let amount = i64::try_from(chance.below(60)).unwrap() - 20;
                self.lake.add_events(&[(&format!("{date}T{:02}:00:00Z", chance.below(24)), 10_000 + id, amount)]).await;
                format!("{amount} lands on {date}")
            }
            2 => {
                let ordinal = TENTH_OF_MARCH + i64::try_from(chance.below(30)).unwrap();
                self.note(ordinal).await;
                format!("{ordinal} is marked")
            }
            3 | 4 => {
                let seconds = *chance.pick(&[30, 60, 61, 600, 3_600, 86_400, 200_000]);
                self.lake.clock.advance(Duration::from_secs(seconds));
                format!("{seconds} s pass")
            }
            5 | 6 => {
                self.work().await;
                "runs are worked off".to_owned()
            }
            _ if chance.below(3) == 0 => {
                let live: Vec<_> = self.runs().await.into_iter().collect();
                let cancel = karat::store::run::Control::Cancel;
                self.lake.store.control_runs(&live, cancel, self.lake.clock.now(), None).await.unwrap();
                "everything is canceled".to_owned()
            }
            _ => {
                let key = *chance.pick(&[DAILY, MONTHLY, COHORTS]);
                let spec = self.lake.definitions.find(key).unwrap();
                let existing: Vec<i64> = spec.partitions.existing(self.lake.clock.now()).iter().collect();
                let plan = [(spec.key.clone(), karat::core::subset::PartitionSubset::single(*chance.pick(&existing)))];
                let request = crate::lake::request_of(plan.into(), karat::store::launch::RunCause::Manual, false);
                let launched = karat::engine::launch::launch(
                    &self.lake.store,
                    &self.lake.definitions,
                    request,
                    self.lake.clock.now(),
                );
                format!("a person asks for {key}: {}", launched.await.is_ok())
            }
        }
    }
}

/// Whatever happens, a reconciler that looks at what has changed comes to the same as one that looks at everything: the
/// second of the two finds nothing left to launch, and both say the same of when to look again.
#[tokio::test]
async fn what_has_changed_is_all_there_is_to_look_at() {
    const NIGHTLY: Automation = Automation::Cron("15 3 * * *");
    const ON_CLOSE: Automation = Automation::OnClose { grace: Duration::from_secs(600) };
    const MIXED: Policies<'static> = &[
        (DAILY, Automation::Any(&[ON_CLOSE, NIGHTLY]), WaitPolicy::All),
        (MONTHLY, EAGER, WaitPolicy::AtLeast(5)),
        (COHORTS, Automation::All(&[NIGHTLY, EAGER]), WaitPolicy::All),
    ];
    let policies: [Policies<'_>; 3] =
        [ALL_EAGER, MIXED, &[(MONTHLY, EAGER, WaitPolicy::All), (DAILY, ON_CLOSE, WaitPolicy::All)]];
    let mut launches = 0;
    for (seed, policies) in (0..).zip(policies) {
        let mut chance = Chance(seed);
        let mut robot = Robot::new(policies, "2026-04-29T12:00:00Z").await;
        robot.lake.add_event_a_day("2026-03-01", 62).await;
        let mut story = Vec::new();
        for id in 0..45 {
            story.push(robot.disturb(&mut chance, id).await);
            let context = robot.context();
            let mut scratch = AutomationReconciler::default();
            let (first, second) = if chance.below(2) == 0 {
                let first = robot.reconciler.activate(&context).await.unwrap();
                (first, scratch.activate(&context).await.unwrap())
            } else {
                let first = scratch.activate(&context).await.unwrap();
                (first, robot.reconciler.activate(&context).await.unwrap())
            };
            launches += usize::from(first.report.is_some());
            assert_eq!(second.report, None, "seed {seed}, after {story:#?}");
            assert_eq!(first.next_at, second.next_at, "seed {seed}, after {story:#?}");
        }
    }
    assert!(launches > 15, "the stories are about something: {launches} launches");
}

#[tokio::test]
async fn several_assets_asked_about_together_need_what_each_needs_alone() {
    let robot = built(ALL_EAGER).await;
    // Of the days one is stale, one was built again with other content, one failed, and one is missing.
    robot.lake.add_events(&[("2026-03-10T10:00:00Z", 1000, 7), ("2026-03-11T10:00:00Z", 1001, 7)]).await;
    robot.lake.build(&[(DAILY, "2026-03-11")]).await;
    robot.lake.add_events(&[("2026-04-12T10:00:00Z", 1002, -100_000)]).await;
    assert_eq!(robot.lake.build(&[(DAILY, "2026-04-12")]).await, "failed: 1 failed");
    sqlx::query("delete from karat.materialization where partition_key = '2026-04-20'")
        .execute(&robot.lake.pool)
        .await
        .unwrap();
    let (store, definitions, now) = (&robot.lake.store, &robot.lake.definitions, robot.lake.clock.now());
    let all = PartitionSubset::from_range(Ordinal::MIN, Ordinal::MAX);
    // What is no longer of interest of one is what another reads.
    let few = PartitionSubset::from_range(TENTH_OF_MARCH, TENTH_OF_MARCH + 1);
    for days in [&all, &few] {
        let asked: Vec<(&AssetSpec, &PartitionSubset)> =
            [("lake.events", &all), (DAILY, days), (MONTHLY, &all), (COHORTS, &all)]
                .map(|(key, subset)| (definitions.find(key).unwrap().as_ref(), subset))
                .into();
        let together = needs(store, definitions, &asked, now).await.unwrap();
        let mut found = Vec::new();
        for ((asset, subset), together) in asked.into_iter().zip(together) {
            let alone = partition_needs(store, definitions, asset, subset, now).await.unwrap();
            assert_eq!(together, alone, "{}", asset.key);
            found.push(alone.partitions.len());
        }
        assert_eq!(found[1..], [if days == &all { 3 } else { 1 }, 2, 2]);
    }
}

#[tokio::test]
async fn a_long_history_is_launched_piece_by_piece() {
    let mut robot = Robot::new(&[], "2026-05-02T12:00:00Z").await;
    let calendar = Calendar { zone: chrono_tz::UTC, first_day: NaiveDate::from_ymd_opt(1990, 1, 1).unwrap() };
    let plain = Definitions::builder(calendar).external::<Events>().sql::<DailyTotals>().build().unwrap();
    let specs = plain.assets().map(|spec| {
        let automation = if spec.is_materializable() { EAGER } else { Automation::Manual };
        AssetSpec { automation, ..AssetSpec::clone(spec) }
    });
    robot.restart(Definitions::from_specs(calendar, specs.collect(), Default::default()).unwrap());
    let context = robot.context();
    let mut told = Vec::new();
    for _ in 0..3 {
        let activation = robot.reconciler.activate(&context).await.unwrap();
        let steps = robot.lake.text("select count(*) from karat.step group by run_id order by run_id").await;
        told.push(format!("{} | {:?}", steps.replace('\n', ", "), activation.next_at.map(|at| at.to_string())));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    10000 | Some("2026-05-02 12:00:00 UTC")
    10000, 3270 | Some("2026-05-03 00:00:00 UTC")
    10000, 3270 | Some("2026-05-03 00:00:00 UTC")
    "#);
}
