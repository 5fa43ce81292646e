//! Looking at pages that become what they should a moment after something happened.

use std::time::{Duration, Instant};

use karat::service::{Password, Role, Secret};
use reqwest::Method;

use crate::server::{Answer, Server};
use crate::service_lake::settings;

/// Nothing takes longer to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The page, as soon as its main part says so.
pub(crate) async fn shown(server: &Server, path: &str, what: &str) -> Answer {
    let began = Instant::now();
    loop {
        let page = server.get(path).await;
        if page.main().contains(what) {
            return page;
        }
        assert!(began.elapsed() < PATIENCE, "{path} does not say {what:?}: {}", page.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until nothing is under way any more and the first page says so too.
pub(crate) async fn settled(server: &Server, what: &str) -> Answer {
    let began = Instant::now();
    loop {
        let page = server.get("/").await;
        if is_at_rest(&page, what) {
            // This answer is made from everything that was committed before; what the page shows is then no older.
            assert_eq!(server.get("/api/v1/status").await.status, 200);
            let page = server.get("/").await;
            if is_at_rest(&page, what) {
                return page;
            }
        }
        assert!(began.elapsed() < PATIENCE, "work does not end: {}", page.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_at_rest(page: &Answer, what: &str) -> bool {
    let main = page.main();
    main.contains(what) && !main.contains("under way") && !main.contains(">running<")
}

/// The main part of a page without what differs from run to run.
pub(crate) fn main_part(page: &Answer) -> String {
    assert_eq!(page.status, 200, "{}", page.text);
    let lines = page.main().lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// Settings that hide ids and hashes.
pub(crate) fn hiding_ids() -> insta::Settings {
    let mut settings = settings();
    settings.add_filter(r"\b\d+:[0-9a-f]{8,32}\b", "[hash]");
    settings.add_filter(r"\b[0-9a-f]{10}\b", "[hash]");
    settings.add_filter(r"\b[0-9a-f]{32,64}\b", "[hash]");
    settings.add_filter(r"\b[0-9a-f]{16}\b", "[hash]");
    settings.add_filter(r"(<dt>By</dt><dd>).*?</dd>", "$1[user]</dd>");
    settings
}

/// Somebody who may look and nothing else.
pub(crate) struct Onlooker {
    secret: Secret,
}

impl Onlooker {
    pub(crate) async fn of(server: &Server) -> Self {
        let password = Password::chosen("correct horse battery staple".to_owned()).unwrap();
        server.service.create_account("ada", Role::Admin, Some(&password)).await.unwrap();
        server.service.create_account("eve", Role::Viewer, None).await.unwrap();
        let token = server.service.create_token("eve", "tests", Role::Viewer, None).await.unwrap();
        Self { secret: token.secret }
    }

    pub(crate) async fn get(&self, server: &Server, path: &str) -> Answer {
        server.send(server.request(Method::GET, path).bearer_auth(self.secret.reveal())).await
    }

    pub(crate) async fn post(&self, server: &Server, path: &str, body: &str) -> Answer {
        let request = server
            .request(Method::POST, path)
            .bearer_auth(self.secret.reveal())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(body.to_owned());
        server.send(request).await
    }
}
