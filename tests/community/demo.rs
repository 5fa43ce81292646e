//! The demonstration: the same everywhere, readable to the last line, and alive.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Weekday};
use community::collect::batch::Batch;
use community::collect::ingest::{Source, collector};
use community::collect::tally::Tally;
use community::demo::{self, Era};
use community::gold::{DailyActiveUsers, RetentionCohorts};
use community::silver::{FactGameSessions, FactVoiceSessions};
use sha2::{Digest, Sha256};

use crate::ingest::CHAT;
use crate::support::Platform;

/// Reads all files without a database.
fn read() -> (Batch, Tally) {
    let (mut batch, mut tally) = (Batch::default(), Tally::default());
    for file in demo::files(Era::FIXED) {
        let mut collector = collector(file.source, file.server, demo::ZONE, None);
        for (number, line) in (1..).zip(String::from_utf8(file.content).unwrap().lines()) {
            collector.line(number, line, &mut batch, &mut tally);
        }
        collector.end_of_file(&mut batch);
    }
    (batch, tally)
}

#[test]
fn it_is_the_same_everywhere() {
    let mut hash = Sha256::new();
    let mut files = demo::files(Era::FIXED);
    // Links count first, whatever is read first.
    files.rotate_right(1);
    for file in files {
        hash.update(file.name.as_bytes());
        hash.update(&file.content);
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    // Whoever has the demonstration in a database would find a second, different one in it: change it knowingly.
    assert_eq!(hash, "212bdb73e24f294c28432e17e030575824a521c8bdbb92bc6a1fa5410ba5fc29");
}

#[test]
fn every_line_of_it_is_understood() {
    let (batch, tally) = read();
    assert_eq!((tally.bad, tally.repaired), (0, 0), "{:?}", tally.problems);
    let figures = BTreeMap::from([
        ("voice states", batch.voice_states.len()),
        ("messages", batch.messages.len()),
        ("members", batch.members.len()),
        ("connection", batch.connection.len()),
        ("game log events", batch.game_log_events.len()),
        ("links", batch.identity_links.len()),
    ]);
    for (what, rows) in &figures {
        assert!(*rows >= 100, "{what}: {figures:?}");
    }
    assert!(batch.messages.iter().all(|message| message.characters > 0));
    assert_eq!(Era::FIXED.last_day().to_string(), "2026-05-31");
}

#[tokio::test]
async fn it_becomes_a_living_community_and_a_second_time_changes_nothing() {
    let platform = Platform::new(demo::ZONE, "2026-01-01", "2026-06-01T12:00:00Z").await;
    let (first, output, errors) = platform.run(&["demo"]);
    assert_eq!(first, 0, "{output}{errors}");
    let counts = platform.row_counts().await;
    assert!(
        counts.iter().filter(|(table, _)| *table != "bronze.chat_messages").all(|(_, count)| *count > 0),
        "{counts:?}"
    );
    let summary = demo::summary(&platform.pool, Era::FIXED).await.unwrap();
    assert!(output.contains(summary.trim_end()), "{output}");

    let daily: Vec<DailyActiveUsers> = platform.rows("day").await;
    assert_eq!(daily.len(), usize::try_from(demo::DAYS).unwrap(), "somebody is there every day");
    let mean = |weekdays: &[Weekday]| {
        let users: Vec<i64> =
            daily.iter().filter(|row| weekdays.contains(&row.day.weekday())).map(|row| row.users).collect();
        users.iter().sum::<i64>() / i64::try_from(users.len()).unwrap()
    };
    assert!(mean(&[Weekday::Sat]) * 10 > mean(&[Weekday::Tue, Weekday::Wed]) * 13, "weekends are busier");
    let cohorts: Vec<RetentionCohorts> = platform.rows("month, cohort_month").await;
    assert_eq!(cohorts.len(), 10, "a triangle of four months");
    for cohort in cohorts.iter().filter(|row| row.months_since > 0) {
        let size = cohorts.iter().find(|row| row.month == cohort.cohort_month && row.months_since == 0).unwrap().users;
        assert!(
            cohort.users * 10 > size && cohort.users * 10 < size * 9,
            "some stay, some leave: {cohort:?} of {size}"
        );
    }
    let sessions: Vec<FactVoiceSessions> = platform.rows("day").await;
    for reason in ["left", "switched", "restart", "last_evidence", "midnight"] {
        assert!(sessions.iter().any(|row| row.end_reason == reason), "no voice session ends with {reason}");
    }
    let servers: BTreeSet<String> =
        platform.rows::<FactGameSessions>("day").await.into_iter().map(|row| row.server).collect();
    assert_eq!(servers.len(), 3);

    let (second, output, errors) = platform.run(&["demo"]);
    assert_eq!(second, 0, "{output}{errors}");
    assert!(errors.contains("Everything is built already."), "{errors}");
    assert!(output.contains(summary.trim_end()), "{output}");
    assert_eq!(platform.row_counts().await, counts);
}

#[tokio::test]
async fn invented_people_are_not_mixed_with_others() {
    let platform = Platform::new(demo::ZONE, "2026-01-01", "2026-06-01T12:00:00Z").await;
    platform.ingest(Source::Irc, CHAT).await;
    let counts = platform.row_counts().await;
    let (exit, output, errors) = platform.run(&["demo"]);
    assert_eq!(exit, 1, "{output}{errors}");
    assert!(errors.contains("already holds a community"), "{errors}");
    assert_eq!(platform.row_counts().await, counts);
}
