//! Schedules as declared, and which of their ticks are due.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{Europe, TZ_VARIANTS, Tz};
use karat::asset::definitions::DefinitionErrors;
use karat::core::cron::CronExpression;
use karat::core::plan::Extent;
use karat::core::schedule::{
    CatchUp, ClockNote, DueTicks, Missed, ON_TIME, TICKS_AT_ONCE, clock_note, due_ticks, last_ticks, ticks_around,
};
use karat::prelude::*;
use proptest::prelude::*;

use super::lake::{DailyTotals, Events, MonthlyReport, calendar};
use super::oracle::{date, utc};

fn cron(text: &str) -> CronExpression {
    text.parse().unwrap()
}

fn build(schedules: Vec<Schedule>) -> Result<Definitions, DefinitionErrors> {
    let builder = Definitions::builder(calendar(Europe::Berlin))
        .external::<Events>()
        .sql::<DailyTotals>()
        .rust::<MonthlyReport>();
    schedules.into_iter().fold(builder, |builder, schedule| builder.schedule(schedule)).build()
}

#[test]
fn a_sound_schedule_knows_its_assets_upstream_first() {
    let definitions = build(vec![
        Schedule::new("weekly", "@weekly").selection("monthly_report").partitions("2026-01..").paused(),
        Schedule::new("nightly", "15 3 * * *").description("Everything of yesterday"),
    ])
    .unwrap();
    let [nightly, weekly] = definitions.schedules() else { panic!("{definitions:?}") };
    let keys: Vec<&str> = nightly.assets.iter().map(AssetKey::as_str).collect();
    assert_eq!(keys, ["lake.daily_totals", "lake.monthly_report"]);
    assert_eq!((nightly.catch_up, &nightly.partitions), (CatchUp::Last, &Extent::Newest));
    assert!(nightly.enabled_by_default && !weekly.enabled_by_default);
    assert_eq!(weekly.partitions, Extent::Text("2026-01..".to_owned()));
}

#[test]
fn everything_wrong_with_schedules_is_said_at_once_and_where() {
    let errors = build(vec![
        Schedule::new("Nightly run", "15 25 * * *"),
        Schedule::new("hourly", "@hourly"),
        Schedule::new("hourly", "61 * * *").selection("daily_total"),
        Schedule::new("outside", "0 0 30 2 *").selection("lake.events"),
        Schedule::new("states", "@daily").selection("state:stale"),
        Schedule::new("brackets", "@daily").selection("layer:").partitions(" "),
    ])
    .unwrap_err();
    insta::assert_snapshot!(errors.to_string(), @"
    10 problems in the definitions

    tests/karat/schedules.rs
      * schedule `Nightly run`: its name cannot be
        begin with a lower-case letter and go on with lower-case letters, digits, `_` and `-`, 63 at most
      * schedule `Nightly run`: `25` cannot be the hour of the cron expression `15 25 * * *`: hours run from 0 to 23, as `n`, `a-b`, `a-b/n`, `*/n` or a list of these
        correct the cron expression
      * schedule `hourly`: it is declared twice
        give each schedule its own name
      * schedule `hourly`: `61 * * *` has 4 fields; a cron expression has five: minute, hour, day of month, month and weekday, such as `30 2 * * *`
        correct the cron expression
      * schedule `hourly`: there is no asset `daily_total`: did you mean `lake.daily_totals`?
        correct the selection
      * schedule `outside`: `0 0 30 2 *` never fires: none of its months has such a day
        correct the cron expression
      * schedule `outside`: its selection `lake.events` means external assets only, which Karat does not build
        select what reads them, for example with `+` behind the name
      * schedule `states`: its selection `state:stale` asks for states
        leave them out: what is fresh is not built again anyway
      * schedule `brackets`: its partitions are blank
        name partitions, or leave `partitions` out
      * schedule `brackets`: cannot read `layer:` in the selection: nothing follows `layer:`
        correct the selection
    ");
}

#[test]
fn ticks_are_due_after_the_watermark_and_up_to_now() {
    let nightly = cron("15 3 * * *");
    let due = |since: &str, now: &str| due_ticks(&nightly, Europe::Berlin, utc(since), utc(now), CatchUp::Last);
    let only = |tick: &str| DueTicks { missed: None, fire: vec![utc(tick)] };
    assert_eq!(due("2026-05-01T12:00Z", "2026-05-02T01:14Z"), DueTicks::default());
    assert_eq!(due("2026-05-01T12:00Z", "2026-05-02T01:15Z"), only("2026-05-02T01:15Z"));
    assert_eq!(due("2026-05-02T01:15Z", "2026-05-02T01:15Z"), DueTicks::default());
    // The clock was set back.
    assert_eq!(due("2026-05-02T01:15Z", "2026-05-01T23:15Z"), DueTicks::default());
}

#[test]
fn after_three_days_asleep_catch_up_decides() {
    let nightly = cron("15 3 * * *");
    let due =
        |catch_up| due_ticks(&nightly, Europe::Berlin, utc("2026-05-01T01:15Z"), utc("2026-05-04T09:00Z"), catch_up);
    let ticks = [utc("2026-05-02T01:15Z"), utc("2026-05-03T01:15Z"), utc("2026-05-04T01:15Z")];
    assert_eq!(due(CatchUp::All), DueTicks { missed: None, fire: ticks.to_vec() });
    let missed = |first, last, count| Some(Missed { first, last, count });
    assert_eq!(due(CatchUp::Last), DueTicks { missed: missed(ticks[0], ticks[1], 2), fire: vec![ticks[2]] });
    assert_eq!(due(CatchUp::None), DueTicks { missed: missed(ticks[0], ticks[2], 3), fire: Vec::new() });
    // A restart takes a moment; that is not missing a tick.
    let restarted = due_ticks(&nightly, Europe::Berlin, ticks[1], ticks[2] + TimeDelta::minutes(4), CatchUp::None);
    assert_eq!(restarted, DueTicks { missed: None, fire: vec![ticks[2]] });
}

#[test]
fn a_year_asleep_costs_no_more_than_a_bounded_look() {
    let (since, now) = (utc("2025-05-01T00:00Z"), utc("2026-05-01T00:00Z"));
    let every_minute = cron("* * * * *");
    let all = due_ticks(&every_minute, Europe::Berlin, since, now, CatchUp::All);
    assert_eq!((all.fire.len(), all.fire[0]), (TICKS_AT_ONCE, utc("2025-05-01T00:01Z")));
    let last = due_ticks(&every_minute, Europe::Berlin, since, now, CatchUp::Last);
    assert_eq!(last.fire, [now]);
    let missed = last.missed.unwrap();
    assert_eq!((missed.first, missed.last), (utc("2025-05-01T00:01Z"), utc("2026-04-30T23:59Z")));
    assert_eq!(missed.sentence(), "at least 10000 missed ticks were left out");
}

#[test]
fn the_days_of_change_are_told() {
    let around = |text: &str, day: &str, count| -> Vec<(String, Option<ClockNote>)> {
        let expression = cron(text);
        ticks_around(&expression, Europe::Berlin, date(day), count)
            .into_iter()
            .map(|tick| (tick.format("%d %H:%MZ").to_string(), clock_note(&expression, tick, Europe::Berlin)))
            .collect()
    };
    let told = |ticks: &[(&str, Option<ClockNote>)]| -> Vec<(String, Option<ClockNote>)> {
        ticks.iter().map(|&(tick, note)| (tick.to_owned(), note)).collect()
    };
    let (skipped, first, second) = (Some(ClockNote::Skipped), Some(ClockNote::FirstPass), Some(ClockNote::SecondPass));
    assert_eq!(
        around("30 2 * * *", "2026-03-29", 4),
        told(&[("27 01:30Z", None), ("28 01:30Z", None), ("29 01:00Z", skipped), ("30 00:30Z", None)])
    );
    assert_eq!(
        around("30 2 * * *", "2026-10-25", 4),
        told(&[("24 00:30Z", None), ("25 00:30Z", first), ("26 01:30Z", None), ("27 01:30Z", None)])
    );
    assert_eq!(
        around("30 * * * *", "2026-10-25", 4),
        told(&[("24 23:30Z", None), ("25 00:30Z", first), ("25 01:30Z", second), ("25 02:30Z", None)])
    );
    assert_eq!(
        around("30 2 * * *", "2026-05-10", 3),
        told(&[("09 00:30Z", None), ("10 00:30Z", None), ("11 00:30Z", None)])
    );
    // Leap days come rarely.
    assert_eq!(around("0 12 29 2 *", "2026-05-10", 2), told(&[("29 11:00Z", None), ("29 11:00Z", None)]));
}

fn an_expression() -> impl Strategy<Value = CronExpression> {
    let minute = prop_oneof![Just("0".to_owned()), Just("*/20".to_owned()), (0_u32..60).prop_map(|m| m.to_string())];
    let hour = prop_oneof![Just("*".to_owned()), Just("*/6".to_owned()), (0_u32..24).prop_map(|h| h.to_string())];
    let day = prop_oneof![Just("* * *"), Just("1 * *"), Just("* * 1-5"), Just("29 * 0")];
    (minute, hour, day).prop_map(|(minute, hour, day)| cron(&format!("{minute} {hour} {day}")))
}

fn a_zone() -> impl Strategy<Value = Tz> {
    (0..TZ_VARIANTS.len()).prop_map(|index| TZ_VARIANTS[index])
}

fn an_instant() -> impl Strategy<Value = DateTime<Utc>> {
    (1_700_000_000_i64..2_000_000_000).prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}

/// How far the clock moves between two activations, in minutes: on, asleep, or wrong by two hours either way.
fn a_move() -> impl Strategy<Value = i64> {
    prop_oneof![5 => 0_i64..90, 1 => Just(3 * 24 * 60), 1 => Just(120), 1 => Just(-120)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the clock does: what fires is ascending without repetition, nothing but ticks fires, and with `all`
    /// nothing before the furthest instant the clock ever showed is left out.
    #[test]
    fn ticks_fire_in_strictly_increasing_order_whatever_the_clock_does(
        expression in an_expression(),
        zone in a_zone(),
        start in an_instant(),
        moves in proptest::collection::vec(a_move(), 1..25),
        catch_up in prop_oneof![Just(CatchUp::All), Just(CatchUp::Last), Just(CatchUp::None)],
    ) {
        let (mut now, mut furthest, mut watermark) = (start, start, start);
        let (mut fired, mut missed) = (Vec::new(), 0);
        for minutes in moves {
            now += TimeDelta::minutes(minutes);
            furthest = furthest.max(now);
            loop {
                let due = due_ticks(&expression, zone, watermark, now, catch_up);
                if let Some(left_out) = due.missed {
                    prop_assert!(watermark < left_out.first && left_out.first <= left_out.last);
                    watermark = left_out.last;
                    missed += left_out.count;
                }
                for &tick in &due.fire {
                    prop_assert!(watermark < tick && tick <= now);
                    prop_assert!(catch_up != CatchUp::None || now - tick < ON_TIME);
                    watermark = tick;
                    fired.push(tick);
                }
                if due.fire.len() < TICKS_AT_ONCE {
                    break;
                }
            }
            prop_assert_eq!(due_ticks(&expression, zone, watermark, now, catch_up), DueTicks::default());
        }
        let ticks: Vec<_> = expression.ticks_between(start, furthest, zone).collect();
        prop_assert_eq!(fired.len() + missed, ticks.len());
        prop_assert!(fired.iter().all(|tick| ticks.contains(tick)));
        if catch_up == CatchUp::All {
            prop_assert_eq!(fired, ticks);
        }
    }

    #[test]
    fn the_last_ticks_are_the_end_of_all_ticks(
        expression in an_expression(),
        zone in a_zone(),
        start in an_instant(),
        hours in 0_i64..2_000,
        count in 1_usize..6,
    ) {
        let until = start + TimeDelta::hours(hours);
        let all: Vec<_> = expression.ticks_between(start, until, zone).collect();
        let last = last_ticks(&expression, zone, start, until, count);
        prop_assert_eq!(&last, &all[all.len().saturating_sub(count)..]);
    }
}
