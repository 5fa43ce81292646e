//! Dashboards: as declared, and their figures, which are those of the tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Europe::Berlin;
use futures_util::TryStreamExt;
use karat::asset::dashboard::Unit;
use karat::engine::Subscription;
use karat::prelude::*;
use karat::service::{
    ChartData, ChartView, DashboardRequest, DashboardView, ErrorKind, Picture, PictureKeeper, PointView, RowsRequest,
    RowsView, Service,
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolOptions;

use crate::dashboard_lake::{
    Cohort, Happening, Snapshot, Utilization, append, calendar, create_tables, dashboards, definitions, without_watch,
};
use crate::service_lake::{Lake, assets, instant};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The lake with its tables to watch, and its service.
struct Watched {
    lake: Lake,
    service: Service,
    keeper: PictureKeeper,
}

impl Watched {
    async fn new() -> Self {
        Self::with(definitions(calendar())).await
    }

    async fn with(definitions: Definitions) -> Self {
        let lake = Lake::new().await;
        create_tables(&lake).await;
        let options = lake.database.connect_options();
        let service = Service::new(
            PgPoolOptions::new().max_connections(4).connect_lazy_with(options.clone()),
            options,
            Arc::new(definitions),
            Arc::new(assets::migrations()),
            lake.clock.clone(),
        );
        let keeper = PictureKeeper::start(&service, Subscription::silent());
        Self { lake, service, keeper }
    }

    async fn picture(&self) -> Arc<Picture> {
        self.keeper.up_to_date().await
    }

    async fn dashboard(&self, name: &str, request: &DashboardRequest) -> DashboardView {
        self.service.dashboard(&*self.picture().await, name, request).await.unwrap()
    }

    async fn chart(&self, name: &str, chart: &str, request: &DashboardRequest) -> ChartView {
        let dashboard = self.dashboard(name, request).await;
        dashboard.charts.into_iter().find(|view| view.name == chart).unwrap()
    }

    async fn rows(&self, asset: &str, request: &RowsRequest) -> RowsView {
        self.service.rows(&*self.picture().await, asset, request).await.unwrap()
    }

    async fn refusal(&self, asset: &str, request: &RowsRequest) -> (ErrorKind, String) {
        let error = self.service.rows(&*self.picture().await, asset, request).await.unwrap_err();
        (error.kind(), error.to_string())
    }

    async fn table<T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin>(&self, sql: &str) -> Vec<T> {
        sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_all(&self.lake.pool).await.unwrap()
    }
}

fn points(chart: &ChartView) -> &[PointView] {
    match &chart.data {
        Some(ChartData::Points(points)) => points,
        other => panic!("{other:?}: {:?}", chart.problem),
    }
}

// Declarations

fn refused(dashboard: Dashboard) -> String {
    let built = Definitions::builder(calendar())
        .external::<assets::Event>()
        .sql::<assets::DayCount>()
        .sql::<assets::RegionCount>()
        .dashboard(dashboard)
        .build();
    built.unwrap_err().to_string()
}

#[test]
fn all_that_is_wrong_with_a_dashboard_is_said_at_once() {
    let daily = assets::DayCount::KEY;
    let dashboard = Dashboard::new("Day", ("", "Tag"))
        .switch(Switch::new("from", ("What", "Was")).choice("one", ("One", "Eins")).choice("one", ("Two", "Zwei")))
        .chart(Chart::line("a", ("A", "A"), daily.clone()).series(Series::new(("People", "Menschen"), "poeple")))
        .chart(Chart::bars("a", ("A", "A"), daily.clone()))
        .chart(
            Chart::line("b", ("B", "B"), daily.clone())
                .series(Series::by_choice(("People", "Menschen"), ["people", "events", "people"]))
                .series(Series::new(("Day", "Tag"), "day"))
                .by("events")
                .anomalies(Seasonal { weeks: 1, threshold: 0.0 }),
        )
        .chart(Chart::weekday_hours("c", ("C", "C"), daily.clone()).series(Series::new(("E", "E"), "events")))
        .chart(Chart::retention("d", ("D", "D"), daily, ["people", "day", "events"]))
        .chart(
            Chart::line("e", ("E", "E"), assets::RegionCount::KEY)
                .series(Series::new(("Events", "Ereignisse"), "events")),
        );
    insta::assert_snapshot!(refused(dashboard), @r"
    16 problems in the definitions

    tests/karat/dashboards.rs
      * dashboard `Day`: the name `Day` cannot be
        begin with a lower-case letter and go on with lower-case letters, digits, `_` and `-`, 63 at most
      * dashboard `Day`: its title has no English text
        write it in both languages
      * dashboard `Day`: a switch cannot be named `from`
        addresses use this word: take another
      * dashboard `Day`: its switch has two choices `one`
        give each its own name
      * dashboard `Day`, chart `a`: `poeple` is no column of `lake.daily`
        did you mean `people`?
      * dashboard `Day`, chart `a`: it is declared twice
        give each chart of a dashboard its own name
      * dashboard `Day`, chart `a`: it has no series
        say with `.series(…)` which column it shows
      * dashboard `Day`, chart `b`: series `People` has 3 columns
        name one, or one for each of the switch's choices, which are 2
      * dashboard `Day`, chart `b`: anomalies cannot be told from 1 week
        use 3 to 104
      * dashboard `Day`, chart `b`: anomalies have the threshold 0
        use a number above 0, such as 5
      * dashboard `Day`, chart `b`: column `day` is a `date`
        figures are numbers: use a column of integers or floats
      * dashboard `Day`, chart `b`: column `events` is a `bigint`
        values to choose from are texts: use a column of texts
      * dashboard `Day`, chart `c`: column `day` is a `date`
        hours are told from instants (`DateTime<Utc>`): name one with `.over(…)`
      * dashboard `Day`, chart `d`: column `people` is a `bigint`
        a cohort is the date with which its period began
      * dashboard `Day`, chart `d`: column `day` is a `date`
        an offset is a number of periods: use a column of integers
      * dashboard `Day`, chart `e`: column `region` is a `text`
        name a column of dates or instants with `.over(…)`
    ");
}

#[test]
fn names_are_given_once() {
    let one = || {
        Dashboard::new("one", ("One", "Eins")).chart(Chart::table(
            "all",
            ("All", "Alle"),
            AssetKey::new("lake.somewhere"),
        ))
    };
    let built = Definitions::builder(calendar()).dashboard(one()).dashboard(one()).build();
    let text = built.unwrap_err().to_string();
    assert!(text.contains("dashboard `one`: it is declared twice"), "{text}");
    assert!(refused(Dashboard::new("none", ("None", "Keine"))).contains("it has no charts"));
}

#[tokio::test]
async fn a_dashboard_appears_when_its_asset_is_declared() {
    let before = Watched::with(without_watch(calendar())).await;
    let names = |views: &[karat::service::DashboardSummaryView]| -> Vec<String> {
        views.iter().map(|view| view.name.clone()).collect()
    };
    let list = before.service.dashboards();
    assert_eq!(names(&list.dashboards), ["people"]);
    assert_eq!(names(&list.waiting), ["servers", "metrics", "retention"]);
    assert_eq!(list.waiting[0].waiting_for, [Utilization::KEY, Happening::KEY]);
    let waiting = before.dashboard("servers", &DashboardRequest::default()).await;
    assert!(waiting.charts.is_empty() && waiting.waiting_for == [Utilization::KEY, Happening::KEY]);

    let after = Watched::new().await;
    let list = after.service.dashboards();
    assert_eq!(names(&list.dashboards), ["people", "servers", "metrics", "retention"]);
    assert!(list.waiting.is_empty());
    assert_eq!(after.dashboard("servers", &DashboardRequest::default()).await.charts.len(), 2);

    // One of two assets is enough to begin with.
    let one = Definitions::builder(calendar()).external::<Happening>();
    let one = dashboards().into_iter().fold(one, DefinitionsBuilder::dashboard).build().unwrap();
    let one = Watched::with(one).await;
    let servers = one.dashboard("servers", &DashboardRequest::default()).await;
    assert_eq!((servers.charts.len(), servers.waiting_for.as_slice()), (1, [Utilization::KEY].as_slice()));
}

// Figures over time

#[tokio::test]
async fn a_line_has_the_figures_of_the_table() {
    let watched = Watched::new().await;
    watched.lake.record(1, 12, 5).await;
    watched.lake.record(15, 19, 8).await;
    watched.lake.says("materialize lake.daily 2026-03-01..2026-03-19").await;
    for (choice, column) in [("people", "people"), ("events", "events")] {
        let request = DashboardRequest { choice: Some(choice.to_owned()), ..DashboardRequest::default() };
        let chart = watched.chart("people", "per_day", &request).await;
        let rows: Vec<(NaiveDate, i64)> =
            watched.table(&format!("select day, {column} from lake.daily order by day")).await;
        assert_eq!(rows.len(), 17);
        let shown: Vec<(NaiveDate, i64)> = points(&chart)
            .iter()
            .filter(|point| !point.values[0].is_null())
            .map(|point| (day(point.key.as_str().unwrap()), point.values[0].as_i64().unwrap()))
            .collect();
        assert_eq!(shown, rows);
        // Days without a row are gaps.
        let gaps: Vec<&str> = points(&chart)
            .iter()
            .filter(|point| point.values[0].is_null())
            .map(|point| point.key.as_str().unwrap())
            .collect();
        assert_eq!(gaps, ["2026-03-13", "2026-03-14"]);
        assert_eq!(chart.figures[0].column, column);
        assert_eq!(chart.unit, Unit::Of(("people", "Menschen").into()));
    }
    // What a figure is, is said by its column unless it says so itself.
    let chart = watched.chart("people", "per_day", &DashboardRequest::default()).await;
    assert_eq!(chart.figures[0].definition, Text::same("Distinct people."));
}

#[tokio::test]
async fn a_span_ends_with_the_newest_figures_and_days_are_days() {
    let watched = Watched::new().await;
    watched.lake.record(1, 10, 2).await;
    watched.lake.says("materialize lake.daily 2026-03-01..2026-03-10").await;
    let looked =
        watched.dashboard("people", &DashboardRequest { span: Some(Span::Month), ..DashboardRequest::default() }).await;
    assert_eq!((looked.from, looked.to), (Some(day("2026-02-09")), day("2026-03-10")));
    let all =
        watched.dashboard("people", &DashboardRequest { span: Some(Span::All), ..DashboardRequest::default() }).await;
    assert_eq!((all.from, all.to), (None, day("2026-03-10")));
    let request =
        DashboardRequest { from: Some(day("2026-03-04")), to: Some(day("2026-03-06")), ..DashboardRequest::default() };
    let chart = watched.chart("people", "per_day", &request).await;
    let keys: Vec<&str> = points(&chart).iter().map(|point| point.key.as_str().unwrap()).collect();
    assert_eq!(keys, ["2026-03-04", "2026-03-05", "2026-03-06"]);
    let big = watched.chart("people", "newest", &request).await;
    assert_eq!(points(&big).last().unwrap().values, [json!(2)]);
}

#[tokio::test]
async fn open_and_stale_partitions_are_provisional() {
    let watched = Watched::new().await;
    watched.lake.record(17, 20, 3).await;
    watched.lake.says("materialize lake.daily 2026-03-17..2026-03-19").await;
    watched.lake.says("materialize lake.daily 2026-03-20").await;
    let provisional = |chart: &ChartView| -> Vec<String> {
        points(chart)
            .iter()
            .filter(|point| point.provisional)
            .map(|point| point.key.as_str().unwrap().to_owned())
            .collect()
    };
    let chart = watched.chart("people", "per_day", &DashboardRequest::default()).await;
    assert_eq!(provisional(&chart), ["2026-03-20"], "the day has not ended");
    assert_eq!(chart.standing.open.count, 1);
    assert!(chart.standing.newest_at.is_some() && chart.standing.freshness.is_some());
    // More rows land on the 18th: its figures are of before.
    watched.lake.record(18, 18, 9).await;
    let chart = watched.chart("people", "both", &DashboardRequest::default()).await;
    assert_eq!(provisional(&chart), ["2026-03-18", "2026-03-20"]);
    assert_eq!(chart.standing.stale.text, "2026-03-18 (1 partition)");
    let rows = watched.rows("lake.daily", &RowsRequest::default()).await;
    let marked: Vec<bool> = rows.rows.iter().map(|row| row.provisional).collect();
    assert_eq!(marked, [true, false, true, false], "the newest first");
}

#[tokio::test]
async fn what_cannot_be_chosen_is_refused_with_a_sentence() {
    let watched = Watched::new().await;
    let picture = watched.picture().await;
    let refusal = async |name: &str, request: DashboardRequest| {
        let error = watched.service.dashboard(&picture, name, &request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        error.to_string()
    };
    let chosen = |choice: &str| DashboardRequest { choice: Some(choice.to_owned()), ..DashboardRequest::default() };
    assert_eq!(
        refusal("poeple", DashboardRequest::default()).await,
        "there is no dashboard `poeple`: did you mean `people`?"
    );
    assert_eq!(refusal("people", chosen("event")).await, "there is no choice `event`: did you mean `events`?");
    assert_eq!(refusal("metrics", chosen("x")).await, "there is no choice `x`");
    let days =
        DashboardRequest { from: Some(day("2026-03-02")), to: Some(day("2026-03-01")), ..DashboardRequest::default() };
    assert_eq!(refusal("people", days).await, "2026-03-02 is after 2026-03-01: exchange the days");
    let none = watched.service.chart(&picture, "people", "per_dya", &DashboardRequest::default()).await.unwrap_err();
    assert_eq!(none.to_string(), "there is no chart `per_dya`: did you mean `per_day`?");
}

#[tokio::test]
async fn a_chart_that_cannot_be_read_says_why_and_the_others_are_there() {
    let watched = Watched::new().await;
    sqlx::raw_sql("drop table watch.utilization").execute(&watched.lake.pool).await.unwrap();
    let happening = Happening { starts_at: instant("2026-03-19T18:00:00Z"), title: "Cup".to_owned(), guests: Some(3) };
    append(&watched.lake, &[happening]).await;
    let servers = watched.dashboard("servers", &DashboardRequest::default()).await;
    let [hours, happenings] = servers.charts.as_slice() else { panic!("{servers:?}") };
    assert!(hours.data.is_none() && hours.problem.as_ref().unwrap().contains("does not exist"), "{hours:?}");
    let Some(ChartData::Rows(rows)) = &happenings.data else { panic!("{happenings:?}") };
    assert_eq!(rows.rows[0].values, [json!("2026-03-19T18:00:00Z"), json!("Cup"), json!(3)]);
}

// Hours of the week

#[tokio::test]
async fn hours_are_local_and_their_means_those_of_the_database() {
    let watched = Watched::new().await;
    watched.lake.clock.set(instant("2026-04-10T10:00:00Z"));
    // Over the night of 29 March, in which 02:00 does not exist.
    let rows: Vec<Utilization> = (0..24 * 21)
        .flat_map(|number| [("arena", 1.0), ("retakes", 3.0)].map(|(server, factor)| (number, server, factor)))
        .map(|(number, server, factor)| Utilization {
            hour: instant("2026-03-20T00:00:00Z") + TimeDelta::hours(number),
            server: server.to_owned(),
            // Sums of such numbers are exact, in whatever order the database takes them.
            players: factor * (number % 17) as f64 / 4.0,
        })
        .collect();
    append(&watched.lake, &rows).await;
    for (by, filter) in [(None, "true"), (Some("arena"), "server = 'arena'"), (Some("nobody's"), "false")] {
        let request = DashboardRequest {
            span: Some(Span::All),
            by: by.map(|by| ("hours".to_owned(), by.to_owned())).into_iter().collect(),
            ..DashboardRequest::default()
        };
        let chart = watched.chart("servers", "hours", &request).await;
        let Some(ChartData::Hours(hours)) = &chart.data else { panic!("{chart:?}") };
        let shown: Vec<(i32, i32, f64, i64)> =
            hours.iter().map(|hour| (hour.weekday, hour.hour, hour.mean, hour.figures)).collect();
        let expected: Vec<(i32, i32, f64, i64)> = watched
            .table(&format!(
                "select extract(isodow from hour at time zone 'Europe/Berlin')::integer,
                     extract(hour from hour at time zone 'Europe/Berlin')::integer, avg(players), count(*)
                 from watch.utilization where {filter} group by 1, 2 order by 1, 2"
            ))
            .await;
        assert_eq!(shown, expected);
        assert_eq!(hours.is_empty(), filter == "false");
        let choice = chart.by.unwrap();
        assert!(
            choice.may_be_all && choice.values.ends_with(&["arena".to_owned(), "retakes".to_owned()]),
            "{choice:?}"
        );
        assert_eq!((choice.value.as_deref(), choice.values.len()), (by, if filter == "false" { 3 } else { 2 }));
    }
    let sunday_2 = |row: &Utilization| {
        let local = row.hour.with_timezone(&Berlin);
        local.weekday().number_from_monday() == 7 && local.hour() == 2
    };
    assert!(
        rows.iter().filter(|row| sunday_2(row)).count() < rows.iter().filter(|row| row.hour.hour() == 12).count() / 7
    );
}

// Cohorts

#[tokio::test]
async fn a_triangle_knows_who_stayed_and_where_nobody_did() {
    let watched = Watched::new().await;
    watched.lake.clock.set(instant("2026-06-20T10:00:00Z"));
    let cohort = |cohort_month: &str, months_since: i32, users: i64| Cohort {
        month: day(cohort_month) + chrono::Months::new(months_since.try_into().unwrap()),
        cohort_month: day(cohort_month),
        months_since,
        users,
    };
    append(
        &watched.lake,
        &[
            cohort("2026-01-01", 0, 40),
            cohort("2026-01-01", 1, 30),
            cohort("2026-01-01", 2, 20),
            cohort("2026-01-01", 3, 10),
            cohort("2026-01-01", 4, 12),
            cohort("2026-02-01", 0, 20),
            cohort("2026-02-01", 1, 5),
            // Nobody of February in April or May, but others were there then.
            cohort("2026-03-01", 0, 8),
            cohort("2026-03-01", 1, 8),
            cohort("2026-05-01", 0, 1),
        ],
    )
    .await;
    let chart = watched.chart("retention", "cohorts", &DashboardRequest::default()).await;
    let Some(ChartData::Triangle(triangle)) = &chart.data else { panic!("{chart:?}") };
    let shown = triangle.cohorts.iter().map(|cohort| (cohort.label.as_str(), cohort.size, cohort.active.clone()));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            ("2026-01", Some(40), vec![Some(40), Some(30), Some(20), Some(10), Some(12)]),
            ("2026-02", Some(20), vec![Some(20), Some(5), Some(0), Some(0)]),
            ("2026-03", Some(8), vec![Some(8), Some(8), Some(0)]),
            ("2026-05", Some(1), vec![Some(1)]),
        ]
    );
    let figure = triangle.highlighted.unwrap();
    assert_eq!((triangle.highlight, figure.part, figure.whole, figure.cohorts), (3, 10, 60, 2));
    assert_eq!(figure.share, 10.0 / 60.0);
    // A span chooses cohorts; what became of them is told up to its end.
    let request =
        DashboardRequest { from: Some(day("2026-02-01")), to: Some(day("2026-04-30")), ..DashboardRequest::default() };
    let chart = watched.chart("retention", "cohorts", &request).await;
    let Some(ChartData::Triangle(triangle)) = &chart.data else { panic!("{chart:?}") };
    let cells: Vec<_> = triangle.cohorts.iter().map(|cohort| (cohort.label.as_str(), cohort.active.len())).collect();
    assert_eq!(cells, [("2026-02", 3), ("2026-03", 2)]);
}

// Anomalies

#[tokio::test]
async fn unusual_figures_are_marked_by_type_with_what_is_usual() {
    let watched = Watched::new().await;
    let unusual = instant("2026-03-18T14:00:00Z");
    let rows: Vec<Snapshot> = (0..24 * 75)
        .flat_map(|number| {
            ["joins", "visits"].map(|kind| (instant("2026-01-03T00:00:00Z") + TimeDelta::hours(number), kind))
        })
        .map(|(at, kind)| {
            let usual = i64::from(at.hour()) * 10 + i64::from(at.day() % 3);
            let count = if at == unusual && kind == "visits" { 900 } else { usual };
            Snapshot { at, kind: kind.to_owned(), count }
        })
        .collect();
    append(&watched.lake, &rows).await;
    let request = |kind: &str| DashboardRequest {
        span: Some(Span::Month),
        by: vec![("counts".to_owned(), kind.to_owned())],
        ..DashboardRequest::default()
    };
    let found = |chart: &ChartView| -> Vec<(DateTime<Utc>, f64)> {
        let points = points(chart).iter();
        points.flat_map(|point| point.anomalies.iter().map(|anomaly| (point.at, anomaly.usual))).collect()
    };
    let visits = watched.chart("metrics", "counts", &request("visits")).await;
    let [(at, usual)] = found(&visits)[..] else { panic!("{:?}", found(&visits)) };
    assert!(at == unusual && (140.0..=142.0).contains(&usual), "{at} {usual}");
    // The weeks before are compared with and not shown.
    assert_eq!(points(&visits).first().unwrap().at, instant("2026-02-17T23:00:00Z"));
    let joins = watched.chart("metrics", "counts", &request("joins")).await;
    assert_eq!(found(&joins), []);
    let by = joins.by.unwrap();
    assert_eq!(
        (by.value.as_deref(), by.values.as_slice()),
        (Some("joins"), ["joins".to_owned(), "visits".to_owned()].as_slice())
    );
    assert!(!by.may_be_all);
    let shown: Vec<(DateTime<Utc>, i64)> =
        points(&visits).iter().map(|point| (point.at, point.values[0].as_i64().unwrap())).collect();
    let expected: Vec<(DateTime<Utc>, i64)> = watched
        .table(
            "select at, count from watch.snapshots where kind = 'visits' and at >= '2026-02-17T23:00:00Z' order by at",
        )
        .await;
    assert_eq!(shown, expected);
}

// Rows

#[tokio::test]
async fn pages_of_rows_go_through_the_whole_table_in_every_order() {
    let watched = Watched::new().await;
    let rows: Vec<Happening> = (0..60)
        .map(|number| Happening {
            starts_at: instant("2026-03-01T18:00:00Z") + TimeDelta::hours(number % 7),
            title: format!("{}'; drop table watch.happenings; -- \"{number}\" ünïcödé", number % 10),
            guests: (number % 4 != 0).then_some(number % 5),
        })
        .collect();
    append(&watched.lake, &rows).await;
    for column in ["starts_at", "title", "guests"] {
        for sort in [column.to_owned(), format!("-{column}")] {
            let mut request = RowsRequest { sort: Some(sort.clone()), limit: Some(7), ..RowsRequest::default() };
            let mut found = Vec::new();
            loop {
                let page = watched.rows("watch.happenings", &request).await;
                assert!(page.rows.len() <= 7 && page.sort == sort);
                found.extend(page.rows.into_iter().map(|row| row.values));
                request.cursor = page.next_cursor;
                if request.cursor.is_none() {
                    break;
                }
            }
            let titles: BTreeSet<&str> = found.iter().map(|row| row[1].as_str().unwrap()).collect();
            assert_eq!((found.len(), titles.len()), (60, 60), "by {sort}: each row once");
            let direction = if sort.starts_with('-') { "desc" } else { "asc" };
            let expected: Vec<(String,)> = watched
                .table(&format!(
                    "select title from watch.happenings order by {column} {direction} nulls last, title {direction}"
                ))
                .await;
            let expected: Vec<&str> = expected.iter().map(|(title,)| title.as_str()).collect();
            assert_eq!(found.iter().map(|row| row[1].as_str().unwrap()).collect::<Vec<_>>(), expected, "by {sort}");
        }
    }
    // A value is a value, whatever is in it.
    let title = rows[3].title.clone();
    let request = RowsRequest { equals: vec![("title".to_owned(), title.clone())], ..RowsRequest::default() };
    assert_eq!(watched.rows("happenings", &request).await.rows[0].values[1], json!(title));
    let (columns, stream) = watched.service.all_rows("watch.happenings", &RowsRequest::default()).unwrap();
    let all: Vec<Vec<Vec<Value>>> = stream.try_collect().await.unwrap();
    assert_eq!((columns.len(), all.concat().len()), (3, 60));
}

#[tokio::test]
async fn rows_without_a_declared_key_are_told_apart_too() {
    let watched = Watched::new().await;
    // Its rows are unique by day, which a check says; here there are twins all the same.
    sqlx::raw_sql(
        "alter table lake.regions drop constraint regions_pkey;
         insert into lake.regions select 'asia', number % 3 from generate_series(1, 50) as number",
    )
    .execute(&watched.lake.pool)
    .await
    .unwrap();
    let mut request = RowsRequest { sort: Some("events".to_owned()), limit: Some(9), ..RowsRequest::default() };
    let mut found = 0;
    loop {
        let page = watched.rows("lake.regions", &request).await;
        found += page.rows.len();
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, 50);
}

#[tokio::test]
async fn names_and_values_that_cannot_be_are_refused() {
    let watched = Watched::new().await;
    let cursor = {
        let rows: Vec<Happening> = ["a", "b", "c"]
            .map(|title| Happening {
                starts_at: instant("2026-03-01T18:00:00Z"),
                title: title.to_owned(),
                guests: None,
            })
            .into();
        append(&watched.lake, &rows).await;
        let request = RowsRequest { limit: Some(1), sort: Some("guests".to_owned()), ..RowsRequest::default() };
        watched.rows("watch.happenings", &request).await.next_cursor.unwrap()
    };
    let default = RowsRequest::default;
    let text = |text: &str| Some(text.to_owned());
    let equals = |column: &str, value: &str| vec![(column.to_owned(), value.to_owned())];
    let cases = [
        (
            RowsRequest { sort: text("tilte"), ..default() },
            "watch.happenings has no column `tilte`: did you mean `title`?",
        ),
        (RowsRequest { sort: text("1; drop table x"), ..default() }, "has no column `1; drop table x`"),
        (RowsRequest { columns: vec!["ctid".to_owned()], ..default() }, "has no column `ctid`"),
        (RowsRequest { equals: equals("x\" or true --", "1"), ..default() }, "has no column"),
        (RowsRequest { equals: equals("guests", "many"), ..default() }, "a value that its column cannot have"),
        (RowsRequest { equals: equals("title", "a\0b"), ..default() }, "zero byte"),
        (RowsRequest { from: Some(day("2026-03-01")), ..default() }, "has no partitions of time"),
        (RowsRequest { partitions: text("2026-03"), ..default() }, "cannot be"),
        (RowsRequest { cursor: text("zz"), ..default() }, "the cursor does not belong to this list"),
        (RowsRequest { cursor: text("7b7d"), ..default() }, "the cursor does not belong to this list"),
        (RowsRequest { cursor: text(&cursor), ..default() }, "the cursor does not belong to this list"),
        (RowsRequest { cursor: text(&cursor), sort: text("-guests"), ..default() }, "does not belong to this list"),
    ];
    for (request, expected) in cases {
        let (kind, sentence) = watched.refusal("watch.happenings", &request).await;
        assert!(kind == ErrorKind::Request && sentence.contains(expected), "{request:?}: {sentence}");
    }
    assert!(watched.refusal("watch.nothing", &default()).await.1.contains("there is no asset"));
}

table! {
    /// A column of each type.
    pub struct Everything {
        pub id: i64,
        pub truth: bool,
        pub small: i16,
        pub whole: i32,
        pub real: f32,
        pub double: f64,
        pub text: Option<String>,
        pub bytes: Vec<u8>,
        pub date: NaiveDate,
        pub time: NaiveTime,
        pub local: NaiveDateTime,
        pub instant: DateTime<Utc>,
        pub uuid: Uuid,
        pub json: Json,
        pub numbers: Vec<i64>,
        pub texts: Option<Vec<String>>,
    }
}
impl Asset for Everything {
    const KEY: AssetKey = AssetKey::new("watch.everything");
    type Partitions = Unpartitioned;
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["id"];
}
impl ExternalAsset for Everything {}

#[tokio::test]
async fn every_type_of_column_is_told_exactly() {
    let definitions = Definitions::builder(calendar()).external::<Everything>().build().unwrap();
    let watched = Watched::with(definitions).await;
    sqlx::raw_sql(
        "create table watch.everything (
             id bigint, truth boolean, small smallint, whole integer, \"real\" real, double double precision, text text,
             bytes bytea, date date, time time, local timestamp, instant timestamptz, uuid uuid, json jsonb,
             numbers bigint[], texts text[]);
         insert into watch.everything values
             (9223372036854775807, true, -32768, 2147483647, 0.1, 0.1 + 0.2::double precision, 'ä\"', '\\x00ff', '2026-02-28',
              '23:59:59.5', '2026-03-29 02:30', '2026-03-29 02:30+01', '00000000-0000-0000-0000-000000000001',
              '{\"a\": [1, null]}', '{1,2}', null),
             (1, false, 0, 0, 0, 0, null, '', 'infinity', '00:00', '-infinity', 'infinity', gen_random_uuid(), 'null', '{}', '{}')",
    )
    .execute(&watched.lake.pool)
    .await
    .unwrap();
    let rows =
        watched.rows("everything", &RowsRequest { sort: Some("-id".to_owned()), ..RowsRequest::default() }).await;
    let texts: Vec<String> = rows.rows[0].values.iter().map(Value::to_string).collect();
    assert_eq!(
        texts.join(" "),
        "9223372036854775807 true -32768 2147483647 0.1 0.30000000000000004 \"ä\\\"\" \"\\\\x00ff\" \"2026-02-28\" \
         \"23:59:59.500\" \"2026-03-29T02:30:00\" \"2026-03-29T01:30:00Z\" \"00000000-0000-0000-0000-000000000001\" \
         {\"a\":[1,null]} [1,2] null"
    );
    let infinite = &rows.rows[1].values;
    assert_eq!(
        (&infinite[8], &infinite[10], &infinite[11]),
        (&json!("infinite"), &json!("infinite"), &json!("infinite"))
    );
}

#[tokio::test]
async fn partitions_and_days_choose_rows() {
    let watched = Watched::new().await;
    watched.lake.record(1, 19, 2).await;
    let count = async |request: RowsRequest| watched.rows("lake.events", &request).await.rows.len();
    let partitions = |text: &str| RowsRequest { partitions: Some(text.to_owned()), ..RowsRequest::default() };
    assert_eq!(count(partitions("2026-03-02..2026-03-04, 2026-03-19")).await, 8);
    assert_eq!(count(partitions("2026-W11")).await, 14);
    let days = RowsRequest { from: Some(day("2026-03-18")), to: Some(day("2026-03-25")), ..RowsRequest::default() };
    assert_eq!(count(days).await, 4);
    let both = RowsRequest { from: Some(day("2026-03-03")), ..partitions("2026-03-01..2026-03-04") };
    assert_eq!(count(both).await, 4);
}
