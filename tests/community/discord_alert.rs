//! Alerts in Discord: what the embed shows, and that it stays within what Discord takes.

use chrono::{DateTime, Utc};
use community::discord_alert::DiscordWebhook;
use insta::assert_snapshot;
use karat::daemon::alert_channel::{AlertChannel, AlertMessage, AlertState};
use serde_json::Value;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn message() -> AlertMessage {
    AlertMessage {
        kind: "run_failed".to_owned(),
        subject: "gold.daily_active_users".to_owned(),
        severity: "error".to_owned(),
        title: "gold.daily_active_users was not built: 2026-05-01".to_owned(),
        detail: "check unique_day: 2 offending rows (see below)\n@everyone `look`".to_owned(),
        command: "community why gold.daily_active_users 2026-05-01".to_owned(),
        ..AlertMessage::test("community", instant("2026-05-02T01:20:00Z"))
    }
}

fn body(message: &AlertMessage) -> Value {
    DiscordWebhook::new("https://discord.example/api/webhooks/1/token".parse().unwrap()).body(message)
}

#[test]
fn an_embed_says_what_is_wrong_since_when_and_how_to_look() {
    assert_snapshot!(serde_json::to_string_pretty(&body(&message())).unwrap(), @r#"
    {
      "allowed_mentions": {
        "parse": []
      },
      "embeds": [
        {
          "color": 14300988,
          "description": "check unique\\_day: 2 offending rows \\(see below\\)\n\\@everyone \\`look\\`",
          "fields": [
            {
              "inline": true,
              "name": "About",
              "value": "gold.daily\\_active\\_users"
            },
            {
              "inline": true,
              "name": "Since",
              "value": "<t:1777684800:f> (<t:1777684800:R>)"
            },
            {
              "inline": false,
              "name": "To look into it",
              "value": "```sh\ncommunity why gold.daily_active_users 2026-05-01\n```"
            }
          ],
          "footer": {
            "text": "community · run_failed"
          },
          "timestamp": "2026-05-02T01:20:00+00:00",
          "title": "gold.daily\\_active\\_users was not built: 2026-05-01"
        }
      ]
    }
    "#);
}

#[test]
fn the_color_and_the_first_word_say_whether_it_lasts() {
    let shown = |state, severity: &str| {
        let body = body(&AlertMessage { state, severity: severity.to_owned(), title: "x".to_owned(), ..message() });
        let embed = &body["embeds"][0];
        format!("{:06x} {}", embed["color"].as_u64().unwrap(), embed["title"].as_str().unwrap())
    };
    assert_eq!(shown(AlertState::Open, "error"), "da373c x");
    assert_eq!(shown(AlertState::Open, "warning"), "f0b232 x");
    assert_eq!(shown(AlertState::Reminder, "error"), "da373c Still: x");
    assert_eq!(shown(AlertState::Recovered, "error"), "23a55a Recovered: x");
    let recovered = body(&AlertMessage { recovered_at: Some(instant("2026-05-02T03:00:00Z")), ..message() });
    assert_eq!(recovered["embeds"][0]["fields"][2]["name"], "Until");
}

#[test]
fn no_text_is_longer_than_discord_takes_and_none_leaves_its_block() {
    let long = "😀*".repeat(5_000);
    let body = body(&AlertMessage {
        subject: long.clone(),
        title: long.clone(),
        detail: long.clone(),
        command: format!("why ``` {long}"),
        ..message()
    });
    let embed = &body["embeds"][0];
    let units = |value: &Value| value.as_str().unwrap().encode_utf16().count();
    assert!(units(&embed["title"]) <= 256 && units(&embed["title"]) > 250);
    assert!(units(&embed["description"]) <= 4_096);
    let fields = embed["fields"].as_array().unwrap();
    assert!(fields.iter().all(|field| units(&field["value"]) <= 1_024));
    let sum: usize = fields.iter().map(|field| units(&field["value"]) + units(&field["name"])).sum();
    assert!(sum + units(&embed["title"]) + units(&embed["description"]) <= 5_900, "6,000 in all");
    let command = fields.last().unwrap()["value"].as_str().unwrap();
    assert!(command.starts_with("```sh\n") && command.ends_with("\n```"));
    assert_eq!(command.matches("```").count(), 2);
}
