//! Dashboards and tables as pages, and what can be taken away.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Method;

use crate::dashboard_lake::{
    Cohort, Happening, Snapshot, Utilization, append, calendar, create_tables, definitions, without_watch,
};
use crate::look::shot;
use crate::server::{Answer, Server};
use crate::service_lake::{Lake, instant};

/// A server of the lake with things to watch.
async fn watched() -> Server {
    let lake = Lake::new().await;
    create_tables(&lake).await;
    lake.record(1, 10, 4).await;
    lake.record(12, 19, 6).await;
    lake.says("materialize lake.daily 2026-03-01..2026-03-19").await;
    lake.says("materialize lake.daily 2026-03-20").await;
    Server::with(lake, definitions(calendar())).await
}

/// The page when it says so: just after a start it is not known how assets stand.
async fn until(server: &Server, path: &str, text: &str) -> Answer {
    let asking = async {
        loop {
            // This is answered when everything was looked at.
            server.get("/api/v1/status").await;
            let page = server.get(path).await;
            if page.text.contains(text) {
                return page;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap_or_else(|_| panic!("{path} never said {text}"))
}

#[tokio::test]
async fn without_dashboards_the_page_says_how_to_declare_one() {
    let server = Server::new().await;
    let page = server.get("/dashboards").await;
    shot("dashboards_none", &page);
}

#[tokio::test]
async fn the_list_has_every_dashboard_with_its_charts() {
    let server = watched().await;
    let page = server.get("/dashboards").await;
    let main = page.main();
    for (address, title) in
        [("people", "People"), ("servers", "Servers"), ("metrics", "Metrics"), ("retention", "Retention")]
    {
        assert!(main.contains(&format!("<a href=\"/dashboards/{address}\">{title}</a>")), "{main}");
    }
    assert!(main.contains("Per day · Both · Newest") && !main.contains("waiting"), "{main}");
    shot("dashboards_some", &page);
    let german = server.send(server.request(Method::GET, "/dashboards").header("accept-language", "de")).await;
    assert!(german.main().contains(">Menschen</a>") && german.main().contains("Wer da war."), "{}", german.text);
}

#[tokio::test]
async fn a_dashboard_shows_its_figures_their_table_and_how_far_they_can_be_relied_on() {
    let server = watched().await;
    let page =
        until(&server, "/dashboards/people?what=events&from=2026-03-09&to=2026-03-20", "provisional: 2026").await;
    let main = page.main();
    assert_eq!(page.status, 200, "{main}");
    assert!(main.contains("<svg class=\"chart-picture\""), "{main}");
    // The choices are links that keep each other.
    assert!(main.contains("href=\"/dashboards/people?span=30d&#38;what=events\""), "{main}");
    assert!(main.contains("href=\"/dashboards/people?from=2026-03-09&#38;to=2026-03-20&#38;what=people\""), "{main}");
    assert!(main.contains("aria-current=\"true\">Events</a>"), "{main}");
    // The table has the newest first, without days that have no row.
    let cells: String =
        main.split_once("<tbody>").unwrap().1.split_once("</tbody>").unwrap().0.replace(char::is_whitespace, "");
    let day_19 = cells.find("<td>2026-03-19</td><tdclass=\"number\">6</td>").unwrap();
    let day_10 = cells.find("<td>2026-03-10</td><tdclass=\"number\">4</td>").unwrap();
    assert!(day_19 < day_10 && !cells.contains("2026-03-11"), "{cells}");
    assert!(main.contains("provisional: 2026-03-20") && main.contains("lake.daily"), "{main}");
    shot("dashboard_lines_bars_numbers", &page);
    // What is taken away is what is looked at.
    let file = "/dashboards/people/per_day/rows.csv?from=2026-03-09&#38;to=2026-03-20&#38;what=events";
    assert!(main.contains(file), "{main}");
    let csv = server.get(&file.replace("&#38;", "&")).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"people.per_day.csv\"");
    assert!(csv.text.starts_with("day,events\r\n2026-03-19,6\r\n2026-03-18,6\r\n"), "{}", csv.text);
    assert!(csv.text.ends_with("2026-03-10,4\r\n2026-03-09,4\r\n"), "{}", csv.text);
    let json = server.get("/dashboards/people/both/rows.json?from=2026-03-09&to=2026-03-10").await;
    let rows: serde_json::Value = serde_json::from_str(&json.text).unwrap();
    assert_eq!(
        rows,
        serde_json::json!([
            {"day": "2026-03-10", "people": 4, "events": 4},
            {"day": "2026-03-09", "people": 4, "events": 4},
        ])
    );
}

#[tokio::test]
async fn what_has_no_figures_yet_says_so() {
    let server = watched().await;
    for (dashboard, name) in [
        ("servers", "dashboard_hours_empty"),
        ("metrics", "dashboard_line_empty"),
        ("retention", "dashboard_retention_empty"),
    ] {
        shot(name, &until(&server, &format!("/dashboards/{dashboard}"), "nothing there yet").await);
    }
    shot("table_empty", &until(&server, "/tables/watch.happenings", "nothing there yet").await);
    sqlx::query("alter table watch.cohorts rename to cohorts_away").execute(&server.lake.pool).await.unwrap();
    shot("dashboard_table_away", &server.get("/dashboards/retention").await);
}

#[tokio::test]
async fn what_waits_for_its_tables_is_named() {
    let server = Server::with(Lake::new().await, without_watch(calendar())).await;
    shot("dashboards_waiting", &until(&server, "/dashboards", "waiting for their tables").await);
    shot("dashboard_waiting", &server.get("/dashboards/servers").await);
    shot("dashboard_nothing_built", &until(&server, "/dashboards/people", "nothing there yet").await);
}

#[tokio::test]
async fn heat_maps_cohorts_and_anomalies_are_drawn() {
    let server = watched().await;
    let hours: Vec<Utilization> = (0..24 * 14)
        .map(|number| Utilization {
            hour: instant("2026-03-05T00:00:00Z") + TimeDelta::hours(number),
            server: "arena".to_owned(),
            players: (number % 24) as f64,
        })
        .collect();
    append(&server.lake, &hours).await;
    let counts: Vec<Snapshot> = (0..24 * 60)
        .map(|number| Snapshot {
            at: instant("2026-01-20T00:00:00Z") + TimeDelta::hours(number),
            kind: "visits".to_owned(),
            count: if number == 24 * 57 { 5_000 } else { 100 + number % 24 },
        })
        .collect();
    append(&server.lake, &counts).await;
    let starts_at = instant("2026-03-19T18:00:00Z");
    append(&server.lake, &[Happening { starts_at, title: "A <feast>".to_owned(), guests: None }]).await;
    let month = |text: &str| text.parse().unwrap();
    let cohort =
        |at, from, months_since, users| Cohort { month: month(at), cohort_month: month(from), months_since, users };
    append(
        &server.lake,
        &[
            cohort("2026-01-01", "2026-01-01", 0, 50),
            cohort("2026-02-01", "2026-01-01", 1, 20),
            cohort("2026-02-01", "2026-02-01", 0, 10),
        ],
    )
    .await;
    let servers = server.get("/dashboards/servers").await;
    assert_eq!(servers.main().matches("<td class=\"heat-").count(), 168, "{}", servers.text);
    shot("dashboard_hours", &until(&server, "/dashboards/servers", "as of").await);
    let metrics = until(&server, "/dashboards/metrics", "as of").await;
    shot("dashboard_anomalies", &metrics);
    assert!(metrics.main().contains("◎ 2026-03-18 01:00: 5\u{202f}000 (usually 100 ± 2)"), "{}", metrics.text);
    assert!(metrics.main().contains("times 1.4826") && metrics.main().contains("chart-anomaly"), "{}", metrics.text);
    let retention = until(&server, "/dashboards/retention", "as of").await;
    shot("dashboard_retention", &retention);
    assert!(retention.main().contains("40\u{202f}%") && retention.main().contains("2026-01"), "{}", retention.text);
}

#[tokio::test]
async fn a_table_can_be_looked_at_page_by_page_and_taken_away() {
    let server = watched().await;
    until(&server, "/tables/lake.events", "as of").await;
    shot("tables_some", &server.get("/tables").await);
    let first = server.get("/tables/lake.events?sort=-event_id").await;
    let main = first.main();
    assert!(
        main.contains("aria-sort=\"descending\"") && main.contains(">19006<") && !main.contains(">1001<"),
        "{main}"
    );
    let next = main.split_once("cursor=").unwrap().1;
    let cursor = next.split_once(['"', '&']).unwrap().0;
    let second = server.get(&format!("/tables/lake.events?sort=-event_id&cursor={cursor}")).await;
    assert!(second.main().contains(">1001<") && !second.main().contains(">19006<"), "{}", second.text);
    let some = server.get("/tables/events?partitions=2026-03-12&where.region=asia&where.person=2").await;
    assert_eq!(some.main().matches("<tr").count(), 2, "{}", some.text);
    shot("table_filtered", &some);
    shot("table_no_match", &server.get("/tables/lake.events?where.person=99").await);
    shot("table_rows", &server.get("/tables/lake.daily").await);
    let csv = server.get("/tables/lake.events/rows.csv?partitions=2026-03-12").await;
    assert_eq!(csv.text.lines().count(), 7, "{}", csv.text);
    assert!(csv.text.starts_with("event_id,occurred_at,person,region\r\n"), "{}", csv.text);
    let json = server.get("/tables/lake.events/rows.json").await;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json.text).unwrap();
    assert_eq!(rows.len(), 88);
}

#[tokio::test]
async fn hostile_texts_are_texts() {
    let server = watched().await;
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let rows: Vec<Happening> = [hostile, "=1+1", "a,b\r\n\"c\"", "\u{202e}evil"]
        .map(|title| Happening { starts_at: instant("2026-03-19T18:00:00Z"), title: title.to_owned(), guests: None })
        .into();
    append(&server.lake, &rows).await;
    for path in ["/tables/watch.happenings", "/dashboards/servers?by.hours=%3Cscript%3E&span=all"] {
        let page = server.get(path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(!page.text.contains("<script>") && !page.text.contains("<img src=x"), "{}", page.text);
        assert!(page.text.contains("&#60;script&#62;"), "{}", page.text);
        for forbidden in [" style=", " onclick=", "javascript:"] {
            assert!(!page.text.contains(forbidden), "{forbidden} in {}", page.text);
        }
    }
    let csv = server.get("/tables/watch.happenings/rows.csv?sort=title").await;
    assert!(csv.text.contains(",\"a,b\r\n\"\"c\"\"\",\r\n"), "{}", csv.text);
    let json = server.get("/tables/watch.happenings/rows.json").await;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json.text).unwrap();
    assert!(rows.iter().any(|row| row["title"] == hostile));
}

#[tokio::test]
async fn what_cannot_be_asked_for_has_a_page_that_says_so() {
    let server = watched().await;
    for (path, status) in [
        ("/dashboards/poeple", 404),
        ("/dashboards/people/nothing/rows.csv", 404),
        ("/dashboards/people/per_day/rows.xlsx", 404),
        ("/dashboards/people?span=2y", 400),
        ("/dashboards/people?from=yesterday", 400),
        ("/dashboards/people?from=2026-03-02&to=2026-03-01", 400),
        ("/dashboards/people?what=nothing", 400),
        ("/tables/lake.nothing", 404),
        ("/tables/lake.events?sort=nothing", 400),
        ("/tables/lake.events?cursor=12", 400),
        ("/tables/lake.events?where.person=many", 400),
        ("/tables/lake.events?partitions=2026-13", 400),
        ("/tables/lake.events/rows.csv?where.nothing=1", 400),
        ("/tables/lake.events/rows.csv?where.person=many", 400),
    ] {
        let page = server.get(path).await;
        assert_eq!(page.status, status, "{path}: {}", page.text);
        assert!(page.main().contains("class=\"banner failed\""), "{path}: {}", page.text);
    }
    for (path, name) in [
        ("/dashboards/poeple", "dashboard_unknown"),
        ("/dashboards/people?span=2y", "dashboard_refused"),
        ("/dashboards/people/per_day/rows.xlsx", "dashboard_file_unknown"),
        ("/tables/lake.nothing", "table_unknown"),
        ("/tables/lake.events?sort=nothing", "table_refused"),
        ("/tables/lake.events/rows.csv?where.nothing=1", "table_file_refused"),
    ] {
        shot(name, &server.get(path).await);
    }
}
