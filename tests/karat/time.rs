//! Local time to instants and back.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::{America, Asia, Australia, Europe, Pacific, TZ_VARIANTS};
use karat::clock::{Clock, ManualClock, SharedClock};
use karat::core::time::{TimeWindow, instant_of, local_time, next_offset_change, offset_seconds, start_of_day};

use crate::oracle::{DAY, SPAN, Tally, date, instant, local, utc, zones};

#[test]
fn a_gap_means_the_first_valid_instant_after_it_and_a_fold_the_first_occurrence() {
    let berlin = Europe::Berlin;
    assert_eq!(instant_of(local("2026-03-29 01:59"), berlin), utc("2026-03-29T00:59Z"));
    assert_eq!(instant_of(local("2026-03-29 02:00"), berlin), utc("2026-03-29T01:00Z"));
    assert_eq!(instant_of(local("2026-03-29 02:30"), berlin), utc("2026-03-29T01:00Z"));
    assert_eq!(instant_of(local("2026-03-29 03:00"), berlin), utc("2026-03-29T01:00Z"));
    assert_eq!(instant_of(local("2026-10-25 01:59"), berlin), utc("2026-10-24T23:59Z"));
    assert_eq!(instant_of(local("2026-10-25 02:00"), berlin), utc("2026-10-25T00:00Z"));
    assert_eq!(instant_of(local("2026-10-25 02:59"), berlin), utc("2026-10-25T00:59Z"));
    assert_eq!(instant_of(local("2026-10-25 03:00"), berlin), utc("2026-10-25T02:00Z"));
    // Half an hour in each direction.
    assert_eq!(instant_of(local("2026-10-04 02:15"), Australia::Lord_Howe), utc("2026-10-03T15:30Z"));
    assert_eq!(instant_of(local("2026-04-05 01:45"), Australia::Lord_Howe), utc("2026-04-04T14:45Z"));
    assert_eq!(instant_of(local("2026-04-05 02:00"), Australia::Lord_Howe), utc("2026-04-04T15:30Z"));
}

#[test]
fn a_day_begins_when_its_first_minute_does_even_if_midnight_does_not_exist() {
    assert_eq!(start_of_day(date("2026-03-29"), Europe::Berlin), utc("2026-03-28T23:00Z"));
    // 00:00 jumped to 01:00, three hours west of Greenwich until then.
    assert_eq!(start_of_day(date("2018-11-04"), America::Sao_Paulo), utc("2018-11-04T03:00Z"));
    assert_eq!(local_time(utc("2018-11-04T03:00Z"), America::Sao_Paulo), local("2018-11-04 01:00"));
    // The night ended with 23:00 to 24:00 twice.
    assert_eq!(start_of_day(date("2018-02-18"), America::Sao_Paulo), utc("2018-02-18T03:00Z"));
    // 2011-12-30 was skipped: it "begins" with the day after.
    assert_eq!(start_of_day(date("2011-12-29"), Pacific::Apia), utc("2011-12-29T10:00Z"));
    assert_eq!(start_of_day(date("2011-12-30"), Pacific::Apia), utc("2011-12-30T10:00Z"));
    assert_eq!(start_of_day(date("2011-12-31"), Pacific::Apia), utc("2011-12-30T10:00Z"));
    assert_eq!(start_of_day(date("2012-01-01"), Pacific::Apia), utc("2011-12-31T10:00Z"));
    // At 00:01 the clock went back to 23:01: 00:00 came twice, the first counts.
    assert_eq!(start_of_day(date("2010-11-07"), America::St_Johns), utc("2010-11-07T02:30Z"));
}

#[test]
fn offsets_are_seconds_ahead_of_utc() {
    assert_eq!(offset_seconds(utc("2026-01-01T00:00Z"), Europe::Berlin), 3600);
    assert_eq!(offset_seconds(utc("2026-07-01T00:00Z"), Europe::Berlin), 7200);
    assert_eq!(offset_seconds(utc("2026-01-01T00:00Z"), America::St_Johns), -12_600);
    assert_eq!(local_time(utc("2026-07-01T18:45Z"), Asia::Kathmandu), local("2026-07-02 00:30"));
}

#[test]
fn the_next_change_of_the_offset_is_found_to_the_second_and_within_its_bounds() {
    let (winter, change) = (utc("2026-01-01T00:00Z"), utc("2026-03-29T01:00Z"));
    let change_after = |after, until| next_offset_change(after, until, Europe::Berlin);
    assert_eq!(change_after(winter, utc("2026-12-01T00:00Z")), Some(change));
    assert_eq!(change_after(winter, change), Some(change));
    assert_eq!(change_after(winter, change - TimeDelta::seconds(1)), None);
    assert_eq!(change_after(change - TimeDelta::milliseconds(1), change + TimeDelta::seconds(5)), Some(change));
    assert_eq!(change_after(change, utc("2026-10-25T00:59Z")), None);
    assert_eq!(change_after(change, winter), None);
}

#[test]
fn a_manual_clock_moves_only_when_told() {
    let clock = ManualClock::new(instant(100));
    assert_eq!((clock.now(), clock.now()), (instant(100), instant(100)));
    clock.advance(Duration::from_secs(50));
    assert_eq!(clock.now(), instant(150));
    clock.set(instant(20));
    let shared: SharedClock = Arc::new(clock);
    assert_eq!(shared.now(), instant(20));
    let latest = ManualClock::new(instant(0));
    latest.advance(Duration::MAX);
    assert_eq!(latest.now(), DateTime::<Utc>::MAX_UTC);
}

#[test]
fn no_time_and_no_zone_panics() {
    let times = [NaiveDateTime::MIN, NaiveDateTime::MAX, DateTime::UNIX_EPOCH.naive_utc()];
    for zone in TZ_VARIANTS {
        for time in times {
            let instant = instant_of(time, zone);
            let _ = (local_time(instant, zone), offset_seconds(instant, zone), local_time(time.and_utc(), zone));
        }
        let _ = (start_of_day(NaiveDate::MIN, zone), start_of_day(NaiveDate::MAX, zone));
        assert_eq!(next_offset_change(DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MAX_UTC, zone), None);
    }
}

#[test]
fn windows_include_their_start_and_exclude_their_end() {
    let window = TimeWindow { start: instant(100), end: instant(200) };
    let other = |start, end| TimeWindow { start: instant(start), end: instant(end) };
    assert!(window.contains(instant(100)) && window.contains(instant(199)));
    assert!(!window.contains(instant(99)) && !window.contains(instant(200)));
    assert!(window.overlaps(&other(199, 300)) && window.overlaps(&other(0, 101)) && window.overlaps(&other(120, 130)));
    assert!(!window.overlaps(&other(200, 300)) && !window.overlaps(&other(0, 100)));
    assert!(!window.overlaps(&other(150, 150)) && !other(150, 150).overlaps(&window));
    assert!(other(5, 5).is_empty() && other(6, 5).is_empty() && !window.is_empty());
    assert_eq!(window.duration(), TimeDelta::seconds(100));
}

#[test]
fn every_jump_of_every_zone_agrees_with_jiff() {
    let mut tally = Tally::default();
    for zone in zones() {
        for jump in zone.jumps() {
            if !tally.comparable(zone.agrees(jump - 2 * DAY, jump + 2 * DAY)) {
                continue;
            }
            let (before, after) = (i64::from(zone.offset(jump - 1)), i64::from(zone.offset(jump)));
            let (low, high) = (jump + before.min(after), jump + before.max(after));
            for shown in [low - 1, low, (low + high) / 2, high - 1, high] {
                let shown = instant(shown).naive_utc();
                let expected = zone.instant_of(shown);
                assert_eq!(instant_of(shown, zone.tz), instant(expected), "{shown} in {}", zone.tz);
            }
            for second in [jump - 1, jump] {
                assert_eq!(local_time(instant(second), zone.tz), zone.local(second), "{second} in {}", zone.tz);
            }
            if before != after {
                let found = next_offset_change(instant(jump - DAY - 1), instant(jump + DAY), zone.tz);
                assert_eq!(found, Some(instant(jump)), "{}", zone.tz);
            }
        }
    }
    let differing = zones().iter().filter(|zone| zone.difference_count() > 0).count();
    let stretches: usize = zones().iter().map(|zone| zone.difference_count()).sum();
    println!("the databases disagree in {differing} of {} zones, over {stretches} stretches", zones().len());
    tally.report("jumps");
}

#[test]
fn days_begin_in_every_zone_as_jiff_says() {
    let mut tally = Tally::default();
    for (index, zone) in zones().iter().enumerate() {
        // Another residue for each zone, so that all days of the year are met.
        let (first, last) = (SPAN.0 / DAY + index as i64 % 211, SPAN.1 / DAY);
        for day in (first..last).step_by(211) {
            let date = instant(day * DAY).date_naive();
            if tally.comparable(zone.agrees_around(date.into())) {
                assert_eq!(start_of_day(date, zone.tz), instant(zone.start_of_day(date)), "{date} in {}", zone.tz);
            }
        }
    }
    tally.report("days");
}
