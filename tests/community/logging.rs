//! What the program logs: for machines if they ask, with the step it is about, and never with a secret.

use std::process::Command;

use chrono_tz::Europe::Berlin;
use serde_json::Value;

use crate::support::Platform;

/// A password that must not turn up anywhere.
const SECRET: &str = "correct-horse-battery";

/// What the program writes to standard error when an asset is built with these options.
async fn logged(platform: &Platform, options: &[&str]) -> String {
    let url = platform.url().replacen('@', &format!(":{SECRET}@"), 1);
    let output = Command::new(env!("CARGO_BIN_EXE_community"))
        .args(["materialize", "+gold.daily_active_users", "2026-01-11", "--force"])
        .args(options)
        .env_clear()
        .env("DATABASE_URL", url)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(!errors.contains(SECRET), "{errors}");
    errors
}

fn with_message<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["fields"]["message"] == message).collect()
}

#[tokio::test]
async fn what_is_logged_of_a_step_names_its_run_asset_and_partition() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await;
    let text = logged(&platform, &["-vv", "--log-format", "json"]).await;
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_steps: Vec<&Value> = with_message(&lines, "an attempt has ended");
    assert_eq!(of_steps.len(), 5, "{text}");
    for line in of_steps {
        for field in ["run_id", "asset", "partition", "outcome"] {
            assert!(line["fields"][field].is_string(), "{field}: {line}");
        }
    }
    let ended = with_message(&lines, "the run has ended")[0];
    assert_eq!(ended["fields"]["outcome"], "succeeded");
    assert!(ended["fields"]["run_id"].is_string() && ended["timestamp"].is_string(), "{ended}");
    assert_eq!((&ended["level"], &ended["target"]), (&"INFO".into(), &"karat::engine::progress".into()));
}

#[tokio::test]
async fn no_verbosity_shows_the_password() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await;
    let text = logged(&platform, &["-vvv"]).await;
    assert!(text.contains("the run has ended"), "{text}");
}
