//! Rows that come later than their asset allows: kept, shown, and let in or refused by a person.

use std::sync::Arc;

use karat::engine::external::{Appended, append_rows};
use karat::engine::marks::marked_tables;
use karat::prelude::*;
use karat::store::Store;

use crate::lake::instant;
use crate::service_lake::{self, APPLICATION, Lake};

table! {
    /// What a sensor says; late only by so much.
    pub struct Reading {
        pub at: DateTime<Utc>,
        pub id: i64,
        pub value: Option<i64>,
    }
}
impl Asset for Reading {
    const KEY: AssetKey = AssetKey::new("sensor.readings");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    const NATURAL_KEY: &'static [&'static str] = &["id", "at"];
    type Upstream = ();
}
impl ExternalAsset for Reading {
    const LATE_LIMIT: Option<Duration> = Some(Duration::from_secs(3 * 86_400));
}

table! {
    /// Readings per day.
    pub struct DailyReadings {
        pub day: NaiveDate,
        pub readings: i64,
    }
}
impl Asset for DailyReadings {
    const KEY: AssetKey = AssetKey::new("sensor.daily");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Reading,);
}
impl SqlAsset for DailyReadings {
    const SQL: &'static str = "
        select at::date as day, count(*) as readings from sensor.readings where at >= $1 and at < $2 group by 1";
}

fn definitions(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
    Definitions::builder(calendar).external::<Reading>().sql::<DailyReadings>().build()
}

/// Friday, 20 March 2026, 11:00 in Berlin: rows of 16 March and before are too late.
pub(crate) async fn sensors() -> Lake {
    let mut lake = Lake::new().await;
    sqlx::raw_sql(
        "create schema sensor;
         create table sensor.readings (at timestamptz not null, id bigint not null, value bigint,
                                       source text not null default 'unknown', primary key (id, at));
         create table sensor.daily (day date not null, readings bigint not null)",
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    lake.application.definitions = definitions;
    let tables = marked_tables(&definitions(calendar()).unwrap());
    assert!(Store::new(lake.pool.clone()).install_mark_triggers(&tables).await.unwrap().unmarked.is_empty());
    lake
}

pub(crate) fn calendar() -> Calendar {
    Calendar { zone: chrono_tz::Europe::Berlin, first_day: APPLICATION.first_day }
}

pub(crate) async fn append(lake: &Lake, rows: &[(&str, i64)]) -> Appended {
    let rows: Vec<Reading> = rows.iter().map(|&(at, id)| Reading { at: instant(at), id, value: Some(id) }).collect();
    let definitions = definitions(calendar()).unwrap();
    append_rows(&lake.pool, &definitions, &*lake.clock, "sensor", &rows).await.unwrap()
}

async fn text(lake: &Lake, sql: &'static str) -> String {
    sqlx::query_scalar::<_, String>(sql).fetch_all(&lake.pool).await.unwrap().join(" ")
}

const ROWS: &str = "select id::text || '@' || source from sensor.readings order by id";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_rows_wait_for_a_person_and_are_kept_once() {
    let lake = sensors().await;
    let _guard = service_lake::settings().bind_to_scope();
    // The last instant of 16 March is too late by ten hours, the first of 17 March is not.
    let rows = [("2026-03-16T22:59:59.999999Z", 1), ("2026-03-16T23:00:00Z", 2), ("2026-03-02T10:00:00Z", 3)];
    let appended = append(&lake, &rows).await;
    assert_eq!((appended.inserted, appended.quarantined, appended.duplicates), (1, 2, 0));
    let again = append(&lake, &rows).await;
    assert_eq!((again.inserted, again.quarantined, again.duplicates), (0, 0, 3));
    assert_eq!(text(&lake, ROWS).await, "2@unknown");
    lake.says("backfill '*' --missing").await;
    insta::assert_snapshot!(lake.conversation(&[
        "status",
        "quarantine ls",
        "quarantine show 1",
        "quarantine release 1",
        "quarantine release 1",
        "quarantine discard 2 99",
        "quarantine discard --asset sensor.readings",
        "quarantine discard --asset sensor.readings",
        "quarantine ls",
        "status sensor.daily",
    ]).await, @r#"
    $ lake status
    ASSET            STATE     FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    sensor.readings  external      ·      ·        ·       ·       ·     1  2026-03-20 11:00:00+01:00
    sensor.daily     fresh        19      ·        ·       ·       ·     1  2026-03-20 11:00:00+01:00

    sensor.readings
      quarantined 2 rows that came too late: lake quarantine ls sensor.readings
    [0]
    $ lake quarantine ls
    ID  ASSET            PARTITION   SINCE                      WRITER  ROW
     2  sensor.readings  2026-03-02  2026-03-20 11:00:00+01:00  sensor  {"at":"2026-03-02T10:00:00+00:00","id":3,"value":3}
     1  sensor.readings  2026-03-16  2026-03-20 11:00:00+01:00  sensor  {"at":"2026-03-16T22:59:59.999999+00:00","id":1,"value":1}

    To let a row in: lake quarantine release ID
    To refuse it for good: lake quarantine discard ID
    [0]
    $ lake quarantine show 1
    Row 1 of sensor.readings, partition 2026-03-16: waiting.
      its partition ended more than 3 days before it came; it came at 2026-03-20 11:00:00+01:00 from sensor.

      at: "2026-03-16T22:59:59.999999+00:00"
      id: 1
      value: 1
    [0]
    $ lake quarantine release 1
    Released 1 row.
      sensor.readings 2026-03-16 (1 partition)
    [0]
    $ lake quarantine release 1
    error: row 1 of the quarantine has been released already; nothing was changed
    [1]
    $ lake quarantine discard 2 99
    error: there is no row 99 in quarantine: `lake quarantine ls` lists those that wait
    [2]
    $ lake quarantine discard --asset sensor.readings
    Discarded 1 row.
    [0]
    $ lake quarantine discard --asset sensor.readings
    No row waits there.
    [0]
    $ lake quarantine ls
    No row waits in quarantine.
    [0]
    $ lake status sensor.daily
    ASSET         STATE  FRESH  STALE  MISSING  FAILED  ACTIVE  ROWS  NEWEST
    sensor.daily  stale     18      1        ·       ·       ·     1  2026-03-20 11:00:00+01:00

    sensor.daily
      stale 2026-03-16 (1 partition): 1 row landed in sensor.readings since 2026-03-20 11:00:00+01:00, written by released from quarantine

    To put it right:
      lake backfill sensor.daily --stale
    [0]
    "#);
    assert_eq!(text(&lake, ROWS).await, "1@unknown 2@unknown");
    // What was refused stays refused, what was let in is there.
    let again = append(&lake, &rows).await;
    assert_eq!((again.inserted, again.quarantined, again.duplicates), (0, 0, 3));
    // Let in, taken away, and offered again: it waits again.
    sqlx::query("delete from sensor.readings where id = 1").execute(&lake.pool).await.unwrap();
    assert_eq!(append(&lake, &rows).await.quarantined, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_other_programs_wait_too_with_all_their_columns() {
    let lake = sensors().await;
    sqlx::raw_sql(
        "set karat.clock = '2026-03-20T10:00:00Z'; set karat.writer = 'psql'; set timezone = 'Asia/Tokyo';
         insert into sensor.readings values
             ('2026-03-16T22:59:59.999999Z', 1, null, 'roof'), ('2026-03-16T23:00:00Z', 2, 2, 'roof'),
             ('-infinity', 3, 3, 'cellar')",
    )
    .execute(&mut lake.pool.acquire().await.unwrap().detach())
    .await
    .unwrap();
    assert_eq!(text(&lake, ROWS).await, "2@roof");
    // The same row by way of Karat is the same row.
    assert_eq!(append(&lake, &[("2026-03-16T22:59:59.999999Z", 1)]).await.duplicates, 1);
    let released = lake.says("quarantine release --asset sensor.readings --json").await;
    assert!(released.contains("\"inserted\": 2"), "{released}");
    assert_eq!(text(&lake, ROWS).await, "1@roof 2@roof 3@cellar");
    assert_eq!(
        text(
            &lake,
            "select at::text from sensor.readings where id = 1 and at = '2026-03-16T22:59:59.999999Z' and value is null"
        )
        .await
        .len(),
        "2026-03-16 22:59:59.999999+00".len()
    );
    assert_eq!(
        text(
            &lake,
            "select partition_key || ' ' || row_count || ' ' || writer from karat.mark where ordinal is not null"
        )
        .await,
        "2026-03-16 1 released from quarantine"
    );
    // Moving a row into the past is a correction, not a late row.
    sqlx::query("update sensor.readings set at = '2026-03-02T10:00:00Z' where id = 2")
        .execute(&lake.pool)
        .await
        .unwrap();
    assert_eq!(text(&lake, ROWS).await, "1@roof 2@roof 3@cellar");
}

#[test]
fn a_limit_needs_partitions_made_of_time() {
    table! {
        /// Things.
        pub struct Thing {
            pub value: i64,
        }
    }
    impl Asset for Thing {
        const KEY: AssetKey = AssetKey::new("sensor.things");
        type Partitions = Unpartitioned;
        type Upstream = ();
    }
    impl ExternalAsset for Thing {
        const LATE_LIMIT: Option<Duration> = Some(Duration::from_secs(1));
    }
    let error = Definitions::builder(calendar()).external::<Thing>().build().unwrap_err().to_string();
    assert!(error.contains("it has a LATE_LIMIT, but no row of it can be late"), "{error}");
}

#[test]
fn the_limit_is_no_part_of_the_code_version() {
    let spec = definitions(calendar()).unwrap().asset(&Reading::KEY).unwrap().clone();
    let mut other = (*spec).clone();
    other.late_limit = None;
    assert_eq!(karat::asset::code_version::code_version(&other), spec.code_version);
    let _ = Arc::new(other);
}
