//! What is shown when something is wrong: with the request, with who asks, with the database, with the program.

use std::time::Duration;

use karat::service::Role;
use reqwest::Method;

use crate::access::{token_of, with_people};
use crate::look::{part_of, settled, shot, shown};
use crate::server::Server;

#[tokio::test]
async fn what_cannot_be_has_a_page_that_says_what_to_do() {
    let server = with_people().await;
    shot("failure_login_needed", &server.get("/").await);
    let viewer = token_of(&server, Role::Viewer).await;
    shot("failure_wrong_token", &server.get_with("karat_0", "/").await);
    shot("failure_bad_request", &server.get_with(&viewer, "/alerts?before=yesterday").await);
    shot("failure_nothing_here", &server.get_with(&viewer, "/nothing").await);
    shot("failure_not_allowed", &server.get_with(&viewer, "/settings/users").await);
    let request = |name: &str, value: &str| server.request(Method::POST, "/preferences").header(name, value);
    shot("failure_cross_site", &server.send(request("sec-fetch-site", "cross-site")).await);
    let proxied = |path: &str| server.request(Method::GET, path).header("x-forwarded-for", "192.0.2.1");
    sqlx::query("alter table karat.account rename to account_away").execute(&server.lake.pool).await.unwrap();
    shot("failure_who_asks_unknown", &server.get_with(&viewer, "/runs").await);
    shot("failure_who_asks_unknown_to_strangers", &server.send(proxied("/runs").bearer_auth(&viewer)).await);
}

#[tokio::test]
async fn without_users_strangers_are_told_how_to_begin() {
    let server = Server::new().await;
    shot("failure_part_german", &part_of(&server, "/nothing").await);
    let stranger = server.request(Method::GET, "/").header("host", "karat.example");
    shot("failure_elsewhere", &server.send(stranger).await);
}

#[tokio::test]
async fn without_the_database_the_pages_show_what_they_know() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill '*' --missing --concurrency 1").await;
    settled(&server, "1 succeeded").await;
    for table in ["run", "materialization", "reconciler"] {
        let away = format!("alter table karat.{table} rename to {table}_away");
        sqlx::query(sqlx::AssertSqlSafe(away)).execute(&server.lake.pool).await.unwrap();
    }
    shot("failure_database", &server.get("/runs").await);
    let is_told =
        |text: &str| text.contains("This is not the newest state.") && text.contains("<strong>database</strong>");
    shot("home_database_away", &server.get_until("/", is_told).await);
    shot("asset_database_away", &server.get("/assets/lake.daily").await);
}

#[tokio::test]
async fn reconcilers_that_do_not_work_are_told_at_the_top() {
    let minute = Duration::from_secs(60);
    let server = Server::reconciling(vec![("automation", minute), ("janitor", minute), ("scheduler", minute)]).await;
    sqlx::query(
        "insert into karat.reconciler (name, worker_id, started_at, finished_at, succeeded_at, error, report) values
            ('automation', gen_random_uuid(), $1, $1, $1, null, null),
            ('scheduler', gen_random_uuid(), $1, $1, null, 'cannot read the <schedules>', null),
            ('janitor', gen_random_uuid(), $1, $1, '2026-03-20T08:00:00Z', 'the disk is full', null)",
    )
    .bind(karat::clock::Clock::now(&*server.lake.clock))
    .execute(&server.lake.pool)
    .await
    .unwrap();
    shot("home_unwell", &shown(&server, "/", "lake.summary").await);
}
