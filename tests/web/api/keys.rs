//! Requests with a key are carried out once.

use karat::service::Role;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn monday() -> Value {
    json!({ "selection": "lake.daily", "extent": { "text": "2026-03-02" } })
}

impl Server {
    async fn tell_with_key(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.send(self.telling(path).header("idempotency-key", key).json(body)).await
    }

    async fn runs(&self) -> usize {
        self.asked("/runs").await["items"].as_array().unwrap().len()
    }
}

#[tokio::test]
async fn the_same_request_with_the_same_key_launches_one_run() {
    let server = Server::new().await;
    server.lake.record(2, 4, 3).await;
    let first = server.tell_with_key("k1", "/runs", &monday()).await;
    let second = server.tell_with_key("k1", "/runs", &monday()).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""), "{}", first.text);
    assert_eq!((second.status, second.header("idempotency-replayed")), (201, "true"));
    assert_eq!((first.json(), first.header("content-type")), (second.json(), second.header("content-type")));
    let third = server.tell_with_key("k2", "/runs", &monday()).await;
    assert_ne!(third.json()["run_id"], first.json()["run_id"]);
    assert_eq!(server.runs().await, 2);
}

#[tokio::test]
async fn of_many_at_once_one_is_carried_out() {
    let server = Server::new().await;
    server.lake.record(2, 4, 3).await;
    let body = monday();
    let answers =
        futures_util::future::join_all((0..12).map(|_| server.tell_with_key("together", "/backfills", &body))).await;
    let mut ids = std::collections::BTreeSet::new();
    for answer in &answers {
        match answer.status {
            201 => drop(ids.insert(answer.json()["run_id"].to_string())),
            409 => {
                assert_eq!(answer.problem(), "in_progress");
                assert_eq!(answer.header("retry-after"), "1");
            }
            status => panic!("{status}: {}", answer.text),
        }
    }
    assert_eq!((ids.len(), server.runs().await), (1, 1));
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let server = Server::new().await;
    server.lake.record(2, 4, 3).await;
    assert_eq!(server.tell_with_key("k", "/runs", &monday()).await.status, 201);
    let tuesday = json!({ "selection": "lake.daily", "extent": { "text": "2026-03-03" } });
    for (path, body) in [("/runs", &tuesday), ("/backfills", &monday())] {
        let other = server.tell_with_key("k", path, body).await;
        assert_eq!((other.status, other.problem().as_str()), (422, "key_reused"));
    }
    assert_eq!(server.runs().await, 1);
    for key in ["", " ", "a\tb", &"k".repeat(201)] {
        assert_eq!(server.tell_with_key(key, "/runs", &monday()).await.problem(), "bad_request", "{key:?}");
    }
}

#[tokio::test]
async fn a_key_is_ones_own_in_a_role() {
    let server = Server::new().await;
    server.lake.record(2, 4, 3).await;
    let admin = server.token(Role::Admin).await;
    let less = server.service.create_token("somebody-admin", "less", Role::Operator, None).await.unwrap();
    let launch = async |token: &str| {
        let request = server.telling("/runs").header("idempotency-key", "k").bearer_auth(token).json(&monday());
        server.send(request).await
    };
    let first = launch(&admin).await;
    let again = launch(&admin).await;
    assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", first.json()));
    let other = launch(less.secret.reveal()).await;
    assert_eq!((other.status, other.header("idempotency-replayed")), (201, ""));
    assert_ne!(other.json()["run_id"], first.json()["run_id"]);
}

#[tokio::test]
async fn a_refusal_is_an_answer_like_any_other() {
    let server = Server::new().await;
    let refused = server.tell_with_key("k", "/runs/abcd/cancel", &json!({})).await;
    assert_eq!((refused.status, refused.problem().as_str()), (404, "nothing_found"));
    let again = server.tell_with_key("k", "/runs/abcd/cancel", &json!({})).await;
    assert_eq!((again.status, again.header("idempotency-replayed"), again.problem()), (404, "true", refused.problem()));
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let server = Server::new().await;
    server.lake.record(2, 4, 3).await;
    let first = server.tell_with_key("k", "/runs", &monday()).await;
    server.lake.clock.advance(chrono::TimeDelta::hours(23).to_std().unwrap());
    assert_eq!(server.tell_with_key("k", "/runs", &monday()).await.json(), first.json());
    server.lake.clock.advance(chrono::TimeDelta::hours(2).to_std().unwrap());
    let later = server.tell_with_key("k", "/runs", &monday()).await;
    assert_ne!(later.json()["run_id"], first.json()["run_id"]);
}

#[tokio::test]
async fn a_process_that_dies_over_a_request_leaves_it_neither_done_twice_nor_forgotten() {
    let server = Server::new().await;
    server.lake.record(2, 4, 3).await;
    assert_eq!(server.tell_with_key("k", "/runs", &monday()).await.status, 201);
    // As the process leaves it that dies after the launch and before it can record the answer.
    sqlx::query("update karat.idempotency_key set finished_at = null, status = null, media_type = null, answer = null")
        .execute(&server.lake.pool)
        .await
        .unwrap();
    let again = server.tell_with_key("k", "/runs", &monday()).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "in_progress"));
    assert_eq!(server.runs().await, 1);
}
