//! What is answered instead of a result.

use reqwest::Method;
use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn what_goes_wrong_is_a_problem_whoever_notices_it() {
    let server = Server::new().await;
    for (path, status, kind) in [
        ("/nothing", 404, "nothing_found"),
        ("/assets/gold.nothing", 404, "nothing_found"),
        ("/assets?selection=layer:nothing", 400, "bad_request"),
        ("/assets?selektion=*", 400, "bad_request"),
        ("/runs?limit=0", 400, "bad_request"),
        ("/runs?limit=501", 400, "bad_request"),
        ("/runs?limit=many", 400, "bad_request"),
        ("/runs?cursor=nonsense", 400, "bad_request"),
        ("/runs?state=asleep", 400, "bad_request"),
        ("/runs?asset=%00", 400, "bad_request"),
        ("/runs/%ff", 400, "bad_request"),
        ("/runs/zzzz", 404, "nothing_found"),
        ("/alerts/one", 400, "bad_request"),
        ("/alerts/1", 404, "nothing_found"),
        ("/ticks?around=2026-02-30", 400, "bad_request"),
        ("/progress?runs=me", 400, "bad_request"),
        ("/schedules/nothing/plan", 404, "nothing_found"),
        ("/schedules/nothing/ticks", 404, "nothing_found"),
        ("/schedules/nightly/ticks?cursor=70617374207469636b733a00", 400, "bad_request"),
        ("/runs/zzzz/versions", 404, "nothing_found"),
        ("/runs/00000000-0000-7000-8000-000000000000/versions", 404, "nothing_found"),
        ("/assets/gold.nothing/automation", 404, "nothing_found"),
        ("/assets/lake.daily/automation?count=51", 400, "bad_request"),
        ("/assets/gold.nothing/columns", 404, "nothing_found"),
        ("/assets/gold.nothing/figures", 404, "nothing_found"),
        ("/assets/lake.daily/figures?points=401", 400, "bad_request"),
        ("/assets/lake.daily/figures?partitions=nonsense", 400, "bad_request"),
    ] {
        let answer = server.ask(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, kind), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong_and_what_is_accepted() {
    let server = Server::new().await;
    let mut told = String::new();
    for path in [
        "/runs?limit=many",
        "/runs?live=perhaps",
        "/runs?cause=whim",
        "/assets/lake.daily/checks?limit=many",
        "/audit?before=",
        "/audit?before=99999999999999999999",
        "/ticks?around=2026-02-30",
        "/ticks?count=1&count=2",
        "/alerts/one",
    ] {
        let answer = server.ask(path).await;
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(!detail.contains("deserialize"), "{path}: {detail}");
        told.push_str(&format!("{path}: {detail}\n"));
    }
    insta::assert_snapshot!(told, @"
    /runs?limit=many: The parameter limit is a number from 1 to 500.
    /runs?live=perhaps: The parameter `live` is `true` or `false`.
    /runs?cause=whim: The parameter `cause` is one of `manual`, `backfill`, `retry`, `schedule`, `automation`, `sensor`, not `whim`.
    /assets/lake.daily/checks?limit=many: The parameter `limit` is a whole number such as 25.
    /audit?before=: The parameter `before` is a whole number such as 25.
    /audit?before=99999999999999999999: The parameter `before` is a smaller number.
    /ticks?around=2026-02-30: The parameter `around` is a day such as 2026-03-20, or an instant such as 2026-03-20T03:15:00Z where a time is meant.
    /ticks?count=1&count=2: The parameter `count` is given more than once.
    /alerts/one: A part of the address has to be a number or a whole id, and is neither.
    ");
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let server = Server::new().await;
    let body = |text: &'static str| server.telling("/plan").header("content-type", "application/json").body(text);
    for (request, status, kind) in [
        (server.telling("/plan").body("{}"), 415, "unsupported_media_type"),
        (body("{"), 400, "bad_request"),
        (body(""), 400, "bad_request"),
        (body("[]"), 422, "wrong_shape"),
        (body("{\"selection\": 1}"), 422, "wrong_shape"),
        (body("{\"selektion\": \"*\"}"), 422, "wrong_shape"),
        (body("{\"selection\": \"a\\u0000\"}"), 400, "bad_request"),
        (body("{\"selection\": \"layer:nothing\"}"), 400, "bad_request"),
        (
            server.telling("/marks").json(&json!({ "asset": "lake.events", "partitions": "all", "reason": " " })),
            422,
            "wrong_shape",
        ),
        (server.telling("/quarantine/release").json(&json!({})), 422, "wrong_shape"),
    ] {
        let answer = server.send(request).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, kind), "{}", answer.text);
    }
    let large = json!({ "selection": "a".repeat(70_000) }).to_string();
    let large = server.telling("/plan").header("content-type", "application/json").body(large);
    // A request that is far too large is cut off instead.
    if let Ok(answer) = large.send().await {
        assert_eq!(answer.status(), 413);
    }
}

#[tokio::test]
async fn another_method_is_told_which_there_are() {
    let server = Server::new().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = server.send(server.request(method, "/api/v1/runs")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method_not_allowed"));
        let allowed: std::collections::BTreeSet<&str> = answer.header("allow").split(',').collect();
        assert_eq!(allowed, ["GET", "HEAD", "POST"].into());
    }
}

#[tokio::test]
async fn what_is_fine_already_is_told_apart_from_what_cannot_be() {
    let server = Server::new().await;
    server.lake.record(2, 4, 3).await;
    let nothing = server.tell("/runs", &json!({ "selection": "*", "states": ["failed"] })).await;
    assert_eq!((nothing.status, nothing.problem().as_str()), (409, "nothing_to_do"), "{}", nothing.text);
    let computed =
        server.tell("/marks", &json!({ "asset": "lake.daily", "partitions": "2026-03-02", "reason": "x" })).await;
    assert_eq!((computed.status, computed.problem().as_str()), (409, "refused"), "{}", computed.text);
}
