//! Freshness policies: by age and by deadline, with windows and without, and across changes of the clocks.

use karat::clock::Clock;
use karat::core::freshness::{FreshnessState, Newest, freshness};
use karat::core::partition::{Cadence, PartitionsDefinition};
use karat::core::policy::FreshnessPolicy;
use karat::engine::freshness::freshness_of;
use karat::prelude::*;

use super::lake::{DailyTotals, Events, Lake, instant};

const BERLIN: chrono_tz::Tz = chrono_tz::Europe::Berlin;
const HOUR: Duration = Duration::from_secs(3600);

fn days(start: &str, end: Option<&str>) -> PartitionsDefinition {
    let date = |text: &str| text.parse::<NaiveDate>().unwrap();
    PartitionsDefinition::time(Cadence::Daily, BERLIN, date(start), end.map(date)).unwrap()
}

/// `state, due …, changes …` in Berlin's time.
fn judged(policy: FreshnessPolicy, partitions: &PartitionsDefinition, newest: Newest, now: &str) -> String {
    let judged = freshness(policy, partitions, newest, BERLIN, instant(now));
    let local = |at: Option<DateTime<Utc>>| {
        at.map_or_else(|| "never".to_owned(), |at| at.with_timezone(&BERLIN).format("%m-%d %H:%M%:::z").to_string())
    };
    format!("{}, due {}, changes {}", judged.state.as_str(), local(judged.due_at), local(judged.changes_at))
}

fn day(partitions: &PartitionsDefinition, key: &str) -> Newest {
    Newest::Window(Some(partitions.ordinal(&key.parse().unwrap()).unwrap()))
}

#[test]
fn an_age_is_measured_from_the_end_of_the_window_that_follows_the_newest() {
    let policy = FreshnessPolicy::maximum_lag(30 * HOUR).warn_after(24 * HOUR);
    let days = days("2026-05-01", None);
    let at = |newest, now| judged(policy, &days, newest, now);
    let newest = day(&days, "2026-05-03");
    assert_eq!(at(newest, "2026-05-04T06:00:00Z"), "pass, due 05-06 06:00+02, changes 05-06 00:00+02");
    assert_eq!(at(newest, "2026-05-05T21:59:59Z"), "pass, due 05-06 06:00+02, changes 05-06 00:00+02");
    assert_eq!(at(newest, "2026-05-05T22:00:00Z"), "warn, due 05-06 06:00+02, changes 05-06 06:00+02");
    assert_eq!(at(newest, "2026-05-06T04:00:00Z"), "fail, due 05-06 06:00+02, changes never");
    // Since when does not move while nothing is published.
    assert_eq!(at(newest, "2026-06-06T04:00:00Z"), "fail, due 05-06 06:00+02, changes never");
}

#[test]
fn what_was_never_built_is_unknown_until_something_was_due() {
    let policy = FreshnessPolicy::maximum_lag(30 * HOUR);
    let days = days("2026-05-01", None);
    let at = |now| judged(policy, &days, Newest::Window(None), now);
    assert_eq!(at("2026-04-20T00:00:00Z"), "unknown, due 05-03 06:00+02, changes 05-03 06:00+02");
    assert_eq!(at("2026-05-02T12:00:00Z"), "unknown, due 05-03 06:00+02, changes 05-03 06:00+02");
    assert_eq!(at("2026-05-03T04:00:00Z"), "fail, due 05-03 06:00+02, changes never");
    assert_eq!(at("2026-05-09T12:00:00Z"), "fail, due 05-09 06:00+02, changes never");
}

#[test]
fn partitions_that_end_make_nothing_due_any_more() {
    let days = days("2026-05-01", Some("2026-05-04"));
    let at = |key| judged(FreshnessPolicy::maximum_lag(HOUR), &days, day(&days, key), "2027-01-01T00:00:00Z");
    assert_eq!(at("2026-05-02"), "fail, due 05-04 01:00+02, changes never");
    assert_eq!(at("2026-05-03"), "pass, due never, changes never");
}

#[test]
fn at_each_deadline_every_window_that_ended_before_it_must_be_there() {
    let policy = FreshnessPolicy::deadline("0 9 * * *").warn_before(2 * HOUR);
    let days = days("2026-01-01", None);
    let at = |key, now| judged(policy, &days, day(&days, key), now);
    assert_eq!(at("2026-05-03", "2026-05-04T23:00:00Z"), "pass, due 05-05 09:00+02, changes 05-05 07:00+02");
    assert_eq!(at("2026-05-03", "2026-05-05T05:00:00Z"), "warn, due 05-05 09:00+02, changes 05-05 09:00+02");
    assert_eq!(at("2026-05-03", "2026-05-05T07:00:00Z"), "fail, due 05-05 09:00+02, changes never");
    assert_eq!(at("2026-05-04", "2026-05-05T07:00:00Z"), "pass, due 05-06 09:00+02, changes 05-06 07:00+02");
    // A tick at midnight cannot ask for the day that ends with it.
    let midnight = FreshnessPolicy::deadline("0 0 * * *");
    assert_eq!(
        judged(midnight, &days, day(&days, "2026-05-03"), "2026-05-05T00:00:00Z"),
        "pass, due 05-06 00:00+02, changes 05-06 00:00+02"
    );
}

#[test]
fn deadlines_follow_the_local_clock_through_its_changes() {
    let policy = FreshnessPolicy::deadline("30 2 * * *").warn_before(HOUR);
    let days = days("2026-01-01", None);
    let at = |key, now| judged(policy, &days, day(&days, key), now);
    // 02:30 does not exist on 29 March: due at the first instant after the gap.
    assert_eq!(at("2026-03-27", "2026-03-28T23:30:00Z"), "pass, due 03-29 03:00+02, changes 03-29 01:00+01");
    // It exists twice on 25 October: due at the first.
    assert_eq!(at("2026-10-23", "2026-10-24T22:30:00Z"), "pass, due 10-25 02:30+02, changes 10-25 01:30+02");
    assert_eq!(at("2026-10-23", "2026-10-25T00:30:00Z"), "fail, due 10-25 02:30+02, changes never");
    // A day of 23 hours ends 23 hours after it began, and a lag is elapsed time.
    let lag = FreshnessPolicy::maximum_lag(6 * HOUR);
    assert_eq!(
        judged(lag, &days, day(&days, "2026-03-28"), "2026-03-29T12:00:00Z"),
        "pass, due 03-30 06:00+02, changes 03-30 06:00+02"
    );
}

#[test]
fn without_windows_the_age_of_the_version_counts() {
    let whole = PartitionsDefinition::Unpartitioned;
    let newest = Newest::Instant(Some(instant("2026-05-01T12:00:00Z")));
    let lag = FreshnessPolicy::maximum_lag(2 * HOUR);
    assert_eq!(judged(lag, &whole, newest, "2026-05-01T13:00:00Z"), "pass, due 05-01 16:00+02, changes 05-01 16:00+02");
    assert_eq!(judged(lag, &whole, newest, "2026-05-01T14:00:00Z"), "fail, due 05-01 16:00+02, changes never");
    assert_eq!(judged(lag, &whole, Newest::Instant(None), "2026-05-01T14:00:00Z"), "unknown, due never, changes never");
    // What was published after 09:00 on the first serves the deadline of the second, not that of the third.
    let deadline = FreshnessPolicy::deadline("0 9 * * *");
    assert_eq!(
        judged(deadline, &whole, newest, "2026-05-02T12:00:00Z"),
        "pass, due 05-03 09:00+02, changes 05-03 09:00+02"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_state_only_the_newest_versions_and_marks_are_looked_at() {
    let lake = Lake::open().await;
    let specs: Vec<_> = [(DailyTotals::KEY, FreshnessPolicy::hours(30)), (Events::KEY, FreshnessPolicy::hours(2))]
        .into_iter()
        .map(|(key, policy)| {
            let mut spec = (**lake.definitions.asset(&key).unwrap()).clone();
            spec.freshness = policy;
            std::sync::Arc::new(spec)
        })
        .collect();
    let judged = async || {
        let judged = freshness_of(&lake.store, &lake.definitions, &specs, lake.clock.now()).await.unwrap();
        [DailyTotals::KEY, Events::KEY].map(|key| judged[&key].state)
    };
    assert_eq!(judged().await, [FreshnessState::Fail, FreshnessState::Unknown]);
    lake.add_event_a_day("2026-04-20", 11).await;
    assert_eq!(judged().await, [FreshnessState::Fail, FreshnessState::Pass]);
    lake.build(&[("lake.daily_totals", "2026-04-20..2026-04-28")]).await;
    assert_eq!(judged().await, [FreshnessState::Fail, FreshnessState::Pass], "the 29th was due yesterday morning");
    // The day that runs is published early, and proves nothing of the days before it.
    lake.build(&[("lake.daily_totals", "2026-05-01")]).await;
    assert_eq!(judged().await, [FreshnessState::Fail, FreshnessState::Pass]);
    lake.build(&[("lake.daily_totals", "2026-04-29")]).await;
    assert_eq!(judged().await, [FreshnessState::Pass, FreshnessState::Pass]);
    lake.clock.advance(3 * HOUR);
    assert_eq!(judged().await, [FreshnessState::Pass, FreshnessState::Fail]);
    lake.clock.set(instant("2026-05-02T04:00:00Z"));
    assert_eq!(judged().await, [FreshnessState::Fail, FreshnessState::Fail]);
    lake.build(&[("lake.daily_totals", "2026-04-30")]).await;
    // Of 1 May there is only the version of the day itself, at noon; it is due tomorrow.
    assert_eq!(judged().await, [FreshnessState::Pass, FreshnessState::Fail]);
}
