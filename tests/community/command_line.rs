//! The program itself: its verbs, what it prints, and how it ends.

use std::fs;

use chrono_tz::Europe::Berlin;
use serde_json::Value;

use crate::ingest::{CHAT, CS2, GATEWAY};
use crate::support::Platform;

#[tokio::test]
async fn from_files_to_figures() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (gateway, log, chat) = (file("gateway.jsonl", GATEWAY), file("cs2.log", CS2), file("chat.csv", CHAT));
    let (exit, output, errors) = platform.run(&["ingest", "discord", &gateway]);
    assert_eq!(exit, 0, "{errors}");
    assert!(output.contains("gateway.jsonl: 18 lines: 9 data, 5 ignored, 4 bad"), "{output}");
    assert!(output.contains("bronze.discord_voice_states: 5 new, 0 already there"), "{output}");
    assert!(output.contains("community backfill '*' --missing --stale"), "{output}");

    let (exit, output, errors) =
        platform.run(&["ingest", "cs2", "--game-server", "arena", "--server-zone", "Europe/Berlin", "--json", &log]);
    assert_eq!(exit, 0, "{errors}");
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report.pointer("/files/0/bad_lines"), Some(&Value::from(2)));

    let missing = folder.path().join("missing.csv").display().to_string();
    let (exit, output, _) = platform.run(&["ingest", "irc", &missing, &chat]);
    assert_eq!(exit, 1);
    assert!(output.contains("missing.csv: 0 lines"), "{output}");
    assert!(output.contains("the file cannot be read"), "{output}");
    assert!(output.contains("bronze.chat_messages: 5 new"), "{output}");

    let (exit, output, errors) = platform.run(&["materialize", "+gold.daily_active_users", "2026-01-11", "--force"]);
    assert_eq!(exit, 0, "{output}{errors}");
    let users: i64 = sqlx::query_scalar("select users from gold.daily_active_users where day = '2026-01-11'")
        .fetch_one(&platform.pool)
        .await
        .unwrap();
    // No links were given: two of Discord, two nicks and the renamed one, two players; irc:7 and irc:9 are one.
    assert_eq!(users, 6);
}

#[tokio::test]
async fn wrong_usage_is_said_with_code_2() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await;
    for (arguments, hint) in [
        (["ingest", "discrod", "file", "--quiet"], "discord"),
        (["ingest", "discord", "--quiet", "--json"], "FILE"),
        (["ingest", "cs2", "file", "--game-server=a b"], "1 to 64 letters"),
        (["ingest", "cs2", "file", "--server-zone=Berlin"], "Europe/Berlin"),
        (["ingest", "discord", "file", "--at=yesterday"], "--at"),
    ] {
        let (exit, _, errors) = platform.run(&arguments);
        assert_eq!(exit, 2, "{arguments:?}: {errors}");
        assert!(errors.contains(hint), "{arguments:?}: {errors}");
    }
}
