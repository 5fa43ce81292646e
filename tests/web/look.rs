//! Looking at pages that become what they should a moment after something happened.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use karat::engine::{Worker, WorkerSettings};
use karat::service::{Password, Role, Secret};
use reqwest::Method;
use tokio_util::sync::CancellationToken;

use crate::html;
use crate::server::{Answer, Server};
use crate::service_lake::settings;

/// Nothing takes longer to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The page, as soon as its main part says so and it is known how everything stands.
pub(crate) async fn shown(server: &Server, path: &str, what: &str) -> Answer {
    let began = Instant::now();
    loop {
        // This is answered when everything was looked at.
        server.get("/api/v1/status").await;
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

/// Holds what is answered against its snapshot: the main part of a page, or a part that is asked for alone. It has to be
/// sound HTML; what differs from run to run is hidden.
#[track_caller]
pub(crate) fn shot(name: &str, answer: &Answer) {
    shot_with(masks(), name, answer);
}

/// The same where more differs from run to run.
#[track_caller]
pub(crate) fn shot_with(masks: insta::Settings, name: &str, answer: &Answer) {
    let problems = html::problems(&answer.text);
    assert!(problems.is_empty(), "{name}: {problems:#?}\n{}", answer.text);
    let status = if answer.status == 200 { String::new() } else { format!("{}:\n", answer.status) };
    hold(&masks, name, &(status + answer.main()));
}

/// The same with a picture, or with what stands around the main part of a page.
#[track_caller]
pub(crate) fn shot_of(name: &str, html: &str) {
    let problems = html::problems(html);
    assert!(problems.is_empty(), "{name}: {problems:#?}\n{html}");
    hold(&masks(), name, html);
}

#[track_caller]
fn hold(masks: &insta::Settings, name: &str, text: &str) {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    masks.bind(|| assert_snapshot!(name, lines.join("\n")));
}

/// Settings that hide ids, hashes, secrets, sizes, versions, and who runs the tests.
pub(crate) fn masks() -> insta::Settings {
    let mut settings = settings();
    for (pattern, replacement) in [
        (r"\b\d+:[0-9a-f]{8,32}\b", "[hash]"),
        (r"\b[0-9a-f]{10}\b", "[hash]"),
        (r"\b[0-9a-f]{32,64}\b", "[hash]"),
        (r"\b[0-9a-f]{16}\b", "[hash]"),
        (r"(<dt>By</dt><dd>).*?</dd>", "$1[user]</dd>"),
        (r#"<code class="secret">[^<]*</code>"#, r#"<code class="secret">[secret]</code>"#),
        (r"\bkarat_[0-9A-Za-z]{6,}", "[token]"),
        (r"\b\d+([.,]\d+)? (B|kB|MB)\b", "[size]"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
        (r"(<p class=.soft.>)[^<,]+, (process|Prozess) \d+", "$1[host], $2 [id]"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// The part of a page that htmx asks for alone; in German, so that its words are looked at as well.
pub(crate) async fn part_of(server: &Server, path: &str) -> Answer {
    let request = server.request(Method::GET, path).header("hx-request", "true").header("accept-language", "de");
    let part = server.send(request).await;
    assert!(!part.text.contains("<html"), "{path} is a part: {}", part.text);
    part
}

/// A worker with two slots, as if it had claimed the first step there is.
pub(crate) async fn begin_first_step(server: &Server) -> Worker {
    let slots = WorkerSettings { slots: 2, ..WorkerSettings::default() };
    let worker = server.service.worker(server.lake.logs.clone(), slots);
    worker.register(&CancellationToken::new()).await.unwrap();
    sqlx::query(
        "update karat.step set state = 'running', worker_id = $1, started_at = '2026-03-20T09:59:00Z'
         where step_id = (select min(step_id) from karat.step where state in ('pending', 'ready'))",
    )
    .bind(worker.worker_id())
    .execute(&server.lake.pool)
    .await
    .unwrap();
    worker
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
