//! A server of pages on a small installation, and its client.

use std::net::SocketAddr;
use std::sync::Arc;

use karat::asset::calendar::Calendar;
use karat::asset::definitions::Definitions;
use karat::engine::Wakeups;
use karat::service::{LoginPolicy, LoginProvider, PagesContext, Process, Service, listen};
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
        let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: APPLICATION.first_day };
        Self::with(lake, assets::definitions(calendar).unwrap()).await
    }

    /// With others who know people.
    pub(crate) async fn with_providers(providers: Vec<Arc<dyn LoginProvider>>) -> Self {
        let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: APPLICATION.first_day };
        Self::start(Lake::new().await, assets::definitions(calendar).unwrap(), providers).await
    }

    /// With other declarations, of whose tables none need be there.
    pub(crate) async fn with(lake: Lake, definitions: Definitions) -> Self {
        Self::start(lake, definitions, Vec::new()).await
    }

    async fn start(lake: Lake, definitions: Definitions, providers: Vec<Arc<dyn LoginProvider>>) -> Self {
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
            process: Process { version: APPLICATION.version, ..Process::default() },
            channels: Vec::new(),
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

/// The text as a form has it.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
