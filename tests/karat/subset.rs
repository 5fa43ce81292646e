//! Sets of partitions against the standard library's sets.

use std::collections::BTreeSet;

use karat::core::partition::Ordinal;
use karat::core::subset::PartitionSubset;
use proptest::prelude::*;

fn ranges() -> impl Strategy<Value = Vec<(Ordinal, Ordinal)>> {
    prop::collection::vec((-30..30_i64, 0..6_i64).prop_map(|(first, length)| (first, first + length - 1)), 0..12)
}

fn members(ranges: &[(Ordinal, Ordinal)]) -> BTreeSet<Ordinal> {
    ranges.iter().flat_map(|&(first, last)| first..=last).collect()
}

/// The same members, and in the one form that a set has.
fn assert_is(subset: &PartitionSubset, expected: &BTreeSet<Ordinal>) {
    assert_eq!(&subset.iter().collect::<BTreeSet<_>>(), expected);
    for pair in subset.ranges().windows(2) {
        assert!(pair[0].1 + 1 < pair[1].0, "{subset:?} has ranges that touch");
    }
    assert!(subset.ranges().iter().all(|(first, last)| first <= last), "{subset:?} has an empty range");
    assert_eq!(subset, &PartitionSubset::from_ordinals(expected.iter().copied()));
}

proptest! {
    #[test]
    fn agrees_with_sets_of_numbers(left in ranges(), right in ranges(), (first, last) in (-40..40_i64, -40..40_i64)) {
        let (a, b) = (members(&left), members(&right));
        let (x, y) = (PartitionSubset::from_ranges(left), PartitionSubset::from_ranges(right));
        assert_is(&x, &a);
        assert_is(&x.union(&y), &a.union(&b).copied().collect());
        assert_is(&x.intersection(&y), &a.intersection(&b).copied().collect());
        assert_is(&x.difference(&y), &a.difference(&b).copied().collect());
        assert_is(&x.clip(first, last), &a.iter().copied().filter(|member| (first..=last).contains(member)).collect());
        prop_assert_eq!(x.intersects(&y), !a.is_disjoint(&b));
        prop_assert_eq!(x.len(), a.len() as u64);
        prop_assert_eq!(x.is_empty(), a.is_empty());
        prop_assert_eq!((x.first(), x.last()), (a.first().copied(), a.last().copied()));
        for ordinal in -40..40 {
            prop_assert_eq!(x.contains(ordinal), a.contains(&ordinal));
        }
        prop_assert!(x.iter().eq(a.iter().copied()));
        prop_assert!(x.iter().rev().eq(a.iter().rev().copied()));
    }

    #[test]
    fn survives_json(ranges in ranges()) {
        let subset = PartitionSubset::from_ranges(ranges);
        let text = serde_json::to_string(&subset).unwrap();
        prop_assert_eq!(serde_json::from_str::<PartitionSubset>(&text).unwrap(), subset);
    }
}

#[test]
fn neighbours_join_and_reversed_ranges_count_for_nothing() {
    assert_eq!(PartitionSubset::from_ordinals([3, 1, 2, 7, 2]).ranges(), [(1, 3), (7, 7)]);
    assert_eq!(PartitionSubset::from_range(5, 4), PartitionSubset::empty());
    assert_eq!(PartitionSubset::from_ranges([(9, 1), (4, 6), (1, 3)]).ranges(), [(1, 6)]);
    assert_eq!((1..4).collect::<PartitionSubset>(), PartitionSubset::from_range(1, 3));
    assert_eq!(PartitionSubset::single(4).ranges(), [(4, 4)]);
}

#[test]
fn the_ends_of_the_numbers_are_ordinary_members() {
    let all = PartitionSubset::from_range(Ordinal::MIN, Ordinal::MAX);
    assert_eq!(all.len(), u64::MAX);
    assert_eq!(all.difference(&all), PartitionSubset::empty());
    assert_eq!(all.union(&PartitionSubset::single(Ordinal::MAX)), all);
    let punctured = all.difference(&PartitionSubset::single(0));
    assert_eq!(punctured.ranges(), [(Ordinal::MIN, -1), (1, Ordinal::MAX)]);
    assert_eq!(punctured.union(&PartitionSubset::single(0)), all);
    let ends = PartitionSubset::from_ordinals([Ordinal::MIN, Ordinal::MAX]);
    assert_eq!(all.difference(&ends).ranges(), [(Ordinal::MIN + 1, Ordinal::MAX - 1)]);
    assert_eq!(ends.len(), 2);
}

#[test]
fn json_is_the_list_of_ranges_and_is_put_in_order_when_read() {
    assert_eq!(serde_json::to_string(&PartitionSubset::from_ordinals([1, 2, 5])).unwrap(), "[[1,2],[5,5]]");
    let read: PartitionSubset = serde_json::from_str("[[5,6],[1,4],[9,8]]").unwrap();
    assert_eq!(read.ranges(), [(1, 6)]);
}
