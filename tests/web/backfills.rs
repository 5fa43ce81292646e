//! Backfills on pages: planned, launched, steered, retried.

use karat::cli;
use karat::service::Role;
use reqwest::Method;

use crate::look::{begin_first_step, shot};
use crate::server::{Server, command_lines};
use crate::service_lake::{APPLICATION, words};

/// Launches by the dialog, and gives the new backfill's address.
async fn launched(server: &Server, fields: &[(&str, &str)]) -> String {
    let answer = server.post("/backfills", fields).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("location").split('?').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_is_planned_launched_steered_and_carried_out() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    shot("backfills_none", &server.get("/backfills").await);
    shot("backfill_new_blank", &server.get("/backfills/new").await);
    let plan = server
        .get("/backfills/new?select=lake.daily%2B&from=2026-03-02&to=2026-03-15&scope=missing&upstream=yes")
        .await;
    shot("backfill_new_plan", &plan);

    let address =
        launched(&server, &[("select", "lake.daily+"), ("partitions", "2026-03-02..2026-03-15"), ("upstream", "yes")])
            .await;
    shot("backfill_queued", &server.get(&format!("{address}?done=launched")).await);
    for (verb, fields, done) in [
        ("pause", vec![], "paused"),
        ("pause", vec![], "unchanged"),
        ("limit", vec![("concurrency", "2")], "limited"),
        ("resume", vec![], "resumed"),
    ] {
        let answer = server.post(&format!("{address}/{verb}"), &fields).await;
        assert_eq!((answer.status, answer.header("location")), (303, format!("{address}?done={done}").as_str()));
        if done == "limited" {
            shot("backfill_paused", &server.get(&address).await);
        }
    }
    let id = address.rsplit('/').next().unwrap();
    let carried_out = server.lake.says(&format!("backfill resume {id}")).await;
    assert!(carried_out.ends_with("[0]"), "{carried_out}");
    shot("backfill_succeeded", &server.get(&address).await);
    shot("backfills_some", &server.get("/backfills").await);
    let answer = server.post(&format!("{address}/pause"), &[]).await;
    shot("backfill_refused", &answer);
    shot("backfills_none_older", &server.get(&format!("/backfills?before={id}")).await);
    let nothing = server.get("/backfills/new?select=lake.daily&from=2026-03-02&to=2026-03-03&scope=missing").await;
    shot("backfill_new_nothing_to_do", &nothing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_carried_out_says_how_far_it_is() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    let address = launched(&server, &[("select", "lake.daily"), ("partitions", "2026-03-02..2026-03-04")]).await;
    let worker = begin_first_step(&server).await;
    shot("backfill_running", &server.get(&address).await);
    let canceled = server.post(&format!("{address}/cancel"), &[]).await;
    shot("backfill_canceling", &server.get(canceled.header("location")).await);
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_canceled_or_failed_is_retried() {
    let server = Server::new().await;
    server.lake.record(2, 10, 60).await;
    let address = launched(&server, &[("select", "lake.daily"), ("partitions", "2026-03-02..2026-03-10")]).await;
    assert_eq!(server.post(&format!("{address}/cancel"), &[]).await.status, 303);
    shot("backfill_canceled", &server.get(&address).await);
    assert_eq!(server.post(&format!("{address}/retry"), &[]).await.status, 409, "nothing failed");
    let retried = server.post(&format!("{address}/retry"), &[("canceled", "yes")]).await;
    assert_eq!(retried.header("location"), format!("{address}?done=retried"));
    let id = address.rsplit('/').next().unwrap();
    assert!(server.lake.says(&format!("backfill resume {id}")).await.ends_with("[1]"), "the check refuses them");
    shot("backfill_failed", &server.get(&address).await);
    assert_eq!(server.post(&format!("{address}/retry"), &[]).await.status, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_said_in_the_dialog_and_refused_by_the_server() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    let hostile = server.get("/backfills/new?select=%3Cscript%3Ealert(1)%3C%2Fscript%3E&from=%22%3E%3Cb%3E").await;
    assert_eq!(hostile.status, 200);
    assert!(!hostile.text.contains("<script>alert") && !hostile.text.contains("\"><b>"), "{}", hostile.text);
    shot("backfill_new_refused", &hostile);
    let missing = server.get("/backfills/new?select=lake.weekly&scope=all").await;
    shot("backfill_new_missing_upstream", &missing);
    for (fields, status) in [
        (vec![("select", "lake.weekly")], 409),
        (vec![("select", "nothing.there")], 404),
        (vec![("select", "lake.daily"), ("concurrency", "0")], 400),
        (vec![("select", "lake.daily"), ("partitions", "2026-13-01")], 400),
    ] {
        let answer = server.post("/backfills", &fields).await;
        assert!(answer.status == status || (status == 404 && answer.status == 400), "{fields:?}: {}", answer.text);
    }
    shot("backfill_new_launch_refused", &server.post("/backfills", &[("select", "lake.weekly")]).await);
    assert!(server.get("/backfills").await.text.contains("No backfill was ever started"), "nothing was launched");
    shot("backfill_unknown", &server.get("/backfills/00000000-0000-0000-0000-000000000000").await);
    for path in ["/backfills/00000000-0000-0000-0000-000000000000", "/backfills/%3Cb%3E", "/backfills?before=x"] {
        let answer = server.get(path).await;
        assert!(matches!(answer.status, 400 | 404) && !answer.text.contains("<b>"), "{path}: {}", answer.text);
    }
    let forced = launched(&server, &[("select", "lake.weekly"), ("force", "yes"), ("upstream", "yes")]).await;
    assert!(server.get(&forced).await.text.contains("backfill lake.weekly --all --upstream --force"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_look_sees_plans_and_launches_nothing() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    let address = launched(&server, &[("select", "lake.daily")]).await;
    let viewer = server.token(Role::Viewer).await;
    let plan = server.get_with(&viewer, "/backfills/new?select=lake.regions").await;
    shot("backfill_new_viewer", &plan);
    shot("backfills_viewer", &server.get_with(&viewer, "/backfills").await);
    let page = server.get_with(&viewer, &address).await;
    shot("backfill_viewer", &page);
    for path in ["/backfills", &format!("{address}/pause"), &format!("{address}/cancel"), &format!("{address}/limit")] {
        let request = server.request(Method::POST, path).header("authorization", format!("Bearer {viewer}"));
        let answer = server
            .send(request.header("content-type", "application/x-www-form-urlencoded").body("select=lake.daily"))
            .await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_line_on_these_pages_is_one() {
    let server = Server::new().await;
    server.lake.record(2, 10, 60).await;
    let live = launched(&server, &[("select", "lake.regions")]).await;
    let ended = launched(&server, &[("select", "lake.daily"), ("partitions", "2026-03-02..2026-03-10")]).await;
    let id = ended.rsplit('/').next().unwrap();
    server.lake.says(&format!("backfill resume {id}")).await;
    let mut lines = Vec::new();
    for path in [
        "/backfills",
        "/backfills/new?select=lake.weekly&scope=missing&scope=stale&upstream=yes&concurrency=3&per_partition=yes",
        &live,
        &ended,
        "/schedules",
        "/schedules/nightly",
        "/schedules/hourly",
        "/schedules/nightly/trigger?at=2026-03-19T03:15",
        "/sensors",
        "/automation",
        "/automation/lake.daily",
        "/timeline",
        "/workers",
        "/settings",
        "/alerts",
        "/quarantine",
    ] {
        let page = server.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        lines.extend(command_lines(&page.text));
    }
    assert!(lines.len() > 25, "{lines:?}");
    for line in lines.iter().filter(|line| !line.contains('…')) {
        assert!(line.starts_with("lake "), "{line}");
        if let Err(error) = cli::parse::<cli::Verb>(&APPLICATION, words(line)) {
            panic!("`{line}`: {error}");
        }
    }
}
