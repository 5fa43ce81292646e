//! One asset: how it stands, what it is made of, and what can be done with it.

use insta::assert_snapshot;
use karat::service::RunQuery;

use crate::look::{Onlooker, hiding_ids, main_part, settled, shown};
use crate::server::Server;

async fn runs(server: &Server) -> usize {
    server.service.runs(&RunQuery { limit: 10, ..RunQuery::default() }).await.unwrap().len()
}

#[tokio::test]
async fn every_view_of_an_asset() {
    let server = Server::new().await;
    let _guard = hiding_ids().bind_to_scope();
    assert_snapshot!("asset_empty", main_part(&shown(&server, "/assets/lake.daily", "19 missing").await));
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill '*' --missing --concurrency 1").await;
    settled(&server, "1 succeeded").await;
    assert_snapshot!("asset_fresh", main_part(&shown(&server, "/assets/lake.daily", "19 fresh").await));
    for view in ["columns", "checks", "policies"] {
        let page = server.get(&format!("/assets/lake.daily?view={view}")).await;
        assert_snapshot!(format!("asset_{view}"), main_part(&page));
    }
    let metadata = server.get("/assets/lake.weekly?view=metadata").await;
    for title in ["<h3>Rows</h3>", "<h3>How long building took</h3>", "<h3>days</h3>"] {
        assert!(metadata.main().contains(title), "{title}: {}", metadata.text);
    }
    // The table is an asset's name as well, and a list of all finds it.
    assert_eq!(server.get("/assets/weekly").await.status, 200);
    assert_eq!(server.get("/assets/nothing").await.status, 404);
    assert_snapshot!("assets", main_part(&server.get("/assets").await));
    assert!(server.get("/assets?state=failing").await.main().contains("No asset is like that."));
}

#[tokio::test]
async fn what_failed_and_what_is_stale_is_told_in_place_and_by_why() {
    let server = Server::new().await;
    let _guard = hiding_ids().bind_to_scope();
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill '*' --missing").await;
    server.lake.record(7, 7, 60).await;
    server.lake.record(9, 9, 7).await;
    server.lake.says("backfill lake.daily 2026-03-07").await;
    settled(&server, "1 failed").await;
    let page = shown(&server, "/assets/lake.daily", ">failing<").await;
    assert_snapshot!("asset_failing", main_part(&page));
    let stale = shown(&server, "/assets/lake.daily?state=stale", "2026-03-09").await;
    assert!(!stale.main().contains("partition=2026-03-10"), "{}", stale.text);
    assert_snapshot!("why_failed", main_part(&server.get("/assets/lake.daily/why?partition=2026-03-07").await));
    assert_snapshot!("why_stale", main_part(&server.get("/assets/lake.daily/why?partition=2026-03-09").await));
    assert_eq!(server.get("/assets/lake.daily/why?partition=tomorrow").await.status, 400);
}

#[tokio::test]
async fn nothing_is_launched_before_its_plan_was_shown() {
    let server = Server::new().await;
    let _guard = hiding_ids().bind_to_scope();
    server.lake.record(2, 19, 5).await;
    shown(&server, "/assets/lake.weekly", "3 missing").await;
    let plan = server.get("/assets/lake.daily/plan?from=2026-03-02&to=2026-03-05").await;
    assert_snapshot!("asset_plan", main_part(&plan));
    assert_eq!(runs(&server).await, 0);
    let range = [("from", "2026-03-02"), ("to", "2026-03-05"), ("what", "")];
    let launched = server.post("/assets/lake.daily/launch", &range).await;
    assert!(launched.status == 303 && launched.header("location").starts_with("/runs/"), "{}", launched.text);
    let run = server.get(launched.header("location")).await;
    assert!(run.main().contains("lake backfill lake.daily 2026-03-02..2026-03-05"), "{}", run.text);
    let again = server.get("/assets/lake.daily/plan?what=stale").await;
    assert!(again.status == 409 && again.main().contains("nothing to do"), "{}", again.text);

    // Weeks read days, and these are not there.
    let missing = server.get("/assets/lake.weekly/plan?from=2026-W10").await;
    assert_snapshot!("asset_plan_missing", main_part(&missing));
    let refused = server.post("/assets/lake.weekly/launch", &[("from", "2026-W10")]).await;
    assert!(refused.status == 409, "{}", refused.text);
    let upstream = server.post("/assets/lake.weekly/launch", &[("from", "2026-W10"), ("upstream", "true")]).await;
    assert_eq!(upstream.status, 303, "{}", upstream.text);
    assert_eq!(runs(&server).await, 2);
}

#[tokio::test]
async fn an_external_asset_is_marked_and_not_built() {
    let server = Server::new().await;
    let _guard = hiding_ids().bind_to_scope();
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill lake.daily --missing").await;
    settled(&server, "1 succeeded").await;
    let page = shown(&server, "/assets/lake.events", "lake.daily: fresh").await;
    assert_snapshot!("asset_external", main_part(&page));
    let preview = server.get("/assets/lake.events/mark?from=2026-03-04&to=2026-03-05&reason=a+fix").await;
    assert_snapshot!("asset_mark", main_part(&preview));
    let unsaid = server.post("/assets/lake.events/mark", &[("from", "2026-03-04"), ("reason", " ")]).await;
    assert_eq!(unsaid.status, 400, "{}", unsaid.text);
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
    assert!(page.main().contains("Launching needs the role of an operator."), "{}", page.text);
    let plan = eve.get(&server, "/assets/lake.daily/plan?from=2026-03-02").await;
    assert!(plan.main().contains("<button class=\"primary\" disabled>Launch</button>"), "{}", plan.text);
    assert_eq!(eve.post(&server, "/assets/lake.daily/launch", "from=2026-03-02").await.status, 403);
    assert_eq!(eve.post(&server, "/assets/lake.events/mark", "from=2026-03-02&reason=x").await.status, 403);
    assert_eq!(runs(&server).await, 0);
}
