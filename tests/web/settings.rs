//! Settings, alerts and the quarantine.

use std::sync::Arc;

use insta::assert_snapshot;
use karat::clock::Clock;
use karat::daemon::alert_channel::{AlertChannel, JsonWebhook};
use karat::service::Role;
use karat::store::Store;
use karat::store::alert::{AlertKind, NewAlert};
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Server, settings};
use crate::workshop::{workshop, write_late_readings};

fn page_settings() -> insta::Settings {
    let mut settings = settings();
    settings.add_filter(r"\d+([.,]\d+)? (B|kB|MB)\b", "[size]");
    settings.add_filter(r"<dd>\d+\.\d+[^<]*</dd>", "<dd>[version]</dd>");
    settings.add_filter(r"<dd>20\d\d[a-z]</dd>", "<dd>[time zones]</dd>");
    settings.add_filter(r"karat/00\d\d [a-z ]+", "karat/[newest]");
    settings.add_filter(r"(?s)<tr><td><span class=.mono soft.>karat\..*</tbody>", "[tables]</tbody>");
    settings.add_filter(r"http://127.0.0.1:\d+", "http://127.0.0.1:[port]");
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_says_what_it_is_made_of() {
    let server = Server::new().await;
    let _guard = page_settings().bind_to_scope();
    let page = server.get("/settings").await;
    assert!(page.text.contains("karat.step") && page.text.contains("lake.daily"), "{}", page.text);
    assert_snapshot!("settings", page.main());
}

/// A receiver that takes every message.
async fn receiver() -> Arc<dyn AlertChannel> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/xyzzy", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16_384];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    });
    Arc::new(JsonWebhook::new(url.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_alerts_arrive_can_be_tried_by_who_administers() {
    let server = workshop(vec![receiver().await]).await;
    let page = server.get("/settings").await;
    assert!(page.text.contains("Send a test message") && !page.text.contains("xyzzy"), "{}", page.text);
    let name = page.text.split("/settings/channels/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let path = format!("/settings/channels/{name}/test");
    assert_eq!(server.post(&path, &[]).await.header("location"), "/settings?done=delivered");
    assert_eq!(server.post("/settings/channels/nothing/test", &[]).await.status, 404);
    let operator = server.token(Role::Operator).await;
    let request = server.request(Method::POST, &path).header("authorization", format!("Bearer {operator}"));
    assert_eq!(server.send(request).await.status, 403);
    let page = server.get_with(&operator, "/settings").await;
    assert!(page.text.contains("Only an administrator may send test messages"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_listed_and_shown_and_hostile_ones_are_text() {
    let server = Server::new().await;
    let _guard = page_settings().bind_to_scope();
    assert_snapshot!("alerts_none", server.get("/alerts").await.main());
    let store = Store::new(server.lake.pool.clone());
    let now = server.lake.clock.now();
    let alert = |subject: &str, title: &str| NewAlert {
        kind: AlertKind::RunFailed,
        subject: subject.to_owned(),
        title: title.to_owned(),
        explanation: "It <b>failed</b>\nand again.".to_owned(),
        command: "run ls --state failed".to_owned(),
        evidence_from: None,
    };
    for (subject, title) in [("lake.daily", "lake.daily was not built"), ("<i>x</i>", "<script>alert(1)</script>")] {
        store.raise_alert(&alert(subject, title), now).await.unwrap();
    }
    let page = server.get("/alerts?open=yes").await;
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    assert_snapshot!("alerts", page.main());
    let id = page.text.split("href=\"/alerts/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = server.get(&format!("/alerts/{id}")).await;
    assert!(!page.text.contains("<b>failed") && !page.text.contains("<script>alert"), "{}", page.text);
    assert_snapshot!("alerts_one", page.main());
    assert!(server.get("/settings").await.text.contains("lake.daily was not built"));
    for path in ["/alerts/999999", "/alerts/x"] {
        assert_eq!(server.get(path).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_in_quarantine_are_released_or_discarded() {
    let server = workshop(Vec::new()).await;
    let _guard = page_settings().bind_to_scope();
    assert_snapshot!("quarantine_none", server.get("/quarantine").await.main());
    write_late_readings(&server, &["quiet", "<script>alert(1)</script>", "loud"]).await;
    let page = server.get("/quarantine?asset=workshop.readings").await;
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    assert_snapshot!("quarantine", page.main());
    let ids: Vec<String> =
        page.text.split("href=\"/quarantine/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 3);
    assert_snapshot!("quarantine_one", server.get(&format!("/quarantine/{}", ids[1])).await.main());
    let answer = server.post("/quarantine/discard", &[("row", &ids[1])]).await;
    assert_eq!(answer.header("location"), "/quarantine?done=discarded", "{}", answer.text);
    assert_eq!(server.post("/quarantine/discard", &[("row", &ids[1])]).await.status, 409);
    assert_eq!(server.post("/quarantine/release", &[]).await.status, 400);
    let answer = server.post("/quarantine/release", &[("asset", "workshop.readings")]).await;
    assert_eq!(answer.header("location"), "/quarantine?done=released", "{}", answer.text);
    let rows: i64 =
        sqlx::query_scalar("select count(*) from workshop.readings").fetch_one(&server.lake.pool).await.unwrap();
    assert_eq!(rows, 2);
    assert!(server.get(&format!("/quarantine/{}", ids[1])).await.main().contains("discarded"));
}
