//! Digests of versions against the multiset they stand for.

use std::collections::BTreeMap;

use karat::core::subset::PartitionSubset;
use karat::core::version::VersionIndex;
use proptest::prelude::*;

/// Versions by ordinal; later entries replace earlier ones.
fn versions() -> impl Strategy<Value = Vec<(i64, u8)>> {
    prop::collection::vec((-20..20_i64, 0..3_u8), 0..30)
}

fn index(versions: &[(i64, u8)]) -> VersionIndex {
    let texts: Vec<(i64, String, String)> =
        versions.iter().map(|(ordinal, version)| (*ordinal, format!("key {ordinal}"), version.to_string())).collect();
    VersionIndex::new(texts.iter().map(|(ordinal, key, version)| (*ordinal, key.as_str(), version.as_str())))
}

fn subset() -> impl Strategy<Value = PartitionSubset> {
    prop::collection::vec((-25..25_i64, 0..8_i64), 0..5).prop_map(|ranges| {
        PartitionSubset::from_ranges(ranges.into_iter().map(|(first, length)| (first, first + length)))
    })
}

fn within(versions: &[(i64, u8)], subset: &PartitionSubset) -> BTreeMap<i64, u8> {
    let all: BTreeMap<i64, u8> = versions.iter().copied().collect();
    all.into_iter().filter(|(ordinal, _)| subset.contains(*ordinal)).collect()
}

proptest! {
    #[test]
    fn equal_exactly_when_the_versions_are(left in versions(), right in versions(), a in subset(), b in subset()) {
        let equal = index(&left).digest(&a) == index(&right).digest(&b);
        prop_assert_eq!(equal, within(&left, &a) == within(&right, &b));
    }

    #[test]
    fn neither_order_nor_what_lies_outside_matters(mut versions in versions(), subset in subset()) {
        let digest = index(&versions).digest(&subset);
        let kept: Vec<(i64, u8)> = within(&versions, &subset).into_iter().rev().collect();
        prop_assert_eq!(&index(&kept).digest(&subset), &digest);
        prop_assert_eq!(&index(&kept).digest(&PartitionSubset::from_range(-100, 100)), &digest);
        versions.extend([(1_000, 1), (-1_000, 2)]);
        prop_assert_eq!(&index(&versions).digest(&subset), &digest);
    }

    #[test]
    fn knows_what_is_there(versions in versions()) {
        let expected = PartitionSubset::from_ordinals(versions.iter().map(|(ordinal, _)| *ordinal));
        prop_assert_eq!(index(&versions).present(), expected);
    }
}

#[test]
fn a_digest_says_how_many_and_no_version_is_not_an_empty_one() {
    let days = PartitionSubset::from_range(1, 3);
    assert_eq!(index(&[]).digest(&days), "0:00000000000000000000000000000000");
    assert!(index(&[(1, 0), (2, 0)]).digest(&days).starts_with("2:"));
    assert_ne!(VersionIndex::new([(1, "a", "")]).digest(&days), index(&[]).digest(&days));
    // A key and a version are not one text.
    assert_ne!(VersionIndex::new([(1, "ab", "c")]).digest(&days), VersionIndex::new([(1, "a", "bc")]).digest(&days));
}
