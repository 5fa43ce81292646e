//! The first page: whether everything is fine.

use karat::service::{Extent, LaunchKind, Request};

use crate::look::{Onlooker, part_of, settled, shot, shown};
use crate::server::Server;

#[tokio::test]
async fn an_empty_installation_says_how_to_begin() {
    let server = Server::new().await;
    let page = shown(&server, "/", "lake.summary").await;
    shot("home_nothing_built", &page);
}

#[tokio::test]
async fn what_is_fresh_failing_stale_and_under_way_is_told_at_the_top_and_in_its_row() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill '*' --missing --concurrency 1").await;
    shown(&server, "/", "Everything is fine").await;
    // What ran is read a moment later than how partitions stand.
    let page = settled(&server, "1 succeeded").await;
    shot("home_fresh", &page);

    // More people than are plausible on one day, and late rows on another.
    server.lake.record(7, 7, 60).await;
    server.lake.record(9, 9, 7).await;
    server.lake.says("backfill lake.daily 2026-03-07").await;
    shown(&server, "/", ">failing<").await;
    let page = settled(&server, "/runs?state=failed").await;
    assert!(page.main().contains("need attention"), "{}", page.text);
    shot("home_failing", &page);

    // What somebody works on needs nobody's attention.
    let days = Request::new("lake.daily", Extent::Text("2026-03-07..2026-03-09".to_owned()));
    server.service.launch(&days, LaunchKind::Backfill).await.unwrap();
    let page = shown(&server, "/", "/runs?state=live").await;
    assert!(page.main().contains(">running<") && !page.main().contains(">failing<"), "{}", page.text);
    shot("home_under_way", &page);
}

#[tokio::test]
async fn the_part_that_changes_is_asked_for_alone_and_is_in_the_language_of_the_page() {
    let server = Server::new().await;
    shown(&server, "/", "lake.summary").await;
    shot("home_part_german", &part_of(&server, "/").await);
}

#[tokio::test]
async fn whoever_may_only_look_sees_the_same() {
    let server = Server::new().await;
    shown(&server, "/", "lake.summary").await;
    let eve = Onlooker::of(&server).await;
    let page = eve.get(&server, "/").await;
    assert!(page.text.contains("eve"), "{}", page.text);
    shot("home_viewer", &page);
}
