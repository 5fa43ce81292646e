//! A receiver of webhooks: keeps what it is sent, and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use karat::daemon::alert_channel::{JsonWebhook, WebhookUrl};
use serde_json::Value;

/// The part of the path that only who may post knows.
pub const SECRET: &str = "T0PS3CR3T";

/// A status, and perhaps what its `retry-after` says.
type Answer = (u16, Option<&'static str>);

#[derive(Clone, Default)]
struct Inbox {
    messages: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

/// A server on this machine that takes messages until it is dropped.
pub struct Receiver {
    inbox: Inbox,
    address: std::net::SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    pub async fn start() -> Self {
        let inbox = Inbox::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(inbox.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inbox, address, server }
    }

    pub fn url(&self) -> WebhookUrl {
        format!("http://{}/hooks/{SECRET}", self.address).parse().unwrap()
    }

    pub fn channel(&self) -> Arc<JsonWebhook> {
        Arc::new(JsonWebhook::new(self.url()))
    }

    /// The next answers, in this order; then it accepts everything.
    pub fn answer(&self, answers: &[Answer]) {
        self.inbox.answers.lock().unwrap().extend(answers);
    }

    /// What was accepted since the last call.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.inbox.messages.lock().unwrap())
    }

    /// `state title` of what was accepted since the last call.
    pub fn titles(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.take().iter().map(|message| format!("{}: {}", text(&message["state"]), text(&message["title"]))).collect()
    }
}

async fn take(State(inbox): State<Inbox>, body: String) -> (StatusCode, HeaderMap, &'static str) {
    let answer = inbox.answers.lock().unwrap().pop_front();
    if let Some((status, retry_after)) = answer {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = retry_after {
            headers.insert("retry-after", seconds.parse().unwrap());
        }
        return (StatusCode::from_u16(status).unwrap(), headers, "not\0now");
    }
    inbox.messages.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    (StatusCode::NO_CONTENT, HeaderMap::new(), "")
}
