//! What partitions read, against a search through all of them.

use chrono::{DateTime, Utc};
use chrono_tz::{America, Australia, Europe, Pacific, Tz};
use karat::core::mapping::PartitionMapping::{self, All, Latest, Overlap, Window};
use karat::core::partition::Cadence::{self, Daily, Hourly, Monthly, Weekly};
use karat::core::partition::{Ordinal, PartitionsDefinition};
use karat::core::subset::PartitionSubset;
use karat::core::time::TimeWindow;
use proptest::prelude::*;

use crate::oracle::{DAY, date, instant, utc};

fn since(cadence: Cadence, zone: Tz, start: &str) -> PartitionsDefinition {
    PartitionsDefinition::time(cadence, zone, date(start), None).unwrap()
}

fn ordinal(definition: &PartitionsDefinition, text: &str) -> Ordinal {
    definition.ordinal(&text.parse().unwrap()).unwrap()
}

/// What one partition reads, described.
fn reads(
    mapping: PartitionMapping,
    downstream: &PartitionsDefinition,
    upstream: &PartitionsDefinition,
    key: &str,
) -> String {
    let subset = PartitionSubset::single(ordinal(downstream, key));
    upstream.describe(&mapping.upstream_of(downstream, upstream, &subset, utc("2026-11-21T11:00Z")))
}

#[test]
fn days_of_berlin_read_the_utc_hours_that_they_overlap() {
    let hours = since(Hourly, Tz::UTC, "2026-01-01");
    let days = since(Daily, Europe::Berlin, "2026-01-02");
    assert_eq!(
        reads(Overlap, &days, &hours, "2026-03-29"),
        "2026-03-28T23:00+00:00..2026-03-29T21:00+00:00 (23 partitions)"
    );
    assert_eq!(
        reads(Overlap, &days, &hours, "2026-10-25"),
        "2026-10-24T22:00+00:00..2026-10-25T22:00+00:00 (25 partitions)"
    );
    let day = PartitionSubset::single(ordinal(&hours, "2026-10-25T22:00Z"));
    let readers = Overlap.downstream_of(&days, &hours, &day, utc("2026-11-21T11:00Z"));
    assert_eq!(days.describe(&readers), "2026-10-25 (1 partition)");
}

#[test]
fn overlap_goes_across_cadences_and_zones() {
    let utc_days = since(Daily, Tz::UTC, "2026-01-01");
    let berlin_days = since(Daily, Europe::Berlin, "2026-01-01");
    let weeks = since(Weekly, Europe::Berlin, "2026-01-01");
    let months = since(Monthly, Europe::Berlin, "2026-01-01");
    assert_eq!(reads(Overlap, &berlin_days, &utc_days, "2026-07-02"), "2026-07-01..2026-07-02 (2 partitions)");
    assert_eq!(reads(Overlap, &months, &berlin_days, "2026-02"), "2026-02-01..2026-02-28 (28 partitions)");
    assert_eq!(reads(Overlap, &months, &weeks, "2026-02"), "2026-W05..2026-W09 (5 partitions)");
    assert_eq!(reads(Overlap, &berlin_days, &months, "2026-02-03"), "2026-02 (1 partition)");
    assert_eq!(reads(Overlap, &weeks, &months, "2026-W09"), "2026-02..2026-03 (2 partitions)");
    assert_eq!(reads(Overlap, &berlin_days, &berlin_days, "2026-02-03"), "2026-02-03 (1 partition)");
    // Hours that begin at half past are read by both days they touch.
    let (hours, days) =
        (since(Hourly, Australia::Lord_Howe, "2026-01-01"), since(Daily, Australia::Lord_Howe, "2026-01-01"));
    let shared = ordinal(&hours, "2026-06-05T23:30+10:30");
    let readers = Overlap.downstream_of(&days, &hours, &PartitionSubset::single(shared), utc("2026-11-21T11:00Z"));
    assert_eq!(days.describe(&readers), "2026-06-05..2026-06-06 (2 partitions)");
}

#[test]
fn windows_count_upstream_partitions_and_are_clipped() {
    let days = since(Daily, Europe::Berlin, "2026-01-01");
    let months = since(Monthly, Europe::Berlin, "2026-01-01");
    let week = Window { start: -6, end: 0 };
    assert_eq!(reads(week, &days, &days, "2026-03-31"), "2026-03-25..2026-03-31 (7 partitions)");
    assert_eq!(reads(week, &days, &days, "2026-01-03"), "2026-01-01..2026-01-03 (3 partitions)");
    assert_eq!(reads(week, &months, &days, "2026-03"), "2026-02-23..2026-03-31 (37 partitions)");
    assert_eq!(reads(Window { start: -1, end: -1 }, &days, &days, "2026-01-01"), "no partitions");
    assert_eq!(reads(Window { start: -1, end: 1 }, &days, &months, "2026-03-15"), "2026-02..2026-04 (3 partitions)");
    let history = Window { start: i64::MIN, end: 0 };
    assert_eq!(reads(history, &days, &days, "2026-03-31"), "2026-01-01..2026-03-31 (90 partitions)");
    let since_then = Window { start: 0, end: i64::MAX };
    let january =
        PartitionsDefinition::time(Daily, Europe::Berlin, date("2026-01-01"), Some(date("2026-02-01"))).unwrap();
    assert_eq!(reads(since_then, &days, &january, "2026-01-30"), "2026-01-30..2026-01-31 (2 partitions)");
    // A window can reach into an upstream that its partition does not overlap.
    let later = since(Daily, Europe::Berlin, "2026-01-05");
    assert_eq!(reads(Window { start: 0, end: 2 }, &days, &later, "2026-01-03"), "2026-01-05 (1 partition)");
}

#[test]
fn all_and_latest_depend_on_the_present() {
    let days = since(Daily, Europe::Berlin, "2026-11-01");
    let one = PartitionsDefinition::Unpartitioned;
    let servers = PartitionsDefinition::fixed(["dust", "mirage"]).unwrap();
    assert_eq!(reads(All, &days, &days, "2026-11-05"), "2026-11-01..2026-11-21 (21 partitions)");
    assert_eq!(reads(Latest, &days, &days, "2026-11-05"), "2026-11-20 (1 partition)");
    assert_eq!(reads(Overlap, &one, &days, "all"), "2026-11-01..2026-11-21 (21 partitions)");
    assert_eq!(reads(Overlap, &days, &one, "2026-11-05"), "all (1 partition)");
    assert_eq!(reads(All, &one, &servers, "all"), "dust..mirage (2 partitions)");
    assert_eq!(reads(Overlap, &one, &one, "all"), "all (1 partition)");
    let now = utc("2026-11-21T11:00Z");
    let readers = |mapping: PartitionMapping, key| {
        let read = PartitionSubset::single(ordinal(&days, key));
        one.describe(&mapping.downstream_of(&one, &days, &read, now))
    };
    assert_eq!(readers(Latest, "2026-11-20"), "all (1 partition)");
    assert_eq!(readers(Latest, "2026-11-21"), "no partitions");
    assert_eq!(readers(All, "2026-11-21"), "all (1 partition)");
    assert_eq!(readers(All, "2026-11-22"), "no partitions", "it has not begun");
}

#[test]
fn static_partitions_read_equal_keys() {
    let upstream = PartitionsDefinition::fixed(["dust", "mirage", "inferno"]).unwrap();
    let downstream = PartitionsDefinition::fixed(["inferno", "dust"]).unwrap();
    assert_eq!(reads(Overlap, &downstream, &upstream, "inferno"), "inferno (1 partition)");
    let all = PartitionSubset::from_range(0, 2);
    let readers = Overlap.downstream_of(&downstream, &upstream, &all, utc("2026-11-21T11:00Z"));
    assert_eq!(downstream.describe(&readers), "inferno..dust (2 partitions)");
}

#[test]
fn mappings_that_cannot_be_are_refused_with_the_remedy() {
    let days = since(Daily, Europe::Berlin, "2026-01-01");
    let one = PartitionsDefinition::Unpartitioned;
    let servers = PartitionsDefinition::fixed(["dust", "mirage"]).unwrap();
    let more = PartitionsDefinition::fixed(["dust", "nuke"]).unwrap();
    let refused = |mapping: PartitionMapping, downstream, upstream| {
        mapping.validate(downstream, upstream).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Overlap, &days, &servers),
        "daily partitions do not overlap static ones: say which upstream partitions are read, with the mapping `All` or \
         `Latest`"
    );
    assert!(refused(Overlap, &servers, &days).starts_with("static partitions do not overlap daily ones"));
    assert_eq!(
        refused(Overlap, &more, &servers),
        "the partition `nuke` has no upstream partition of the same key: add it there, or use the mapping `All`"
    );
    assert_eq!(
        refused(Window { start: -1, end: 0 }, &days, &one),
        "window(-1, 0) needs time partitions on both sides, not daily ones over unpartitioned ones"
    );
    assert_eq!(
        refused(Window { start: 1, end: 0 }, &days, &days),
        "window(1, 0) ends before it begins: the first offset must not be greater than the second"
    );
    assert_eq!(
        refused(Latest, &days, &servers),
        "static partitions have no latest one: use the mapping `Overlap` or `All`"
    );
    for (mapping, downstream, upstream) in [
        (Overlap, &days, &one),
        (Overlap, &one, &days),
        (Overlap, &one, &servers),
        (Overlap, &servers, &servers),
        (All, &days, &servers),
        (Latest, &servers, &days),
        (Latest, &days, &one),
        (Window { start: i64::MIN, end: 0 }, &days, &days),
    ] {
        assert_eq!(mapping.validate(downstream, upstream), Ok(()), "{mapping}");
    }
    let without_order = reads(Window { start: 0, end: 0 }, &days, &servers, "2026-01-01");
    assert_eq!(without_order, "no partitions", "what is refused reads nothing");
    assert_eq!(Window { start: i64::MIN, end: 0 }.to_string(), "window(beginning, 0)");
}

/// Definitions over a stretch of time in which Berlin, São Paulo, Lord Howe or Samoa move their clocks.
fn definitions() -> impl Strategy<Value = (PartitionsDefinition, PartitionsDefinition, i64)> {
    let moments = prop::sample::select(vec!["2026-03-29", "2018-11-04", "2011-12-30", "2026-10-04"]);
    let one = |day: i64| {
        let zones = [Europe::Berlin, Tz::UTC, America::Sao_Paulo, Australia::Lord_Howe, Pacific::Apia];
        let zone = prop::sample::select(zones.to_vec());
        let cadence = prop_oneof![Just(Hourly), Just(Daily), Just(Weekly), Just(Monthly)];
        let end = prop::option::of(-1..5_i64);
        (cadence, zone, -4..3_i64, end).prop_filter_map(
            "an end before the start",
            move |(cadence, zone, start, end)| {
                let on = |offset: i64| instant((day + offset) * DAY).date_naive();
                PartitionsDefinition::time(cadence, zone, on(start), end.map(on)).ok()
            },
        )
    };
    moments.prop_flat_map(move |text| {
        let day = utc(&format!("{text}T00:00Z")).timestamp() / DAY;
        (one(day), one(day), Just(day))
    })
}

fn mappings() -> impl Strategy<Value = PartitionMapping> {
    prop_oneof![
        2 => Just(Overlap),
        4 => (-4..4_i64, 0..4_i64).prop_map(|(start, length)| Window { start, end: start + length }),
        1 => (-4..4_i64).prop_map(|end| Window { start: i64::MIN, end }),
        1 => Just(All),
        1 => Just(Latest),
    ]
}

/// Upstream partitions in a list, with their windows; far beyond what the definition has on both sides.
struct Listed {
    windows: Vec<(Ordinal, TimeWindow)>,
    /// Those the definition has.
    members: Vec<Ordinal>,
}

impl Listed {
    fn new(upstream: &PartitionsDefinition, members: &PartitionSubset) -> Self {
        let numbers = members.first().unwrap() - 800..members.last().unwrap() + 800;
        let windows = numbers.map(|number| (number, upstream.window(number).unwrap())).collect();
        Self { windows, members: members.iter().collect() }
    }

    /// What the partition with this window reads, by going through the list.
    fn read_by(&self, window: TimeWindow, mapping: PartitionMapping, now: DateTime<Utc>) -> PartitionSubset {
        let from = self.windows.partition_point(|(_, other)| other.end <= window.start);
        let overlapping: Vec<Ordinal> = self.windows[from..]
            .iter()
            .take_while(|(_, other)| other.start < window.end)
            .filter(|(_, other)| other.overlaps(&window))
            .map(|&(number, _)| number)
            .collect();
        let (first, last) = (overlapping[0], overlapping[overlapping.len() - 1]);
        let among = |from: Ordinal, to: Ordinal| {
            self.members.iter().copied().filter(|member| (from..=to).contains(member)).collect::<PartitionSubset>()
        };
        let newest = |is_past: fn(TimeWindow, DateTime<Utc>) -> bool| {
            let past = self.windows.iter().rev().filter(|&&(_, window)| is_past(window, now));
            past.map(|&(number, _)| number).find(|number| self.members.contains(number))
        };
        match mapping {
            Overlap => among(first, last),
            Window { start, end } => among(first.saturating_add(start), last.saturating_add(end)),
            All => newest(|window, now| window.start <= now).map_or(PartitionSubset::empty(), |to| among(i64::MIN, to)),
            Latest => newest(|window, now| window.end <= now).map(PartitionSubset::single).unwrap_or_default(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mappings_agree_with_a_search_and_are_each_others_inverse(
        (downstream, upstream, day) in definitions(),
        mapping in mappings(),
        now_hours in -120..120_i64,
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0..5_usize), 0..4),
    ) {
        let now = instant(day * DAY + now_hours * 3600);
        let horizon = instant((day + 6) * DAY);
        let universe = upstream.existing(horizon);
        let existing = downstream.existing(now);
        prop_assume!(!universe.is_empty() && !existing.is_empty());
        // Some ranges of what there is upstream.
        let members: Vec<Ordinal> = universe.iter().collect();
        let picked: PartitionSubset = picks
            .iter()
            .flat_map(|(index, length)| members[index.index(members.len())..].iter().take(*length).copied())
            .collect();
        let listed = Listed::new(&upstream, &universe);
        let mut union = PartitionSubset::empty();
        let mut readers = Vec::new();
        for reader in existing.iter() {
            let read = mapping.upstream_of(&downstream, &upstream, &PartitionSubset::single(reader), now);
            let expected = listed.read_by(downstream.window(reader).unwrap(), mapping, now);
            prop_assert_eq!(read.clip(Ordinal::MIN, universe.last().unwrap()), expected);
            readers.extend(read.intersects(&picked).then_some(reader));
            union = union.union(&read);
        }
        prop_assert_eq!(mapping.upstream_of(&downstream, &upstream, &existing, now), union);
        let found = mapping.downstream_of(&downstream, &upstream, &picked, now);
        prop_assert_eq!(found, PartitionSubset::from_ordinals(readers));
    }
}
