//! The rules of automation: when a partition is due, and what it waits for.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use karat::core::automation::{
    Changes, Condition, Due, Failure, Need, Rule, Situation, UpstreamState, Verdict, decide, readiness,
};
use karat::core::partition::{Cadence, PartitionsDefinition};
use karat::core::policy::{Automation, WaitPolicy};
use karat::core::subset::PartitionSubset;
use karat::prelude::Duration;
use proptest::prelude::*;

use crate::lake::instant;

const MINUTE: Duration = Duration::from_secs(60);
const EAGER: Automation = Automation::eager();
const ON_CLOSE: Automation = Automation::OnClose { grace: Duration::from_secs(3600) };
const NIGHTLY: Automation = Automation::Cron("15 3 * * *");
const FOUR_HOURS_QUIET: Automation = Automation::Eager { debounce: Duration::from_secs(4 * 3600) };

/// The day 2026-03-09 in Berlin, missing, with nothing changed since it ended.
fn missing() -> Situation {
    Situation {
        need: Need::Missing,
        changes: Changes::at(instant("2026-03-09T23:00:00Z")),
        window_end: Some(instant("2026-03-09T23:00:00Z")),
        failure: None,
        in_progress: false,
    }
}

fn stale(first: &str, newest: &str) -> Situation {
    Situation { need: Need::Stale, changes: Changes { first: instant(first), newest: instant(newest) }, ..missing() }
}

fn failed(situation: Situation, began: &str, ended: &str) -> Situation {
    Situation { failure: Some(Failure { began: instant(began), ended: instant(ended) }), ..situation }
}

fn due(automation: &Automation, situation: &Situation, now: &str) -> Due {
    Rule::new(automation).unwrap().due(situation, instant(now), Berlin)
}

fn at(text: &str) -> Due {
    Due::At(instant(text))
}

#[test]
fn manual_never_is() {
    assert_eq!(due(&Automation::Manual, &missing(), "2030-01-01T00:00:00Z"), Due::OnChange);
    for automation in [Automation::Manual, Automation::Any(&[]), Automation::All(&[EAGER, Automation::Manual])] {
        assert!(Rule::new(&automation).unwrap().is_manual(), "{automation:?}");
        assert_eq!(due(&automation, &missing(), "2030-01-01T00:00:00Z"), Due::OnChange);
    }
    assert!(!Rule::new(&Automation::Any(&[EAGER, Automation::Manual])).unwrap().is_manual());
}

#[test]
fn eager_waits_until_its_inputs_are_quiet() {
    assert_eq!(due(&EAGER, &missing(), "2026-03-09T23:00:00Z"), at("2026-03-09T23:01:00Z"));
    assert_eq!(due(&EAGER, &missing(), "2026-03-09T23:01:00Z"), Due::Now);
    let late = stale("2026-03-20T10:00:00Z", "2026-03-20T10:00:50Z");
    assert_eq!(due(&EAGER, &late, "2026-03-20T10:01:00Z"), at("2026-03-20T10:01:50Z"));
    assert_eq!(due(&EAGER, &late, "2026-03-20T10:01:50Z"), Due::Now);
}

#[test]
fn inputs_that_never_pause_are_waited_for_ten_debounces_only() {
    let flood = stale("2026-03-20T10:00:00Z", "2026-03-20T10:09:59Z");
    assert_eq!(due(&EAGER, &flood, "2026-03-20T10:09:59Z"), at("2026-03-20T10:10:00Z"));
    assert_eq!(due(&EAGER, &flood, "2026-03-20T10:10:00Z"), Due::Now);
}

#[test]
fn what_a_clock_that_was_ahead_noted_is_not_waited_for() {
    // Rows that landed while a clock was two hours ahead, which has been set since.
    let ahead = stale("2026-03-20T12:00:00Z", "2026-03-20T12:00:00Z");
    assert_eq!(due(&EAGER, &ahead, "2026-03-20T10:00:00Z"), Due::Now);
    assert_eq!(due(&NIGHTLY, &ahead, "2026-03-20T10:00:00Z"), Due::Now);
    let partly = stale("2026-03-20T09:59:00Z", "2026-03-20T12:00:00Z");
    assert_eq!(due(&EAGER, &partly, "2026-03-20T10:00:00Z"), at("2026-03-20T10:09:00Z"));
    // Clocks of machines that differ by seconds make no difference.
    let slightly = stale("2026-03-20T10:00:05Z", "2026-03-20T10:00:05Z");
    assert_eq!(due(&EAGER, &slightly, "2026-03-20T10:00:00Z"), at("2026-03-20T10:01:05Z"));
    // What failed on such a clock is tried again when something changes, and what changed on it not without a pause.
    let changed =
        failed(stale("2026-03-20T10:00:00Z", "2026-03-20T10:00:00Z"), "2026-03-20T12:00:00Z", "2026-03-20T12:00:01Z");
    assert_eq!(due(&EAGER, &changed, "2026-03-20T10:05:00Z"), Due::Now);
    let failing = failed(ahead, "2026-03-20T10:00:00Z", "2026-03-20T10:00:01Z");
    assert_eq!(due(&EAGER, &failing, "2026-03-20T10:05:00Z"), at("2026-03-20T10:10:00Z"));
}

#[test]
fn on_close_is_for_the_first_build_and_for_one_made_early() {
    assert_eq!(due(&ON_CLOSE, &missing(), "2026-03-09T23:30:00Z"), at("2026-03-10T00:00:00Z"));
    assert_eq!(due(&ON_CLOSE, &missing(), "2026-03-10T00:00:00Z"), Due::Now);
    let early = Situation { need: Need::Early, ..missing() };
    assert_eq!(due(&ON_CLOSE, &early, "2026-03-10T00:00:00Z"), Due::Now);
    assert_eq!(
        due(&ON_CLOSE, &stale("2026-03-20T10:00:00Z", "2026-03-20T10:00:00Z"), "2026-03-21T00:00:00Z"),
        Due::OnChange
    );
    let timeless = Situation { window_end: None, ..missing() };
    assert_eq!(due(&ON_CLOSE, &timeless, "2026-03-09T23:00:00Z"), Due::Now);
}

#[test]
fn cron_is_due_at_the_first_tick_after_a_change_however_late_one_looks() {
    // 03:15 in Berlin is 02:15 UTC in winter.
    assert_eq!(due(&NIGHTLY, &missing(), "2026-03-09T23:00:00Z"), at("2026-03-10T02:15:00Z"));
    assert_eq!(due(&NIGHTLY, &missing(), "2026-03-10T02:15:00Z"), Due::Now);
    assert_eq!(due(&NIGHTLY, &missing(), "2026-03-13T12:00:00Z"), Due::Now, "three days asleep count once");
    // A tick at the instant at which the partition closes is in time.
    assert_eq!(due(&Automation::Cron("@daily"), &missing(), "2026-03-09T23:00:00Z"), Due::Now);
    // Rows that keep coming do not put the tick off.
    let flood = stale("2026-03-20T01:00:00Z", "2026-03-20T02:20:00Z");
    assert_eq!(due(&NIGHTLY, &flood, "2026-03-20T02:20:00Z"), Due::Now);
}

#[test]
fn what_failed_is_built_again_only_for_something_new() {
    let broken = failed(missing(), "2026-03-09T23:01:00Z", "2026-03-09T23:02:00Z");
    for automation in [EAGER, ON_CLOSE, Automation::Any(&[EAGER, ON_CLOSE])] {
        assert_eq!(due(&automation, &broken, "2026-04-01T00:00:00Z"), Due::OnChange, "{automation:?}");
    }
    assert_eq!(due(&NIGHTLY, &broken, "2026-03-09T23:03:00Z"), at("2026-03-10T02:15:00Z"));
    let at_the_tick = failed(missing(), "2026-03-10T02:15:00Z", "2026-03-10T02:15:00Z");
    assert_eq!(due(&NIGHTLY, &at_the_tick, "2026-03-10T02:15:00Z"), at("2026-03-11T02:15:00Z"), "no loop at a tick");
    // What landed while the failed attempt was running was not looked at by it.
    let changed = Situation {
        changes: Changes { first: missing().changes.first, newest: instant("2026-03-09T23:01:30Z") },
        ..broken
    };
    assert_eq!(due(&EAGER, &changed, "2026-03-09T23:02:00Z"), at("2026-03-09T23:02:30Z"));
}

#[test]
fn any_takes_the_first_condition_and_all_takes_the_last() {
    let nightly_and_for_late_rows = Automation::Any(&[NIGHTLY, EAGER]);
    assert_eq!(due(&nightly_and_for_late_rows, &missing(), "2026-03-09T23:00:30Z"), at("2026-03-09T23:01:00Z"));
    let nightly_if_quiet = Automation::All(&[NIGHTLY, FOUR_HOURS_QUIET]);
    assert_eq!(due(&nightly_if_quiet, &missing(), "2026-03-09T23:00:30Z"), at("2026-03-10T03:00:00Z"));
    assert_eq!(due(&nightly_if_quiet, &missing(), "2026-03-10T03:00:00Z"), Due::Now);
    let late = stale("2026-03-20T10:00:00Z", "2026-03-20T10:00:00Z");
    assert_eq!(due(&Automation::All(&[EAGER, ON_CLOSE]), &late, "2026-03-21T00:00:00Z"), Due::OnChange);
}

fn upstream(required: u64, lacking: &[i64]) -> UpstreamState {
    UpstreamState {
        asset: "silver.user_activity".parse().unwrap(),
        required,
        lacking: PartitionSubset::from_ordinals(lacking.iter().copied()),
    }
}

#[test]
fn everything_that_is_read_is_waited_for_unless_less_is_enough() {
    let (complete, partial) = (upstream(31, &[]), upstream(31, &[20_487, 20_491]));
    assert_eq!(readiness(WaitPolicy::All, &[]), Some(false));
    assert_eq!(readiness(WaitPolicy::All, std::slice::from_ref(&complete)), Some(false));
    assert_eq!(readiness(WaitPolicy::All, &[complete.clone(), partial.clone()]), None);
    assert_eq!(readiness(WaitPolicy::at_least(29), &[complete.clone(), partial.clone()]), Some(true));
    assert_eq!(readiness(WaitPolicy::at_least(30), &[complete.clone(), partial]), None);
    // Where fewer are read than asked for, all of them are enough.
    assert_eq!(readiness(WaitPolicy::at_least(40), &[complete]), Some(false));
    assert_eq!(readiness(WaitPolicy::at_least(40), &[upstream(2, &[1])]), None);
}

#[test]
fn what_is_waited_for_is_named() {
    let days = PartitionsDefinition::time(Cadence::Daily, Berlin, "2026-01-01".parse().unwrap(), None).unwrap();
    let sentence = |state: &UpstreamState, partitions: &PartitionsDefinition| {
        Condition::lacking(state, partitions).map(|condition| condition.sentence(Berlin))
    };
    assert_eq!(
        sentence(&upstream(31, &[20_487, 20_491]), &days).unwrap(),
        "waiting for 2 of 31 days of silver.user_activity: 2026-02-03, 2026-02-07"
    );
    assert_eq!(
        sentence(&upstream(1, &[0]), &PartitionsDefinition::Unpartitioned).unwrap(),
        "waiting for 1 of 1 partition of silver.user_activity: all"
    );
    assert_eq!(sentence(&upstream(31, &[]), &days), None);
}

#[test]
fn each_condition_is_told() {
    let rule = Rule::new(&Automation::Any(&[NIGHTLY, EAGER, ON_CLOSE])).unwrap();
    let sentences = |situation: &Situation, now: &str| {
        let conditions = rule.conditions(situation, instant(now), Berlin);
        conditions.iter().map(|condition| condition.sentence(Berlin)).collect::<Vec<_>>().join("\n")
    };
    let late = stale("2026-03-20T10:00:00Z", "2026-03-20T10:00:50Z");
    insta::assert_snapshot!(sentences(&late, "2026-03-20T10:01:00Z"), @r"
    any of: cron `15 3 * * *` will be met at 2026-03-21 03:15:00+01:00
    any of: eager (after 1 min without a change) will be met at 2026-03-20 11:01:50+01:00; the newest change was at 2026-03-20 11:00:50+01:00
    any of: on_close is for the first build, and there is one
    ");
    let broken = failed(missing(), "2026-03-09T23:01:00Z", "2026-03-09T23:02:00Z");
    insta::assert_snapshot!(sentences(&broken, "2026-03-09T23:03:00Z"), @r"
    any of: cron `15 3 * * *` will be met at 2026-03-10 03:15:00+01:00
    any of: eager (after 1 min without a change) waits for a change: nothing has changed since the last step failed; the newest change was at 2026-03-10 00:00:00+01:00
    any of: on_close (1 h after the window has ended) waits for a change: nothing has changed since the last step failed
    ");
}

fn automations() -> impl Strategy<Value = Rule> {
    let leaf = prop_oneof![
        Just(Rule::Manual),
        prop::sample::select(vec!["15 3 * * *", "*/10 * * * *", "0 0 1 * *"])
            .prop_map(|text| Rule::Cron(karat::core::cron::CronExpression::parse(text).unwrap())),
        (0_i64..10_000).prop_map(|seconds| Rule::Eager(TimeDelta::seconds(seconds))),
        (0_i64..100_000).prop_map(|seconds| Rule::OnClose(TimeDelta::seconds(seconds))),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Rule::Any),
            prop::collection::vec(inner, 1..3).prop_map(Rule::All),
        ]
    })
}

fn situations() -> impl Strategy<Value = Situation> {
    let seconds = 0_i64..1_000_000;
    let failures = prop::option::of((seconds.clone(), 0_i64..5_000));
    let needs = prop::sample::select(vec![Need::Missing, Need::Early, Need::Stale]);
    (needs, seconds.clone(), 0_i64..5_000, seconds, failures, any::<bool>()).prop_map(
        |(need, first, length, end, failure, in_progress)| Situation {
            need,
            changes: Changes { first: second(first), newest: second(first + length) },
            window_end: Some(second(end)),
            failure: failure.map(|(began, length)| Failure { began: second(began), ended: second(began + length) }),
            in_progress,
        },
    )
}

fn second(seconds: i64) -> DateTime<Utc> {
    instant("2026-03-01T00:00:00Z") + TimeDelta::seconds(seconds)
}

proptest! {
    /// What has been announced for an instant happens then and not before, if nothing changes and no clock was ahead.
    #[test]
    fn promises_are_kept(rule in automations(), situation in situations(), now in 0_i64..1_000_000, part in 0.0..1.0_f64) {
        let failed = situation.failure.map(|failure| failure.ended);
        let now = second(now).max(situation.changes.newest).max(failed.unwrap_or_default());
        match rule.due(&situation, now, Berlin) {
            Due::At(instant) => {
                prop_assert!(instant > now);
                prop_assert_eq!(rule.due(&situation, instant, Berlin), Due::Now);
                let between = now + (instant - now).to_std().map(|d| TimeDelta::from_std(d.mul_f64(part)).unwrap()).unwrap();
                if between < instant {
                    prop_assert_eq!(rule.due(&situation, between, Berlin), Due::At(instant));
                }
            }
            // What is due stays due, and what waits for a change waits for ever.
            due => prop_assert_eq!(rule.due(&situation, now + TimeDelta::days(400), Berlin), due),
        }
    }

    /// What fails as soon as it is launched is not launched again at the same instant, nor before a tick without a change.
    #[test]
    fn a_failure_is_never_repeated_at_once(rule in automations(), situation in situations(), now in 0_i64..1_000_000) {
        let now = second(now).max(situation.changes.newest);
        let situation = Situation { failure: Some(Failure { began: now, ended: now }), ..situation };
        match rule.due(&situation, now, Berlin) {
            Due::Now => prop_assert!(false, "launched again at once"),
            Due::At(instant) => prop_assert!(instant > now),
            Due::OnChange => {}
        }
    }

    /// Nothing is launched that a run has already, or that lacks something it has to wait for.
    #[test]
    fn nothing_is_launched_too_early(rule in automations(), situation in situations(), now in 0_i64..1_000_000) {
        let now = second(now);
        let lacking = decide(&rule, WaitPolicy::All, &situation, &[upstream(3, &[1])], now, Berlin);
        prop_assert_eq!(lacking, Verdict::OnChange);
        let verdict = decide(&rule, WaitPolicy::All, &situation, &[upstream(3, &[])], now, Berlin);
        if situation.in_progress {
            prop_assert_eq!(verdict, Verdict::OnChange);
        } else {
            let launched = verdict == Verdict::Launch { incomplete: false };
            prop_assert_eq!(launched, rule.due(&situation, now, Berlin) == Due::Now);
        }
    }
}

#[test]
fn a_minute_is_what_eager_waits() {
    assert_eq!(Automation::eager(), Automation::Eager { debounce: MINUTE });
}
