//! Selections of partitions as people write and read them.

use chrono_tz::{Europe, Pacific, Tz};
use karat::core::partition::Cadence::{self, Daily, Hourly, Monthly, Weekly};
use karat::core::partition::PartitionsDefinition;
use karat::core::subset::PartitionSubset;
use proptest::prelude::*;

use crate::oracle::{date, utc};

/// A Saturday noon, in the week 2026-W47.
const NOW: &str = "2026-11-21T11:00Z";

fn since(cadence: Cadence, zone: Tz, start: &str) -> PartitionsDefinition {
    PartitionsDefinition::time(cadence, zone, date(start), None).unwrap()
}

fn berlin(cadence: Cadence) -> PartitionsDefinition {
    since(cadence, Europe::Berlin, "2025-11-15")
}

/// What a text selects, described.
fn selected(definition: &PartitionsDefinition, text: &str) -> String {
    definition.describe(&definition.parse_selection(text, utc(NOW)).unwrap())
}

fn refused(definition: &PartitionsDefinition, text: &str) -> String {
    definition.parse_selection(text, utc(NOW)).unwrap_err().to_string()
}

#[test]
fn lists_and_ranges_include_both_ends() {
    let days = berlin(Daily);
    assert_eq!(selected(&days, "2026-03-07"), "2026-03-07 (1 partition)");
    assert_eq!(
        selected(&days, "2026-01-01..2026-03-05,2026-03-07"),
        "2026-01-01..2026-03-05, 2026-03-07 (65 partitions)"
    );
    assert_eq!(selected(&days, " 2026-03-07 , 2026-03-05 .. 2026-03-06 "), "2026-03-05..2026-03-07 (3 partitions)");
    assert_eq!(selected(&days, "2026-11-20.."), "2026-11-20..2026-11-21 (2 partitions)", "up to the open one");
    assert_eq!(selected(&days, "..2025-11-16"), "2025-11-15..2025-11-16 (2 partitions)");
    assert_eq!(selected(&days, "latest"), "2026-11-20 (1 partition)", "the newest that has ended");
    assert_eq!(selected(&days, "2026-11-21"), "2026-11-21 (1 partition)", "the open one when it is named");
    assert_eq!(selected(&berlin(Weekly), "2026-W01..2026-W02"), "2026-W01..2026-W02 (2 partitions)");
    assert_eq!(selected(&berlin(Monthly), "latest"), "2026-10 (1 partition)");
    assert_eq!(
        selected(&berlin(Hourly), "2026-10-25T02:00+02:00..2026-10-25T03:00"),
        "2026-10-25T02:00+02:00..2026-10-25T03:00+01:00 (3 partitions)"
    );
}

#[test]
fn a_coarser_key_means_what_it_covers_as_far_as_it_exists() {
    let days = berlin(Daily);
    assert_eq!(selected(&days, "2026-03"), "2026-03-01..2026-03-31 (31 partitions)");
    assert_eq!(selected(&days, "2026-W13"), "2026-03-23..2026-03-29 (7 partitions)");
    assert_eq!(selected(&days, "2026-03..2026-04"), "2026-03-01..2026-04-30 (61 partitions)");
    assert_eq!(selected(&days, "2026-03..2026-04-02"), "2026-03-01..2026-04-02 (33 partitions)");
    assert_eq!(selected(&days, "2025"), "2025-11-15..2025-12-31 (47 partitions)", "from the start");
    assert_eq!(selected(&days, "2026"), "2026-01-01..2026-11-21 (325 partitions)", "up to now");
    assert_eq!(selected(&days, "2026-11.."), "2026-11-01..2026-11-21 (21 partitions)");
    let hours = berlin(Hourly);
    assert_eq!(selected(&hours, "2026-10-25"), "2026-10-25T00:00+02:00..2026-10-25T23:00+01:00 (25 partitions)");
    assert!(selected(&hours, "2026-03").ends_with("(743 partitions)"));
    assert!(selected(&hours, "2026-W13").ends_with("(167 partitions)"));
    let weeks = berlin(Weekly);
    assert_eq!(selected(&weeks, "2026-03"), "2026-W09..2026-W14 (6 partitions)", "every week that touches the month");
    assert_eq!(selected(&weeks, "2026"), "2026-W01..2026-W47 (47 partitions)");
    assert_eq!(selected(&since(Weekly, Europe::Berlin, "2019-01-01"), "2021"), "2021-W01..2021-W52 (52 partitions)");
    assert_eq!(selected(&berlin(Monthly), "2026"), "2026-01..2026-11 (11 partitions)");
    let samoa = since(Daily, Pacific::Apia, "2011-12-01");
    assert_eq!(selected(&samoa, "2011-12"), "2011-12-01..2011-12-29, 2011-12-31 (30 partitions)");
}

#[test]
fn what_cannot_be_selected_is_told_why() {
    let days = berlin(Daily);
    assert_eq!(refused(&days, "2026-11-22"), "`2026-11-22` has not begun yet: the newest partition is `2026-11-21`");
    assert_eq!(refused(&days, "2026-12"), "`2026-12` has not begun yet: the newest partition is `2026-11-21`");
    assert_eq!(
        refused(&days, "2026-11-01..2026-11-30"),
        "`2026-11-30` has not begun yet: the newest partition is `2026-11-21`"
    );
    assert_eq!(refused(&days, "2025-11-14"), "`2025-11-14` lies before the start: the first partition is `2025-11-15`");
    assert_eq!(refused(&days, "2024"), "`2024` lies before the start: the first partition is `2025-11-15`");
    assert_eq!(
        refused(&days, "2026-03-05..2026-03-01"),
        "`2026-03-05..2026-03-01` ends before it begins: write `2026-03-01..2026-03-05`"
    );
    assert_eq!(refused(&days, "2026-02-30..2026-03-01"), "`2026-02-30` is impossible: February 2026 has 28 days");
    for empty in ["", "..", ",", "2026-01-01,", " .. "] {
        assert_eq!(
            refused(&days, empty),
            format!(
                "`{empty}` selects nothing: write keys or ranges separated by commas, such as `2025-11-15..2026-11-21`"
            )
        );
    }
    assert!(refused(&days, "2026-01-01...2026-01-03").contains("`.2026-01-03` is no key of daily partitions"));
    assert!(refused(&days, "2026-01-01..2026-01-02..2026-01-03").contains("is no key of daily partitions"));
    assert!(refused(&berlin(Monthly), "2026-03-05").contains("is no key of monthly partitions"), "a finer key");
    let ended =
        PartitionsDefinition::time(Daily, Europe::Berlin, date("2026-01-01"), Some(date("2026-02-01"))).unwrap();
    assert_eq!(refused(&ended, "2026-02-01"), "`2026-02-01` lies after the end: the last partition is `2026-01-31`");
    assert_eq!(refused(&ended, "2026-02"), "`2026-02` lies after the end: the last partition is `2026-01-31`");
    assert_eq!(selected(&ended, "2026"), "2026-01-01..2026-01-31 (31 partitions)");
    assert_eq!(selected(&ended, "latest"), "2026-01-31 (1 partition)");
}

#[test]
fn before_the_first_partition_there_is_nothing_to_select() {
    let days = since(Daily, Europe::Berlin, "2026-12-01");
    assert_eq!(refused(&days, "2026-12-01"), "there is no partition yet: the first, `2026-12-01`, has not begun");
    assert_eq!(refused(&days, "latest"), "there is no latest partition yet: the first, `2026-12-01`, has not ended");
    let today = since(Daily, Europe::Berlin, "2026-11-21");
    assert_eq!(refused(&today, "latest"), "there is no latest partition yet: the first, `2026-11-21`, has not ended");
    assert_eq!(selected(&today, "2026-11-21.."), "2026-11-21 (1 partition)");
}

#[test]
fn static_keys_are_selected_in_their_order() {
    let servers = PartitionsDefinition::fixed(["dust", "mirage", "inferno", "latest"]).unwrap();
    assert_eq!(selected(&servers, "dust,inferno"), "dust, inferno (2 partitions)");
    assert_eq!(selected(&servers, "mirage.."), "mirage..latest (3 partitions)");
    assert_eq!(selected(&servers, "latest"), "latest (1 partition)", "a key of this name wins");
    assert_eq!(refused(&servers, "infernoo"), "there is no partition `infernoo`; did you mean `inferno`?");
    assert_eq!(refused(&servers, "inferno..dust"), "`inferno..dust` ends before it begins: write `dust..inferno`");
    let one = PartitionsDefinition::Unpartitioned;
    assert_eq!(selected(&one, "all"), "all (1 partition)");
    assert_eq!(selected(&one, "latest"), "all (1 partition)");
    assert!(refused(&one, "2026-01-01").contains("is not partitioned"));
}

#[test]
fn a_description_stops_after_eight_ranges() {
    let days = berlin(Daily);
    let first = days.first();
    let every_other = |count: i64| (0..count).map(|index| first + 2 * index).collect::<PartitionSubset>();
    assert_eq!(days.describe(&PartitionSubset::empty()), "no partitions");
    assert!(days.describe(&every_other(8)).ends_with("2025-11-27, 2025-11-29 (8 partitions)"));
    assert!(days.describe(&every_other(9)).ends_with("2025-11-29, and 1 more range (9 partitions)"));
    assert!(days.describe(&every_other(30)).ends_with("2025-11-29, and 22 more ranges (30 partitions)"));
}

proptest! {
    #[test]
    fn what_is_described_can_be_selected_again(
        cadence in prop_oneof![Just(Hourly), Just(Daily), Just(Weekly), Just(Monthly)],
        offsets in prop::collection::vec((0..400_i64, 0..9_i64), 1..8),
    ) {
        let definition = since(cadence, Europe::Berlin, "2010-01-01");
        let first = definition.first();
        let subset = PartitionSubset::from_ranges(offsets.into_iter().map(|(start, length)| {
            // Months of 2010 to 2026 are the fewest.
            let start = first + start % 150;
            (start, start + length)
        }));
        let described = definition.describe(&subset);
        let text = described.rsplit_once(" (").unwrap().0;
        prop_assert_eq!(definition.parse_selection(text, utc(NOW)), Ok(subset));
    }
}
