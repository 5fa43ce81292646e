//! The lake with things to watch: tables of every kind that a chart shows, filled by hand, and dashboards of them.

use karat::asset::calendar::Calendar;
use karat::asset::declare::ExternalAsset;
use karat::engine::external::append_rows;
use karat::prelude::*;

use crate::service_lake::{Lake, assets};

table! {
    /// How busy each server was in an hour.
    pub struct Utilization {
        pub hour: DateTime<Utc>,
        pub server: String,
        /// The mean number of players.
        pub players: f64,
    }
}
impl Asset for Utilization {
    const KEY: AssetKey = AssetKey::new("watch.utilization");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "hour";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["hour", "server"];
}
impl ExternalAsset for Utilization {}

table! {
    /// Something that takes place.
    pub struct Happening {
        pub starts_at: DateTime<Utc>,
        pub title: String,
        pub guests: Option<i64>,
    }
}
impl Asset for Happening {
    const KEY: AssetKey = AssetKey::new("watch.happenings");
    type Partitions = Unpartitioned;
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["title"];
}
impl ExternalAsset for Happening {}

table! {
    /// What was counted.
    pub struct Snapshot {
        pub at: DateTime<Utc>,
        pub kind: String,
        pub count: i64,
    }
}
impl Asset for Snapshot {
    const KEY: AssetKey = AssetKey::new("watch.snapshots");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["at", "kind"];
}
impl ExternalAsset for Snapshot {}

table! {
    /// Who came back.
    pub struct Cohort {
        pub month: NaiveDate,
        pub cohort_month: NaiveDate,
        pub months_since: i32,
        /// How many of them were there.
        pub users: i64,
    }
}
impl Asset for Cohort {
    const KEY: AssetKey = AssetKey::new("watch.cohorts");
    type Partitions = Monthly;
    const PARTITION_COLUMN: &'static str = "month";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["month", "cohort_month"];
}
impl ExternalAsset for Cohort {}

const TABLES: &str = "
    create schema watch;
    create table watch.utilization (
        hour timestamptz not null, server text not null, players double precision not null, primary key (hour, server));
    create table watch.happenings (starts_at timestamptz not null, title text primary key, guests bigint);
    create table watch.snapshots (
        at timestamptz not null, kind text not null, count bigint not null, primary key (at, kind));
    create table watch.cohorts (
        month date not null, cohort_month date not null, months_since integer not null, users bigint not null,
        primary key (month, cohort_month))";

/// The tables of [`definitions`], in the lake's database.
pub(crate) async fn create_tables(lake: &Lake) {
    sqlx::raw_sql(TABLES).execute(&lake.pool).await.unwrap();
}

pub(crate) async fn append<R: ExternalAsset>(lake: &Lake, rows: &[R]) {
    append_rows(&lake.pool, &definitions(calendar()), &*lake.clock, "test", rows).await.unwrap();
}

pub(crate) fn calendar() -> Calendar {
    Calendar { zone: chrono_tz::Europe::Berlin, first_day: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() }
}

/// The lake's dashboards, whether or not their assets are declared.
pub(crate) fn dashboards() -> [Dashboard; 4] {
    [
        Dashboard::new("people", ("People", "Menschen"))
            .about(("Who was there.", "Wer da war."))
            .switch(
                Switch::new("what", ("What", "Was"))
                    .choice("people", ("People", "Menschen"))
                    .choice("events", ("Events", "Ereignisse")),
            )
            .chart(
                Chart::line("per_day", ("Per day", "Pro Tag"), assets::DayCount::KEY)
                    .series(Series::by_choice(("Count", "Anzahl"), ["people", "events"]))
                    .unit(("people", "Menschen")),
            )
            .chart(
                Chart::bars("both", ("Both", "Beides"), assets::DayCount::KEY)
                    .series(Series::new(("People", "Menschen"), "people"))
                    .series(Series::new(("Events", "Ereignisse"), "events")),
            )
            .chart(
                Chart::big_number("newest", ("Newest", "Neueste"), assets::DayCount::KEY)
                    .series(Series::new(("Events", "Ereignisse"), "events")),
            ),
        Dashboard::new("servers", ("Servers", "Server"))
            .chart(
                Chart::weekday_hours("hours", ("By hour", "Nach Stunde"), Utilization::KEY)
                    .by("server")
                    .series(Series::new(("Players", "Spielende"), "players")),
            )
            .chart(
                Chart::table("happenings", ("What takes place", "Was stattfindet"), Happening::KEY).over("starts_at"),
            ),
        Dashboard::new("metrics", ("Metrics", "Messwerte")).chart(
            Chart::line("counts", ("Counts", "Zahlen"), Snapshot::KEY)
                .by("kind")
                .series(Series::new(("Count", "Zahl"), "count"))
                .anomalies(Seasonal::default()),
        ),
        Dashboard::new("retention", ("Retention", "Bindung")).span(Span::All).chart(Chart::retention(
            "cohorts",
            ("Cohorts", "Kohorten"),
            Cohort::KEY,
            ["cohort_month", "months_since", "users"],
        )),
    ]
}

/// The lake's assets, and those to watch.
pub(crate) fn definitions(calendar: Calendar) -> Definitions {
    let builder =
        lake(calendar).external::<Utilization>().external::<Happening>().external::<Snapshot>().external::<Cohort>();
    dashboards().into_iter().fold(builder, DefinitionsBuilder::dashboard).build().unwrap()
}

/// The lake's assets alone, with all dashboards.
pub(crate) fn without_watch(calendar: Calendar) -> Definitions {
    dashboards().into_iter().fold(lake(calendar), DefinitionsBuilder::dashboard).build().unwrap()
}

fn lake(calendar: Calendar) -> DefinitionsBuilder {
    Definitions::builder(calendar)
        .external::<assets::Event>()
        .sql::<assets::DayCount>()
        .rust::<assets::WeekCount>()
        .sql::<assets::RegionCount>()
        .sql::<assets::Summary>()
}
