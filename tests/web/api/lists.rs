//! Pages of lists, and answers that are kept.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn a_walk_through_a_list_meets_everything_once() {
    let server = Server::new().await;
    server.lake.record(2, 4, 3).await;
    let mut launched = BTreeSet::new();
    for _ in 0..7 {
        let run = server.tell("/runs", &json!({ "selection": "lake.daily", "extent": { "text": "2026-03-02" } })).await;
        assert_eq!(run.status, 201, "{}", run.text);
        launched.insert(run.json()["run_id"].as_str().unwrap().to_owned());
    }
    let mut met = Vec::new();
    let mut address = "/runs?limit=2".to_owned();
    for page in 1.. {
        let answer = server.asked(&address).await;
        met.extend(answer["items"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()));
        // A run that begins meanwhile is on no later page.
        server.tell("/runs", &json!({ "selection": "lake.daily", "extent": { "text": "2026-03-03" } })).await;
        match answer["next"].as_str() {
            Some(next) => address = format!("/runs?limit=2&cursor={next}"),
            None => {
                assert!(page >= 4, "{page} pages");
                break;
            }
        }
    }
    assert_eq!(met.len(), launched.len());
    assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), launched);
    // A cursor of one list is none of another.
    let cursor = server.asked("/runs?limit=1").await["next"].as_str().unwrap().to_owned();
    assert_eq!(server.ask(&format!("/backfills?cursor={cursor}")).await.status, 400);
}

#[tokio::test]
async fn partitions_and_steps_are_lists_too() {
    let server = Server::new().await;
    server.lake.record(1, 19, 2).await;
    let mut keys = Vec::new();
    let mut address = "/assets/lake.daily/partitions?limit=7".to_owned();
    loop {
        let answer = server.asked(&address).await;
        let items = answer["items"].as_array().unwrap();
        keys.extend(items.iter().map(|item| item["partition"].as_str().unwrap().to_owned()));
        match answer["next"].as_str() {
            Some(next) => address = format!("/assets/lake.daily/partitions?limit=7&cursor={next}"),
            None => break,
        }
    }
    let days: Vec<String> = (1..=20).map(|day| format!("2026-03-{day:02}")).collect();
    assert_eq!(keys, days);
    let missing = server.asked("/assets/lake.daily/partitions?state=missing&partitions=2026-03-05..2026-03-06").await;
    assert_eq!(missing["items"].as_array().unwrap().len(), 2);
    assert_eq!((&missing["items"][0]["state"], &missing["next"]), (&json!("missing"), &json!(null)));
    let run =
        server.tell("/backfills", &json!({ "selection": "lake.daily lake.weekly", "extent": "all" })).await.json();
    let run = run["run_id"].as_str().unwrap();
    let mut steps = BTreeSet::new();
    let mut address = format!("/runs/{run}/steps?limit=8");
    loop {
        let answer = server.asked(&address).await;
        for step in answer["items"].as_array().unwrap() {
            assert!(steps.insert((step["asset"].to_string(), step["partition"].to_string())), "{step} came twice");
        }
        match answer["next"].as_str() {
            Some(next) => address = format!("/runs/{run}/steps?limit=8&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(steps.len(), 19 + 3);
    let none = server.asked(&format!("/runs/{run}/steps?state=failed")).await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn a_tick_by_hand_at_the_instant_of_another_is_not_lost_between_pages() {
    let server = Server::new().await;
    sqlx::query(
        "insert into karat.tick (schedule, tick_at, kind, outcome, recorded_at) values
         ('nightly', $1::timestamptz - interval '1 day', 'scheduled', 'failed', $1::timestamptz),
         ('nightly', $1::timestamptz, 'scheduled', 'launched', $1::timestamptz),
         ('nightly', $1::timestamptz, 'manual', 'nothing', $1::timestamptz)",
    )
    .bind(crate::service_lake::instant("2026-03-19T02:15:00Z"))
    .execute(&server.lake.pool)
    .await
    .unwrap();
    for limit in [1, 2, 3] {
        let mut met = Vec::new();
        let mut address = format!("/schedules/nightly/ticks?limit={limit}");
        loop {
            let answer = server.asked(&address).await;
            let items = answer["items"].as_array().unwrap();
            met.extend(items.iter().map(|tick| tick["outcome"].as_str().unwrap().to_owned()));
            match answer["next"].as_str() {
                Some(next) => address = format!("/schedules/nightly/ticks?limit={limit}&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(met, ["nothing", "launched", "failed"], "{limit} at a time");
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let server = Server::new().await;
    for path in ["/assets", "/lineage", "/status", "/assets/lake.daily/status", "/assets/lake.daily/heat"] {
        let first = server.ask(path).await;
        let tag = first.header("etag").to_owned();
        assert!(first.status == 200 && tag.starts_with("W/\"") && first.header("cache-control") == "private, no-cache");
        let again = server.request(Method::GET, &format!("/api/v1{path}")).header("if-none-match", &tag);
        let again = server.send(again).await;
        assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", tag.as_str()), "{path}");
    }
    let before = server.ask("/status").await.header("etag").to_owned();
    server.lake.record(2, 4, 3).await;
    let again = server.request(Method::GET, "/api/v1/status").header("if-none-match", &before);
    let again = server.send(again).await;
    assert_eq!(again.status, 200, "what has changed is told at once");
    assert_ne!(again.header("etag"), before);
}
