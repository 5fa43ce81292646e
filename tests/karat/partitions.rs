//! Partitions: pinned values, and the arithmetic of every zone against jiff.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::{Africa, America, Asia, Australia, Europe, Pacific, TZ_VARIANTS, Tz};
use jiff::civil;
use karat::core::key::PartitionKey;
use karat::core::partition::Cadence::{self, Daily, Hourly, Monthly, Weekly};
use karat::core::partition::{Ordinal, PartitionError, PartitionsDefinition};
use karat::core::subset::PartitionSubset;
use karat::core::time::TimeWindow;
use proptest::prelude::*;

use crate::oracle::{DAY, Tally, Zone, date, distinct_zones, instant, utc, zones};

fn since(cadence: Cadence, zone: Tz, start: &str) -> PartitionsDefinition {
    PartitionsDefinition::time(cadence, zone, date(start), None).unwrap()
}

fn bounded(cadence: Cadence, zone: Tz, start: &str, end: &str) -> PartitionsDefinition {
    PartitionsDefinition::time(cadence, zone, date(start), Some(date(end))).unwrap()
}

fn berlin(cadence: Cadence) -> PartitionsDefinition {
    since(cadence, Europe::Berlin, "2026-01-01")
}

fn key(text: &str) -> PartitionKey {
    text.parse().unwrap()
}

fn ordinal(definition: &PartitionsDefinition, text: &str) -> Ordinal {
    definition.ordinal(&key(text)).unwrap()
}

/// What a person is told about a key.
fn refusal(definition: &PartitionsDefinition, text: &str) -> String {
    definition.ordinal(&key(text)).unwrap_err().to_string()
}

fn window_of(definition: &PartitionsDefinition, text: &str) -> (DateTime<Utc>, DateTime<Utc>) {
    let window = definition.window(ordinal(definition, text)).unwrap();
    (window.start, window.end)
}

fn keys(definition: &PartitionsDefinition, subset: &PartitionSubset) -> Vec<String> {
    subset.iter().map(|ordinal| definition.key(ordinal).to_string()).collect()
}

#[test]
fn days_of_berlin_have_23_24_and_25_hours() {
    let (days, hours) = (berlin(Daily), berlin(Hourly));
    assert_eq!(window_of(&days, "2026-03-29"), (utc("2026-03-28T23:00Z"), utc("2026-03-29T22:00Z")));
    assert_eq!(window_of(&days, "2026-10-25"), (utc("2026-10-24T22:00Z"), utc("2026-10-25T23:00Z")));
    assert_eq!(window_of(&days, "2026-07-01"), (utc("2026-06-30T22:00Z"), utc("2026-07-01T22:00Z")));
    let hours_in = |definition: &PartitionsDefinition, text| {
        let window = definition.window(ordinal(definition, text)).unwrap();
        hours.overlapping(window).len()
    };
    assert_eq!(hours_in(&days, "2026-03-29"), 23);
    assert_eq!(hours_in(&days, "2026-10-25"), 25);
    assert_eq!(hours_in(&days, "2026-03-28"), 24);
    assert_eq!(hours_in(&berlin(Monthly), "2026-03"), 743);
    assert_eq!(hours_in(&berlin(Weekly), "2026-W13"), 167);
    assert_eq!(hours_in(&berlin(Weekly), "2026-W43"), 169);
}

#[test]
fn weeks_and_months_begin_at_local_midnight() {
    assert_eq!(
        window_of(&berlin(Weekly), "2026-W13"),
        (utc("2026-03-22T23:00Z"), utc("2026-03-29T22:00Z")),
        "the week of the change, Monday to Sunday"
    );
    assert_eq!(window_of(&berlin(Weekly), "2026-W53"), (utc("2026-12-27T23:00Z"), utc("2027-01-03T23:00Z")));
    assert_eq!(window_of(&berlin(Monthly), "2026-03"), (utc("2026-02-28T23:00Z"), utc("2026-03-31T22:00Z")));
    assert_eq!(window_of(&berlin(Monthly), "2026-12"), (utc("2026-11-30T23:00Z"), utc("2026-12-31T23:00Z")));
}

#[test]
fn a_day_whose_midnight_does_not_exist_begins_at_one() {
    let days = since(Daily, America::Sao_Paulo, "2018-01-01");
    assert_eq!(window_of(&days, "2018-11-04"), (utc("2018-11-04T03:00Z"), utc("2018-11-05T02:00Z")));
    let hours = since(Hourly, America::Sao_Paulo, "2018-01-01");
    let of_day = keys(&hours, &hours.overlapping(days.window(ordinal(&days, "2018-11-04")).unwrap()));
    assert_eq!(of_day.len(), 23);
    assert_eq!(of_day[0], "2018-11-04T01:00-02:00");
}

#[test]
fn a_day_that_began_goes_on_when_the_clock_is_put_back_over_midnight() {
    // At 00:01 on the 7th the clock went back to 23:01 on the 6th.
    let days = since(Daily, America::St_Johns, "2010-01-01");
    assert_eq!(window_of(&days, "2010-11-07"), (utc("2010-11-07T02:30Z"), utc("2010-11-08T03:30Z")));
    for instant in ["2010-11-07T02:30Z", "2010-11-07T02:31Z", "2010-11-07T03:00Z", "2010-11-07T03:30Z"] {
        assert_eq!(days.ordinal_at(utc(instant)), Some(ordinal(&days, "2010-11-07")), "{instant}");
    }
}

#[test]
fn lord_howe_moves_by_half_an_hour() {
    let days = since(Daily, Australia::Lord_Howe, "2026-01-01");
    let length = |text| days.window(ordinal(&days, text)).unwrap().duration();
    assert_eq!(length("2026-04-05"), TimeDelta::minutes(24 * 60 + 30));
    assert_eq!(length("2026-10-04"), TimeDelta::minutes(24 * 60 - 30));
    // Hours begin on the full hour of the definition's start, in summer here, and at half past in winter.
    let hours = since(Hourly, Australia::Lord_Howe, "2026-01-01");
    let of_day = keys(&hours, &hours.overlapping(days.window(ordinal(&days, "2026-04-05")).unwrap()));
    assert_eq!(of_day[..3], ["2026-04-05T00:00+11:00", "2026-04-05T01:00+11:00", "2026-04-05T01:30+10:30"]);
    assert_eq!(of_day.len(), 25, "the last hour belongs to both days: {of_day:?}");
    assert_eq!(of_day[24], "2026-04-05T23:30+10:30");
    assert_eq!(ordinal(&hours, "2026-04-05T01:30"), ordinal(&hours, "2026-04-05T01:30+10:30"), "the other begins none");
}

#[test]
fn samoa_has_no_2011_12_30() {
    let days = since(Daily, Pacific::Apia, "2011-12-01");
    assert_eq!(
        refusal(&days, "2011-12-30"),
        "`2011-12-30` does not exist in Pacific/Apia: the clocks there jumped over it; what comes next is `2011-12-31`"
    );
    let around = days.range(ordinal(&days, "2011-12-28"), ordinal(&days, "2012-01-01"));
    assert_eq!(keys(&days, &around), ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]);
    let hole = ordinal(&days, "2011-12-29") + 1;
    assert!(!days.contains(hole));
    assert!(days.window(hole).unwrap().is_empty());
    assert_eq!(days.window(hole - 1).unwrap().end, days.window(hole + 1).unwrap().start);
    assert_eq!(days.ordinal_at(utc("2011-12-30T09:59Z")), Some(hole - 1));
    assert_eq!(days.ordinal_at(utc("2011-12-30T10:00Z")), Some(hole + 1));
    assert_eq!(days.closed(utc("2011-12-30T10:00Z")).last(), Some(hole - 1));
    // A definition that starts or ends on the missing day starts with the next one and ends with the one before.
    let from_hole = bounded(Daily, Pacific::Apia, "2011-12-30", "2012-01-02");
    assert_eq!(from_hole.key(from_hole.first()).as_str(), "2011-12-31");
    let to_hole = bounded(Daily, Pacific::Apia, "2011-12-01", "2011-12-30");
    assert_eq!(to_hole.key(to_hole.last().unwrap()).as_str(), "2011-12-29");
    // The week and the month are whole, a day short.
    let week = since(Weekly, Pacific::Apia, "2011-12-01");
    assert_eq!(week.window(ordinal(&week, "2011-W52")).unwrap().duration(), TimeDelta::days(6));
    let month = since(Monthly, Pacific::Apia, "2011-12-01");
    assert_eq!(month.window(ordinal(&month, "2011-12")).unwrap().duration(), TimeDelta::days(30));
}

#[test]
fn exactly_the_skipped_dates_are_no_partitions() {
    let mut found = BTreeSet::new();
    for zone in zones() {
        let days = since(Daily, zone.tz, "1969-11-01");
        let (first, last) = (ordinal(&days, "1970-01-01"), ordinal(&days, "2100-01-01"));
        let holes = PartitionSubset::from_range(first, last).difference(&days.range(first, last));
        let mut expected = BTreeSet::new();
        let crossings = zone.jumps().filter(|&jump| zone.offset(jump) - zone.offset(jump - 1) > 12 * 3600);
        for jump in crossings {
            let start = |day: i64| zone.start_of_day(instant(day * DAY).date_naive());
            expected.extend((jump / DAY - 2..=jump / DAY + 2).filter(|&day| start(day) == start(day + 1)));
        }
        assert_eq!(holes.iter().collect::<BTreeSet<_>>(), expected, "{}", zone.tz);
        found.extend(holes.iter().map(|day| (days.key(day).to_string(), zone.tz.name())));
    }
    let names: Vec<String> = found.iter().map(|(date, zone)| format!("{date} {zone}")).collect();
    assert_eq!(
        names,
        [
            "1993-08-21 Kwajalein",
            "1993-08-21 Pacific/Kwajalein",
            "1994-12-31 Pacific/Enderbury",
            "1994-12-31 Pacific/Kanton",
            "1994-12-31 Pacific/Kiritimati",
            "2011-12-30 Pacific/Apia",
            "2011-12-30 Pacific/Fakaofo",
        ]
    );
}

#[test]
fn numbers_count_from_1970_whatever_the_start() {
    for start in ["1969-06-01", "1970-01-01", "1969-12-31"] {
        assert_eq!(ordinal(&since(Daily, Europe::Berlin, start), "1970-01-01"), 0);
        assert_eq!(ordinal(&since(Weekly, Europe::Berlin, start), "1970-W01"), 0);
        assert_eq!(ordinal(&since(Monthly, Europe::Berlin, start), "1970-01"), 0);
    }
    for start in ["2020-01-01", "2026-07-01"] {
        assert_eq!(ordinal(&since(Daily, Europe::Berlin, start), "2026-11-21"), 20_778);
        assert_eq!(ordinal(&since(Weekly, Europe::Berlin, start), "2026-W47"), 2968);
        assert_eq!(ordinal(&since(Monthly, Europe::Berlin, start), "2026-11"), 56 * 12 + 10);
        assert_eq!(ordinal(&since(Hourly, Europe::Berlin, start), "2026-11-21T01:00+01:00"), 20_778 * 24);
    }
    // Half an hour after the full hour in UTC, where local hours are full.
    assert_eq!(ordinal(&since(Hourly, Asia::Kolkata, "2020-01-01"), "2026-01-01T00:30Z"), 20_454 * 24);
}

#[test]
fn days_of_every_zone_agree_with_jiff() {
    partitions_of_every_zone_agree_with_jiff(Daily);
}

#[test]
fn weeks_of_every_zone_agree_with_jiff() {
    partitions_of_every_zone_agree_with_jiff(Weekly);
}

#[test]
fn months_of_every_zone_agree_with_jiff() {
    partitions_of_every_zone_agree_with_jiff(Monthly);
}

/// The partitions that hold a jump, the day before it, and some more.
fn partitions_of_every_zone_agree_with_jiff(cadence: Cadence) {
    let epoch = civil::date(1970, 1, 1);
    let day_number = |date: civil::Date| i64::from(date.since(epoch).unwrap().get_days());
    let date_of = |day: i64| epoch.checked_add(jiff::SignedDuration::from_hours(24 * day)).unwrap();
    let mut tally = Tally::default();
    for (index, zone) in distinct_zones().into_iter().enumerate() {
        let definition = since(cadence, zone.tz, "1969-09-01");
        // Another residue for each zone, so that all days of the year are met.
        let mut days: BTreeSet<i64> = (index as i64 % 997..47_400).step_by(997).collect();
        let day_of = |jump| (jump + i64::from(zone.offset(jump))).div_euclid(DAY);
        match cadence {
            Daily => days.extend(zone.jumps().flat_map(|jump| day_of(jump) - 1..=day_of(jump))),
            _ => days.extend(zone.jumps().map(day_of)),
        }
        let partitions: BTreeSet<(Ordinal, i64, i64, String)> = days
            .into_iter()
            .map(|day| {
                let date = date_of(day);
                match cadence {
                    Monthly => {
                        let first = date.first_of_month();
                        let next = date.last_of_month().tomorrow().unwrap();
                        let number = (i64::from(date.year()) - 1970) * 12 + i64::from(date.month()) - 1;
                        (number, day_number(first), day_number(next), date.strftime("%Y-%m").to_string())
                    }
                    Weekly => {
                        let monday = day - i64::from(date.weekday().to_monday_zero_offset());
                        (monday.div_euclid(7) + 1, monday, monday + 7, date.strftime("%G-W%V").to_string())
                    }
                    _ => (day, day, day + 1, date.to_string()),
                }
            })
            .collect();
        for (ordinal, first_day, end_day, text) in partitions {
            check_partition(&definition, zone, ordinal, (first_day, end_day), &text, &mut tally);
        }
    }
    tally.report(cadence.as_str());
}

/// One partition against the calendar, the zone and its neighbours.
fn check_partition(
    definition: &PartitionsDefinition,
    zone: &Zone,
    ordinal: Ordinal,
    (first_day, end_day): (i64, i64),
    text: &str,
    tally: &mut Tally,
) {
    let context = || format!("{text} in {}", zone.tz);
    let window = definition.window(ordinal).unwrap();
    if tally.comparable(zone.agrees((first_day - 2) * DAY, (end_day + 2) * DAY)) {
        let start_of = |day: i64| instant(zone.start_of_day(instant(day * DAY).date_naive()));
        let expected = TimeWindow { start: start_of(first_day), end: start_of(end_day) };
        assert_eq!(window, expected, "{}", context());
    }
    let (before, after) = (definition.window(ordinal - 1).unwrap(), definition.window(ordinal + 1).unwrap());
    assert_eq!((before.end, window.end), (window.start, after.start), "{}", context());
    assert_eq!(definition.key(ordinal).as_str(), text, "{}", context());
    assert_eq!(definition.date(ordinal), Some(instant(first_day * DAY).date_naive()), "{}", context());
    if window.is_empty() {
        assert!(matches!(definition.ordinal(&key(text)), Err(PartitionError::Skipped { .. })), "{}", context());
    } else {
        assert_eq!(definition.ordinal(&key(text)), Ok(ordinal), "{}", context());
        assert_eq!(definition.ordinal_at(window.start), Some(ordinal), "{}", context());
        assert_eq!(definition.ordinal_at(window.end - TimeDelta::nanoseconds(1)), Some(ordinal), "{}", context());
        // Where a clock is put back over midnight, yesterday's date shows again for an hour.
        assert_eq!(definition.ordinal_at(window.start + TimeDelta::minutes(2)), Some(ordinal), "{}", context());
    }
}

#[test]
fn every_hour_around_a_jump_has_a_key_of_its_own() {
    let mut tally = Tally::default();
    for zone in distinct_zones() {
        let definition = since(Hourly, zone.tz, "1969-09-01");
        let shift = definition.window(0).unwrap().start.timestamp();
        assert_eq!((shift + i64::from(zone.offset(-100 * DAY))).rem_euclid(3600), 0, "{}", zone.tz);
        for jump in zone.jumps().step_by(2) {
            if !tally.comparable(zone.agrees(jump - DAY, jump + DAY)) {
                continue;
            }
            let middle = (jump - shift).div_euclid(3600);
            for ordinal in middle - 1..=middle + 1 {
                let window = definition.window(ordinal).unwrap();
                let start = ordinal * 3600 + shift;
                assert_eq!(window, TimeWindow { start: instant(start), end: instant(start + 3600) });
                let text = definition.key(ordinal);
                let local = zone.local(start).format("%Y-%m-%dT%H:%M").to_string();
                assert!(text.as_str().starts_with(&local), "{text} in {}", zone.tz);
                assert_eq!(definition.ordinal(&text), Ok(ordinal), "{text} in {}", zone.tz);
                assert_eq!(definition.date(ordinal), Some(zone.local(start).date()), "{text} in {}", zone.tz);
                assert_eq!(definition.ordinal_at(window.start), Some(ordinal));
                assert_eq!(definition.ordinal_at(window.end - TimeDelta::nanoseconds(1)), Some(ordinal));
            }
        }
    }
    tally.report("hours");
}

#[test]
fn hours_can_be_written_in_any_offset_or_none_when_that_is_clear() {
    let hours = berlin(Hourly);
    let second = ordinal(&hours, "2026-10-25T02:00+01:00");
    assert_eq!(hours.key(second).as_str(), "2026-10-25T02:00+01:00");
    assert_eq!(hours.key(second - 1).as_str(), "2026-10-25T02:00+02:00");
    for same in ["2026-10-25T01:00Z", "2026-10-25T01:00+00:00", "2026-10-24T20:00-05:00", "2026-10-25T02:00:00+01:00"] {
        assert_eq!(ordinal(&hours, same), second, "{same}");
    }
    assert_eq!(ordinal(&hours, "2026-10-25T03:00"), second + 1);
    assert_eq!(
        refusal(&hours, "2026-10-25T02:00"),
        "`2026-10-25T02:00` came twice in Europe/Berlin: write `2026-10-25T02:00+02:00` for the first hour or \
         `2026-10-25T02:00+01:00` for the second"
    );
    assert_eq!(
        refusal(&hours, "2026-03-29T02:00"),
        "`2026-03-29T02:00` does not exist in Europe/Berlin: the clocks there jumped over it; what comes next is \
         `2026-03-29T03:00+02:00`"
    );
    assert_eq!(
        refusal(&hours, "2026-10-25T02:15Z"),
        "no hourly partition begins at `2026-10-25T02:15Z`; the one that contains this time is `2026-10-25T03:00+01:00`"
    );
    // An offset that is no full minute: Liberia until 1972.
    let liberia = since(Hourly, Africa::Monrovia, "1971-12-01");
    assert_eq!(liberia.key(liberia.first()).as_str(), "1971-12-01T00:00-00:44:30");
    assert_eq!(ordinal(&liberia, "1971-12-01T00:00-00:44:30"), liberia.first());
    let after = liberia.ordinal_at(utc("1972-02-01T12:00Z")).unwrap();
    assert_eq!(liberia.key(after).as_str(), "1972-02-01T11:44:30+00:00");
    assert_eq!(liberia.ordinal(&liberia.key(after)), Ok(after));
}

#[test]
fn what_is_no_key_is_told_why() {
    let (days, weeks, months, hours) = (berlin(Daily), berlin(Weekly), berlin(Monthly), berlin(Hourly));
    for malformed in [
        "x",
        "2026",
        "2026-11",
        "2026-1-02",
        "26-11-21",
        "2026-W47",
        "2026-11-21T00:00",
        "2026-11-211",
        "+2026-11-21",
        "２０２６-11-21",
    ] {
        assert_eq!(
            refusal(&days, malformed),
            format!("`{malformed}` is no key of daily partitions: a day is written `YYYY-MM-DD`, such as `2026-11-21`")
        );
    }
    assert!(refusal(&weeks, "2026-11-21").ends_with("an ISO week is written `YYYY-Www`, such as `2026-W47`"));
    assert!(refusal(&months, "2026-W47").ends_with("a month is written `YYYY-MM`, such as `2026-11`"));
    for malformed in [
        "2026-11-21",
        "2026-11-21T02",
        "2026-11-21T02:00+1",
        "2026-11-21T02:00Zulu",
        "2026-11-21T2:00",
        "2026-11-21T02:00+99:00",
    ] {
        assert!(
            refusal(&hours, malformed).contains("an hour is written `YYYY-MM-DDThh:mm` with its offset"),
            "{malformed}"
        );
    }
    assert_eq!(refusal(&days, "2026-02-30"), "`2026-02-30` is impossible: February 2026 has 28 days");
    assert_eq!(refusal(&days, "2028-02-30"), "`2028-02-30` is impossible: February 2028 has 29 days");
    assert_eq!(refusal(&days, "2026-04-00"), "`2026-04-00` is impossible: April 2026 has 30 days");
    assert_eq!(refusal(&days, "2026-13-01"), "`2026-13-01` is impossible: there is no month 13");
    assert_eq!(refusal(&days, "0000-01-01"), "`0000-01-01` is impossible: years begin with 0001");
    assert_eq!(refusal(&months, "2026-00"), "`2026-00` is impossible: there is no month 0");
    assert_eq!(refusal(&weeks, "2026-W54"), "`2026-W54` is impossible: the ISO weeks of 2026 are W01 to W53");
    assert_eq!(refusal(&weeks, "2027-W53"), "`2027-W53` is impossible: the ISO weeks of 2027 are W01 to W52");
    assert_eq!(refusal(&weeks, "2026-W00"), "`2026-W00` is impossible: the ISO weeks of 2026 are W01 to W53");
    assert_eq!(refusal(&hours, "2026-11-21T24:00"), "`2026-11-21T24:00` is impossible: times run from 00:00 to 23:59");
    assert_eq!(refusal(&days, "2025-12-31"), "`2025-12-31` lies before the start: the first partition is `2026-01-01`");
    let ended = bounded(Monthly, Europe::Berlin, "2026-01-15", "2026-03-02");
    assert_eq!(refusal(&ended, "2025-12"), "`2025-12` lies before the start: the first partition is `2026-01`");
    assert_eq!(refusal(&ended, "2026-04"), "`2026-04` lies after the end: the last partition is `2026-03`");
}

#[test]
fn a_definition_starts_with_the_partition_that_contains_its_start_and_ends_before_its_end() {
    let first_and_last = |cadence, start, end| {
        let definition = bounded(cadence, Europe::Berlin, start, end);
        let last = definition.last().unwrap();
        assert_eq!(definition.range(Ordinal::MIN, Ordinal::MAX), PartitionSubset::from_range(definition.first(), last));
        (definition.key(definition.first()).to_string(), definition.key(last).to_string())
    };
    let pair = |first: &str, last: &str| (first.to_owned(), last.to_owned());
    assert_eq!(first_and_last(Daily, "2026-01-15", "2026-02-01"), pair("2026-01-15", "2026-01-31"));
    assert_eq!(first_and_last(Weekly, "2026-01-15", "2026-02-02"), pair("2026-W03", "2026-W05"));
    assert_eq!(first_and_last(Weekly, "2026-01-15", "2026-02-03"), pair("2026-W03", "2026-W06"));
    assert_eq!(first_and_last(Monthly, "2026-01-15", "2026-02-01"), pair("2026-01", "2026-01"));
    assert_eq!(
        first_and_last(Hourly, "2026-03-29", "2026-03-30"),
        pair("2026-03-29T00:00+01:00", "2026-03-29T23:00+02:00")
    );
    assert_eq!(berlin(Daily).last(), None);

    let refused = |start, end| PartitionsDefinition::time(Daily, Europe::Berlin, start, end).unwrap_err().to_string();
    assert_eq!(
        refused(date("2026-02-01"), Some(date("2026-02-01"))),
        "partitions cannot start on 2026-02-01 and end on 2026-02-01: the end is exclusive and must leave a partition"
    );
    assert_eq!(
        refused(NaiveDate::MAX, None),
        "partitions cannot start or end on +262142-12-31: keys have four-digit years, so dates run from 0001 to 9999"
    );
    // Nothing but the skipped day.
    let samoa = PartitionsDefinition::time(Daily, Pacific::Apia, date("2011-12-30"), Some(date("2011-12-31")));
    assert!(matches!(samoa, Err(PartitionError::EndBeforeStart { .. })));
}

#[test]
fn partitions_exist_once_begun_and_are_closed_once_ended() {
    let days = berlin(Daily);
    let newest = |subset: PartitionSubset| subset.last().map(|last| days.key(last).to_string()).unwrap_or_default();
    let (midnight, blink) = (utc("2026-10-25T23:00Z"), TimeDelta::nanoseconds(1));
    assert_eq!(newest(days.existing(midnight)), "2026-10-26");
    assert_eq!(newest(days.existing(midnight - blink)), "2026-10-25");
    assert_eq!(newest(days.closed(midnight)), "2026-10-25");
    assert_eq!(newest(days.closed(midnight - blink)), "2026-10-24");
    assert_eq!(days.existing(midnight).first(), Some(days.first()));
    let before = utc("2025-12-31T22:59Z");
    assert!(days.existing(before).is_empty() && days.closed(before).is_empty());
    assert_eq!(days.ordinal_at(before), None);
    assert_eq!(days.ordinal_at(utc("2025-12-31T23:00Z")), Some(days.first()));
    let ended = bounded(Daily, Europe::Berlin, "2026-01-01", "2026-02-01");
    assert_eq!(ended.existing(midnight).len(), 31);
    assert_eq!(ended.closed(midnight).len(), 31);
    assert_eq!(ended.ordinal_at(midnight), None);
    assert_eq!(ended.restrict(&PartitionSubset::from_range(0, 30_000)).len(), 31);
}

#[test]
fn overlapping_is_by_instants_and_half_open() {
    let days = berlin(Daily);
    let overlapping = |start, end| keys(&days, &days.overlapping(TimeWindow { start: utc(start), end: utc(end) }));
    assert_eq!(overlapping("2026-03-28T23:00Z", "2026-03-29T22:00Z"), ["2026-03-29"]);
    assert_eq!(overlapping("2026-03-28T22:59Z", "2026-03-29T22:01Z"), ["2026-03-28", "2026-03-29", "2026-03-30"]);
    assert!(overlapping("2026-03-29T12:00Z", "2026-03-29T12:00Z").is_empty());
    assert!(overlapping("2026-03-29T12:00Z", "2026-03-28T12:00Z").is_empty());
    assert_eq!(overlapping("2020-03-29T12:00Z", "2026-01-01T12:00Z"), ["2026-01-01"], "clipped to the start");
}

#[test]
fn static_and_unpartitioned_assets_have_no_windows() {
    let servers = PartitionsDefinition::fixed(["dust", "mirage", "inferno"]).unwrap();
    assert_eq!(ordinal(&servers, "mirage"), 1);
    assert_eq!(keys(&servers, &servers.range(0, 99)), ["dust", "mirage", "inferno"]);
    assert_eq!(servers.window(1), None);
    assert_eq!(servers.date(1), None);
    assert_eq!(servers.ordinal_at(utc("2026-01-01T00:00Z")), None);
    assert_eq!(servers.existing(utc("1970-01-01T00:00Z")).len(), 3);
    assert_eq!(servers.closed(utc("1970-01-01T00:00Z")).len(), 3);
    assert_eq!(servers.last(), Some(2));
    assert_eq!(servers.key(7).as_str(), "unknown-7");
    assert_eq!(servers.static_keys().unwrap().len(), 3);
    assert_eq!(refusal(&servers, "mirrage"), "there is no partition `mirrage`; did you mean `mirage`?");
    assert_eq!(refusal(&servers, "zzz"), "there is no partition `zzz`; the partitions are dust, mirage, inferno");

    let one = PartitionsDefinition::Unpartitioned;
    assert_eq!(ordinal(&one, "all"), 0);
    assert_eq!(one.key(0).as_str(), "all");
    assert_eq!(one.ordinal_at(utc("2026-01-01T00:00Z")), Some(0));
    assert_eq!(keys(&one, &one.existing(utc("2026-01-01T00:00Z"))), ["all"]);
    assert_eq!(
        refusal(&one, "2026-01-01"),
        "`2026-01-01` is no partition: the asset is not partitioned, its one partition is `all`"
    );

    let none: [&str; 0] = [];
    assert_eq!(PartitionsDefinition::fixed(none), Err(PartitionError::NoKeys));
    assert!(matches!(PartitionsDefinition::fixed(["a", "b", "a"]), Err(PartitionError::DuplicateKey { .. })));
    assert!(matches!(PartitionsDefinition::fixed(["a..b"]), Err(PartitionError::Key(_))));
}

#[test]
fn fingerprints_change_with_the_meaning_of_partitions_only() {
    assert_eq!(berlin(Daily).fingerprint(), "time daily Europe/Berlin");
    assert_eq!(berlin(Daily).fingerprint(), bounded(Daily, Europe::Berlin, "2020-05-05", "2027-01-01").fingerprint());
    assert_ne!(berlin(Daily).fingerprint(), berlin(Weekly).fingerprint());
    assert_ne!(berlin(Daily).fingerprint(), since(Daily, Europe::Vienna, "2026-01-01").fingerprint());
    // Hours that begin at another minute are other hours.
    assert_ne!(
        since(Hourly, Australia::Lord_Howe, "2026-01-01").fingerprint(),
        since(Hourly, Australia::Lord_Howe, "2026-07-01").fingerprint()
    );
    let list = |keys: &[&str]| PartitionsDefinition::fixed(keys.iter().copied()).unwrap().fingerprint();
    assert_ne!(list(&["a", "b"]), list(&["b", "a"]));
    assert_eq!(PartitionsDefinition::Unpartitioned.fingerprint(), "unpartitioned");
}

#[test]
fn definitions_are_written_as_json() {
    let json = |definition: &PartitionsDefinition| serde_json::to_string(definition).unwrap();
    assert_eq!(
        json(&berlin(Daily)),
        r#"{"kind":"time","cadence":"daily","zone":"Europe/Berlin","start":"2026-01-01","end":null}"#
    );
    assert_eq!(json(&PartitionsDefinition::fixed(["a", "b"]).unwrap()), r#"{"kind":"static","keys":["a","b"]}"#);
    assert_eq!(json(&PartitionsDefinition::Unpartitioned), r#"{"kind":"unpartitioned"}"#);
}

fn any_time_partitions() -> impl Strategy<Value = PartitionsDefinition> {
    let cadence = prop_oneof![Just(Hourly), Just(Daily), Just(Weekly), Just(Monthly)];
    (cadence, prop::sample::select(TZ_VARIANTS.to_vec()), 0..47_000_i64).prop_map(|(cadence, zone, day)| {
        PartitionsDefinition::time(cadence, zone, instant(day * DAY).date_naive(), None).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_instant_lies_in_exactly_the_window_found_for_it(
        definition in any_time_partitions(),
        second in 0..4_102_444_800_i64,
        nanosecond in 0..1_000_000_000_u32,
    ) {
        let instant = DateTime::from_timestamp(second, nanosecond).unwrap();
        let window_at = |ordinal| definition.window(ordinal).unwrap();
        match definition.ordinal_at(instant) {
            None => prop_assert!(instant < window_at(definition.first()).start),
            Some(ordinal) => {
                prop_assert!(window_at(ordinal).contains(instant));
                prop_assert_eq!(window_at(ordinal).end, window_at(ordinal + 1).start);
                prop_assert_eq!(window_at(ordinal).start, window_at(ordinal - 1).end);
                prop_assert_eq!(definition.ordinal(&definition.key(ordinal)), Ok(ordinal));
                prop_assert_eq!(definition.existing(instant).last(), Some(ordinal));
                let closed = definition.closed(instant).last().unwrap_or(definition.first() - 1);
                prop_assert!(definition.range(closed + 1, ordinal - 1).is_empty());
                prop_assert!(window_at(closed).end <= instant);
            }
        }
    }

    #[test]
    fn no_number_key_or_instant_panics(
        definition in any_time_partitions(),
        ordinal in any::<i64>(),
        second in -62_167_219_200_000_i64..8_210_266_876_799,
        text in "[0-9TWZ:+-]{1,24}",
    ) {
        let instant = DateTime::from_timestamp(second.clamp(-8_334_601_228_800, 8_210_266_876_799), 0).unwrap();
        for number in [ordinal, Ordinal::MIN, Ordinal::MAX] {
            let window = definition.window(number).unwrap();
            prop_assert!(window.start <= window.end);
            let _ = (definition.key(number), definition.date(number), definition.contains(number));
        }
        let _ = (definition.ordinal_at(instant), definition.existing(instant), definition.closed(instant));
        let _ = definition.overlapping(TimeWindow { start: DateTime::<Utc>::MIN_UTC, end: instant });
        let _ = definition.ordinal(&key(&text)).map_err(|error| error.to_string());
        let _ = definition.parse_selection(&text, instant).map_err(|error| error.to_string());
    }
}
