//! Workers and pools.

use karat::service::{Extent, LaunchKind, Request};

use crate::look::{begin_first_step, shot};
use crate::server::Server;
use crate::workshop::workshop;

#[tokio::test]
async fn without_any_worker_the_page_says_how_to_start_one() {
    let server = Server::new().await;
    shot("workers_none", &server.get("/workers").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_shows_who_holds_it_and_who_waits() {
    let server = workshop(Vec::new()).await;
    let request =
        Request { force: true, ..Request::new("workshop.pressed", Extent::Text("2026-03-02..2026-03-05".to_owned())) };
    server.service.launch(&request, LaunchKind::Materialize).await.unwrap();
    let worker = begin_first_step(&server).await;
    let page = server.get("/workers").await;
    assert_eq!(page.text.matches("<li class=\"taken\">").count(), 1, "{}", page.text);
    shot("workers_busy", &page);
    worker.close().await;
    // One that fell silent, and one that only decides what is due.
    sqlx::query(
        "insert into karat.worker (worker_id, host, process_id, slots, started_at, heartbeat_at, expires_at)
         select ('00000000-0000-7000-8000-00000000000' || slots)::uuid, 'elsewhere', 10 + slots, slots,
                '2026-03-20T08:00:00Z', '2026-03-20T09:50:00Z', '2026-03-20T09:51:00Z'
         from generate_series(0, 1) as slots",
    )
    .execute(&server.lake.pool)
    .await
    .unwrap();
    shot("workers_lost", &server.get("/workers").await);
}
