//! Log lines in, sessions out.

use chrono::{DateTime, Utc};
use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use community::collect::ingest::Source;
use community::silver::FactGameSessions;

use crate::real_inputs;
use crate::support::{Platform, SERVER, at, day};

fn player(number: u32, what: &str) -> String {
    format!("\"P{number}<{number}><[U:1:{number}]><>\" {what}")
}

/// A log: `HH:MM:SS what` on 11 January, or with `12T` in front on the 12th.
fn log(lines: &[(&str, String)]) -> String {
    lines.iter().fold(String::new(), |log, (time, what)| {
        let (day, time) = time.split_once('T').unwrap_or(("11", time));
        format!("{log}L 01/{day}/2026 - {time}: {what}\n")
    })
}

const LEFT: &str = "disconnected (reason \"NETWORK_DISCONNECT_DISCONNECT_BY_USER\")";
const CAME: &str = "connected, address \"203.0.113.4:27005\"";

async fn sessions(zone: Tz, files: &[String]) -> Vec<String> {
    let platform = Platform::new(zone, "2026-01-10", "2026-01-13T12:00:00Z").await;
    for file in files {
        platform.ingest(Source::Cs2, file).await;
    }
    platform.build_only::<FactGameSessions>().await;
    let rows: Vec<FactGameSessions> = platform.rows("started_at, account_id").await;
    let time = |instant: DateTime<Utc>| instant.format("%dT%H:%M:%S").to_string();
    rows.iter()
        .map(|row| {
            assert_eq!(row.server, SERVER);
            assert_eq!(row.seconds, (row.ended_at - row.started_at).num_seconds());
            let number =
                row.account_id.strip_prefix("steam:").unwrap().parse::<u64>().unwrap() - 76_561_197_960_265_728;
            format!("{number} {}–{} {}", time(row.started_at), time(row.ended_at), row.end_reason)
        })
        .collect()
}

#[tokio::test]
async fn from_connecting_to_disconnecting() {
    let file = log(&[
        ("18:00:00", player(1, CAME)),
        ("18:00:20", player(1, "entered the game")),
        ("18:00:30", "\"B<2><BOT><>\" entered the game".to_owned()),
        ("18:01:00", "\"P1<1><[U:1:1]>\" switched from team <Unassigned> to <CT>".to_owned()),
        ("18:10:00", player(1, LEFT)),
        ("18:10:01", "\"P1<1><STEAM_ID_PENDING>\" switched from team <CT> to <Unassigned>".to_owned()),
        // Never got past the engine: still a session, of five seconds.
        ("18:11:00", player(2, CAME)),
        ("18:11:05", player(2, "disconnected (reason \"NETWORK_DISCONNECT_LOOPSHUTDOWN\")")),
        // In and out within a second is none.
        ("18:12:00", player(3, CAME)),
        ("18:12:00", player(3, LEFT)),
        // Was here before the log began.
        ("18:13:00", player(4, LEFT)),
    ]);
    assert_eq!(
        sessions(Tz::UTC, &[file]).await,
        [
            "1 11T18:00:00–11T18:10:00 NETWORK_DISCONNECT_DISCONNECT_BY_USER",
            "2 11T18:11:00–11T18:11:05 NETWORK_DISCONNECT_LOOPSHUTDOWN",
        ]
    );
}

#[tokio::test]
async fn what_contradicts_an_open_session_ends_it() {
    let file = log(&[
        ("18:00:00", "Log file started (file \"a\")".to_owned()),
        ("18:00:01", player(1, CAME)),
        ("18:05:00", player(1, CAME)),
        ("18:06:00", player(2, CAME)),
        ("18:10:00", "Loading map \"de_dust2\"".to_owned()),
        // On the new map without connecting anew.
        ("18:10:30", player(1, "entered the game")),
        ("18:20:00", "Log file closed".to_owned()),
    ]);
    assert_eq!(
        sessions(Tz::UTC, &[file]).await,
        [
            "1 11T18:00:01–11T18:05:00 reconnected",
            "1 11T18:05:00–11T18:10:00 map_loaded",
            "2 11T18:06:00–11T18:10:00 map_loaded",
            "1 11T18:10:30–11T18:20:00 log_closed",
        ]
    );
}

#[tokio::test]
async fn a_crash_ends_sessions_with_the_last_sign_of_the_server() {
    let crashed = log(&[
        ("18:00:00", player(1, CAME)),
        ("18:07:00", "World triggered \"Round_End\"".to_owned()),
        ("18:08:30", "World triggered \"Round_Start\"".to_owned()),
    ]);
    let next = log(&[
        ("18:30:00", "Log file started (file \"b\")".to_owned()),
        ("18:40:00", player(1, CAME)),
        ("18:50:00", "World triggered \"Round_Start\"".to_owned()),
    ]);
    assert_eq!(
        sessions(Tz::UTC, &[crashed, next]).await,
        ["1 11T18:00:00–11T18:08:30 log_started", "1 11T18:40:00–11T18:50:00 last_evidence"]
    );
}

#[tokio::test]
async fn sessions_are_split_at_local_midnight() {
    let file = log(&[
        ("22:30:00", player(1, CAME)),
        ("22:45:00", player(2, CAME)),
        ("22:58:00", "World triggered \"Round_Start\"".to_owned()),
        ("23:30:00", player(1, LEFT)),
        ("12T22:50:00", "World triggered \"Round_Start\"".to_owned()),
    ]);
    // In Berlin the day ends at 23:00 UTC; the second player is never heard of again.
    assert_eq!(
        sessions(Berlin, &[file]).await,
        [
            "1 11T22:30:00–11T23:00:00 midnight",
            "2 11T22:45:00–11T23:00:00 midnight",
            "1 11T23:00:00–11T23:30:00 NETWORK_DISCONNECT_DISCONNECT_BY_USER",
            "2 11T23:00:00–12T23:00:00 midnight",
        ]
    );
}

#[tokio::test]
async fn servers_do_not_mix() {
    let platform = Platform::new(Tz::UTC, "2026-01-10", "2026-01-13T12:00:00Z").await;
    platform.ingest(Source::Cs2, log(&[("18:00:00", player(1, CAME)), ("18:10:00", player(1, LEFT))])).await;
    let mut events: Vec<community::bronze::GameLogEvents> = platform.rows("at").await;
    for event in &mut events {
        event.server = "other".to_owned();
        event.at += chrono::TimeDelta::minutes(5);
    }
    platform.append(&events).await;
    platform.build_only::<FactGameSessions>().await;
    let rows: Vec<FactGameSessions> = platform.rows("server").await;
    let found: Vec<_> = rows.iter().map(|row| (row.server.as_str(), row.started_at, row.seconds)).collect();
    assert_eq!(found, [(SERVER, at("2026-01-11T18:00:00Z"), 600), ("other", at("2026-01-11T18:05:00Z"), 600)]);
}

#[tokio::test]
async fn the_repeated_hour_is_read_in_its_order() {
    let platform = Platform::new(Berlin, "2026-10-24", "2026-10-26T12:00:00Z").await;
    let line = |time: &str, what: &str| format!("L 10/25/2026 - {time}: {}\n", player(1, what));
    let file =
        [line("02:50:00", CAME), line("02:10:00", LEFT), line("02:40:00", CAME), line("03:10:00", LEFT)].concat();
    platform.ingest_in(Source::Cs2, Berlin, file).await;
    platform.build_only::<FactGameSessions>().await;
    let rows: Vec<FactGameSessions> = platform.rows("started_at").await;
    let found: Vec<_> = rows.iter().map(|row| (row.started_at, row.seconds)).collect();
    assert_eq!(found, [(at("2026-10-25T00:50:00Z"), 1_200), (at("2026-10-25T01:40:00Z"), 1_800)]);
}

#[tokio::test]
async fn the_captured_log_gives_the_expected_sessions() {
    let Some(folder) = real_inputs::folder() else { return };
    let name = "challengermode_0f870999.log";
    let platform = Platform::new(Berlin, "2026-01-18", "2026-01-21T12:00:00Z").await;
    let log = std::fs::read(folder.join("cs2_logs").join(name)).unwrap();
    let report = platform.ingest_in(Source::Cs2, Berlin, &log).await;
    assert_eq!((report.lines, report.bad_lines, report.error), (5_384, 0, None));
    platform.build_only::<FactGameSessions>().await;
    let rows: Vec<FactGameSessions> = platform.rows("started_at").await;
    let found: Vec<String> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.day, day("2026-01-19"));
            let local = |instant: DateTime<Utc>| instant.with_timezone(&Berlin).format("%Y-%m-%dT%H:%M:%S").to_string();
            let id = row.account_id.strip_prefix("steam:").unwrap();
            format!("{id},{},{},{},{}", local(row.started_at), local(row.ended_at), row.seconds, row.end_reason)
        })
        .collect();
    let expected = std::fs::read_to_string(folder.join("cs2_logs/expected_sessions.csv")).unwrap();
    let expected: Vec<String> = expected
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            [fields[1], fields[3], fields[4], fields[5], fields[6]].join(",")
        })
        .collect();
    assert_eq!(found, expected);
}
