//! One asset: how it stands, what it is made of, and what can be done with it.

use karat::service::RunQuery;

use crate::look::{Onlooker, begin_first_step, part_of, settled, shot, shown};
use crate::server::Server;

async fn runs(server: &Server) -> usize {
    server.service.runs(&RunQuery { limit: 10, ..RunQuery::default() }).await.unwrap().len()
}

#[tokio::test]
async fn every_view_of_an_asset() {
    let server = Server::new().await;
    shot("asset_missing", &shown(&server, "/assets/lake.daily", "19 missing").await);
    shot("asset_metadata_none", &server.get("/assets/lake.daily?view=metadata").await);
    shot("asset_checks_unevaluated", &server.get("/assets/lake.daily?view=checks").await);
    shot("why_missing", &server.get("/assets/lake.daily/why?partition=2026-03-05").await);
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill '*' --missing --concurrency 1").await;
    settled(&server, "1 succeeded").await;
    shot("asset_fresh", &shown(&server, "/assets/lake.daily", "19 fresh").await);
    for (view, name) in [
        ("lake.daily?view=columns", "asset_columns"),
        ("lake.daily?view=checks", "asset_checks"),
        ("lake.events?view=checks", "asset_checks_none"),
        ("lake.daily?view=policies", "asset_policies"),
        ("lake.events?view=policies", "asset_policies_external"),
        ("lake.daily?state=failed", "asset_partitions_none"),
        ("lake.summary", "asset_unpartitioned"),
    ] {
        shot(name, &server.get(&format!("/assets/{view}")).await);
    }
    shot("asset_metadata", &server.get("/assets/lake.daily?view=metadata").await);
    for (part, name) in [("standing", "asset_standing_part"), ("partitions", "asset_partitions_part")] {
        shot(name, &part_of(&server, &format!("/assets/lake.weekly?part={part}")).await);
    }
    for (partition, name) in [
        ("lake.daily/why?partition=2026-03-10", "why_fresh"),
        ("lake.daily/why?partition=2026-03-20", "why_not_due"),
        ("lake.events/why?partition=2026-03-10", "why_external"),
        ("lake.daily/why?partition=tomorrow", "why_refused"),
    ] {
        shot(name, &server.get(&format!("/assets/{partition}")).await);
    }
    let metadata = server.get("/assets/lake.weekly?view=metadata").await;
    for title in ["<h3>Rows</h3>", "<h3>How long building took</h3>", "<h3>days</h3>"] {
        assert!(metadata.main().contains(title), "{title}: {}", metadata.text);
    }
    // The table is an asset's name as well, and a list of all finds it.
    assert_eq!(server.get("/assets/weekly").await.status, 200);
    shot("asset_unknown", &server.get("/assets/dayly").await);
    shot("assets_some", &server.get("/assets").await);
    shot("assets_none_match", &server.get("/assets?state=failing").await);
}

#[tokio::test]
async fn what_failed_and_what_is_stale_is_told_in_place_and_by_why() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill '*' --missing --concurrency 1").await;
    server.lake.record(7, 7, 60).await;
    server.lake.record(9, 9, 7).await;
    server.lake.says("backfill lake.daily+ 2026-03-07 --concurrency 1").await;
    settled(&server, "1 failed").await;
    let page = shown(&server, "/assets/lake.daily", ">failing<").await;
    shot("asset_failing", &page);
    let stale = shown(&server, "/assets/lake.daily?state=stale", "2026-03-09").await;
    assert!(!stale.main().contains("partition=2026-03-10"), "{}", stale.text);
    shot("why_failed", &server.get("/assets/lake.daily/why?partition=2026-03-07").await);
    shot("why_stale", &server.get("/assets/lake.daily/why?partition=2026-03-09").await);
    shot("why_blocked", &server.get("/assets/lake.weekly/why?partition=2026-W10").await);
    shot("asset_checks_failed", &server.get("/assets/lake.daily?view=checks").await);
}

#[tokio::test]
async fn nothing_is_launched_before_its_plan_was_shown() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    shown(&server, "/assets/lake.weekly", "3 missing").await;
    let plan = server.get("/assets/lake.daily/plan?from=2026-03-02&to=2026-03-05").await;
    shot("plan_possible", &plan);
    assert_eq!(runs(&server).await, 0);
    let range = [("from", "2026-03-02"), ("to", "2026-03-05"), ("what", "")];
    let launched = server.post("/assets/lake.daily/launch", &range).await;
    assert!(launched.status == 303 && launched.header("location").starts_with("/runs/"), "{}", launched.text);
    shot("why_queued", &server.get("/assets/lake.daily/why?partition=2026-03-02").await);
    let worker = begin_first_step(&server).await;
    shot("why_running", &server.get("/assets/lake.daily/why?partition=2026-03-02").await);
    shot("asset_running", &shown(&server, "/assets/lake.daily", "1 running").await);
    worker.close().await;
    let run = server.get(launched.header("location")).await;
    assert!(run.main().contains("lake backfill lake.daily 2026-03-02..2026-03-05"), "{}", run.text);
    let again = server.get("/assets/lake.daily/plan?what=stale").await;
    shot("plan_nothing_to_do", &again);
    shot("plan_bad_range", &server.get("/assets/lake.daily/plan?from=yesterday").await);

    // Weeks read days, and these are not there.
    let missing = server.get("/assets/lake.weekly/plan?from=2026-W10").await;
    shot("plan_missing_upstream", &missing);
    let refused = server.post("/assets/lake.weekly/launch", &[("from", "2026-W10")]).await;
    shot("plan_refused", &refused);
    let upstream = server.post("/assets/lake.weekly/launch", &[("from", "2026-W10"), ("upstream", "true")]).await;
    assert_eq!(upstream.status, 303, "{}", upstream.text);
    assert_eq!(runs(&server).await, 2);
}

#[tokio::test]
async fn an_external_asset_is_marked_and_not_built() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill lake.daily --missing").await;
    settled(&server, "1 succeeded").await;
    shot("mark_nothing_built", &server.get("/assets/lake.events/mark?from=2026-03-20&reason=a+fix").await);
    let page = shown(&server, "/assets/lake.events", "lake.daily: fresh").await;
    shot("asset_external", &page);
    let preview = server.get("/assets/lake.events/mark?from=2026-03-04&to=2026-03-05&reason=a+fix").await;
    shot("mark_preview", &preview);
    let unsaid = server.post("/assets/lake.events/mark", &[("from", "2026-03-04"), ("reason", " ")]).await;
    shot("mark_refused", &unsaid);
    let fields = [("from", "2026-03-04"), ("to", "2026-03-05"), ("reason", "a fix")];
    let marked = server.post("/assets/lake.events/mark", &fields).await;
    assert_eq!((marked.status, marked.header("location")), (303, "/assets/lake.events"), "{}", marked.text);
    shown(&server, "/assets/lake.daily", "2 stale").await;
    assert_eq!(server.post("/assets/lake.events/launch", &[]).await.status, 400);
}

#[tokio::test]
async fn whoever_may_only_look_sees_plans_and_launches_nothing() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    shown(&server, "/assets/lake.daily", "missing").await;
    let eve = Onlooker::of(&server).await;
    let page = eve.get(&server, "/assets/lake.daily").await;
    shot("asset_viewer", &page);
    shot("asset_external_viewer", &eve.get(&server, "/assets/lake.events").await);
    shot("mark_viewer", &eve.get(&server, "/assets/lake.events/mark?from=2026-03-04&reason=x").await);
    let plan = eve.get(&server, "/assets/lake.daily/plan?from=2026-03-02").await;
    shot("plan_viewer", &plan);
    assert_eq!(eve.post(&server, "/assets/lake.daily/launch", "from=2026-03-02").await.status, 403);
    assert_eq!(eve.post(&server, "/assets/lake.events/mark", "from=2026-03-02&reason=x").await.status, 403);
    assert_eq!(runs(&server).await, 0);
}
