//! Pages of lists, and answers that are kept.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::generated::{community, definitions};
use crate::server::Server;
use crate::service_lake::Lake;

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
async fn how_assets_stand_comes_in_pages_with_what_holds_of_all() {
    let server = Server::with(Lake::new().await, definitions(community(120))).await;
    let (mut met, mut pages) = (Vec::new(), 0);
    let mut address = "/status?selection=*".to_owned();
    loop {
        let answer = server.asked(&address).await;
        // What comes from outside stands first, and nothing is wrong with it.
        assert_eq!((&answer["is_fresh"], &answer["at"]), (&json!(false), &json!("2026-03-20T10:00:00Z")), "{answer}");
        met.extend(answer["items"].as_array().unwrap().iter().map(|asset| asset["asset"].clone()));
        pages += 1;
        match answer["next"].as_str() {
            Some(next) => address = format!("/status?selection=*&cursor={next}"),
            None => break,
        }
    }
    let graph = server.asked("/lineage").await;
    let all: Vec<_> = graph["assets"].as_array().unwrap().iter().map(|asset| asset["asset"].clone()).collect();
    assert_eq!((pages, met), (3, all));
    assert_eq!(server.asked("/status?selection=kind:external").await["is_fresh"], true);
    // What stood before it does not come again, though it is none of the selection any more.
    let cursor = server.asked("/status?limit=50").await["next"].as_str().unwrap().to_owned();
    let missing = server.asked(&format!("/status?selection=state:missing&limit=1&cursor={cursor}")).await;
    assert_eq!(missing["items"][0]["asset"], graph["assets"][50]["asset"], "{missing}");
    let nobody: String = "status:lake.nobody".bytes().map(|byte| format!("{byte:02x}")).collect();
    let refused = server.ask(&format!("/status?cursor={nobody}")).await;
    assert!(refused.status == 400 && refused.text.contains("begin the list again"), "{}", refused.text);
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
