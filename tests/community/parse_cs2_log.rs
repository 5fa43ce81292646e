//! Counter-Strike log lines: every variant, hostile names, and chat that must vanish.

use chrono::{NaiveDate, NaiveDateTime};
use community::account::{AccountId, SteamId};
use community::parse::cs2_log::{Event, LogLine, Player, parse};
use community::parse::{Ignored, Parsed, Problem, Reason};
use proptest::prelude::*;

use crate::real_inputs;

fn line(text: &str) -> LogLine {
    match parse(text) {
        Ok(Parsed::Record(line)) => line,
        other => panic!("{text}: {other:?}"),
    }
}

fn event(text: &str) -> Event {
    line(text).event.unwrap_or_else(|ignored| panic!("{text}: {ignored:?}"))
}

fn ignored(text: &str) -> Ignored {
    line(text).event.expect_err(text)
}

fn player(account_number: u32, name: &str) -> Player {
    Player { steam_id: SteamId::from_account_number(account_number).unwrap(), name: name.to_owned() }
}

fn at(year: i32, month: u32, day: u32, hour: u32, minute: u32, second: u32, millisecond: u32) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(year, month, day).unwrap().and_hms_milli_opt(hour, minute, second, millisecond).unwrap()
}

#[test]
fn every_shape_of_time_stamp_is_read() {
    let joined = r#""Mara<9><[U:1:123456789]><Spectator>" entered the game"#;
    for (prefix, expected) in [
        ("L 10/01/2023 - 16:32:46: ", at(2023, 10, 1, 16, 32, 46, 0)),
        ("L 07/05/2026 - 00:00:03.890: ", at(2026, 7, 5, 0, 0, 3, 890)),
        ("08/19/2025 - 19:04:10.830 - ", at(2025, 8, 19, 19, 4, 10, 830)),
        ("L 12/06/2023 - 00:33:52.509 - ", at(2023, 12, 6, 0, 33, 52, 509)),
        ("Jul 16 00:30:16:  L 07/16/2026 - 00:30:16: ", at(2026, 7, 16, 0, 30, 16, 0)),
        ("cs2-server-1  | L 07/16/2026 - 00:30:16: ", at(2026, 7, 16, 0, 30, 16, 0)),
    ] {
        let read = line(&format!("{prefix}{joined}"));
        assert_eq!(read.at, expected, "{prefix}");
        assert_eq!(read.event, Ok(Event::Entered(player(123_456_789, "Mara"))), "{prefix}");
    }
}

#[test]
fn lines_without_a_possible_time_are_problems() {
    let problem = |reason| Err(Problem::new(reason, "log line"));
    assert_eq!(parse(r#""Mara<9><[U:1:5]><>" entered the game"#), problem(Reason::NoTime));
    assert_eq!(parse("}}JSON_END"), problem(Reason::NoTime));
    assert_eq!(parse("L 13/01/2026 - 16:32:46: Log file closed"), problem(Reason::ImplausibleTime));
    assert_eq!(parse("L 02/29/2026 - 16:32:46: Log file closed"), problem(Reason::ImplausibleTime));
    assert_eq!(parse("L 02/28/2026 - 24:00:00: Log file closed"), problem(Reason::ImplausibleTime));
    assert_eq!(parse("L 02/28/0026 - 23:00:00: Log file closed"), problem(Reason::ImplausibleTime));
    assert_eq!(parse(""), Ok(Parsed::Ignored(Ignored::Empty)));
    assert_eq!(parse("# remarks"), Ok(Parsed::Ignored(Ignored::Header)));
}

#[test]
fn the_life_of_a_connection() {
    assert_eq!(
        event(r#"L 01/03/2024 - 16:40:03: "Bo<6><[U:1:77]><>" connected, address "203.0.113.4:27005""#),
        Event::Connected(player(77, "Bo"))
    );
    assert_eq!(
        event(r#"L 03/06/2026 - 16:42:02: "Jay<6><STEAM_1:0:123456><>" connected, address """#),
        Event::Connected(player(246_912, "Jay"))
    );
    assert_eq!(
        event(r#"L 03/06/2026 - 16:42:12: "Jay<6><STEAM_0:1:123456><>" entered the game"#),
        Event::Entered(player(246_913, "Jay"))
    );
    assert_eq!(
        event(r#"L 03/06/2026 - 16:42:19: "Jay<6><STEAM_1:0:123456>" switched from team <Unassigned> to <TERRORIST>"#),
        Event::SwitchedTeam { player: player(246_912, "Jay"), team: "terrorist" }
    );
    assert_eq!(
        event(
            r#"L 01/03/2024 - 16:40:08: "Bo<6><[U:1:77]><Unassigned>" disconnected (reason "NETWORK_DISCONNECT_LOOPSHUTDOWN")"#
        ),
        Event::Disconnected { player: player(77, "Bo"), reason: "NETWORK_DISCONNECT_LOOPSHUTDOWN".to_owned() }
    );
}

#[test]
fn what_the_server_does() {
    assert_eq!(
        event(r#"L 01/19/2026 - 18:55:38: Log file started (file "a") (game "csgo") (version "1")"#),
        Event::LogStarted
    );
    assert_eq!(event("L 01/19/2026 - 18:55:38: Log file closed"), Event::LogClosed);
    assert_eq!(
        event(r#"L 01/19/2026 - 18:55:38: Loading map "de_inferno""#),
        Event::MapLoaded { map: "de_inferno".to_owned() }
    );
    assert_eq!(
        event(r#"L 01/19/2026 - 18:55:38: Loading map "x y <z>""#),
        Event::MapLoaded { map: "other".to_owned() }
    );
    assert_eq!(event(r#"L 01/19/2026 - 18:55:38: server_message: "quit""#), Event::ServerShutdown);
}

#[test]
fn bots_and_pending_identities_are_nobody() {
    assert_eq!(ignored(r#"L 06/26/2024 - 16:12:01: "K<0><BOT><>" entered the game"#), Ignored::Bot);
    assert_eq!(
        ignored(r#"L 06/26/2024 - 16:12:01: "CF<4><STEAM_ID_PENDING>" switched from team <CT> to <Unassigned>"#),
        Ignored::UnknownIdentity
    );
    assert_eq!(ignored(r#"L 06/26/2024 - 16:12:01: "K<0><[U:1:0]><>" entered the game"#), Ignored::UnknownIdentity);
}

#[test]
fn private_lines_are_dropped() {
    let stamp = "L 01/19/2026 - 18:55:45: ";
    for (text, expected) in [
        (r#""P<3><[U:1:5]><CT>" say "planted""#, Ignored::Chat),
        (r#""P<3><[U:1:5]><CT>" say_team "planted""#, Ignored::Chat),
        (r#""P<3><[U:1:5]><CT>" say "planted" (dead)"#, Ignored::Chat),
        (r#""Console<0><Console><Console>" say "planted""#, Ignored::Chat),
        (r#""P<3><STEAM_ID_PENDING><CT>" say "planted""#, Ignored::Chat),
        (r#"rcon from "198.51.100.2:61688": command "sv_password planted""#, Ignored::RemoteConsole),
        (r#"server_cvar: "sv_password" "planted""#, Ignored::Setting),
        (r#""sv_password" = "planted""#, Ignored::Setting),
        (r#"ACCOLADE, FINAL: {pistolkills}, planted<8>, VALUE: 1"#, Ignored::OtherLine),
    ] {
        assert_eq!(ignored(&format!("{stamp}{text}")), expected, "{text}");
    }
}

#[test]
fn chat_cannot_forge_an_event() {
    let stamp = "L 01/19/2026 - 18:55:45: ";
    for text in [
        r#""P<3><[U:1:5]><CT>" say "x<1><[U:1:9]><>" connected, address "1.2.3.4:5""#,
        r#""P<3><[U:1:5]><CT>" say "x<1><[U:1:9]><>" entered the game"#,
        r#""P<3><[Z:9:5:1]><CT>" say "x<1><[U:1:9]><>" connected, address "1.2.3.4:5""#,
        r#""P<3><[U:1:5]><CT>" say_team "x<1><[U:1:9]><>" disconnected (reason "A")"#,
    ] {
        assert_eq!(ignored(&format!("{stamp}{text}")), Ignored::Chat, "{text}");
    }
    // A name that imitates the end of a line does not pass for another player's event.
    let forged = r#""a<1><[U:1:9]><>" entered the game<4><[U:1:5]><>" connected, address "1.2.3.4:5""#;
    let Event::Connected(who) = event(&format!("{stamp}{forged}")) else { panic!("{forged}") };
    assert_eq!(who.steam_id, SteamId::from_account_number(5).unwrap());
}

#[test]
fn free_text_reasons_are_not_kept() {
    let disconnect = |reason: &str| match event(&format!(
        r#"L 01/19/2026 - 18:55:45: "P<3><[U:1:5]><CT>" disconnected (reason "{reason}")"#
    )) {
        Event::Disconnected { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(disconnect("NETWORK_DISCONNECT_KICKED"), "NETWORK_DISCONNECT_KICKED");
    assert_eq!(disconnect("Disconnect"), "DISCONNECT_BY_USER");
    assert_eq!(disconnect("Kicked by Console : planted"), "other");
    assert_eq!(disconnect(""), "other");
}

#[test]
fn steam_ids_in_all_spellings() {
    for (text, expected) in [
        ("[U:1:91379634]", Some(76_561_198_051_645_362)),
        ("STEAM_1:0:45689817", Some(76_561_198_051_645_362)),
        ("STEAM_0:0:45689817", Some(76_561_198_051_645_362)),
        ("[U:1:4294967295]", Some(76_561_202_255_233_023)),
        ("[U:1:4294967296]", None),
        ("[U:1:0]", None),
        ("[U:1:+5]", None),
        ("STEAM_1:2:5", None),
        ("STEAM_1:1:2147483648", None),
        ("STEAM_ID_PENDING", None),
        ("BOT", None),
    ] {
        assert_eq!(SteamId::parse(text).map(SteamId::steamid64), expected, "{text}");
    }
    let id: AccountId = "steam:[U:1:91379634]".parse().unwrap();
    assert_eq!(id.as_str(), "steam:76561198051645362");
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC*|(.|\n){0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&text);
        let _ = parse(&String::from_utf8_lossy(&bytes));
        let _ = parse(&format!("L 01/19/2026 - 18:55:45: \"{text}"));
    }

    #[test]
    fn any_name_is_told_from_its_identity(
        name in "[a-z<>\"\\[\\]: ()]{0,30}|\\PC{0,30}",
        account_number in 1_u32..,
        slot in 0_u32..999,
    ) {
        // A name that itself has the whole shape of an identity is another test's business.
        prop_assume!(!name.contains(">\""));
        let cleaned: String = name.chars().filter(|character| !character.is_control()).collect();
        prop_assume!(!name.contains("\" say"));
        let text = format!("L 01/19/2026 - 18:55:45: \"{name}<{slot}><[U:1:{account_number}]><CT>\" entered the game");
        prop_assert_eq!(event(&text), Event::Entered(player(account_number, &cleaned)));
        let text = format!("L 01/19/2026 - 18:55:45: \"{name}<{slot}><[U:1:{account_number}]><CT>\" say \"planted\"");
        prop_assert_eq!(ignored(&text), Ignored::Chat);
    }

    #[test]
    fn nothing_of_a_chat_line_survives(said in "\\PC{0,120}") {
        let text = format!("L 01/19/2026 - 18:55:45: \"P<3><[U:1:5]><CT>\" say \"{said}\"");
        prop_assert_eq!(ignored(&text), Ignored::Chat);
    }
}

#[test]
fn a_line_of_angles_is_read_quickly() {
    let text = format!("L 01/19/2026 - 18:55:45: \"{}", "<".repeat(1_000_000));
    assert_eq!(ignored(&text), Ignored::OtherLine);
    let text = format!("L 01/19/2026 - 18:55:45: \"{}", "<1><BOT>\"".repeat(100_000));
    assert_eq!(ignored(&text), Ignored::OtherLine);
}

#[test]
fn the_captured_variants_are_all_understood() {
    let Some(folder) = real_inputs::folder() else { return };
    let variants = std::fs::read_to_string(folder.join("cs2_logs/log_line_variants.txt")).unwrap();
    let mut events = 0;
    for text in variants.lines() {
        match parse(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}")) {
            Parsed::Record(LogLine { event: Ok(_), .. }) => events += 1,
            Parsed::Record(LogLine { event: Err(_), .. }) | Parsed::Ignored(Ignored::Header) => {}
            Parsed::Ignored(other) => panic!("{text}: {other:?}"),
        }
    }
    assert_eq!(events, 13);
}
