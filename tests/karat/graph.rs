//! The dependencies between assets.

use std::collections::{BTreeMap, BTreeSet};

use karat::core::graph::{AssetGraph, GraphProblem};
use karat::core::key::AssetKey;
use karat::core::suggest::did_you_mean;
use proptest::prelude::*;

fn key(text: &str) -> AssetKey {
    text.parse().unwrap()
}

/// Assets of schema `s`, written `c: a b` for "c reads a and b".
fn build(lines: &[&str]) -> Result<AssetGraph, Vec<GraphProblem>> {
    let assets = lines.iter().map(|line| {
        let (asset, upstreams) = line.split_once(':').unwrap();
        (key(&format!("s.{asset}")), upstreams.split_whitespace().map(|name| key(&format!("s.{name}"))).collect())
    });
    AssetGraph::build::<Vec<AssetKey>>(assets).map_err(|error| error.problems)
}

fn tables<'key>(keys: impl IntoIterator<Item = &'key AssetKey>) -> String {
    keys.into_iter().map(AssetKey::table).collect::<Vec<_>>().join(" ")
}

#[test]
fn orders_by_rank_and_then_by_name_whatever_the_order_of_declaration() {
    for lines in [["e: c", "c: d", "d: a", "b:", "a:"], ["a:", "b:", "c: d", "d: a", "e: c"]] {
        let graph = build(&lines).unwrap();
        assert_eq!(tables(graph.topological_order()), "a b d c e");
        let ranks = ["a", "b", "c", "d", "e"].map(|name| graph.rank(&key(&format!("s.{name}"))).unwrap());
        assert_eq!(ranks, [0, 0, 2, 1, 3]);
    }
}

#[test]
fn neighbours_are_given_once_and_alphabetically() {
    let graph = build(&["d: c b a b", "a:", "b:", "c:", "e: a"]).unwrap();
    assert_eq!(tables(graph.upstream(&key("s.d"))), "a b c");
    assert_eq!(tables(graph.downstream(&key("s.a"))), "d e");
    assert_eq!(graph.upstream(&key("s.unknown")), Vec::<&AssetKey>::new());
    assert_eq!(graph.rank(&key("s.unknown")), None);
    assert!(graph.contains(&key("s.e")) && !graph.contains(&key("s.unknown")));
    assert_eq!((graph.len(), graph.is_empty()), (5, false));
    assert!(build(&[]).unwrap().is_empty());
}

#[test]
fn ancestors_and_descendants_stop_at_the_depth_of_the_shortest_way() {
    // e is three steps from a along the chain and one step directly.
    let graph = build(&["a:", "b: a", "c: b", "e: c a", "f: e"]).unwrap();
    let ancestors = |name: &str, depth| tables(&graph.ancestors([&key(name)], depth));
    assert_eq!(ancestors("s.f", None), "a b c e");
    assert_eq!(ancestors("s.f", Some(0)), "");
    assert_eq!(ancestors("s.f", Some(1)), "e");
    assert_eq!(ancestors("s.f", Some(2)), "a c e");
    assert_eq!(ancestors("s.unknown", None), "");
    let descendants = |name: &str, depth| tables(&graph.descendants([&key(name)], depth));
    assert_eq!(descendants("s.a", Some(1)), "b e");
    assert_eq!(descendants("s.a", None), "b c e f");
    assert_eq!(descendants("s.f", None), "");
}

#[test]
fn of_several_assets_each_counts_its_own_depth() {
    let graph = build(&["a:", "b: a", "c: b", "d: c"]).unwrap();
    assert_eq!(tables(&graph.ancestors([&key("s.d"), &key("s.b")], Some(1))), "a c");
    assert_eq!(tables(&graph.ancestors([&key("s.d"), &key("s.c")], Some(1))), "b c", "d reads c");
    assert_eq!(tables(&graph.descendants([&key("s.a"), &key("s.c")], None)), "b c d");
}

#[test]
fn all_problems_are_reported_at_once() {
    let problems =
        build(&["a: c", "b: a", "c: b", "d: missing", "d:", "f: f", "g: h", "h: g", "i: g", "x: also_missing"])
            .unwrap_err();
    let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        [
            "`s.d` is declared twice: give one of them another key",
            "`s.d` reads `s.missing`, which is not among the assets: add it or do not read it",
            "`s.x` reads `s.also_missing`, which is not among the assets: add it or do not read it",
            "assets read each other in a circle: `s.a` reads `s.c` reads `s.b` reads `s.a`; take one of these dependencies away",
            "assets read each other in a circle: `s.f` reads `s.f`; take one of these dependencies away",
            "assets read each other in a circle: `s.g` reads `s.h` reads `s.g`; take one of these dependencies away",
        ]
    );
}

#[test]
fn of_a_tangle_a_shortest_circle_is_named() {
    let problems = build(&["a: b", "b: c e", "c: d", "d: a", "e: a"]).unwrap_err();
    assert_eq!(problems, [GraphProblem::Cycle(vec![key("s.a"), key("s.b"), key("s.e")])]);
}

#[test]
fn a_chain_of_ten_thousand_assets_is_no_problem() {
    let name = |number: usize| key(&format!("s.t{number}"));
    let chain = (0..10_000_usize).map(|number| (name(number), number.checked_sub(1).map(name)));
    let graph = AssetGraph::build(chain).unwrap();
    assert_eq!(graph.rank(&name(9_999)), Some(9_999));
    assert_eq!(graph.ancestors([&name(9_999)], None).len(), 9_999);
    assert_eq!(graph.descendants([&name(0)], Some(17)).len(), 17);
    let circle = (0..10_000_usize).map(|number| (name(number), [name((number + 1) % 10_000)]));
    match AssetGraph::build(circle).unwrap_err().problems.as_slice() {
        [GraphProblem::Cycle(keys)] => assert_eq!(keys.len(), 10_000),
        other => panic!("expected one circle, got {} problems", other.len()),
    }
}

/// For each asset the ones with a smaller number that it reads.
fn dependencies() -> impl Strategy<Value = Vec<BTreeSet<usize>>> {
    prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..25).prop_map(|reads| {
        reads
            .into_iter()
            .enumerate()
            .map(|(asset, reads)| {
                reads.into_iter().filter(|_| asset > 0).map(|index| index.index(asset.max(1))).collect()
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_order_and_the_closures_agree_with_the_definition(reads in dependencies(), depth in 0_usize..6) {
        let name = |number: usize| key(&format!("s.t{number:02}"));
        let graph = AssetGraph::build(
            reads.iter().enumerate().rev().map(|(asset, reads)| (name(asset), reads.iter().map(|&read| name(read)).collect::<Vec<_>>())),
        )
        .unwrap();
        let position: BTreeMap<&AssetKey, usize> =
            graph.topological_order().iter().enumerate().map(|(position, key)| (key, position)).collect();
        prop_assert_eq!(position.len(), reads.len());
        for (asset, upstreams) in reads.iter().enumerate() {
            for upstream in upstreams {
                prop_assert!(position[&name(*upstream)] < position[&name(asset)]);
                prop_assert!(graph.rank(&name(*upstream)) < graph.rank(&name(asset)));
            }
            // Ancestors within a depth by the recursive definition.
            let mut expected: BTreeSet<usize> = BTreeSet::new();
            let mut frontier = BTreeSet::from([asset]);
            for _ in 0..depth {
                frontier = frontier.iter().flat_map(|&at| reads[at].iter().copied()).collect();
                expected.extend(&frontier);
            }
            let expected: BTreeSet<AssetKey> = expected.into_iter().map(name).collect();
            prop_assert_eq!(&graph.ancestors([&name(asset)], Some(depth)), &expected);
            for ancestor in graph.ancestors([&name(asset)], None) {
                prop_assert!(graph.descendants([&ancestor], None).contains(&name(asset)));
            }
        }
    }
}

#[test]
fn suggests_what_was_probably_meant() {
    let names = ["gold.daily_active_users", "gold.retention_cohorts", "silver.user_activity", "silver.dim_user"];
    let suggested = |wanted: &str| did_you_mean(wanted, names);
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(suggested("gold.daily_active_user"), some("gold.daily_active_users"));
    assert_eq!(suggested("gold.dialy_active_users"), some("gold.daily_active_users"));
    assert_eq!(suggested("Gold.Daily_Active_Users"), some("gold.daily_active_users"));
    assert_eq!(suggested("daily-active-users"), some("gold.daily_active_users"), "without its schema");
    assert_eq!(suggested("silver.retention_cohorts"), some("gold.retention_cohorts"), "in another schema");
    assert_eq!(suggested("cohorts"), some("gold.retention_cohorts"), "a part of the name");
    assert_eq!(suggested("dim_users"), some("silver.dim_user"));
    assert_eq!(suggested("weather"), None);
    assert_eq!(suggested(""), None);
    assert_eq!(suggested(&"gold.".repeat(10_000)), None);
    assert_eq!(did_you_mean("x", ["y"]), None, "a wholly different text is no misspelling");
    assert_eq!(did_you_mean("stael", ["missing", "stale", "failed", "fresh"]), some("stale"));
    assert_eq!(did_you_mean("cat", ["hat", "bat"]), some("bat"), "of equally near ones the alphabetically first");
    assert_eq!(did_you_mean("cat", [] as [&str; 0]), None);
}
