//! One HTTP POST to a channel, and what its answer means.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};

use super::alert_channel::{AlertChannel, AlertMessage};

/// The longest a receiver may take to answer.
const POST_LIMIT: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes: only to tell a person why a message was refused.
const ANSWER_LIMIT: usize = 500;

/// No receiver is waited for longer than this at its word.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The receiver has it.
    Accepted {
        /// The status of the answer.
        status: u16,
    },
    /// The receiver will never take it.
    Refused {
        /// What it said.
        error: String,
    },
    /// It did not arrive, or not now.
    Failed {
        /// Why.
        error: String,
        /// How long the receiver asks to be left alone.
        retry_after: Option<Duration>,
    },
}

/// Posts messages; the connections are kept.
#[derive(Clone, Debug, Default)]
pub struct Poster {
    client: Option<Client>,
}

impl Poster {
    /// Posts `message` to `channel`, once. Errors name the host and never the rest of the URL.
    pub async fn post(&mut self, channel: &dyn AlertChannel, message: &AlertMessage, now: DateTime<Utc>) -> Posted {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Posted::Failed { error: described(&error.without_url()), retry_after: None },
        };
        // Not `json`, which would name the URL when it fails; the body is a value and cannot fail.
        let request = client
            .post(channel.url().secret())
            .header("content-type", "application/json")
            .body(channel.body(message).to_string());
        match request.send().await {
            Ok(response) => answer(response, channel, now).await,
            Err(error) => Posted::Failed {
                error: format!("{} does not answer: {}", channel.url().place(), described(&error.without_url())),
                retry_after: None,
            },
        }
    }

    fn client(&mut self) -> Result<Client, reqwest::Error> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .timeout(POST_LIMIT)
            // A webhook that moved has to be configured anew: its body is for this host and for no other.
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(1)
            .user_agent("karat")
            .build()?;
        self.client = Some(client.clone());
        Ok(client)
    }
}

async fn answer(response: Response, channel: &dyn AlertChannel, now: DateTime<Utc>) -> Posted {
    let status = response.status();
    if status.is_success() {
        return Posted::Accepted { status: status.as_u16() };
    }
    let retry_after = retry_after(&response, now);
    let text = beginning(response).await;
    let error = format!("{} answered {status}{}{text}", channel.url().place(), if text.is_empty() { "" } else { ": " });
    // The message itself is wrong: it would be refused again, and everything behind it would wait.
    if matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY) {
        Posted::Refused { error }
    } else {
        Posted::Failed { error, retry_after }
    }
}

/// In seconds, perhaps with a fraction, or as a date.
fn retry_after(response: &Response, now: DateTime<Utc>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now).to_std().ok()?,
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_LIMIT
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(ANSWER_LIMIT);
    let text = String::from_utf8_lossy(&bytes);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error with its causes: the outermost alone says only that sending failed.
fn described(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
