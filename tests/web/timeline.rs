//! The timeline.

use crate::look::shot;
use crate::server::Server;
use crate::service_lake::instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_and_what_is_due_lie_side_by_side() {
    let server = Server::new().await;
    server.lake.record(2, 19, 60).await;
    assert!(server.lake.says("materialize lake.regions").await.ends_with("[0]"));
    assert!(server.lake.says("backfill lake.daily 2026-03-19").await.ends_with("[1]"), "the check refuses it");
    assert_eq!(server.post("/schedules/nightly/trigger", &[]).await.status, 303);
    shot("timeline_full", &server.get("/timeline").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_are_as_long_as_they_are() {
    let server = Server::new().await;
    for (now, hours, ticks) in [
        // Clocks are put forward on 29 March 2026, and back on 25 October.
        ("2026-03-28T10:00:00Z", Some("71 h"), 2),
        ("2026-10-24T10:00:00Z", Some("73 h"), 2),
        ("2026-06-10T10:00:00Z", None, 2),
    ] {
        server.lake.clock.set(instant(now));
        let page = server.get("/timeline").await;
        match hours {
            Some(hours) => assert!(page.text.contains(&format!("three days have {hours}")), "{now}: {}", page.text),
            None => assert!(!page.text.contains("The clock is changed"), "{now}"),
        }
        // Midnight and every six hours, whatever the length of the day, and the end.
        assert_eq!(page.text.matches("<line class=\"hour").count(), 13, "{now}: {}", page.text);
        assert_eq!(page.text.matches("<line class=\"hour midnight").count(), 4, "{now}");
        let shown = page.text.matches("<path class=\"tick\"").count();
        assert!(shown >= 1 && shown <= ticks, "{now}: {shown}");
    }
}
