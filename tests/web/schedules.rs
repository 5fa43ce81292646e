//! Schedules, sensors and automation on pages.

use karat::daemon::{Reconciler, ReconcilerContext, SensorReconciler};
use karat::service::Role;
use karat::store::Store;
use reqwest::Method;

use crate::look::{part_of, shot};
use crate::server::Server;
use crate::workshop::workshop;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_switched_and_triggered_and_says_what_the_clock_will_do() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    shot("schedules_some", &server.get("/schedules").await);
    shot("schedule_on", &server.get("/schedules/nightly").await);
    for (path, done) in [
        ("/schedules/nightly/pause", "switched-off"),
        ("/schedules/nightly/pause", "unchanged"),
        ("/schedules/nightly/resume", "switched-on"),
        ("/schedules/hourly/resume", "switched-on"),
    ] {
        let answer = server.post(path, &[]).await;
        assert!(answer.status == 303 && answer.header("location").ends_with(&format!("?done={done}")), "{path}");
        if path == "/schedules/nightly/pause" {
            let name = if done == "unchanged" { "schedule_unchanged" } else { "schedule_off" };
            shot(name, &server.get(answer.header("location")).await);
        }
    }
    // On 29 March clocks jump from 02:00 to 03:00.
    let hourly = server.get("/schedules/hourly").await;
    assert!(hourly.text.contains("+01:00 → +02:00") && hourly.text.contains("Sun 2026-03-29 03:30 +02:00"));
    shot("trigger_plan", &server.get("/schedules/nightly/trigger?at=2026-03-19T03:15").await);
    let answer = server.post("/schedules/nightly/trigger", &[("at", "2026-03-19T03:15")]).await;
    assert_eq!(answer.header("location"), "/schedules/nightly?done=launched", "{}", answer.text);
    shot("schedule_triggered", &server.get("/schedules/nightly?done=launched").await);
    for (path, status) in [
        ("/schedules/nothing", 404),
        ("/schedules/%3Cb%3E", 404),
        ("/schedules/nightly?before=%3Cb%3E", 400),
        ("/schedules/nightly/trigger?at=%3Cb%3E", 400),
        ("/schedules/nightly/trigger?at=2027-01-01T00:00", 400),
    ] {
        let answer = server.get(path).await;
        assert!(answer.status == status && !answer.text.contains("<b>"), "{path}: {} {}", answer.status, answer.text);
    }
    shot("schedule_unknown", &server.get("/schedules/nothing").await);
    shot("trigger_refused", &server.get("/schedules/nightly/trigger?at=2027-01-01T00:00").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_that_failed_and_schedules_that_are_gone_say_so() {
    let server = Server::new().await;
    for statement in [
        "insert into karat.schedule (name, expression, zone, evaluated_until, retired_at)
         values ('gone', '0 4 * * *', 'Europe/Berlin', '2026-03-19T04:00:00Z', '2026-03-19T08:00:00Z')",
        "insert into karat.tick (schedule, tick_at, kind, outcome, message, recorded_at)
         select 'nightly', '2026-03-15T02:15:00Z'::timestamptz + number * interval '1 day', 'scheduled',
                (array['failed', 'skipped', 'nothing'])[number],
                (array['the selection matches no asset', '2 ticks were missed and left out', 'nothing to do'])[number],
                '2026-03-19T02:15:01Z'
         from generate_series(1, 3) as number",
    ] {
        sqlx::query(statement).execute(&server.lake.pool).await.unwrap();
    }
    shot("schedule_ticks", &server.get("/schedules/nightly").await);
    shot("schedule_gone", &server.get("/schedules/gone").await);
    // Before the first day there is nothing to build.
    shot("trigger_nothing", &server.get("/schedules/nightly/trigger?at=2026-03-01T00:30").await);
    let viewer = server.token(Role::Viewer).await;
    shot("schedules_viewer", &server.get_with(&viewer, "/schedules").await);
    shot("schedule_viewer", &server.get_with(&viewer, "/schedules/nightly").await);
    shot("trigger_viewer", &server.get_with(&viewer, "/schedules/nightly/trigger").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn these_pages_speak_german() {
    let server = Server::new().await;
    let request = server.request(Method::GET, "/schedules/nightly").header("accept-language", "de");
    let page = server.send(request).await;
    shot("schedule_german", &page);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_is_switched_triggered_and_sent_back() {
    let server = workshop(Vec::new()).await;
    let context = ReconcilerContext {
        store: Store::new(server.lake.pool.clone()),
        definitions: server.service.definitions().clone(),
        clock: server.lake.clock.clone(),
    };
    shot("sensor_new", &server.get("/sensors/files").await);
    SensorReconciler.activate(&context).await.unwrap();
    shot("sensors_some", &server.get("/sensors").await);
    let page = server.get("/sensors/files").await;
    assert!(page.text.contains("no &#60;new&#62; file"), "{}", page.text);
    shot("sensor_skipped", &page);
    for (verb, fields, done) in [
        ("pause", vec![], "switched-off"),
        ("pause", vec![], "unchanged"),
        ("resume", vec![], "sensor-on"),
        ("trigger", vec![], "evaluated"),
        ("cursor", vec![("cursor", "<b>17")], "cursor"),
    ] {
        let answer = server.post(&format!("/sensors/files/{verb}"), &fields).await;
        let location = answer.header("location").to_owned();
        if verb == "pause" && done == "switched-off" {
            shot("sensor_off", &server.get(&location).await);
        }
        // Due at once it may be already.
        assert!(location.ends_with(done) || location.ends_with("unchanged"), "{verb}: {location} {}", answer.text);
    }
    let page = server.get("/sensors/files").await;
    assert!(page.text.contains("&#60;b&#62;17") && !page.text.contains("<b>17"), "{}", page.text);
    assert_eq!(server.post("/sensors/files/nothing", &[]).await.status, 404);
    shot("sensor_unknown", &server.get("/sensors/nothing").await);
    sqlx::query("update karat.sensor set failing_since = '2026-03-20T09:00:00Z', due_at = '2026-03-20T10:20:00Z'")
        .execute(&server.lake.pool)
        .await
        .unwrap();
    sqlx::query("update karat.sensor_tick set outcome = 'failed', message = 'the directory is gone'")
        .execute(&server.lake.pool)
        .await
        .unwrap();
    shot("sensors_failing", &server.get("/sensors").await);
    let viewer = server.token(Role::Viewer).await;
    shot("sensor_failing_viewer", &server.get_with(&viewer, "/sensors/files").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automation_says_what_it_waits_for() {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    let page = server.get_until("/automation", |text| !text.contains("being looked at")).await;
    shot("automation_some", &page);
    shot("automated_waiting", &server.get("/automation/lake.daily").await);
    shot("evaluations_waiting", &part_of(&server, "/automation/lake.daily/evaluations").await);
    shot("automated_unknown", &server.get("/automation/nothing").await);
    server.lake.says("backfill lake.daily --missing --concurrency 1").await;
    let path = "/automation/lake.daily";
    let page = server.get_until(path, |text| text.contains("Nothing is not fresh.")).await;
    shot("automated_nothing", &page);
    shot("evaluations_nothing", &server.get("/automation/lake.daily/evaluations").await);
}

#[tokio::test]
async fn a_tick_by_hand_at_the_instant_of_another_is_not_lost_between_pages() {
    let server = Server::new().await;
    // The first page ends with the one by hand, and the next begins with the other of that instant.
    sqlx::query(
        "insert into karat.tick (schedule, tick_at, kind, outcome, message, recorded_at)
         select 'nightly', $1 - day * interval '1 day', 'scheduled', 'nothing', 'tick ' || day, $1
         from generate_series(1, 25) as day
         union all select 'nightly', $1 - interval '25 days', 'manual', 'nothing', 'told alone', $1",
    )
    .bind(crate::service_lake::instant("2026-03-19T02:15:00Z"))
    .execute(&server.lake.pool)
    .await
    .unwrap();
    let first = server.get("/schedules/nightly").await;
    assert!(first.main().contains("told alone") && !first.main().contains("tick 25"), "{}", first.text);
    let older = first.main().split("href=\"").find(|part| part.contains(">Older<")).unwrap();
    let older = older.split('"').next().unwrap().replace("&#38;", "&");
    let second = server.get(&older).await;
    assert!(second.main().contains("tick 25") && !second.main().contains("told alone"), "{older}: {}", second.text);
    assert!(!second.main().contains(">Older<"), "there are no more");
}
