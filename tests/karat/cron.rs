//! Cron expressions: pinned ticks, a search minute by minute, and `croner` where it is right.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::{Africa, America, Asia, Australia, Europe, Pacific, Tz};
use karat::core::cron::CronExpression;
use karat::core::time::start_of_day;
use proptest::prelude::*;

use crate::oracle::{DAY, Zone, date, distinct_zones, instant, utc};

fn cron(text: &str) -> CronExpression {
    text.parse().unwrap()
}

/// The ticks of a local day.
fn ticks_on(text: &str, day: &str, zone: Tz) -> Vec<DateTime<Utc>> {
    let (start, end) = (start_of_day(date(day), zone), start_of_day(date(day).succ_opt().unwrap(), zone));
    let blink = TimeDelta::nanoseconds(1);
    cron(text).ticks_between(start - blink, end - blink, zone).collect()
}

fn refused(text: &str) -> String {
    CronExpression::parse(text).unwrap_err().to_string()
}

const SPRING: &str = "2026-03-29";
const AUTUMN: &str = "2026-10-25";

#[test]
fn a_nightly_run_happens_once_on_both_days_of_change() {
    assert_eq!(ticks_on("30 2 * * *", SPRING, Europe::Berlin), [utc("2026-03-29T01:00Z")]);
    assert_eq!(ticks_on("30 2 * * *", AUTUMN, Europe::Berlin), [utc("2026-10-25T00:30Z")]);
    assert_eq!(ticks_on("30 2,14 * * *", SPRING, Europe::Berlin), [utc("2026-03-29T01:00Z"), utc("2026-03-29T12:30Z")]);
    assert_eq!(ticks_on("30 2,14 * * *", AUTUMN, Europe::Berlin), [utc("2026-10-25T00:30Z"), utc("2026-10-25T13:30Z")]);
}

#[test]
fn every_five_minutes_follows_elapsed_time() {
    assert_eq!(ticks_on("*/5 * * * *", SPRING, Europe::Berlin).len(), 276);
    assert_eq!(ticks_on("*/5 * * * *", AUTUMN, Europe::Berlin).len(), 300);
    assert_eq!(ticks_on("*/5 * * * *", "2026-03-28", Europe::Berlin).len(), 288);
    for day in [SPRING, AUTUMN] {
        let ticks = ticks_on("*/5 * * * *", day, Europe::Berlin);
        assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::minutes(5)), "{day}");
    }
    assert_eq!(ticks_on("0 * * * *", AUTUMN, Europe::Berlin).len(), 25);
    // Even hours: the clock shows 02:00 not at all in spring and twice in autumn.
    assert_eq!(ticks_on("0 */2 * * *", SPRING, Europe::Berlin).len(), 11);
    assert_eq!(ticks_on("0 */2 * * *", AUTUMN, Europe::Berlin).len(), 13);
}

#[test]
fn times_in_a_gap_fire_together_and_times_in_a_fold_in_the_first_pass() {
    assert_eq!(ticks_on("*/30 2 * * *", "2026-03-28", Europe::Berlin).len(), 2);
    assert_eq!(ticks_on("*/30 2 * * *", SPRING, Europe::Berlin), [utc("2026-03-29T01:00Z")]);
    assert_eq!(ticks_on("*/30 2 * * *", AUTUMN, Europe::Berlin), [utc("2026-10-25T00:00Z"), utc("2026-10-25T00:30Z")]);
    // 02:00 and 03:00 are the same instant.
    assert_eq!(ticks_on("0 1-4 * * *", SPRING, Europe::Berlin).len(), 3);
    assert_eq!(ticks_on("0 1-4 * * *", AUTUMN, Europe::Berlin).len(), 4);
    // A midnight that does not exist, half an hour that does not, and one that comes twice.
    assert_eq!(ticks_on("0 0 * * *", "2018-11-04", America::Sao_Paulo), [utc("2018-11-04T03:00Z")]);
    assert_eq!(ticks_on("15 2 * * *", "2026-10-04", Australia::Lord_Howe), [utc("2026-10-03T15:30Z")]);
    assert_eq!(ticks_on("45 1 * * *", "2026-04-05", Australia::Lord_Howe), [utc("2026-04-04T14:45Z")]);
}

#[test]
fn nothing_is_due_on_a_date_that_a_zone_skipped() {
    let ticks: Vec<_> =
        cron("30 2 * * *").ticks_between(utc("2011-12-28T13:00Z"), utc("2012-01-01T00:00Z"), Pacific::Apia).collect();
    assert_eq!(ticks, [utc("2011-12-29T12:30Z"), utc("2011-12-30T12:30Z"), utc("2011-12-31T12:30Z")]);
    let on_the_30th = cron("0 12 30 12 *").next_after(utc("2011-06-01T00:00Z"), Pacific::Apia).unwrap();
    assert_eq!(on_the_30th, utc("2012-12-29T22:00Z"));
}

#[test]
fn no_tick_lies_in_the_past_during_the_repeated_hour() {
    let nightly = cron("30 2 * * *");
    let tomorrow = Some(utc("2026-10-26T01:30Z"));
    for second_pass in ["2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:10Z", "2026-10-25T01:59Z"] {
        assert_eq!(nightly.next_after(utc(second_pass), Europe::Berlin), tomorrow, "{second_pass}");
    }
    let mut now = utc("2026-10-24T22:00Z");
    while now < utc("2026-10-25T04:00Z") {
        for text in ["30 2 * * *", "*/5 * * * *", "*/7 1-3 * * *", "* * * * *"] {
            assert!(cron(text).next_after(now, Europe::Berlin).unwrap() > now, "{text} after {now}");
        }
        now += TimeDelta::seconds(37);
    }
}

#[test]
fn ticks_are_after_the_first_bound_and_up_to_the_second() {
    let (first, last) = (utc("2026-06-01T00:30Z"), utc("2026-06-03T00:30Z"));
    let ticks: Vec<_> = cron("30 2 * * *").ticks_between(first, last, Europe::Berlin).collect();
    assert_eq!(ticks, [utc("2026-06-02T00:30Z"), last]);
    assert_eq!(cron("30 2 * * *").ticks_between(last, first, Europe::Berlin).count(), 0);
}

#[test]
fn weekdays_are_those_of_unix() {
    // 2026-11-22 is a Sunday.
    let days = |text: &str| -> Vec<u32> {
        let week = (utc("2026-11-21T23:59Z"), utc("2026-11-28T23:59Z"));
        cron(text).ticks_between(week.0, week.1, Tz::UTC).map(|tick| tick.weekday().num_days_from_sunday()).collect()
    };
    assert_eq!(days("0 0 * * 0"), [0]);
    assert_eq!(days("0 0 * * 7"), [0]);
    assert_eq!(days("0 0 * * 1"), [1]);
    assert_eq!(days("0 0 * * 1-5"), [1, 2, 3, 4, 5]);
    assert_eq!(days("0 0 * * 5-7"), [0, 5, 6]);
    assert_eq!(days("0 0 * * fri-sun"), [0, 5, 6]);
    assert_eq!(days("0 0 * * Mon,WED,saturday"), [1, 3, 6]);
    assert_eq!(days("0 0 * * 1-5/2"), [1, 3, 5]);
    assert_eq!(days("0 0 * * */2"), [0, 2, 4, 6]);
    assert_eq!(days("0 0 * * 0-7"), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(days("0 0 * * *"), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(days("@weekly"), [0]);
}

#[test]
fn day_of_month_and_weekday_together_mean_either() {
    let days = |text: &str| -> Vec<u32> {
        let month = (utc("2026-10-31T23:59Z"), utc("2026-11-30T23:59Z"));
        cron(text).ticks_between(month.0, month.1, Tz::UTC).map(|tick| tick.day()).collect()
    };
    assert_eq!(days("0 0 13 * 5"), [6, 13, 20, 27]);
    assert_eq!(days("0 0 1,14 * 5"), [1, 6, 13, 14, 20, 27]);
    assert_eq!(days("0 0 1-7 * *"), [1, 2, 3, 4, 5, 6, 7]);
    // A field with a star is not restricted: both must match.
    assert_eq!(days("0 0 */2 * 5"), [13, 27]);
}

#[test]
fn shortcuts_names_and_spaces_are_understood() {
    let next = |text: &str| cron(text).next_after(utc("2026-11-21T11:20Z"), Tz::UTC).unwrap();
    assert_eq!(next("@hourly"), utc("2026-11-21T12:00Z"));
    assert_eq!(next("@daily"), utc("2026-11-22T00:00Z"));
    assert_eq!(next("@midnight"), utc("2026-11-22T00:00Z"));
    assert_eq!(next("@weekly"), utc("2026-11-22T00:00Z"));
    assert_eq!(next("@Monthly"), utc("2026-12-01T00:00Z"));
    assert_eq!(next("@yearly"), utc("2027-01-01T00:00Z"));
    assert_eq!(next("@annually"), utc("2027-01-01T00:00Z"));
    assert_eq!(next("0 6 1 jan-mar,JUL *"), utc("2027-01-01T06:00Z"));
    assert_eq!(next("  5-20/5   11 * *  * "), utc("2026-11-22T11:05Z"));
    assert_eq!(next("0 0 29 2 *"), utc("2028-02-29T00:00Z"));
    assert_eq!(cron("0 0 29 2 *").next_after(utc("2096-03-01T00:00Z"), Tz::UTC), Some(utc("2104-02-29T00:00Z")));
    assert_eq!(cron(" @daily").to_string(), " @daily");
    assert_eq!(cron("30 2 * * *"), CronExpression::parse("30 2 * * *").unwrap());
}

#[test]
fn what_is_no_cron_expression_is_told_why() {
    assert_eq!(
        refused("0 30 2 * * *"),
        "`0 30 2 * * *` has 6 fields; a cron expression has five: minute, hour, day of month, month and weekday, such as \
         `30 2 * * *`"
    );
    assert!(refused("").contains("has 0 fields"));
    assert_eq!(
        refused("@reboot"),
        "`@reboot` is no known shortcut: there are @hourly, @daily, @weekly, @monthly and @yearly"
    );
    assert_eq!(
        refused("61 2 * * *"),
        "`61` cannot be the minute of the cron expression `61 2 * * *`: minutes run from 0 to 59, as `n`, `a-b`, `a-b/n`, \
         `*/n` or a list of these"
    );
    for (text, what) in [
        ("0 24 * * *", "`24` cannot be the hour"),
        ("0 22-4 * * *", "`22-4` cannot be the hour"),
        ("0 0 0 * *", "`0` cannot be the day of month"),
        ("0 0 32 * *", "`32` cannot be the day of month"),
        ("0 0 L * *", "`L` cannot be the day of month"),
        ("0 0 ? * *", "`?` cannot be the day of month"),
        ("0 0 * 13 *", "`13` cannot be the month"),
        ("0 0 * foo *", "`foo` cannot be the month"),
        ("0 0 * * 8", "`8` cannot be the weekday"),
        ("0 0 * * 5-1", "`5-1` cannot be the weekday"),
        ("0 0 * * mon-", "`mon-` cannot be the weekday"),
        ("0 0 * * 5#2", "`5#2` cannot be the weekday"),
        ("0 0 * * */0", "`*/0` cannot be the weekday"),
        ("*/0 * * * *", "`*/0` cannot be the minute"),
        ("*/90 * * * *", "`*/90` cannot be the minute"),
        ("5/15 * * * *", "`5/15` cannot be the minute"),
        ("1,,2 * * * *", "`1,,2` cannot be the minute"),
        ("-5 * * * *", "`-5` cannot be the minute"),
        ("99999999999 * * * *", "`99999999999` cannot be the minute"),
        ("0 ä * * *", "`ä` cannot be the hour"),
    ] {
        assert!(refused(text).starts_with(what), "{}", refused(text));
    }
    for never in ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert_eq!(refused(never), format!("`{never}` never fires: none of its months has such a day"));
    }
    assert!(CronExpression::parse("0 0 31 2 1").is_ok(), "it fires on Mondays");
}

#[test]
fn the_calendar_ends_with_the_year_9999() {
    assert_eq!(cron("@yearly").next_after(utc("9998-06-01T00:00Z"), Tz::UTC), Some(utc("9999-01-01T00:00Z")));
    assert_eq!(cron("@yearly").next_after(utc("9999-06-01T00:00Z"), Tz::UTC), None);
    for text in ["@yearly", "* * * * *"] {
        assert_eq!(cron(text).next_after(DateTime::<Utc>::MAX_UTC, Europe::Berlin), None);
        let _ = cron(text).next_after(DateTime::<Utc>::MIN_UTC, Pacific::Apia);
    }
}

/// The values of a field of numbers.
fn values(field: &str, first: u32, last: u32) -> BTreeSet<u32> {
    let mut values = BTreeSet::new();
    for item in field.split(',') {
        let (span, step) = item.split_once('/').unwrap_or((item, "1"));
        let number = |text: &str| text.parse::<u32>().unwrap();
        let (from, to) = match span.split_once('-') {
            Some((from, to)) => (number(from), number(to)),
            None if span == "*" => (first, last),
            None => (number(span), number(span)),
        };
        values.extend((from..=to).step_by(step.parse().unwrap()));
    }
    values
}

fn matches(text: &str) -> impl Fn(NaiveDateTime) -> bool {
    let fields: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let (minutes, hours) = (values(&fields[0], 0, 59), values(&fields[1], 0, 23));
    let (days, months) = (values(&fields[2], 1, 31), values(&fields[3], 1, 12));
    let weekdays: BTreeSet<u32> = values(&fields[4], 0, 6).into_iter().map(|day| day % 7).collect();
    let either = !fields[2].contains('*') && !fields[4].contains('*');
    move |local| {
        let (day, weekday) = (days.contains(&local.day()), weekdays.contains(&local.weekday().num_days_from_sunday()));
        minutes.contains(&local.minute())
            && hours.contains(&local.hour())
            && months.contains(&local.month())
            && if either { day || weekday } else { day && weekday }
    }
}

/// What fires in `(from, to]`, by watching the clock on the wall minute by minute.
fn watched(text: &str, zone: &Zone, from: i64, to: i64) -> Vec<DateTime<Utc>> {
    let matches = matches(text);
    let fixed = !text.split(' ').nth(1).unwrap().contains('*');
    let minute_up = |second: i64| (second + 59).div_euclid(60) * 60;
    let shown = |second: i64| second + i64::from(zone.offset(second));
    let date_of = |local: i64| instant(local).date_naive();
    let mut ticks = BTreeSet::new();
    let mut furthest = shown(from);
    let mut begin = from;
    let bounds = zone.jumps().filter(|jump| (from + 1..=to).contains(jump)).chain([to + 1]);
    for end in bounds {
        let offset = i64::from(zone.offset(begin));
        // What the clock jumped over, unless the whole date is missing.
        if fixed {
            let (gap_begin, gap_end) = (furthest, begin + offset);
            let exists = |local: i64| date_of(local) == date_of(gap_end) || date_of(local) == date_of(gap_begin - 1);
            let due = (minute_up(gap_begin)..gap_end)
                .step_by(60)
                .any(|local| exists(local) && matches(instant(local).naive_utc()));
            ticks.extend((due && begin > from).then_some(begin));
        }
        for local in (minute_up(begin + offset)..end + offset).step_by(60) {
            let repeated = fixed && local < furthest;
            ticks.extend((!repeated && matches(instant(local).naive_utc())).then_some(local - offset));
        }
        furthest = furthest.max(end + offset);
        begin = end;
    }
    ticks.into_iter().filter(|&tick| tick > from).map(instant).collect()
}

const WATCHED: [&str; 14] = [
    "30 2 * * *",
    "*/5 * * * *",
    "30 2,14 * * *",
    "*/30 2 * * *",
    "0 0 * * *",
    "15 1-4 * * *",
    "*/20 */2 * * *",
    "0 * * * *",
    "59 23 * * 6,7",
    "0,30 0 1,15 * 1",
    "*/7 0-3 1-31/2 * *",
    "10 0,1,23 */2 * *",
    "0 */3 * * 0-3",
    "45 1,12 * 1-11 *",
];

fn assert_watched(zone: &Zone, jump: i64, text: &str) {
    let (from, to) = (jump - DAY - 11, jump + 2 * DAY);
    let ticks: Vec<_> = cron(text).ticks_between(instant(from), instant(to), zone.tz).collect();
    assert_eq!(ticks, watched(text, zone, from, to), "`{text}` around {} in {}", instant(jump), zone.tz);
}

#[test]
fn ticks_around_jumps_of_all_zones_are_those_that_a_watched_clock_shows() {
    let (mut watched, mut left_out, mut turn) = (0, 0, 0);
    for zone in distinct_zones() {
        let jumps: Vec<i64> = zone.jumps().collect();
        // Some of each zone, others for the next.
        for &jump in jumps.iter().skip(turn % 71).step_by(71) {
            turn += 1;
            if zone.agrees(jump - 3 * DAY, jump + 4 * DAY) {
                watched += 1;
                assert_watched(zone, jump, WATCHED[turn % WATCHED.len()]);
            } else {
                left_out += 1;
            }
        }
    }
    println!("{watched} jumps watched, {left_out} left out where the databases disagree");
    assert!(watched > 300 && left_out * 20 < watched);
}

#[test]
fn ticks_around_the_strangest_jumps_are_those_that_a_watched_clock_shows() {
    for (tz, day) in [
        (Europe::Berlin, "2026-03-29"),
        (Europe::Berlin, "2026-10-25"),
        (Australia::Lord_Howe, "2026-04-05"),
        (Australia::Lord_Howe, "2026-10-04"),
        (America::Sao_Paulo, "2018-11-04"),
        (America::Sao_Paulo, "2018-02-18"),
        (America::St_Johns, "2010-11-07"),
        (America::St_Johns, "2010-03-14"),
        (Pacific::Apia, "2011-12-30"),
        (Pacific::Kwajalein, "1993-08-21"),
        (Africa::Monrovia, "1972-01-07"),
        (Asia::Pyongyang, "2018-05-05"),
    ] {
        let zone = Zone::new(tz);
        let noon = utc(&format!("{day}T12:00Z")).timestamp();
        let jump = zone.jumps().min_by_key(|jump| (jump - noon).abs()).unwrap();
        assert!((jump - noon).abs() < 2 * DAY, "no jump around {day} in {tz}");
        for text in WATCHED {
            assert_watched(&zone, jump, text);
        }
    }
}

fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
    let number = first..=last;
    let range = (number.clone(), number.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => number.clone().prop_map(|number| number.to_string()),
        2 => range.clone(),
        1 => (range, 1..5_u32).prop_map(|(range, step)| format!("{range}/{step}")),
        2 => (2..=last).prop_map(|step| format!("*/{step}")),
        2 => prop::collection::vec(number.prop_map(|number| number.to_string()), 2..4).prop_map(|list| list.join(",")),
    ]
}

/// croner's ticks after an instant.
fn croner_ticks(text: &str, after: DateTime<Tz>, count: usize) -> Vec<DateTime<Utc>> {
    let croner = croner::Cron::from_str(text).unwrap();
    croner.iter_after(after).take(count).map(|tick| tick.to_utc()).collect()
}

proptest! {
    #[test]
    fn without_clock_changes_ticks_are_those_of_croner(
        (minute, hour, day, month, weekday) in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)),
        second in 0..4_000_000_000_i64,
    ) {
        // croner takes `*/2` for a restricted day; cron(8) does not.
        let stepped = |field: &str| field.contains("*/");
        prop_assume!(day == "*" || weekday == "*" || !stepped(&day) && !stepped(&weekday));
        let text = format!("{minute} {hour} {day} {month} {weekday}");
        let after = instant(second);
        match CronExpression::parse(&text) {
            Ok(expression) => {
                let ticks: Vec<_> =
                    std::iter::successors(expression.next_after(after, Tz::UTC), |&tick| expression.next_after(tick, Tz::UTC))
                        .take(12)
                        .collect();
                prop_assert_eq!(ticks, croner_ticks(&text, after.with_timezone(&Tz::UTC), 12), "{}", text);
            }
            Err(error) => {
                prop_assert!(error.to_string().contains("never fires"), "{}", error);
                let next = croner::Cron::from_str(&text).unwrap().find_next_occurrence(&after, false);
                prop_assert!(next.is_err(), "{}", text);
            }
        }
    }

    #[test]
    fn with_every_hour_ticks_are_those_of_croner_over_clock_changes_too(
        minute in field(0, 59),
        change in prop::sample::select(vec!["2026-03-29T01:00Z", "2026-10-25T01:00Z"]),
        minutes_before in 0..300_i64,
    ) {
        let text = format!("{minute} * * * *");
        let after = utc(change) - TimeDelta::minutes(minutes_before);
        let ticks: Vec<_> =
            cron(&text).ticks_between(after, after + TimeDelta::days(2), Europe::Berlin).take(40).collect();
        prop_assert_eq!(&ticks, &croner_ticks(&text, after.with_timezone(&Europe::Berlin), ticks.len()), "{}", text);
    }

    #[test]
    fn no_text_panics(text in "[-*/,0-9a-zA-Z@? #]{0,30}", second in any::<i32>()) {
        if let Ok(expression) = CronExpression::parse(&text) {
            let now = instant(i64::from(second));
            prop_assert!(expression.next_after(now, Europe::Berlin).is_some_and(|tick| tick > now));
        }
    }
}
