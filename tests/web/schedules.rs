//! Schedules, sensors and automation on pages.

use insta::assert_snapshot;
use karat::daemon::{Reconciler, ReconcilerContext, SensorReconciler};
use karat::store::Store;
use reqwest::Method;

use crate::server::{Server, settings};
use crate::workshop::workshop;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_switched_and_triggered_and_says_what_the_clock_will_do() {
    let server = Server::new().await;
    let _guard = settings().bind_to_scope();
    server.lake.record(2, 19, 5).await;
    assert_snapshot!("schedules", server.get("/schedules").await.main());
    assert_snapshot!("schedules_nightly", server.get("/schedules/nightly").await.main());
    for (path, done) in [
        ("/schedules/nightly/pause", "switched-off"),
        ("/schedules/nightly/pause", "unchanged"),
        ("/schedules/nightly/resume", "switched-on"),
        ("/schedules/hourly/resume", "switched-on"),
    ] {
        let answer = server.post(path, &[]).await;
        assert!(answer.status == 303 && answer.header("location").ends_with(&format!("?done={done}")), "{path}");
    }
    // On 29 March clocks jump from 02:00 to 03:00.
    let hourly = server.get("/schedules/hourly").await;
    assert!(hourly.text.contains("+01:00 → +02:00") && hourly.text.contains("Sun 2026-03-29 03:30 +02:00"));
    assert_snapshot!("schedules_trigger", server.get("/schedules/nightly/trigger?at=2026-03-19T03:15").await.main());
    let answer = server.post("/schedules/nightly/trigger", &[("at", "2026-03-19T03:15")]).await;
    assert_eq!(answer.header("location"), "/schedules/nightly?done=launched", "{}", answer.text);
    assert_snapshot!("schedules_triggered", server.get("/schedules/nightly?done=launched").await.main());
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn these_pages_speak_german() {
    let server = Server::new().await;
    let _guard = settings().bind_to_scope();
    let request = server.request(Method::GET, "/schedules/nightly").header("accept-language", "de");
    let page = server.send(request).await;
    assert_snapshot!("schedules_nightly_german", page.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_is_switched_triggered_and_sent_back() {
    let server = workshop(Vec::new()).await;
    let _guard = settings().bind_to_scope();
    let context = ReconcilerContext {
        store: Store::new(server.lake.pool.clone()),
        definitions: server.service.definitions().clone(),
        clock: server.lake.clock.clone(),
    };
    SensorReconciler.activate(&context).await.unwrap();
    assert_snapshot!("sensors", server.get("/sensors").await.main());
    let page = server.get("/sensors/files").await;
    assert!(page.text.contains("no &#60;new&#62; file"), "{}", page.text);
    assert_snapshot!("sensors_files", page.main());
    for (verb, fields, done) in [
        ("pause", vec![], "switched-off"),
        ("pause", vec![], "unchanged"),
        ("resume", vec![], "sensor-on"),
        ("trigger", vec![], "evaluated"),
        ("cursor", vec![("cursor", "<b>17")], "cursor"),
    ] {
        let answer = server.post(&format!("/sensors/files/{verb}"), &fields).await;
        let location = answer.header("location").to_owned();
        // Due at once it may be already.
        assert!(location.ends_with(done) || location.ends_with("unchanged"), "{verb}: {location} {}", answer.text);
    }
    let page = server.get("/sensors/files").await;
    assert!(page.text.contains("&#60;b&#62;17") && !page.text.contains("<b>17"), "{}", page.text);
    assert_eq!(server.post("/sensors/files/nothing", &[]).await.status, 404);
    assert_eq!(server.get("/sensors/nothing").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automation_says_what_it_waits_for() {
    let server = Server::new().await;
    let _guard = settings().bind_to_scope();
    server.lake.record(2, 19, 5).await;
    let page = server.get_until("/automation", |text| !text.contains("being looked at")).await;
    assert_snapshot!("automation", page.main());
    assert_snapshot!("automation_daily", server.get("/automation/lake.daily").await.main());
    let part = server.get("/automation/lake.daily/evaluations").await;
    assert_eq!(part.text.matches("<span class=\"mono\">2026-03-").count(), 2, "{}", part.text);
    assert_eq!(server.get("/automation/nothing").await.status, 404);
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
