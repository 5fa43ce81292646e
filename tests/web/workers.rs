//! Workers and pools.

use insta::assert_snapshot;
use karat::engine::WorkerSettings;
use karat::service::{Extent, LaunchKind, Request};
use tokio_util::sync::CancellationToken;

use crate::server::{Server, settings};
use crate::workshop::workshop;

#[tokio::test]
async fn without_any_worker_the_page_says_how_to_start_one() {
    let server = Server::new().await;
    let _guard = settings().bind_to_scope();
    assert_snapshot!("workers_none", server.get("/workers").await.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_shows_who_holds_it_and_who_waits() {
    let server = workshop(Vec::new()).await;
    let mut settings = settings();
    settings.add_filter(r"<p class=.soft.>[^<,]+, process \d+", "<p class=\"soft\">[host], process [id]");
    let _guard = settings.bind_to_scope();
    let request =
        Request { force: true, ..Request::new("workshop.pressed", Extent::Text("2026-03-02..2026-03-05".to_owned())) };
    server.service.launch(&request, LaunchKind::Materialize).await.unwrap();
    let slots = WorkerSettings { slots: 2, ..WorkerSettings::default() };
    let worker = server.service.worker(server.lake.logs.clone(), slots);
    worker.register(&CancellationToken::new()).await.unwrap();
    // As if the worker had claimed the first.
    sqlx::query(
        "update karat.step set state = 'running', worker_id = $1, started_at = '2026-03-20T09:59:00Z'
         where step_id = (select min(step_id) from karat.step)",
    )
    .bind(worker.worker_id())
    .execute(&server.lake.pool)
    .await
    .unwrap();
    let page = server.get("/workers").await;
    assert_eq!(page.text.matches("<li class=\"taken\">").count(), 1, "{}", page.text);
    assert_snapshot!("workers", page.main());
    worker.close().await;
}
