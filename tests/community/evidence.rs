//! Thinned evidence says what all of it says.

use chrono::{DateTime, TimeDelta, Utc};
use community::collect::evidence::EvidenceThinner;
use proptest::prelude::*;

fn thinned(moments: &[DateTime<Utc>]) -> Vec<DateTime<Utc>> {
    let mut thinner = EvidenceThinner::new();
    let mut kept: Vec<_> = moments.iter().flat_map(|&at| thinner.seen(at, ()).collect::<Vec<_>>()).collect();
    kept.extend(thinner.interrupt());
    kept.into_iter().map(|(at, ())| at).collect()
}

fn silences(moments: &[DateTime<Utc>]) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let pairs = moments.iter().zip(moments.iter().skip(1));
    pairs.filter(|(from, to)| **to - **from > TimeDelta::minutes(15)).map(|(from, to)| (*from, *to)).collect()
}

proptest! {
    #[test]
    fn silences_and_ends_are_exact_and_rows_few(gaps in prop::collection::vec(prop_oneof![1_i64..90, 200_i64..700, 800_i64..1_000, 2_000_i64..9_000], 1..300)) {
        let mut at: DateTime<Utc> = "2026-01-11T10:01:30Z".parse().unwrap();
        let mut moments = Vec::new();
        for seconds in gaps {
            at += TimeDelta::seconds(seconds);
            moments.push(at);
        }
        let kept = thinned(&moments);
        prop_assert!(kept.iter().all(|at| moments.contains(at)));
        prop_assert!(kept.is_sorted());
        prop_assert_eq!(kept.first(), moments.first());
        prop_assert_eq!(kept.last(), moments.last());
        prop_assert_eq!(silences(&kept), silences(&moments));
        let span = *moments.last().unwrap() - *moments.first().unwrap();
        let slots = usize::try_from(span.num_seconds() / 300).unwrap() + 2;
        prop_assert!(kept.len() <= slots + 2 * silences(&moments).len() + slots / 2, "{} of {} in {slots} slots", kept.len(), moments.len());
    }
}

#[test]
fn an_earlier_file_begins_a_stretch_of_its_own() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let moments = ["2026-01-11T10:00:00Z", "2026-01-11T10:01:00Z", "2026-01-10T10:00:00Z"].map(at);
    assert_eq!(thinned(&moments), moments);
}
