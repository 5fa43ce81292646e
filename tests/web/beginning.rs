//! Pages before there is anything to show: of an installation that declares nothing, and of a server that has only just
//! begun to look.

use karat::service::{Extent, LaunchKind, Request};

use crate::generated::definitions;
use crate::look::{shot, shown};
use crate::server::Server;
use crate::service_lake::Lake;

#[tokio::test]
async fn an_installation_that_declares_nothing_says_so_everywhere() {
    let server = Server::with(Lake::new().await, definitions(Vec::new())).await;
    shot("home_no_assets", &shown(&server, "/", "No assets are declared.").await);
    for (path, name) in [
        ("/assets", "assets_none"),
        ("/automation", "automation_none"),
        ("/lineage", "lineage_none"),
        ("/schedules", "schedules_none"),
        ("/sensors", "sensors_none"),
        ("/tables", "tables_none"),
        ("/timeline", "timeline_empty"),
    ] {
        shot(name, &server.get(path).await);
    }
}

#[tokio::test]
async fn while_it_is_being_looked_how_all_stands_the_pages_say_that() {
    let lake = Lake::new().await;
    // Who looks asks for what changed, marks too; pages have no use for these.
    let mut held = lake.pool.begin().await.unwrap();
    sqlx::query("lock table karat.mark in access exclusive mode").execute(&mut *held).await.unwrap();
    let server = Server::on(lake).await;
    let days = Request::new("lake.daily", Extent::Text("2026-03-02..2026-03-03".to_owned()));
    server.service.launch(&days, LaunchKind::Backfill).await.unwrap();
    for (path, name) in [
        ("/", "home_loading"),
        ("/assets", "assets_loading"),
        ("/assets/lake.daily", "asset_loading"),
        ("/automation", "automation_loading"),
        ("/lineage?asset=lake.daily", "lineage_loading"),
        ("/tables/lake.daily", "table_loading"),
    ] {
        shot(name, &server.get(path).await);
    }
    held.rollback().await.unwrap();
    shown(&server, "/", "under way").await;
}
