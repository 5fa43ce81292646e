//! Planning against the plainest possible reading of its rules, one partition at a time.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Europe::Berlin;
use karat::core::key::AssetKey;
use karat::core::mapping::PartitionMapping;
use karat::core::partition::{Cadence, Ordinal, PartitionsDefinition};
use karat::core::plan::{Catalog, PartitionSets, StepSets, add_affected, add_missing_inputs, advance, missing_inputs};
use karat::core::subset::PartitionSubset;
use proptest::prelude::*;

const NOW: &str = "2026-03-20T12:00:00Z";

/// Events from outside, days of them, a sliding window of days, weeks, the newest week, everything, and two tables by key.
struct Lake {
    order: Vec<AssetKey>,
    partitions: BTreeMap<AssetKey, PartitionsDefinition>,
    upstreams: BTreeMap<AssetKey, Vec<(AssetKey, PartitionMapping)>>,
}

impl Catalog for Lake {
    fn partitions(&self, key: &AssetKey) -> Option<&PartitionsDefinition> {
        self.partitions.get(key)
    }

    fn upstreams(&self, key: &AssetKey) -> Vec<(&AssetKey, PartitionMapping)> {
        self.upstreams.get(key).into_iter().flatten().map(|(upstream, mapping)| (upstream, *mapping)).collect()
    }

    fn is_external(&self, key: &AssetKey) -> bool {
        key.as_str() == "p.events"
    }

    fn topological_order(&self) -> &[AssetKey] {
        &self.order
    }
}

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

fn key(text: &str) -> AssetKey {
    text.parse().unwrap()
}

fn lake() -> Lake {
    let first = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
    let time = |cadence| PartitionsDefinition::time(cadence, Berlin, first, None).unwrap();
    let keyed = |keys: &[&str]| PartitionsDefinition::fixed(keys.iter().copied()).unwrap();
    let assets = [
        ("p.events", time(Cadence::Daily), vec![]),
        ("p.days", time(Cadence::Daily), vec![("p.events", PartitionMapping::Overlap)]),
        ("p.sliding", time(Cadence::Daily), vec![("p.days", PartitionMapping::Window { start: -2, end: 0 })]),
        (
            "p.weeks",
            time(Cadence::Weekly),
            vec![("p.days", PartitionMapping::Overlap), ("p.sliding", PartitionMapping::Window { start: 0, end: 1 })],
        ),
        ("p.newest", PartitionsDefinition::Unpartitioned, vec![("p.weeks", PartitionMapping::Latest)]),
        ("p.everything", PartitionsDefinition::Unpartitioned, vec![("p.sliding", PartitionMapping::All)]),
        ("p.keyed", keyed(&["x", "y", "z"]), vec![("p.everything", PartitionMapping::Overlap)]),
        ("p.rekeyed", keyed(&["z", "x"]), vec![("p.keyed", PartitionMapping::Overlap)]),
    ];
    let mut lake = Lake { order: Vec::new(), partitions: BTreeMap::new(), upstreams: BTreeMap::new() };
    for (name, partitions, upstreams) in assets {
        lake.order.push(key(name));
        lake.partitions.insert(key(name), partitions);
        lake.upstreams.insert(key(name), upstreams.into_iter().map(|(name, mapping)| (key(name), mapping)).collect());
    }
    lake
}

type Partition = (AssetKey, Ordinal);

fn existing(lake: &Lake) -> Vec<Partition> {
    let of = |asset: &AssetKey| lake.partitions[asset].existing(now()).iter().collect::<Vec<_>>();
    lake.order.iter().flat_map(|asset| of(asset).into_iter().map(|ordinal| (asset.clone(), ordinal))).collect()
}

/// What one partition reads.
fn reads(lake: &Lake, (asset, ordinal): &Partition) -> BTreeSet<Partition> {
    let own = PartitionSubset::single(*ordinal);
    let of = |(upstream, mapping): &(AssetKey, PartitionMapping)| {
        let read = mapping.upstream_of(&lake.partitions[asset], &lake.partitions[upstream], &own, now());
        read.iter().map(|ordinal| (upstream.clone(), ordinal)).collect::<Vec<_>>()
    };
    lake.upstreams[asset].iter().flat_map(of).collect()
}

fn sets(partitions: impl IntoIterator<Item = Partition>) -> PartitionSets {
    let mut lists: BTreeMap<AssetKey, Vec<Ordinal>> = BTreeMap::new();
    for (asset, ordinal) in partitions {
        lists.entry(asset).or_default().push(ordinal);
    }
    lists.into_iter().map(|(asset, ordinals)| (asset, PartitionSubset::from_ordinals(ordinals))).collect()
}

fn members(sets: &PartitionSets) -> BTreeSet<Partition> {
    sets.iter().flat_map(|(asset, subset)| subset.iter().map(|ordinal| (asset.clone(), ordinal))).collect()
}

/// A choice of `kinds` for each existing partition, by its position.
fn choices(kinds: u8) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..kinds, existing(&lake()).len())
}

fn chosen(partitions: &[Partition], choices: &[u8], kind: u8) -> BTreeSet<Partition> {
    partitions
        .iter()
        .zip(choices)
        .filter(|(_, choice)| **choice == kind)
        .map(|(partition, _)| partition.clone())
        .collect()
}

fn naive_missing(lake: &Lake, plan: &BTreeSet<Partition>, present: &BTreeSet<Partition>) -> BTreeSet<Partition> {
    plan.iter()
        .flat_map(|partition| reads(lake, partition))
        .filter(|(asset, ordinal)| !lake.is_external(asset) && lake.partitions[asset].closed(now()).contains(*ordinal))
        .filter(|read| !plan.contains(read) && !present.contains(read))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_step_is_ready_when_all_it_reads_is_done_and_blocked_when_some_cannot_be(
        // pending three times as often as the others; the last kind is done, or not in the run at all
        choices in choices(7),
    ) {
        let lake = lake();
        let partitions = existing(&lake);
        let pending: BTreeSet<Partition> = (0..3).flat_map(|kind| chosen(&partitions, &choices, kind)).collect();
        let unfinished = chosen(&partitions, &choices, 3);
        let mut unavailable = chosen(&partitions, &choices, 4);
        let (mut ready, mut blocked) = (BTreeSet::new(), BTreeSet::new());
        // Upstream comes first, so what is blocked here is known when its readers are looked at.
        for partition in partitions.iter().filter(|partition| pending.contains(*partition)) {
            let read = reads(&lake, partition);
            if !read.is_disjoint(&unavailable) {
                blocked.insert(partition.clone());
                unavailable.insert(partition.clone());
            } else if read.is_disjoint(&pending) && read.is_disjoint(&unfinished) {
                ready.insert(partition.clone());
            }
        }
        let mut steps: BTreeMap<AssetKey, StepSets> = BTreeMap::new();
        for (asset, subset) in sets(pending.clone()) {
            steps.entry(asset).or_default().pending = subset;
        }
        for (asset, subset) in sets(unfinished) {
            steps.entry(asset).or_default().unfinished = subset;
        }
        for (asset, subset) in sets(chosen(&partitions, &choices, 4)) {
            steps.entry(asset).or_default().unavailable = subset;
        }
        let moved = advance(&lake, &steps, now());
        prop_assert_eq!(members(&moved.ready), ready);
        let listed: Vec<Partition> = moved
            .blocked
            .iter()
            .flat_map(|(asset, subset, _)| subset.iter().map(|ordinal| (asset.clone(), ordinal)))
            .collect();
        prop_assert_eq!(listed.len(), blocked.len(), "a partition is blocked twice");
        prop_assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), blocked);
        prop_assert!(moved.blocked.iter().all(|(_, _, reason)| reason.contains("was not built: ")));
    }

    #[test]
    fn what_is_missing_is_closed_and_neither_there_nor_planned(choices in choices(4)) {
        let lake = lake();
        let partitions = existing(&lake);
        let plan: BTreeSet<Partition> =
            chosen(&partitions, &choices, 0).into_iter().filter(|(asset, _)| !lake.is_external(asset)).collect();
        let present = chosen(&partitions, &choices, 1);
        let missing = missing_inputs(&lake, &sets(plan.clone()), &sets(present.clone()), now());
        prop_assert_eq!(members(&missing), naive_missing(&lake, &plan, &present));

        let mut complete = sets(plan.clone());
        add_missing_inputs(&lake, &mut complete, &sets(present.clone()), now());
        let mut expected = plan;
        loop {
            let more = naive_missing(&lake, &expected, &present);
            if more.is_empty() {
                break;
            }
            expected.extend(more);
        }
        prop_assert_eq!(members(&complete), expected);
    }

    #[test]
    fn what_a_change_reaches_is_what_reads_it_step_by_step(choices in choices(4)) {
        let lake = lake();
        let partitions = existing(&lake);
        let within: BTreeSet<Partition> =
            (1..4).flat_map(|kind| chosen(&partitions, &choices, kind)).collect();
        let mut expected = chosen(&partitions, &choices, 0);
        let mut plan = sets(expected.clone());
        add_affected(&lake, &mut plan, &sets(within.clone()), now());
        for partition in partitions.iter().filter(|partition| within.contains(*partition)) {
            if !reads(&lake, partition).is_disjoint(&expected) {
                expected.insert(partition.clone());
            }
        }
        prop_assert_eq!(members(&plan), expected);
    }
}

#[test]
fn steps_of_an_asset_that_is_gone_are_blocked() {
    let pending = PartitionSubset::from_range(3, 5);
    let steps = BTreeMap::from([(key("p.gone"), StepSets { pending: pending.clone(), ..StepSets::default() })]);
    let moved = advance(&lake(), &steps, now());
    assert!(moved.ready.is_empty());
    assert_eq!(moved.blocked, [(key("p.gone"), pending, "p.gone is not defined in this program any more".to_owned())]);
}
