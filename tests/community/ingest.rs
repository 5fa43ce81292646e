//! Files in, bronze rows and reports out.

use std::fs;

use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use community::bronze::{
    ChatMessages, DiscordConnection, DiscordMembers, DiscordMessages, DiscordVoiceStates, GameLogEvents, IdentityLinks,
};
use community::collect::ingest::{IngestArguments, Source, ingest};
use community::collect::progress::Silent;
use community::collect::report::FileReport;
use community::parse::{Ignored, Reason};

use crate::support::{Platform, at};

pub(crate) const GATEWAY: &str = include_str!("fixtures/gateway.jsonl");
pub(crate) const CS2: &str = include_str!("fixtures/cs2.log");
pub(crate) const CHAT: &str = include_str!("fixtures/chat.csv");
pub(crate) const LINKS: &str = include_str!("fixtures/links.csv");

async fn platform() -> Platform {
    Platform::new(Berlin, "2026-01-10", "2026-01-13T12:00:00Z").await
}

fn assert_every_line_is_accounted_for(report: &FileReport, text: &str) {
    assert_eq!(report.lines, text.lines().count() as u64);
    assert_eq!(report.lines, report.data_lines + report.ignored_lines + report.bad_lines);
}

fn problems(report: &FileReport) -> Vec<(Reason, &'static str, u64, &[u64])> {
    report
        .problems
        .iter()
        .map(|problem| (problem.reason, problem.kind, problem.occurrences.count, problem.occurrences.lines.as_slice()))
        .collect()
}

#[tokio::test]
async fn gateway_frames() {
    let platform = platform().await;
    let report = platform.ingest(Source::Discord, GATEWAY).await;
    assert_every_line_is_accounted_for(&report, GATEWAY);
    assert_eq!((report.data_lines, report.ignored_lines, report.bad_lines), (9, 5, 4));
    assert_eq!(
        problems(&report),
        [
            (Reason::NotJson, "frame", 1, [14].as_slice()),
            (Reason::NoTime, "VOICE_STATE_UPDATE", 1, &[15]),
            (Reason::MalformedField, "MESSAGE_CREATE", 1, &[13]),
            (Reason::MalformedField, "VOICE_STATE_UPDATE", 1, &[12]),
        ]
    );
    let voice: Vec<DiscordVoiceStates> = platform.rows("at, sequence").await;
    let voice: Vec<_> = voice
        .iter()
        .map(|row| {
            (row.account_id.as_str(), row.sequence, row.channel_id, row.afk, row.snapshot, row.voice_session.as_deref())
        })
        .collect();
    assert_eq!(
        voice,
        [
            ("discord:21", 2, Some(30), false, true, Some("aa11")),
            ("discord:22", 7, Some(30), false, false, Some("bb22")),
            ("discord:22", 8, Some(39), true, false, Some("bb22")),
            ("discord:22", 9, None, false, false, Some("bb22")),
            ("discord:21", 14, None, false, false, None),
        ]
    );
    let messages: Vec<DiscordMessages> = platform.rows("at").await;
    let message = |account_id: &str, message_id, when, characters, bot| DiscordMessages {
        account_id: account_id.to_owned(),
        at: at(when),
        message_id,
        guild_id: 10,
        channel_id: 31,
        characters,
        bot,
    };
    assert_eq!(
        messages,
        [
            message("discord:21", 1_460_000_000_000_000_001, "2026-01-11T16:02:00Z", 16, false),
            message("discord:900", 1_460_000_000_000_000_003, "2026-01-11T16:02:02Z", 14, true),
        ]
    );
    let members: Vec<DiscordMembers> = platform.rows("at").await;
    let members: Vec<_> =
        members.iter().map(|row| (row.account_id.as_str(), row.change.as_str(), row.bot, row.at)).collect();
    assert_eq!(
        members,
        [
            ("discord:900", "joined", true, at("2026-01-11T08:00:00Z")),
            ("discord:21", "joined", false, at("2026-01-11T08:30:00.250Z")),
            ("discord:22", "joined", false, at("2026-01-11T16:03:00Z")),
            ("discord:22", "left", false, at("2026-01-11T16:23:20Z")),
        ]
    );
    let connection: Vec<DiscordConnection> = platform.rows("at, guild_id").await;
    let connection: Vec<_> = connection
        .iter()
        .map(|row| (row.at.format("%H:%M:%S%.3f").to_string(), row.guild_id, row.kind.as_str()))
        .collect();
    let connection: Vec<_> = connection.iter().map(|(at, guild, kind)| (at.as_str(), *guild, *kind)).collect();
    assert_eq!(
        connection,
        [
            ("16:00:00.000", 0, "connected"),
            ("16:00:00.500", 10, "snapshot"),
            ("16:08:20.000", 0, "connected"),
            ("16:13:20.000", 0, "connected"),
            ("16:15:00.000", 0, "connected"),
            ("16:20:00.000", 0, "connected"),
            ("16:23:20.000", 0, "connected"),
        ]
    );
}

#[tokio::test]
async fn game_logs() {
    let platform = platform().await;
    let report = platform.ingest_in(Source::Cs2, Berlin, CS2).await;
    assert_every_line_is_accounted_for(&report, CS2);
    assert_eq!(problems(&report), [(Reason::NoTime, "log line", 2, [15, 16].as_slice())]);
    assert_eq!(report.ignored.get(&Ignored::Chat), Some(&2));
    assert_eq!(report.ignored.get(&Ignored::RemoteConsole), Some(&2));
    assert_eq!(report.ignored.get(&Ignored::Setting), Some(&4));
    let rows: Vec<GameLogEvents> = platform.rows("line, kind").await;
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| row.kind != "alive")
        .map(|row| {
            let detail = [&row.map, &row.team, &row.reason].into_iter().flatten().next().map(String::as_str);
            let time = row.at.format("%H:%M:%S").to_string();
            format!("{} {time} {} {} {:?}", row.line, row.kind, row.name.as_deref().unwrap_or("-"), detail)
        })
        .collect();
    assert_eq!(
        rows,
        [
            "1 16:00:00 log_started - None",
            "2 16:00:00 map_loaded - Some(\"de_inferno\")",
            "7 16:01:00 connected Mara None",
            "9 16:01:05 entered Mara None",
            "10 16:01:06 switched_team Mara Some(\"ct\")",
            "17 16:09:00 connected Quote\" < the > \"Bard None",
            "18 16:20:00 disconnected Quote\" < the > \"Bard Some(\"other\")",
            "19 16:30:00 disconnected Mara Some(\"NETWORK_DISCONNECT_DISCONNECT_BY_USER\")",
            "21 16:31:00 log_closed - None",
        ]
    );
}

#[tokio::test]
async fn chat_and_links() {
    let platform = platform().await;
    let report = platform.ingest(Source::Irc, CHAT).await;
    assert_every_line_is_accounted_for(&report, CHAT);
    assert_eq!((report.data_lines, report.bad_lines), (6, 3));
    let report = platform.ingest(Source::Links, LINKS).await;
    assert_every_line_is_accounted_for(&report, LINKS);
    assert_eq!((report.data_lines, report.ignored_lines, report.bad_lines), (2, 2, 2));
    let messages: Vec<ChatMessages> = platform.rows("at, account_id, sequence").await;
    let messages: Vec<_> = messages
        .iter()
        .map(|row| (row.account_id.as_str(), row.at.format("%H:%M").to_string(), row.sequence))
        .collect();
    let expected = [
        ("irc:7", "10:00", 1),
        ("irc:7", "10:00", 2),
        ("irc:8", "10:00", 1),
        ("irc:7", "10:01", 1),
        ("irc:9", "23:30", 1),
    ];
    assert_eq!(messages, expected.map(|(account, time, sequence)| (account, time.to_owned(), sequence)));
    let links: Vec<IdentityLinks> = platform.rows("account_id, same_as").await;
    let links: Vec<_> =
        links.iter().map(|row| (row.account_id.as_str(), row.same_as.as_str(), row.source.as_str())).collect();
    assert_eq!(
        links,
        [
            ("discord:21", "irc:7", "profile"),
            ("discord:21", "steam:76561198051645362", "profile"),
            ("irc:7", "irc:9", "irc_rename"),
        ]
    );
}

#[tokio::test]
async fn reading_again_changes_nothing() {
    let platform = platform().await;
    let inputs = [(Source::Discord, GATEWAY), (Source::Cs2, CS2), (Source::Irc, CHAT), (Source::Links, LINKS)];
    for (source, text) in inputs {
        platform.ingest(source, text).await;
    }
    let counts = platform.row_counts().await;
    let marks = platform.mark_count().await;
    for (source, text) in inputs {
        let report = platform.ingest(source, text).await;
        assert!(!report.tables.is_empty());
        for (table, count) in report.tables {
            assert_eq!((count.inserted, count.outside), (0, 0), "{table}");
            assert!(count.duplicates > 0, "{table}");
        }
    }
    assert_eq!(platform.row_counts().await, counts);
    assert_eq!(platform.mark_count().await, marks, "what is not new makes nothing stale");
}

#[tokio::test]
async fn files_are_read_in_spite_of_each_other() {
    let platform = platform().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let compressed = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for minute in 0..600 {
            writeln!(encoder, "2026-01-11,{:02}:{:02},message,{},", minute / 60, minute % 60, minute * 31).unwrap();
        }
        encoder.finish().unwrap()
    };
    fs::write(path("good.csv"), CHAT).unwrap();
    fs::write(path("cut.csv.gz"), compressed.get(..compressed.len() - 12).unwrap()).unwrap();
    fs::write(path("whole.gz"), &compressed).unwrap();
    fs::write(path("foreign.csv"), b"\x00\x01\x02 not a chat log\n\xff\xfe\n").unwrap();
    fs::create_dir(path("folder")).unwrap();
    let arguments = IngestArguments {
        source: Source::Irc,
        files: ["good.csv", "missing.csv", "folder", "cut.csv.gz", "whole.gz", "foreign.csv"].map(path).to_vec(),
        game_server: "arena".to_owned(),
        server_zone: None,
        at: None,
    };
    let report = ingest(&arguments, &platform.writer(), &mut Silent).await.unwrap();
    assert!(!report.is_complete());
    let [good, missing, is_folder, cut, whole, foreign] = report.files.as_slice() else { panic!("{report:#?}") };
    assert_eq!((&good.error, good.data_lines), (&None, 6));
    assert!(missing.error.as_ref().unwrap().contains("cannot be read"), "{missing:?}");
    assert!(is_folder.error.as_ref().unwrap().contains("cannot be read"), "{is_folder:?}");
    assert!(cut.error.as_ref().unwrap().contains("ends in the middle"), "{cut:?}");
    assert!(cut.data_lines > 100, "what was there is kept");
    assert_eq!((&whole.error, whole.data_lines, whole.bad_lines), (&None, 600, 0));
    assert_eq!((foreign.lines, foreign.bad_lines, foreign.repaired_lines), (2, 2, 1));
    assert!(foreign.to_string().contains("is it the right source?"), "{foreign}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json.pointer("/files/0/tables/bronze.chat_messages/inserted"), Some(&serde_json::json!(5)));
}

#[tokio::test]
async fn rows_before_the_first_day_are_kept_and_said() {
    let platform = Platform::new(Tz::UTC, "2026-01-12", "2026-01-13T12:00:00Z").await;
    let report = platform.ingest(Source::Irc, CHAT).await;
    let count = report.tables.get(&"bronze.chat_messages".parse().unwrap()).unwrap();
    assert_eq!((count.inserted, count.outside), (5, 5));
    assert!(report.to_string().contains("before the calendar's first day"), "{report}");
}

#[tokio::test]
async fn a_long_line_and_bad_bytes_are_counted_and_stop_nothing() {
    let platform = platform().await;
    let mut log = b"L 01/11/2026 - 17:00:00: Log file started\n".to_vec();
    log.extend(std::iter::repeat_n(b'x', 10_000_000));
    log.extend(b"\nL 01/11/2026 - 17:01:00: \"M\xff\0a<1><[U:1:9]><>\" entered the game\r\n");
    let report = platform.ingest(Source::Cs2, log).await;
    assert_eq!((report.lines, report.bad_lines, report.repaired_lines), (3, 1, 1));
    assert_eq!(problems(&report), [(Reason::TooLong, "line", 1, [2].as_slice())]);
    let rows: Vec<GameLogEvents> = platform.rows("line").await;
    let names: Vec<_> = rows.iter().filter_map(|row| row.name.as_deref()).collect();
    assert_eq!(names, ["M\u{fffd}a"]);
}
