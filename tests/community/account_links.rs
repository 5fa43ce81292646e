//! Links in, people out.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use community::bronze::IdentityLinks;
use community::silver::AccountLinks;
use community::silver::account_links::People;
use proptest::prelude::*;

use crate::support::Platform;

fn link(account_id: &str, same_as: &str) -> IdentityLinks {
    IdentityLinks { account_id: account_id.to_owned(), same_as: same_as.to_owned(), source: "test".to_owned() }
}

#[tokio::test]
async fn the_smallest_account_stands_for_the_person() {
    let platform = Platform::new(Tz::UTC, "2026-01-10", "2026-01-11T12:00:00Z").await;
    platform
        .append(&[
            link("steam:2", "irc:9"),
            link("discord:5", "irc:9"),
            // The same again, the other way round, and to itself.
            link("irc:9", "steam:2"),
            link("irc:1", "irc:1"),
            link("web:b", "web:a"),
        ])
        .await;
    platform.build_only::<AccountLinks>().await;
    let rows: Vec<AccountLinks> = platform.rows("account_id").await;
    let rows: Vec<_> = rows.iter().map(|row| (row.account_id.as_str(), row.person_id.as_str())).collect();
    assert_eq!(
        rows,
        [
            ("discord:5", "discord:5"),
            ("irc:1", "irc:1"),
            ("irc:9", "discord:5"),
            ("steam:2", "discord:5"),
            ("web:a", "web:a"),
            ("web:b", "web:a"),
        ]
    );
}

/// The smallest account that can be walked to, by walking.
fn walked(links: &[(u8, u8)]) -> BTreeMap<String, String> {
    let mut neighbours: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
    for &(left, right) in links {
        neighbours.entry(left).or_default().insert(right);
        neighbours.entry(right).or_default().insert(left);
    }
    let reached = |start: u8| {
        let (mut seen, mut ahead) = (BTreeSet::from([start]), vec![start]);
        while let Some(here) = ahead.pop() {
            ahead.extend(neighbours.get(&here).into_iter().flatten().filter(|next| seen.insert(**next)));
        }
        seen
    };
    neighbours.keys().map(|&start| (name(start), reached(start).into_iter().map(name).min().unwrap())).collect()
}

fn name(number: u8) -> String {
    format!("irc:{number}")
}

proptest! {
    #[test]
    fn people_are_the_connected_accounts(links in prop::collection::vec((0_u8..60, 0_u8..60), 0..80)) {
        let mut people = People::default();
        for &(left, right) in &links {
            people.link(&name(left), &name(right));
        }
        let rows = people.rows();
        prop_assert!(rows.is_sorted_by(|left, right| left.account_id < right.account_id));
        let found: BTreeMap<_, _> = rows.into_iter().map(|row| (row.account_id, row.person_id)).collect();
        prop_assert_eq!(found, walked(&links));
    }
}

#[test]
fn a_long_chain_is_one_person() {
    let mut people = People::default();
    for number in (0..200_000).rev() {
        people.link(&format!("irc:{number:06}"), &format!("irc:{:06}", number + 1));
    }
    let rows = people.rows();
    assert_eq!(rows.len(), 200_001);
    assert!(rows.iter().all(|row| row.person_id == "irc:000000"));
}
