//! A server of pages on a small installation, and its client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use karat::asset::calendar::Calendar;
use karat::asset::definitions::Definitions;
use karat::daemon::alert_channel::AlertChannel;
use karat::engine::Wakeups;
use karat::service::{LoginPolicy, LoginProvider, PagesContext, Password, Process, Retention, Role, Service, listen};
use reqwest::{Method, RequestBuilder, Response, redirect};
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::service_lake::{APPLICATION, Lake, assets};

/// A server of pages on the example application.
pub(crate) struct Server {
    pub(crate) lake: Lake,
    pub(crate) address: SocketAddr,
    pub(crate) service: Service,
    client: reqwest::Client,
    _stop: tokio_util::sync::DropGuard,
    _served: JoinHandle<std::io::Result<()>>,
}

/// An answer: the status and the text.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    /// The header's value; empty without it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The text between the tags of the page's main part.
    pub(crate) fn main(&self) -> &str {
        let from = self.text.find("<main").unwrap_or_default();
        let to = self.text.find("</main>").unwrap_or(self.text.len());
        &self.text[from..to]
    }
}

impl Server {
    /// On an empty installation. It is Friday, 20 March 2026, 11:00 in Berlin; its first day is Sunday, 1 March.
    pub(crate) async fn new() -> Self {
        Self::on(Lake::new().await).await
    }

    pub(crate) async fn on(lake: Lake) -> Self {
        Self::start(lake, Self::example(), Vec::new(), Vec::new(), Vec::new()).await
    }

    /// In a process that carries out these reconcilers, so often.
    pub(crate) async fn reconciling(reconcilers: Vec<(&'static str, Duration)>) -> Self {
        Self::start(Lake::new().await, Self::example(), Vec::new(), Vec::new(), reconcilers).await
    }

    /// With others who know people.
    pub(crate) async fn with_providers(providers: Vec<Arc<dyn LoginProvider>>) -> Self {
        Self::start(Lake::new().await, Self::example(), Vec::new(), providers, Vec::new()).await
    }

    fn example() -> Definitions {
        assets::definitions(calendar()).unwrap()
    }

    /// With other declarations, of whose tables none need be there.
    pub(crate) async fn with(lake: Lake, definitions: Definitions) -> Self {
        Self::start(lake, definitions, Vec::new(), Vec::new(), Vec::new()).await
    }

    /// The same with places that alerts go to.
    pub(crate) async fn serving(lake: Lake, definitions: Definitions, channels: Vec<Arc<dyn AlertChannel>>) -> Self {
        Self::start(lake, definitions, channels, Vec::new(), Vec::new()).await
    }

    async fn start(
        lake: Lake,
        definitions: Definitions,
        channels: Vec<Arc<dyn AlertChannel>>,
        providers: Vec<Arc<dyn LoginProvider>>,
        reconcilers: Vec<(&'static str, Duration)>,
    ) -> Self {
        let options = lake.database.connect_options();
        let service = Service::new(
            PgPoolOptions::new().connect_lazy_with(options.clone()),
            options.clone(),
            Arc::new(definitions),
            Arc::new(assets::migrations()),
            lake.clock.clone(),
        );
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let context = PagesContext {
            service: service.clone(),
            program: APPLICATION.name,
            process: Process {
                version: APPLICATION.version,
                retention: Some(Retention::default()),
                reconcilers,
                ..Process::default()
            },
            channels,
            wakeups: Some(Wakeups::listen(&options)),
            login: LoginPolicy::default(),
            providers,
            listener,
            stop: stop.clone(),
        };
        let served = tokio::spawn(karat::web::serve(context));
        let client = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { lake, address, service, client, _stop: stop.drop_guard(), _served: served }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// A token that may do what the role may; from then on everybody needs a login.
    pub(crate) async fn token(&self, role: Role) -> String {
        let password = Password::typed("correct horse battery staple".to_owned());
        let name = format!("somebody-{role}");
        self.service.create_account("ada", Role::Admin, Some(&password)).await.unwrap();
        self.service.create_account(&name, role, None).await.unwrap();
        self.service.create_token(&name, "a test", role, None).await.unwrap().secret.reveal().to_owned()
    }

    /// The page as somebody with that token sees it.
    pub(crate) async fn get_with(&self, token: &str, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).header("authorization", format!("Bearer {token}"))).await
    }

    /// Waits until the server knows how everything stands: the page says so by what it does not say.
    pub(crate) async fn get_until(&self, path: &str, is_there: impl Fn(&str) -> bool) -> Answer {
        let begun = std::time::Instant::now();
        loop {
            let answer = self.get(path).await;
            if is_there(&answer.text) {
                return answer;
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{path} stays as it is: {}", answer.text);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Posts a form as a browser does from one of the pages.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: String =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(body);
        self.send(request).await
    }
}

/// The days of the installation.
pub(crate) fn calendar() -> Calendar {
    Calendar { zone: chrono_tz::Europe::Berlin, first_day: APPLICATION.first_day }
}

/// The command lines on a page, as a shell gets them.
pub(crate) fn command_lines(html: &str) -> Vec<String> {
    let lines = html.split("<code class=\"cli\">").skip(1).map(|rest| rest.split("</code>").next().unwrap());
    lines
        .map(|line| {
            [("&#39;", "'"), ("&#34;", "\""), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")]
                .iter()
                .fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
        })
        .collect()
}

/// The text as a form has it.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
