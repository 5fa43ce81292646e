//! Alerts as Discord shows them: an embed with the command line to look with.

use std::sync::Arc;

use karat::daemon::alert_channel::{AlertChannel, AlertMessage, AlertState, WebhookUrl, webhook_of_environment};
use serde_json::{Value, json};

/// What holds the webhook's URL; with `_FILE` behind it, what holds the name of a file with it.
pub const VARIABLE: &str = "COMMUNITY_DISCORD_WEBHOOK";

/// Discord refuses longer texts, counted in UTF-16 units.
const TITLE_LIMIT: usize = 256;
const DESCRIPTION_LIMIT: usize = 2_000;
const FIELD_LIMIT: usize = 1_024;

const RED: u32 = 0x00DA_373C;
const YELLOW: u32 = 0x00F0_B232;
const GREEN: u32 = 0x0023_A55A;

/// A channel of a Discord server, by the URL of its webhook.
#[derive(Clone, Debug)]
pub struct DiscordWebhook {
    url: WebhookUrl,
}

impl DiscordWebhook {
    /// Alerts go there.
    #[must_use]
    pub const fn new(url: WebhookUrl) -> Self {
        Self { url }
    }
}

/// The channels that the environment names.
///
/// # Errors
/// When [`VARIABLE`] holds no URL.
pub fn channels() -> Result<Vec<Arc<dyn AlertChannel>>, String> {
    let url = webhook_of_environment(VARIABLE)?;
    Ok(url.map(|url| Arc::new(DiscordWebhook::new(url)) as Arc<dyn AlertChannel>).into_iter().collect())
}

impl AlertChannel for DiscordWebhook {
    fn name(&self) -> &str {
        "discord"
    }

    fn url(&self) -> &WebhookUrl {
        &self.url
    }

    fn body(&self, message: &AlertMessage) -> Value {
        let (color, prefix) = match (message.state, message.severity.as_str()) {
            (AlertState::Recovered, _) => (GREEN, "Recovered: "),
            (AlertState::Reminder, "error") => (RED, "Still: "),
            (AlertState::Reminder, _) => (YELLOW, "Still: "),
            (AlertState::Open, "error") => (RED, ""),
            (AlertState::Open, _) => (YELLOW, ""),
        };
        let mut fields = vec![
            field("About", &plain(&message.subject), true),
            field("Since", &instant(message.opened_at.timestamp()), true),
        ];
        if let Some(recovered_at) = message.recovered_at {
            fields.push(field("Until", &instant(recovered_at.timestamp()), true));
        }
        // In a code block nothing but its end has a meaning.
        let command = message.command.replace("```", "'''");
        fields.push(field("To look into it", &format!("```sh\n{}\n```", cut(&command, FIELD_LIMIT - 20)), false));
        json!({
            // Whatever a reason quotes: nobody is called.
            "allowed_mentions": { "parse": [] },
            "embeds": [{
                "title": cut(&format!("{prefix}{}", plain(&message.title)), TITLE_LIMIT),
                "description": cut(&plain(&message.detail), DESCRIPTION_LIMIT),
                "color": color,
                "fields": fields,
                "footer": { "text": format!("{} · {}", message.program, message.kind) },
                "timestamp": message.at.to_rfc3339(),
            }],
        })
    }
}

fn field(name: &str, value: &str, inline: bool) -> Value {
    json!({ "name": name, "value": cut(value, FIELD_LIMIT), "inline": inline })
}

/// Shown in the reader's own zone.
fn instant(timestamp: i64) -> String {
    format!("<t:{timestamp}:f> (<t:{timestamp}:R>)")
}

/// Without the meaning that Discord gives to signs: names of columns have underscores.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for sign in text.chars() {
        if "\\*_~`|>[]()#<@".contains(sign) {
            plain.push('\\');
        }
        plain.push(sign);
    }
    plain
}

/// At most `limit` UTF-16 units, with a mark where it was cut.
fn cut(text: &str, limit: usize) -> String {
    if text.encode_utf16().count() <= limit {
        return text.to_owned();
    }
    let mut units = 1;
    let mut kept: String = text
        .chars()
        .take_while(|sign| {
            units += sign.len_utf16();
            units <= limit
        })
        .collect();
    kept.push('…');
    kept
}
