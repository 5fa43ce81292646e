//! Where alerts are sent: a URL that takes JSON, and what the JSON looks like.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A place that takes messages about alerts by HTTP POST.
///
/// Messages arrive at least once: one that was accepted in the moment before the process died is sent again.
pub trait AlertChannel: Send + Sync {
    /// Its name in the state and on the command line: one word. What was delivered is remembered by it.
    fn name(&self) -> &str;

    /// Where to.
    fn url(&self) -> &WebhookUrl;

    /// What is sent: JSON, as the receiver wants it.
    fn body(&self, message: &AlertMessage) -> Value;
}

/// Whether an alert lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It began.
    Open,
    /// It still lasts.
    Reminder,
    /// It ended.
    Recovered,
}

/// What a channel says about an alert. As JSON this is the body of the generic webhook; fields are added in later
/// versions and none is taken away without counting up `version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertMessage {
    /// Of this form: 1.
    pub version: u32,
    /// The same for every try to deliver the same message.
    pub id: String,
    /// The program that says it.
    pub program: String,
    /// `run_failed`, `check_failed`, `freshness_failed`, `scheduler_stalled`, `quarantine_grew`; `summary` for several
    /// alerts in one message, `test` for a test.
    pub kind: String,
    /// What it is about: an asset, a check, a reconciler.
    pub subject: String,
    /// Whether it lasts.
    pub state: AlertState,
    /// `warning` or `error`.
    pub severity: String,
    /// In a line.
    pub title: String,
    /// What is known, in sentences and perhaps several lines.
    pub detail: String,
    /// The command line to look with.
    pub command: String,
    /// When this was written.
    pub at: DateTime<Utc>,
    /// When it was noticed.
    pub opened_at: DateTime<Utc>,
    /// When it ended.
    pub recovered_at: Option<DateTime<Utc>>,
}

impl AlertMessage {
    /// The version of this form.
    pub const VERSION: u32 = 1;

    /// A message that only shows that messages arrive.
    #[must_use]
    pub fn test(program: &str, now: DateTime<Utc>) -> Self {
        Self {
            version: Self::VERSION,
            id: format!("test-{}", now.timestamp()),
            program: program.to_owned(),
            kind: "test".to_owned(),
            subject: "test".to_owned(),
            state: AlertState::Open,
            severity: "warning".to_owned(),
            title: "This is a test".to_owned(),
            detail: "Nothing is wrong: somebody asked whether alerts arrive. They do.".to_owned(),
            command: format!("{program} alert ls"),
            at: now,
            opened_at: now,
            recovered_at: None,
        }
    }
}

/// The URL of a webhook: whoever knows it can post there, so it does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(reqwest::Url);

/// A text that is no URL to post to. It does not repeat the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no URL of a webhook: it begins with https:// (or http://) and a host")]
pub struct WebhookUrlError;

impl WebhookUrl {
    /// The URL itself, to post to and not to print.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.0.as_str()
    }

    /// Scheme, host and port: what may be shown.
    #[must_use]
    pub fn place(&self) -> String {
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        let url = reqwest::Url::parse(text.trim()).map_err(|_| WebhookUrlError)?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        if is_web { Ok(Self(url)) } else { Err(WebhookUrlError) }
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WebhookUrl({}/…)", self.place())
    }
}

/// The URL of a webhook in the environment variable `name`, or in the file that `name` with `_FILE` behind it names;
/// `None` when neither is set, or both are blank.
///
/// # Errors
/// A sentence that names the variable when it holds no URL, or the file cannot be read.
pub fn webhook_of_environment(name: &str) -> Result<Option<WebhookUrl>, String> {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let file_name = format!("{name}_FILE");
    let (from, text) = match (set(name), set(&file_name)) {
        (Some(text), _) => (name.to_owned(), text),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path.trim())
                .map_err(|error| format!("{file_name} names {}, which cannot be read: {error}", path.trim()))?;
            (format!("the file in {file_name}"), text)
        }
        (None, None) => return Ok(None),
    };
    text.parse().map(Some).map_err(|error| format!("{from}: {error}"))
}

/// The channels of a program beside the generic webhook, as its environment says; an error is a sentence for whoever
/// set the environment.
pub type AlertChannels = fn() -> Result<Vec<Arc<dyn AlertChannel>>, String>;

/// The generic webhook: an [`AlertMessage`] as JSON.
#[derive(Clone, Debug)]
pub struct JsonWebhook {
    url: WebhookUrl,
}

impl JsonWebhook {
    /// Its name as a channel.
    pub const NAME: &'static str = "webhook";

    /// A channel that posts there.
    #[must_use]
    pub const fn new(url: WebhookUrl) -> Self {
        Self { url }
    }
}

impl AlertChannel for JsonWebhook {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn url(&self) -> &WebhookUrl {
        &self.url
    }

    fn body(&self, message: &AlertMessage) -> Value {
        // A struct of texts and times always becomes JSON.
        serde_json::to_value(message).unwrap_or_default()
    }
}
