//! Runs: the list, one of them, and what can be done with them.

use karat::service::{Extent, LaunchKind, LaunchedView, Request};
use uuid::Uuid;

use crate::look::{Onlooker, begin_first_step, part_of, shot};
use crate::server::Server;

async fn launched(server: &Server, days: &str, kind: LaunchKind) -> LaunchedView {
    let request = Request::new("lake.daily", Extent::Text(days.to_owned()));
    server.service.launch(&request, kind).await.unwrap()
}

/// A run in which a day has more people than are plausible.
async fn failed(server: &Server) -> Uuid {
    server.lake.record(2, 4, 5).await;
    server.lake.record(5, 5, 60).await;
    server.lake.says("materialize lake.daily 2026-03-02..2026-03-05").await;
    newest(server).await
}

async fn newest(server: &Server) -> Uuid {
    let query = karat::service::RunQuery { limit: 1, ..Default::default() };
    server.service.runs(&query).await.unwrap().remove(0).run_id
}

async fn state(server: &Server, run_id: Uuid) -> String {
    server.service.run(run_id).await.unwrap().run.state
}

#[tokio::test]
async fn the_address_is_the_filter() {
    let server = Server::new().await;
    shot("runs_none", &server.get("/runs").await);
    let failed = failed(&server).await;
    let waiting = launched(&server, "2026-03-06", LaunchKind::Materialize).await.run_id;
    shot("runs_some", &server.get("/runs").await);
    let lists = async |path: &str| {
        let page = server.get(path).await;
        let has = |run_id: Uuid| page.main().contains(&format!("/runs/{run_id}"));
        (has(failed), has(waiting))
    };
    for (path, expected) in [
        ("/runs", (true, true)),
        ("/runs?state=failed", (true, false)),
        ("/runs?state=live", (false, true)),
        ("/runs?state=queued", (false, true)),
        ("/runs?state=succeeded", (false, false)),
        ("/runs?asset=lake.daily", (true, true)),
        ("/runs?asset=lake.weekly", (false, false)),
        ("/runs?asset=lake.daily&partition=2026-03-06", (false, true)),
        ("/runs?cause=manual", (true, true)),
        ("/runs?cause=schedule", (false, false)),
        ("/runs?user=nobody", (false, false)),
        ("/runs?from=2026-03-20&to=2026-03-20", (true, true)),
        ("/runs?to=2026-03-19", (false, false)),
    ] {
        assert_eq!(lists(path).await, expected, "{path}");
    }
    shot("runs_none_match", &server.get("/runs?state=succeeded").await);
    shot("runs_refused", &server.get("/runs?from=yesterday").await);
    shot("runs_part", &part_of(&server, "/runs?state=failed").await);
    for (path, status) in [("/runs?from=yesterday", 400), ("/runs?before=x", 400), ("/runs?asset=lake.nothing", 404)] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_list_goes_on_where_the_page_ends() {
    let server = Server::new().await;
    for _ in 0..45 {
        launched(&server, "2026-03-06", LaunchKind::Materialize).await;
    }
    let first = server.get("/runs?cause=manual").await;
    let at = first.main().find("rel=\"next\"").expect("there are more");
    let before = &first.main()[..at];
    let from = before.rfind("href=\"").unwrap() + 6;
    let next = before[from..].split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = server.get(&next).await;
    let rows = |text: &str| text.matches("name=\"run\"").count();
    assert_eq!((rows(first.main()), rows(second.main())), (40, 5), "{next}");
    assert!(second.main().contains("href=\"/runs?cause=manual\""), "{}", second.text);
}

#[tokio::test]
async fn a_failed_run_begins_with_its_error_and_can_be_repeated() {
    let server = Server::new().await;
    let run_id = failed(&server).await;
    let page = server.get(&format!("/runs/{run_id}")).await;
    shot("run_failed", &page);
    let main = page.main();
    assert!(main.find("plausible").unwrap() < main.find("Why did this run?").unwrap());
    let answer = server.post(&format!("/runs/{run_id}/retry"), &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let again = newest(&server).await;
    assert_eq!(answer.header("location"), format!("/runs/{again}"));
    assert!(again != run_id && state(&server, again).await == "queued");
    let live = server.post(&format!("/runs/{again}/retry"), &[]).await;
    assert!(live.main().contains("still queued"), "{}", live.text);
    shot("run_retry_refused", &live);
    let page = server.get(&format!("/runs/{again}")).await;
    assert!(page.main().contains(&format!("/runs/{run_id}")), "it says what it repeats: {}", page.text);
    shot("run_of_retry", &page);
}

#[tokio::test]
async fn a_run_that_waits_is_canceled_and_a_paused_one_resumed() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    let backfill = launched(&server, "2026-03-02..2026-03-09", LaunchKind::Backfill).await;
    let run = format!("/runs/{}", backfill.run_id);
    shot("run_queued", &server.get(&run).await);
    server.service.pause_backfill(backfill.backfill_id.unwrap()).await.unwrap();
    shot("run_paused", &server.get(&run).await);
    assert_eq!(server.post(&format!("{run}/resume"), &[]).await.status, 303);
    assert_eq!(state(&server, backfill.run_id).await, "queued");
    assert_eq!(server.post(&format!("{run}/cancel"), &[]).await.header("location"), run);
    assert_eq!(state(&server, backfill.run_id).await, "canceled");
    shot("run_canceled", &server.get(&run).await);
    let again = server.post(&format!("{run}/cancel"), &[]).await;
    assert!(again.status == 409 && again.main().contains("it was canceled"), "{}", again.text);
    shot("run_unknown", &server.get("/runs/00000000-0000-7000-8000-000000000000").await);
}

#[tokio::test]
async fn a_run_says_how_far_it_is_and_what_it_made() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    let built = server.lake.says("backfill lake.daily+1 2026-03-02..2026-03-08 --per-partition --concurrency 1").await;
    assert!(built.ends_with("[0]"), "{built}");
    let done = newest(&server).await;
    shot("run_succeeded", &server.get(&format!("/runs/{done}")).await);
    let run_id = launched(&server, "2026-03-09..2026-03-11", LaunchKind::Materialize).await.run_id;
    let worker = begin_first_step(&server).await;
    shot("run_running", &server.get(&format!("/runs/{run_id}")).await);
    server.service.cancel_run(run_id).await.unwrap();
    shot("run_canceling", &server.get(&format!("/runs/{run_id}")).await);
    worker.close().await;
}

#[tokio::test]
async fn several_runs_are_steered_at_once_and_what_cannot_be_is_told() {
    let server = Server::new().await;
    let one = launched(&server, "2026-03-06", LaunchKind::Materialize).await.run_id;
    let other = launched(&server, "2026-03-07", LaunchKind::Materialize).await.run_id;
    let (first, second) = (one.to_string(), other.to_string());
    let nothing = server.post("/runs/cancel", &[("back", "/runs")]).await;
    shot("runs_none_picked", &nothing);
    let fields = [("back", "/runs?state=live"), ("run", first.as_str()), ("run", second.as_str())];
    let done = server.post("/runs/cancel", &fields).await;
    assert_eq!((done.status, done.header("location")), (303, "/runs?state=live&done=canceled.2"));
    assert_eq!((state(&server, one).await, state(&server, other).await), ("canceled".into(), "canceled".into()));
    shot("runs_canceled", &server.get(done.header("location")).await);
    shot("runs_retry_refused", &server.post("/runs/retry", &fields).await);
    let elsewhere = [("back", "//example.org"), ("run", first.as_str())];
    assert!(!server.post("/runs/cancel", &elsewhere).await.text.contains("example.org"));
}

#[tokio::test]
async fn a_log_is_filtered_downloaded_and_followed_until_the_run_ends() {
    let server = Server::new().await;
    let run_id = launched(&server, "2026-03-06", LaunchKind::Materialize).await.run_id;
    shot("log_nothing_yet", &server.get(&format!("/runs/{run_id}/log")).await);
    say(&server, run_id, 1, "info", "reading <b>rows</b>").await;
    say(&server, run_id, 2, "error", "Too Many people").await;
    let lines = server.get(&format!("/runs/{run_id}")).await;
    assert!(lines.main().contains("reading &#60;b&#62;rows&#60;/b&#62;"), "{}", lines.text);
    let grave = server.get(&format!("/runs/{run_id}/log?level=warn")).await.text;
    assert!(grave.contains("Too Many") && !grave.contains("reading"), "{grave}");
    shot("log_lines", &server.get(&format!("/runs/{run_id}/log")).await);
    shot("log_none_match", &server.get(&format!("/runs/{run_id}/log?text=nothing")).await);
    let found = server.get(&format!("/runs/{run_id}/log?text=too+many")).await.text;
    assert!(found.contains("Too Many") && !found.contains("reading"), "{found}");
    assert!(found.contains(&format!("/runs/{run_id}/log.txt?text=too%20many")), "{found}");
    let text = server.get(&format!("/runs/{run_id}/log.txt")).await;
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    insta::assert_snapshot!(text.text, @r"
    2026-03-20T10:00:00.000Z INFO  lake.daily 2026-03-06 #1 reading <b>rows</b> days=7
    2026-03-20T10:00:00.000Z ERROR lake.daily 2026-03-06 #1 Too Many people days=7
    ");
    let unknown = server.get("/runs/00000000-0000-7000-8000-000000000000/log.txt").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    // The stream says what there is, and ends with the run.
    let mut live = server.request(reqwest::Method::GET, &format!("/runs/{run_id}/log/live")).send().await.unwrap();
    let first = String::from_utf8(live.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.starts_with("event: lines") && first.contains("reading"), "{first}");
    say(&server, run_id, 3, "info", "one more").await;
    server.service.cancel_run(run_id).await.unwrap();
    let mut rest = String::new();
    while let Some(chunk) = live.chunk().await.unwrap() {
        rest.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(rest.contains("one more") && rest.contains("event: end"), "{rest}");
    sqlx::query("delete from karat.log_line").execute(&server.lake.pool).await.unwrap();
    shot("log_gone", &server.get(&format!("/runs/{run_id}/log")).await);
}

/// Keeps a line as an attempt at the run's first step would.
async fn say(server: &Server, run_id: Uuid, sequence: i64, level: &str, message: &str) {
    sqlx::query(
        "insert into karat.log_line (logged_at, run_id, step_id, lease_epoch, sequence, level, target, message, fields)
         select '2026-03-20T10:00:00Z', run_id, min(step_id), 1, $2, $3, 'lake', $4, '{\"days\": 7}'
         from karat.step where run_id = $1 group by run_id",
    )
    .bind(run_id)
    .bind(sequence)
    .bind(level)
    .bind(message)
    .execute(&server.lake.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn hostile_text_is_text() {
    let server = Server::new().await;
    let run_id = failed(&server).await;
    let hostile = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\" onmouseover=\"alert(3) {{7*7}}";
    for statement in [
        "update karat.step set reason = $1 where reason is not null",
        "update karat.attempt set error = $1, error_kind = $1, backtrace = $1 where error is not null",
        "update karat.run set request = jsonb_build_object('command', $1), requested_by = $1, cause_detail = jsonb_build_object('x', $1)",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).bind(hostile).execute(&server.lake.pool).await.unwrap();
    }
    say(&server, run_id, 1, hostile, hostile).await;
    for path in [
        "/runs".to_owned(),
        format!("/runs/{run_id}"),
        format!("/runs/{run_id}/log"),
        "/assets/lake.daily".to_owned(),
        "/assets/lake.daily/why?partition=2026-03-05".to_owned(),
        "/runs?user=%3Cscript%3Ealert(1)%3C/script%3E%22".to_owned(),
        "/runs?asset=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
        "/assets?text=%3Cscript%3Ealert(1)%3C/script%3E%22".to_owned(),
        "/assets/%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
        "/assets/lake.daily/plan?from=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
    ] {
        let page = server.get(&path).await;
        for forbidden in ["<script>alert", "<img", "\" onmouseover"] {
            let main = page.main().replace("<img src=\"/static", "");
            assert!(!main.contains(forbidden), "{path}: {forbidden} in {}", page.text);
        }
        assert!(page.status < 500, "{path}: {}", page.status);
    }
}

#[tokio::test]
async fn whoever_may_only_look_has_no_buttons_and_is_refused() {
    let server = Server::new().await;
    let run_id = launched(&server, "2026-03-06", LaunchKind::Materialize).await.run_id;
    let eve = Onlooker::of(&server).await;
    shot("runs_viewer", &eve.get(&server, "/runs").await);
    let page = eve.get(&server, &format!("/runs/{run_id}")).await;
    shot("run_viewer", &page);
    for path in [format!("/runs/{run_id}/cancel"), format!("/runs/{run_id}/retry"), format!("/runs/{run_id}/resume")] {
        assert_eq!(eve.post(&server, &path, "").await.status, 403, "{path}");
    }
    for path in ["/runs/cancel", "/runs/retry"] {
        assert_eq!(eve.post(&server, path, &format!("run={run_id}")).await.status, 403, "{path}");
    }
    assert_eq!(state(&server, run_id).await, "queued");
}
