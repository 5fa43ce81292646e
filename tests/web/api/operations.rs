//! Each operation does what its page and its command do.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

/// A server on which seven days were built, and one failed.
async fn built() -> Server {
    let server = Server::new().await;
    server.lake.record(2, 8, 3).await;
    server.lake.record(9, 9, 60).await;
    let said = server.lake.says("backfill lake.daily 2026-03-02..2026-03-09").await;
    assert!(said.contains("failed"), "{said}");
    server
}

async fn newest_run(server: &Server) -> String {
    server.asked("/runs?limit=1").await["items"][0]["run_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn assets_are_told_as_the_command_line_tells_them() {
    let server = built().await;
    for (path, command) in [
        ("/assets/lake.daily", "asset show lake.daily --json"),
        ("/lineage", "graph --format json"),
        ("/assets/daily/why?partition=2026-03-03", "why lake.daily 2026-03-03 --json"),
        ("/assets/lake.daily/why?partition=2026-03-09", "why lake.daily 2026-03-09 --json"),
        ("/ticks?around=2026-03-29&count=4", "schedule next --around 2026-03-29 --count 4 --json"),
        ("/schedules/nightly/plan", "schedule trigger nightly --dry-run --json"),
    ] {
        let (told, _) = split(&server.lake.says(command).await);
        assert_eq!(server.asked(path).await, told, "{path}");
    }
    let (told, _) = split(&server.lake.says("status lake.daily --json").await);
    let status = server.asked("/status?selection=lake.daily").await;
    assert_eq!(
        (&status["items"], &status["at"], &status["is_fresh"]),
        (&told["assets"], &told["at"], &told["is_fresh"])
    );
    for (path, command) in [
        ("/assets", "ls --json"),
        ("/assets?selection=state:failed", "ls state:failed --json"),
        ("/runs", "run ls --json"),
        ("/backfills", "backfill ls --json"),
        ("/schedules", "schedule ls --json"),
        ("/sensors", "sensor ls --json"),
        ("/alerts", "alert ls --json"),
        ("/quarantine", "quarantine ls --json"),
        ("/workers", "worker ls --json"),
    ] {
        let (told, _) = split(&server.lake.says(command).await);
        assert_eq!(server.asked(path).await["items"], told, "{path}");
    }
}

/// A result as JSON, and the exit code.
fn split(said: &str) -> (Value, &str) {
    let (json, exit) = said.rsplit_once('[').unwrap();
    (serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {said}")), exit)
}

#[tokio::test]
async fn one_asset_has_its_states_versions_and_checks() {
    let server = built().await;
    let status = server.asked("/assets/lake.daily/status").await;
    assert_eq!((&status["state"], &status["failed"]["text"]), (&json!("failed"), &json!("2026-03-09 (1 partition)")));
    let heat = server.asked("/assets/lake.daily/heat?cells=4&partitions=2026-03-02..2026-03-09").await;
    let cells = heat["items"].as_array().unwrap();
    assert_eq!((cells.len(), &cells[3]["worst"], &cells[0]["counts"]["fresh"]), (4, &json!("failed"), &json!(2)));
    let failed = server.asked("/assets/lake.daily/partitions?state=failed").await;
    assert_eq!(failed["items"][0]["partition"], "2026-03-09");
    assert!(failed["items"][0]["reasons"][0].as_str().unwrap().contains("plausible"), "{failed}");
    let versions = server.asked("/assets/lake.daily/materializations?limit=3").await;
    assert_eq!(versions["items"].as_array().unwrap().len(), 3);
    let version = server.asked("/assets/lake.daily/materializations?partition=2026-03-04").await;
    assert_eq!((&version["items"][0]["row_count"], &version["items"][1]), (&json!(1), &Value::Null));
    let checks = server.asked("/assets/lake.daily/checks?failed=true").await;
    assert_eq!((&checks["items"][0]["check"], &checks["items"][1]), (&json!("plausible"), &Value::Null));
    assert_eq!(server.ask("/assets/lake.daily/heat?cells=501").await.status, 400);
    assert_eq!(server.ask("/assets/lake.daily/checks?limit=0").await.status, 400);
}

#[tokio::test]
async fn what_would_be_built_is_told_and_then_built() {
    let server = built().await;
    let request = json!({ "selection": "lake.weekly", "extent": { "text": "2026-W10" } });
    let plan = server.tell("/plan", &request).await;
    let (told, _) = split(&server.lake.says("plan lake.weekly 2026-W10 --json").await);
    let mut whole = plan.json();
    assert_eq!((plan.status, whole.as_object_mut().unwrap().remove("next")), (200, Some(Value::Null)));
    assert_eq!(whole, told);
    let run = server.tell("/runs", &request).await;
    assert_eq!((run.status, &run.json()["cause"], &run.json()["steps"]), (201, &json!("manual"), &json!(1)));
    let backfill = server.tell("/backfills", &request).await.json();
    assert_eq!(backfill["cause"], "backfill");
    let missing = json!({ "selection": "lake.daily", "extent": { "text": "2026-03-10" } });
    assert_eq!(server.tell("/runs", &missing).await.status, 201, "an external asset is never missing");
    let missing = json!({ "selection": "lake.summary" });
    let refused = server.tell("/runs", &missing).await;
    assert!(refused.status == 409 && refused.text.contains("lake.weekly"), "{}", refused.text);
}

#[tokio::test]
async fn a_plan_comes_in_pages() {
    let server = built().await;
    let request = json!({ "selection": "lake.daily+", "extent": "all" });
    let whole = server.tell("/plan?limit=500", &request).await.json();
    let all: Vec<&Value> = whole["assets"].as_array().unwrap().iter().map(|planned| &planned["asset"]).collect();
    assert!(all.len() >= 2, "{whole}");
    let mut told = Vec::new();
    let mut next = String::new();
    loop {
        let page = server.tell(&format!("/plan?limit=1{next}"), &request).await.json();
        assert_eq!((&page["request"], &page["partition_count"]), (&whole["request"], &whole["partition_count"]));
        told.push(page["assets"][0]["asset"].clone());
        assert_eq!(page["assets"].as_array().unwrap().len(), 1);
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(told.iter().collect::<Vec<_>>(), all);
    let foreign = server.tell("/plan?cursor=00", &request).await;
    assert!(foreign.status == 400 && foreign.text.contains("is none of this list"), "{}", foreign.text);
    assert_eq!(server.tell("/plan?limit=0", &request).await.status, 400);
}

#[tokio::test]
async fn runs_are_shown_and_steered() {
    let server = built().await;
    let failed = newest_run(&server).await;
    let short = &failed[failed.len() - 8..];
    let run = server.asked(&format!("/runs/{short}")).await;
    assert_eq!((&run["run_id"], &run["state"]), (&json!(failed), &json!("failed")));
    let steps = server.asked(&format!("/runs/{short}/steps?state=failed")).await;
    assert_eq!((&steps["items"][0]["partition"], &steps["items"][1]), (&json!("2026-03-09"), &Value::Null));
    let events = server.asked(&format!("/runs/{short}/events")).await;
    assert!(events["items"].as_array().unwrap().iter().any(|event| event["kind"] == "run_launched"), "{events}");
    let retry = server.tell(&format!("/runs/{short}/retry"), &json!({})).await;
    assert_eq!((retry.status, &retry.json()["cause"]), (201, &json!("retry")), "{}", retry.text);
    let retry = retry.json()["run_id"].as_str().unwrap().to_owned();
    let progress = server.asked(&format!("/progress?runs={retry},{failed}")).await;
    assert_eq!((&progress["live_runs"], &progress["failures"][0]["partition"]), (&json!(1), &json!("2026-03-09")));
    for filter in
        ["live=true", "cause=retry", &format!("backfill={}&cause=retry", run["backfill_id"].as_str().unwrap())]
    {
        let runs = server.asked(&format!("/runs?{filter}")).await;
        assert_eq!((&runs["items"][0]["run_id"], &runs["items"][1]), (&json!(retry), &Value::Null), "{filter}");
    }
    assert_eq!(server.asked("/runs?state=failed&asset=lake.daily").await["items"].as_array().unwrap().len(), 1);
    let resumed = server.tell(&format!("/runs/{retry}/resume"), &json!({})).await;
    assert_eq!((resumed.status, &resumed.json()["changed"]), (200, &json!([])));
    let canceled = server.tell(&format!("/runs/{retry}/cancel"), &json!({})).await;
    assert_eq!((canceled.status, &canceled.json()["changed"]), (200, &json!([retry])));
    let over = server.tell(&format!("/runs/{retry}/cancel"), &json!({})).await;
    assert_eq!((over.status, over.json()["kind"].as_str().unwrap()), (409, "refused"));
}

#[tokio::test]
async fn backfills_are_steered() {
    let server = Server::new().await;
    server.lake.record(2, 8, 3).await;
    let request = json!({ "selection": "lake.daily", "extent": { "text": "2026-03-02..2026-03-08" } });
    let id = server.tell("/backfills", &request).await.json()["backfill_id"].as_str().unwrap().to_owned();
    for (verb, state) in [("pause", "paused"), ("resume", "running"), ("cancel", "canceled")] {
        let answer = server.tell(&format!("/backfills/{id}/{verb}"), &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(server.asked(&format!("/backfills/{id}")).await["state"], state);
    }
    assert_eq!(server.tell(&format!("/backfills/{id}/retry"), &json!({})).await.status, 409);
    let again = server.tell(&format!("/backfills/{id}/retry"), &json!({ "canceled": true })).await;
    assert_eq!((again.status, &again.json()["backfill_id"]), (201, &json!(id)));
}

#[tokio::test]
async fn schedules_are_switched_and_triggered() {
    let server = Server::new().await;
    server.lake.record(2, 8, 3).await;
    let paused = server.tell("/schedules/nightly/pause", &json!({})).await.json();
    assert_eq!((&paused["state"], &paused["changed"]), (&json!("paused"), &json!(true)));
    let resumed = server.tell("/schedules/nightly/resume", &json!({})).await.json();
    assert_eq!((&resumed["state"], &resumed["changed"]), (&json!("on"), &json!(true)));
    let triggered = server.tell("/schedules/nightly/trigger", &json!({ "at": "2026-03-05T02:15:00Z" })).await;
    assert_eq!((triggered.status, &triggered.json()["outcome"]), (200, &json!("launched")), "{}", triggered.text);
    let ahead = server.tell("/schedules/nightly/trigger", &json!({ "at": "2027-03-05T02:15:00Z" })).await;
    assert_eq!(ahead.status, 400);
    for path in ["/schedules/never/pause", "/sensors/never/pause", "/sensors/never/trigger"] {
        assert_eq!(server.tell(path, &json!({})).await.status, 404, "{path}");
    }
    assert_eq!(server.ask("/sensors/never").await.status, 404);
}

#[tokio::test]
async fn marks_make_readers_stale() {
    let server = built().await;
    let mut mark =
        json!({ "asset": "lake.events", "partitions": "2026-03-03", "reason": "by a test", "dry_run": true });
    let would = server.tell("/marks", &mark).await.json();
    assert_eq!((&would["marked"], &would["stale"][0]["asset"]), (&json!(false), &json!("lake.daily")));
    mark["dry_run"] = json!(false);
    assert_eq!(server.tell("/marks", &mark).await.json()["marked"], true);
    assert_eq!(server.asked("/assets/lake.daily/status").await["stale"]["text"], "2026-03-03 (1 partition)");
    let none = server.tell("/quarantine/release", &json!({ "asset": "lake.events" })).await.json();
    assert_eq!((&none["decision"], &none["rows"]), (&json!("released"), &json!(0)));
    let unknown = server.tell("/quarantine/discard", &json!({ "rows": [1] })).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(server.ask("/quarantine/1").await.status, 404);
}

#[tokio::test]
async fn the_installation_says_what_it_is() {
    let server = Server::new().await;
    let instance = server.asked("/instance").await;
    assert_eq!(
        instance,
        json!({ "program": "lake", "version": "1.0.0", "zone": "Europe/Berlin", "first_day": "2026-03-01", "now": "2026-03-20T10:00:00Z" })
    );
    assert_eq!(server.asked("/health").await["ready"], true);
}

#[tokio::test]
async fn what_only_pages_show_is_read_as_well() {
    let server = built().await;
    let automation = server.asked("/assets/daily/automation?count=3").await;
    assert_eq!(automation["asset"], "lake.daily");
    assert!(automation["unfresh"].as_u64().unwrap() > 3, "{automation}");
    assert_eq!(automation["evaluations"].as_array().unwrap().len(), 3, "{automation}");
    let lineage = server.asked("/assets/daily/columns").await;
    assert_eq!((&lineage["asset"], &lineage["is_refused"]), (&json!("lake.daily"), &json!(false)), "{lineage}");
    assert_eq!(lineage["reads"][0]["asset"], "lake.events", "{lineage}");
    let all = server.asked("/assets/lake.daily/figures").await;
    assert_eq!((&all["figures"][0], &all["figures"][1]), (&json!("rows"), &json!("seconds")));
    assert_eq!(all["figures"].as_array().unwrap().len(), all["series"].as_array().unwrap().len());
    let rows = server.asked("/assets/lake.daily/figures?figure=rows&partitions=2026-03-02..2026-03-05&points=2").await;
    let points = rows["series"][0]["points"].as_array().unwrap();
    assert_eq!(
        (points.len(), &points[0]["first"], &points[1]["last"]),
        (2, &json!("2026-03-02"), &json!("2026-03-05"))
    );
    let none = server.asked("/assets/lake.daily/figures?figure=nobody").await;
    assert_eq!(none["series"], json!([{ "figure": "nobody", "points": [] }]));
    let run = newest_run(&server).await;
    let versions = server.asked(&format!("/runs/{run}/versions?limit=2")).await;
    let items = versions["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["partition"], &items[1]["partition"]),
        (2, &json!("2026-03-02"), &json!("2026-03-03"))
    );
    // What comes from outside has no versions.
    assert_eq!((&items[0]["row_count"], &items[0]["inputs"]), (&json!(1), &json!({})), "{versions}");
    let overview = server.asked("/overview").await;
    assert_eq!((&overview["ran"]["failed"], &overview["ran"]["live"]), (&json!(1), &json!(0)), "{overview}");
    let timeline = server.asked("/timeline").await;
    let lanes = timeline["lanes"].as_array().unwrap();
    let backfills = lanes.iter().find(|lane| lane["kind"] == "backfill").unwrap();
    assert_eq!((&backfills["runs"][0]["run_id"], &backfills["runs"][0]["state"]), (&json!(run), &json!("failed")));
    let measured = server.asked("/tables").await;
    let tables = measured["items"].as_array().unwrap();
    for (table, own) in [("lake.daily", false), ("karat.step", true)] {
        assert!(tables.iter().any(|size| size["table"] == table && size["own"] == own), "{table}: {tables:?}");
    }
    // They are not measured again at once.
    assert_eq!((&measured["measured_at"], &measured["next"]), (&json!("2026-03-20T10:00:00Z"), &Value::Null));
    server.lake.clock.advance(std::time::Duration::from_secs(30));
    assert_eq!(server.asked("/tables").await, measured);
}

#[tokio::test]
async fn pools_tell_who_waits_for_them() {
    let server = crate::workshop::workshop(Vec::new()).await;
    let request = json!({
        "selection": "workshop.pressed", "extent": { "text": "2026-03-02..2026-03-05" }, "force": true
    });
    let run = server.tell("/runs", &request).await;
    assert_eq!(run.status, 201, "{}", run.text);
    let pools = server.asked("/pools").await;
    let pool = &pools["items"][0];
    assert_eq!((&pool["held"], &pool["holders"]), (&json!(0), &json!([])), "{pools}");
    assert_eq!(
        (&pool["waiting"][0]["asset"], &pool["waiting"][0]["run_id"]),
        (&json!("workshop.pressed"), &run.json()["run_id"]),
        "{pools}"
    );
}

/// Lines that the steps of a run said.
async fn say(server: &Server, run: &str, lines: &[(&str, &str)]) {
    for (sequence, (level, message)) in lines.iter().enumerate() {
        sqlx::query(
            "insert into karat.log_line (logged_at, run_id, step_id, lease_epoch, sequence, level, target, message, fields)
             select $2 + $3 * interval '1 second', run_id, min(step_id), 1, $3, $4, 'test', $5, '{\"rows\": 1}'
             from karat.step where run_id::text = $1 group by run_id",
        )
        .bind(run)
        .bind(crate::service_lake::instant("2026-03-20T10:00:01Z"))
        .bind(i64::try_from(sequence).unwrap())
        .bind(level)
        .bind(message)
        .execute(&server.lake.pool)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn logs_are_read_filtered_downloaded_and_followed() {
    let server = built().await;
    let run = newest_run(&server).await;
    say(&server, &run, &[("info", "counting a day"), ("warn", "few people"), ("error", "nobody\nat all")]).await;
    let lines = server.asked(&format!("/runs/{run}/logs")).await;
    assert_eq!(lines["items"].as_array().unwrap().len(), 3);
    for (filter, expected) in
        [("level=warn", 2), ("text=PEOPLE", 1), ("level=error&text=rows", 1), ("limit=1", 1), ("asset=lake.weekly", 0)]
    {
        let lines = server.asked(&format!("/runs/{run}/logs?{filter}")).await;
        assert_eq!(lines["items"].as_array().unwrap().len(), expected, "{filter}");
    }
    let file = server.ask(&format!("/runs/{run}/logs/download?level=warn")).await;
    assert_eq!(file.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(file.header("content-disposition"), format!("attachment; filename=\"run-{run}.txt\""));
    insta::assert_snapshot!(file.text, @r"
    2026-03-20T10:00:02.000Z WARN  lake.daily 2026-03-02 #1 few people rows=1
    2026-03-20T10:00:03.000Z ERROR lake.daily 2026-03-02 #1 nobody
    at all rows=1
    ");
    // The run has ended: the stream says so after the last line, and ends.
    let stream = server.request(Method::GET, &format!("/api/v1/runs/{run}/logs/stream?level=error"));
    let stream = server.send(stream).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let events: Vec<&str> = stream.text.split("\n\n").filter(|event| !event.is_empty()).collect();
    assert!(events[0].starts_with("event: line\ndata: {") && events[0].contains("nobody\\nat all"), "{events:?}");
    assert_eq!(events[1..], ["event: end\ndata: the run has ended"]);
}
