//! The comma-separated sources: chat metadata and identity links.

use chrono::{DateTime, Utc};
use community::account::AccountId;
use community::parse::links::{self, Link};
use community::parse::{Ignored, Parsed, Reason, irc};
use proptest::prelude::*;

use crate::real_inputs;

fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}

#[test]
fn chat_lines() {
    let at: DateTime<Utc> = "2026-03-01T23:59:00Z".parse().unwrap();
    assert_eq!(
        irc::parse("2026-03-01,23:59,message,17,"),
        Ok(Parsed::Record(irc::Record::Message { at, account: account("irc:17") }))
    );
    assert_eq!(
        irc::parse("2026-03-01,,rename,17,18"),
        Ok(Parsed::Record(irc::Record::Rename { account: account("irc:17"), same_as: account("irc:18") }))
    );
    assert_eq!(irc::parse("day,hhmm,kind,nick_id,other_nick_id"), Ok(Parsed::Ignored(Ignored::Header)));
    assert_eq!(irc::parse("  "), Ok(Parsed::Ignored(Ignored::Empty)));
    for (line, reason) in [
        ("2026-03-01,23:59,message,17", Reason::WrongColumns),
        ("2026-03-01,23:59,message,17,,hello", Reason::WrongColumns),
        ("2026-03-01,,message,17,", Reason::NoTime),
        ("2026-02-29,23:59,message,17,", Reason::ImplausibleTime),
        ("2026-03-01,24:00,message,17,", Reason::ImplausibleTime),
        ("2026-03-01,+3:59,message,17,", Reason::ImplausibleTime),
        ("2026-03-01,23:59:10,message,17,", Reason::ImplausibleTime),
        ("1926-03-01,23:59,message,17,", Reason::ImplausibleTime),
        ("2026-03-01,23:59,topic,17,", Reason::UnknownKind),
        ("2026-03-01,23:59,message,,", Reason::MalformedAccount),
        ("2026-03-01,23:59,message,hello there,", Reason::MalformedAccount),
        ("2026-03-01,,rename,17,", Reason::MalformedAccount),
    ] {
        assert_eq!(irc::parse(line).map_err(|problem| problem.reason), Err(reason), "{line}");
    }
}

#[test]
fn link_lines() {
    let expected = Link {
        account: account("discord:115590097100865541"),
        same_as: account("steam:76561198051645362"),
        source: "profile".to_owned(),
    };
    for line in [
        "discord:115590097100865541,steam:76561198051645362,profile",
        " discord:115590097100865541 , steam:[U:1:91379634],profile",
        "\"discord:115590097100865541\",steam:STEAM_1:0:45689817,profile",
    ] {
        assert_eq!(links::parse(line), Ok(Parsed::Record(expected.clone())), "{line}");
    }
    assert_eq!(links::parse("account,same_as,source"), Ok(Parsed::Ignored(Ignored::Header)));
    assert_eq!(links::parse("# ours"), Ok(Parsed::Ignored(Ignored::Header)));
    let Ok(Parsed::Record(link)) = links::parse("web:anna,irc:4") else { panic!("two columns are enough") };
    assert_eq!(link.source, "manual");
    for (line, reason) in [
        ("discord:1", Reason::WrongColumns),
        ("discord:1,steam:1,a,b", Reason::WrongColumns),
        ("discord:0,irc:4,x", Reason::MalformedAccount),
        ("discord:1,steam:123,x", Reason::MalformedAccount),
        ("discord:9223372036854775808,irc:4,x", Reason::MalformedAccount),
        ("mastodon:1,irc:4,x", Reason::MalformedAccount),
        ("discord:1,irc:4,some words", Reason::MalformedField),
    ] {
        assert_eq!(links::parse(line).map_err(|problem| problem.reason), Err(reason), "{line}");
    }
}

#[test]
fn one_account_has_one_text() {
    for (text, expected) in [
        ("discord:00042", "discord:42"),
        ("steam:76561198051645362", "steam:76561198051645362"),
        ("minecraft:069A79F444E94726A5BEFCA90E38AAF5", "minecraft:069a79f4-44e9-4726-a5be-fca90e38aaf5"),
        ("web:anna", "web:anna"),
        ("irc:4", "irc:4"),
    ] {
        assert_eq!(account(text).as_str(), expected);
    }
    for text in ["", "discord", "discord:", "discord:-1", "steam:0", "minecraft:x", "web:a b", "irc:a,b", "irc:\u{7}"] {
        assert!(text.parse::<AccountId>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "(.|\n){0,200}|[0-9,:\"a-z-]{0,60}") {
        let _ = irc::parse(&text);
        let _ = links::parse(&text);
        let _ = text.parse::<AccountId>();
    }

    #[test]
    fn an_account_reads_back(number in 1_u64..=i64::MAX as u64, nick in "[^\\s\\p{C},]{1,64}") {
        let id = AccountId::discord(number);
        prop_assert_eq!(id.as_str().parse::<AccountId>(), Ok(id));
        let id = AccountId::irc(&nick).unwrap();
        prop_assert_eq!(id.as_str().parse::<AccountId>(), Ok(id));
    }
}

#[test]
fn the_captured_chat_file_is_read_without_a_problem() {
    let Some(folder) = real_inputs::folder() else { return };
    let file = std::fs::File::open(folder.join("chat/ubuntu_irc_metadata.csv.gz")).unwrap();
    let mut reader = community::parse::lines::LineReader::new(file, 1_000).unwrap();
    let (mut messages, mut renames) = (0, 0);
    while let Some(line) = reader.next_line() {
        let community::parse::lines::Content::Text { text, .. } = line.content else { panic!("{line:?}") };
        match irc::parse(&text).unwrap() {
            Parsed::Record(irc::Record::Message { .. }) => messages += 1,
            Parsed::Record(irc::Record::Rename { .. }) => renames += 1,
            Parsed::Ignored(ignored) => assert_eq!(ignored, Ignored::Header),
        }
    }
    assert_eq!((messages, renames), (224_912, 5_236));
}
