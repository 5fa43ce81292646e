//! Settings, alerts and the quarantine.

use std::sync::Arc;

use karat::clock::Clock;
use karat::daemon::alert_channel::{AlertChannel, JsonWebhook};
use karat::service::Role;
use karat::store::Store;
use karat::store::alert::{AlertKind, NewAlert};
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::look::{masks, shot, shot_with};
use crate::server::{Answer, Server};
use crate::workshop::{workshop, write_late_readings};

/// The page about the installation, without what differs between versions.
#[track_caller]
fn shot_of_settings(name: &str, page: &Answer) {
    let mut settings = masks();
    settings.add_filter(r"<dd>\d+\.\d+[^<]*</dd>", "<dd>[version]</dd>");
    settings.add_filter(r"<dd>20\d\d[a-z]</dd>", "<dd>[time zones]</dd>");
    settings.add_filter(r"karat/00\d\d [a-z ]+", "karat/[newest]");
    settings.add_filter(r"(?s)<tr><td><span class=.mono soft.>karat\..*</tbody>", "[tables]</tbody>");
    shot_with(settings, name, page);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_says_what_it_is_made_of() {
    let server = Server::new().await;
    let page = server.get("/settings").await;
    assert!(page.text.contains("karat.step") && page.text.contains("lake.daily"), "{}", page.text);
    shot_of_settings("settings_alone", &page);
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
    sqlx::query(
        "insert into karat.reconciler (name, worker_id, started_at, finished_at, succeeded_at, error, report) values
            ('alerts', gen_random_uuid(), $1, $1, $1, null, null),
            ('janitor', gen_random_uuid(), $1, $1, $1, null, 'removed 2 runs'),
            ('scheduler', gen_random_uuid(), $1, $1, $1, 'the database is read-only', null),
            ('sensors', gen_random_uuid(), $1, null, null, null, null)",
    )
    .bind(server.lake.clock.now())
    .execute(&server.lake.pool)
    .await
    .unwrap();
    write_late_readings(&server, &["quiet"]).await;
    shot_of_settings("settings_busy", &server.get("/settings").await);
    let name = page.text.split("/settings/channels/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let path = format!("/settings/channels/{name}/test");
    assert_eq!(server.post(&path, &[]).await.header("location"), "/settings?done=delivered");
    shot_of_settings("settings_delivered", &server.get("/settings?done=delivered").await);
    assert_eq!(server.post("/settings/channels/nothing/test", &[]).await.status, 404);
    let operator = server.token(Role::Operator).await;
    let request = server.request(Method::POST, &path).header("authorization", format!("Bearer {operator}"));
    assert_eq!(server.send(request).await.status, 403);
    shot_of_settings("settings_operator", &server.get_with(&operator, "/settings").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_listed_and_shown_and_hostile_ones_are_text() {
    let server = Server::new().await;
    shot("alerts_none", &server.get("/alerts").await);
    shot("alerts_none_open", &server.get("/alerts?open=yes").await);
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
    shot("alerts_open", &page);
    let id = page.text.split("href=\"/alerts/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = server.get(&format!("/alerts/{id}")).await;
    assert!(!page.text.contains("<b>failed") && !page.text.contains("<script>alert"), "{}", page.text);
    shot("alert_open", &page);
    assert!(server.get("/settings").await.text.contains("lake.daily was not built"));
    for statement in [
        "update karat.alert set recovered_at = '2026-03-20T09:59:00Z', opened_at = '2026-03-20T08:00:00Z'
         where alert_id = (select min(alert_id) from karat.alert)",
        "insert into karat.alert_delivery
            (alert_id, channel, event, state, tries, created_at, next_try_at, last_error, delivered_at)
         select alert_id, 'webhook', event, state, tries, '2026-03-20T08:00:00Z', '2026-03-20T10:05:00Z', error, delivered
         from (select min(alert_id) as alert_id from karat.alert) as first, (values
            ('opened', 'delivered', 1, null, '2026-03-20T08:00:01Z'::timestamptz),
            ('reminded', 'waiting', 3, 'connection refused', null),
            ('recovered', 'given_up', 9, 'answered 500', null)) as said (event, state, tries, error, delivered)",
    ] {
        sqlx::query(statement).execute(&server.lake.pool).await.unwrap();
    }
    shot("alerts_all", &server.get("/alerts").await);
    let first: i64 =
        sqlx::query_scalar("select min(alert_id) from karat.alert").fetch_one(&server.lake.pool).await.unwrap();
    shot("alert_over", &server.get(&format!("/alerts/{first}")).await);
    shot("alerts_none_older", &server.get(&format!("/alerts?before={first}")).await);
    shot("alert_unknown", &server.get("/alerts/999999").await);
    assert_eq!(server.get("/alerts/x").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_in_quarantine_are_released_or_discarded() {
    let server = workshop(Vec::new()).await;
    shot("quarantine_none", &server.get("/quarantine").await);
    write_late_readings(&server, &["quiet", "<script>alert(1)</script>", "loud"]).await;
    let page = server.get("/quarantine?asset=workshop.readings").await;
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    shot("quarantine_of_asset", &page);
    shot("quarantine_some", &server.get("/quarantine").await);
    let ids: Vec<String> =
        page.text.split("href=\"/quarantine/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 3);
    shot("quarantined_waiting", &server.get(&format!("/quarantine/{}", ids[1])).await);
    let answer = server.post("/quarantine/discard", &[("row", &ids[1])]).await;
    assert_eq!(answer.header("location"), "/quarantine?done=discarded", "{}", answer.text);
    shot("quarantine_discarded", &server.get("/quarantine?done=discarded").await);
    shot("quarantined_discarded", &server.get(&format!("/quarantine/{}", ids[1])).await);
    shot("quarantine_refused", &server.post("/quarantine/discard", &[("row", &ids[1])]).await);
    assert_eq!(server.post("/quarantine/release", &[]).await.status, 400);
    let answer = server.post("/quarantine/release", &[("asset", "workshop.readings")]).await;
    assert_eq!(answer.header("location"), "/quarantine?done=released", "{}", answer.text);
    let rows: i64 =
        sqlx::query_scalar("select count(*) from workshop.readings").fetch_one(&server.lake.pool).await.unwrap();
    assert_eq!(rows, 2);
    shot("quarantined_released", &server.get(&format!("/quarantine/{}", ids[0])).await);
    shot("quarantined_unknown", &server.get("/quarantine/999999").await);
    write_late_readings(&server, &["much", "too", "late", "again"]).await;
    let viewer = server.token(Role::Viewer).await;
    let page = server.get_with(&viewer, "/quarantine?asset=workshop.readings").await;
    shot("quarantine_viewer", &page);
    let waiting = page.text.split("href=\"/quarantine/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    shot("quarantined_viewer", &server.get_with(&viewer, &format!("/quarantine/{waiting}")).await);
}
