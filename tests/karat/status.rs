//! Staleness against its definition, said once more.

use std::collections::BTreeMap;

use karat::core::key::AssetKey;
use karat::core::status::{PresentFacts, PublishedVersion, Staleness, staleness};
use proptest::prelude::*;

const UPSTREAMS: [&str; 3] = ["s.first", "s.second", "s.third"];

fn key(text: &str) -> AssetKey {
    text.parse().unwrap()
}

/// Digests of some of the upstreams.
fn digests() -> impl Strategy<Value = BTreeMap<AssetKey, String>> {
    prop::collection::vec(prop::option::of(0..3_u8), UPSTREAMS.len()).prop_map(|versions| {
        UPSTREAMS
            .iter()
            .zip(versions)
            .filter_map(|(upstream, version)| Some((key(upstream), version?.to_string())))
            .collect()
    })
}

fn late(rows: i64) -> Staleness {
    Staleness::LateRows {
        asset: key("s.outside"),
        rows,
        removed: 0,
        since: "2026-05-01T12:00:00Z".parse().unwrap(),
        writers: vec!["test".to_owned()],
    }
}

proptest! {
    #[test]
    fn every_reason_holds_exactly_when_it_should(
        read in digests(),
        present in digests(),
        (same_code, open, incomplete, closed) in any::<(bool, bool, bool, bool)>(),
        rows in prop::collection::vec(1..9_i64, 0..3),
    ) {
        let late_rows: Vec<Staleness> = rows.into_iter().map(late).collect();
        let reasons = staleness(
            PublishedVersion { code_version: "a", input_versions: &read, open, incomplete },
            PresentFacts {
                code_version: if same_code { "a" } else { "b" },
                input_versions: &present,
                closed,
                late_rows: &late_rows,
            },
        );
        prop_assert_eq!(reasons.contains(&Staleness::Code), !same_code);
        for upstream in UPSTREAMS.map(key) {
            // Only what both know can have changed; a new upstream is a changed definition.
            let changed = matches!((read.get(&upstream), present.get(&upstream)), (Some(read), Some(now)) if read != now);
            prop_assert_eq!(reasons.contains(&Staleness::InputChanged { asset: upstream }), changed);
        }
        prop_assert_eq!(reasons.contains(&Staleness::PublishedEarly), open && closed);
        prop_assert_eq!(reasons.contains(&Staleness::IncompleteInputs), incomplete);
        let found: Vec<&Staleness> =
            reasons.iter().filter(|reason| matches!(reason, Staleness::LateRows { .. })).collect();
        prop_assert_eq!(found, late_rows.iter().collect::<Vec<_>>());
        let mut once = reasons.clone();
        once.dedup();
        prop_assert!(once.len() == reasons.len() || late_rows.len() > 1, "a reason is said twice: {:?}", reasons);
    }
}

#[test]
fn reasons_are_sentences() {
    assert_eq!(late(3).sentence(), "3 rows landed in s.outside since 2026-05-01 12:00:00Z, written by test");
    assert_eq!(Staleness::InputChanged { asset: key("s.first") }.sentence(), "s.first changed");
}
