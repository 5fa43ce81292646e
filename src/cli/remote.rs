//! An installation elsewhere: the API of its server, asked as commands ask the database.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::options::Options;
use crate::service::InstanceView;

/// How long a connection, and an answer, may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 256 * 1024 * 1024;

/// For how long a server that does not answer is asked again, and how often.
const PATIENCE: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The longest page of a list.
pub(super) const PAGE: u32 = 500;

/// A question to a server, or something to do.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Call {
    /// What an address tells.
    pub(super) fn get<'s>(path: impl IntoIterator<Item = &'s str>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Something to do.
    pub(super) fn post<'s>(path: impl IntoIterator<Item = &'s str>) -> Self {
        Self::new(Method::POST, path)
    }

    fn new<'s>(method: Method, path: impl IntoIterator<Item = &'s str>) -> Self {
        Self { method, path: path.into_iter().map(str::to_owned).collect(), query: Vec::new(), body: None }
    }

    /// With a parameter, if it has a value.
    pub(super) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// With a body.
    pub(super) fn body(self, body: &impl Serialize) -> Self {
        // Plain data always becomes JSON.
        Self { body: Some(serde_json::to_value(body).unwrap_or_default()), ..self }
    }
}

/// The way to a server.
#[derive(Clone)]
pub(super) struct Remote {
    client: Client,
    base: Url,
    token: Option<String>,
}

/// A page of a list.
#[derive(Deserialize)]
struct Listed<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// A problem as the server tells it.
#[derive(Deserialize)]
struct Problem {
    kind: String,
    detail: String,
}

impl Remote {
    /// The server that the options name; `None` without one.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, Failure> {
        let Some(server) = options.server.as_deref().map(str::trim).filter(|server| !server.is_empty()) else {
            return Ok(None);
        };
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let base = Url::parse(server)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                usage("--server is no address of a server: write for example https://karat.example.org".to_owned())
            })?;
        if base.username() != "" || base.password().is_some() {
            return Err(usage("--server has a user or password in it: log in with a token, --token-file".to_owned()));
        }
        if base.scheme() == "http" && !is_loopback(&base) && !options.insecure {
            return Err(usage(format!(
                "{} is not encrypted, and everybody on the way could read the token: use https, or say --insecure",
                place(&base)
            )));
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            // The token is for this server and for no other.
            .redirect(redirect::Policy::none())
            .user_agent("karat")
            .build()
            .map_err(|error| Failure::new(Exit::Failure, format!("the program cannot speak https: {error}")))?;
        Ok(Some(Self { client, base, token: options.token()? }))
    }

    /// Scheme, host and port.
    pub(super) fn place(&self) -> String {
        place(&self.base)
    }

    /// What answers there.
    pub(super) async fn instance(&self) -> Result<InstanceView, Failure> {
        self.call(&Call::get(["instance"])).await
    }

    /// The answer to a call. A server that is away for a moment is waited for, and what changes something is done once
    /// however often it is sent.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Failure> {
        let key = Uuid::new_v4().to_string();
        let began = Instant::now();
        loop {
            let failure = match self.request(call, &key).send().await {
                Ok(response) => match self.read(response).await? {
                    Answer::Result(text) => return self.parsed(&text),
                    Answer::Later(failure) => failure,
                },
                // Nobody listens there: it is not away for a moment only, or the person gives the command again.
                Err(error) if error.is_builder() || error.is_connect() => return Err(self.unreachable(error)),
                Err(error) => self.unreachable(error),
            };
            if began.elapsed() >= PATIENCE {
                return Err(failure);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// A list: at most `limit` entries of it.
    pub(super) async fn list<T: DeserializeOwned>(&self, call: &Call, limit: Option<u32>) -> Result<Vec<T>, Failure> {
        let Some(limit) = limit else { return Ok(self.call::<Listed<T>>(call).await?.items) };
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let rest = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
            let page = call.clone().with("limit", Some(rest.min(PAGE))).with("cursor", cursor);
            let page: Listed<T> = self.call(&page).await?;
            items.extend(page.items);
            match page.next {
                Some(next) if items.len() < wanted => cursor = Some(next),
                _ => return Ok(items),
            }
        }
    }

    fn request(&self, call: &Call, key: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.client.request(call.method.clone(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if call.method == Method::POST {
            request = request.header("idempotency-key", key);
        }
        match &call.body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    async fn read(&self, mut response: Response) -> Result<Answer, Failure> {
        let status = response.status();
        let is_json = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|media_type| media_type.to_str().ok())
            .is_some_and(|media_type| media_type.contains("json"));
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if bytes.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Failure::new(Exit::Failure, format!("{} answers too much to be read", self.place())));
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() && is_json {
            return Ok(Answer::Result(text));
        }
        let problem: Option<Problem> = serde_json::from_str(&text).ok().filter(|_| is_json);
        let Some(problem) = problem else {
            let failure = Failure::new(
                Exit::Failure,
                format!("what answers at {} is no server of this program: it answers {status}", self.place()),
            );
            // As a proxy does while the server behind it starts.
            let is_away = matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
            return if is_away { Ok(Answer::Later(failure)) } else { Err(failure) };
        };
        let exit = match problem.kind.as_str() {
            "bad_request" | "nothing_found" | "wrong_shape" => Exit::Usage,
            "nothing_to_do" => Exit::Ok,
            "database" => Exit::Database,
            _ => Exit::Failure,
        };
        let detail = match problem.kind.as_str() {
            "login_needed" => {
                format!(
                    "{} wants to know who asks: give the token of an account with --token-file or KARAT_TOKEN",
                    self.place()
                )
            }
            "not_allowed" => {
                format!("{} does not allow this to the account of the token: {}", self.place(), problem.detail)
            }
            _ => problem.detail,
        };
        let failure = Failure::new(exit, detail);
        match problem.kind.as_str() {
            "in_progress" | "too_many_requests" => Ok(Answer::Later(failure)),
            _ => Err(failure),
        }
    }

    fn parsed<T: DeserializeOwned>(&self, text: &str) -> Result<T, Failure> {
        serde_json::from_str(text).map_err(|error| {
            Failure::new(
                Exit::Failure,
                format!(
                    "the answer of {} cannot be read, perhaps because it has another version: {error}",
                    self.place()
                ),
            )
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let mut reason: &dyn std::error::Error = &error;
        // The innermost says what is the matter; the outer ones repeat the address.
        while let Some(source) = reason.source() {
            reason = source;
        }
        let place = self.place();
        Failure::new(
            Exit::Database,
            format!("{place} does not answer: {reason}. Check that the server runs there and that --server names it"),
        )
    }
}

/// What came of a request.
enum Answer {
    /// A result, as JSON.
    Result(String),
    /// Nothing yet: to be asked again.
    Later(Failure),
}

fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
