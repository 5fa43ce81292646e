//! An installation with what the example application lacks: a pool, a sensor, rows that may come too late.

use karat::prelude::*;

use crate::server::{Server, calendar};
use crate::service_lake::Lake;

table! {
    /// What a gauge says; late only by so much.
    pub struct Reading {
        pub at: DateTime<Utc>,
        pub id: i64,
        pub note: Option<String>,
    }
}
impl Asset for Reading {
    const KEY: AssetKey = AssetKey::new("workshop.readings");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    const NATURAL_KEY: &'static [&'static str] = &["id", "at"];
    type Upstream = ();
}
impl ExternalAsset for Reading {
    const LATE_LIMIT: Option<Duration> = Some(Duration::from_secs(3 * 86_400));
}

table! {
    /// Readings per day, counted on the one press there is.
    pub struct Pressed {
        pub day: NaiveDate,
        pub readings: i64,
    }
}
impl Asset for Pressed {
    const KEY: AssetKey = AssetKey::new("workshop.pressed");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Reading,);
    const POOL: Option<&'static str> = Some("press");
    const AUTOMATION: Automation = Automation::Any(&[Automation::eager(), Automation::Cron("0 6 * * *")]);
}
impl SqlAsset for Pressed {
    const SQL: &'static str = "
        select at::date as day, count(*) as readings from workshop.readings where at >= $1 and at < $2 group by 1";
}

fn definitions() -> Definitions {
    let sensor = Sensor::new("files", Duration::from_secs(60), async |_| Ok(SensorResult::skip("no <new> file")));
    Definitions::builder(calendar())
        .external::<Reading>()
        .sql::<Pressed>()
        .pool("press", 1)
        .sensor(sensor.description("Looks for files"))
        .build()
        .unwrap()
}

/// A server on the workshop, with its tables. It is Friday, 20 March 2026, 11:00 in Berlin.
pub(crate) async fn workshop(channels: Vec<std::sync::Arc<dyn karat::daemon::alert_channel::AlertChannel>>) -> Server {
    let lake = Lake::new().await;
    for statement in [
        "create schema workshop",
        "create table workshop.readings (at timestamptz not null, id bigint not null, note text, unique (id, at))",
        "create table workshop.pressed (day date not null, readings bigint not null)",
    ] {
        sqlx::query(statement).execute(&lake.pool).await.unwrap();
    }
    Server::serving(lake, definitions(), channels).await
}

/// Readings of the first days of March, noted long after, so that those with a limit are late.
pub(crate) async fn write_late_readings(server: &Server, notes: &[&str]) {
    let rows: Vec<Reading> = (1..)
        .zip(notes)
        .map(|(id, note)| Reading { at: "2026-03-03T12:00:00Z".parse().unwrap(), id, note: Some((*note).to_owned()) })
        .collect();
    let clock = &*server.lake.clock;
    let definitions = server.service.definitions();
    karat::engine::external::append_rows(&server.lake.pool, definitions, clock, "a <late> file", &rows).await.unwrap();
}
