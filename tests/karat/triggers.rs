//! Whoever writes to the table of an external asset leaves marks.

use karat::engine::marks::{file_marks, marked_tables};
use karat::prelude::*;
use karat::store::Store;
use karat::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::lake::{Lake, calendar};

const DAILY: &str = "lake.daily_totals";

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// The lake with triggers, three days of one event each, all built, and the clock of triggers at noon of 1 May.
async fn built() -> (Lake, PgConnection) {
    let lake = Lake::open().await;
    lake.install_triggers().await;
    lake.add_event_a_day("2026-03-01", 3).await;
    lake.build(&[(DAILY, "2026-03-01..2026-03-03")]).await;
    let mut stranger = lake.stranger("psql").await;
    run(&mut stranger, "set karat.clock = '2026-05-01T12:00:00Z'").await;
    (lake, stranger)
}

#[tokio::test]
async fn every_kind_of_write_of_another_program_makes_exactly_its_days_stale() {
    let (lake, mut psql) = built().await;
    assert_eq!(lake.late(DAILY).await, "");
    // The last instant of 1 March and the first of 2 March, in Berlin.
    run(
        &mut psql,
        "insert into lake.events values ('2026-03-01T22:59:59.999999Z', 10, 1), ('2026-03-01T23:00:00Z', 11, 1)",
    )
    .await;
    assert_eq!(
        lake.late(DAILY).await,
        "2026-03-01: 1 row landed in lake.events since 2026-05-01 12:00:00Z, written by psql\n\
         2026-03-02: 1 row landed in lake.events since 2026-05-01 12:00:00Z, written by psql"
    );
    lake.build(&[(DAILY, "2026-03-01..2026-03-03")]).await;
    assert_eq!(lake.late(DAILY).await, "");

    run(&mut psql, "update lake.events set at = '2026-03-03T10:00:00Z' where id = 10").await;
    assert_eq!(
        lake.late(DAILY).await,
        "2026-03-01: 1 row went from lake.events since 2026-05-01 12:00:00Z, removed by psql\n\
         2026-03-03: 1 row landed in lake.events since 2026-05-01 12:00:00Z, written by psql"
    );
    run(&mut psql, "update lake.events set amount = 100 where id = 11").await;
    assert!(lake.late(DAILY).await.contains(
        "2026-03-02: 1 row landed in lake.events and 1 row went from it since 2026-05-01 12:00:00Z, written by psql"
    ));
    lake.build(&[(DAILY, "2026-03-01..2026-03-03")]).await;

    run(&mut psql, "set karat.writer = 'erasure'; delete from lake.events where id = 11").await;
    assert_eq!(
        lake.late(DAILY).await,
        "2026-03-02: 1 row went from lake.events since 2026-05-01 12:00:00Z, removed by erasure"
    );
    lake.build(&[(DAILY, "2026-03-02")]).await;

    run(
        &mut psql,
        "reset karat.writer; insert into lake.events values ('2026-03-02T10:00:00Z', 1, 1) on conflict do nothing",
    )
    .await;
    run(&mut psql, "copy (select '2026-03-02T11:00:00Z'::timestamptz, 12, 1) to '/dev/null'").await;
    assert!(lake.late(DAILY).await.starts_with("2026-03-02: 1 row landed"), "{}", lake.late(DAILY).await);
    lake.build(&[(DAILY, "2026-03-02")]).await;

    run(&mut psql, "truncate lake.events").await;
    assert_eq!(lake.late(DAILY).await.lines().count(), 3);
    assert!(lake.late(DAILY).await.contains("went from lake.events"));
}

#[tokio::test]
async fn what_is_rolled_back_or_changes_nothing_leaves_nothing() {
    let (lake, mut psql) = built().await;
    let before = lake.scalar::<i64>("select count(*) from karat.mark").await;
    run(&mut psql, "begin; insert into lake.events values ('2026-03-01T10:00:00Z', 10, 1); rollback").await;
    run(&mut psql, "delete from lake.events where id = -1").await;
    run(&mut psql, "insert into lake.events select at, id, amount from lake.events on conflict do nothing").await;
    // Times that no partition can hold.
    run(
        &mut psql,
        "insert into lake.events values ('infinity', 90, 1), ('-infinity', 91, 1), ('0044-03-15 BC', 92, 1)",
    )
    .await;
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.mark").await, before);
    assert_eq!(lake.late(DAILY).await, "");
}

#[tokio::test]
async fn writers_of_karat_mark_once_with_triggers_and_without() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 3).await;
    lake.install_triggers().await;
    lake.add_event_a_day("2026-03-01", 6).await;
    assert_eq!(
        lake.text("select partition_key, row_count, rows_removed, writer from karat.mark order by 1").await,
        "2026-03-01 | 1 | 0 | test\n2026-03-02 | 1 | 0 | test\n2026-03-03 | 1 | 0 | test\n\
         2026-03-04 | 1 | 0 | test\n2026-03-05 | 1 | 0 | test\n2026-03-06 | 1 | 0 | test"
    );
}

#[tokio::test]
async fn filing_marks_changes_no_answer() {
    let (lake, mut psql) = built().await;
    run(
        &mut psql,
        "insert into lake.events select '2026-03-01T00:00:00+01'::timestamptz + n * interval '1 minute', 1000 + n, 1
         from generate_series(0, 2 * 24 * 60 - 1) n",
    )
    .await;
    let unfiled = lake.scalar::<i64>("select count(*) from karat.mark where ordinal is null").await;
    assert_eq!(unfiled, 2 * 24 * 4, "one mark for each quarter of an hour");
    let (before, statuses) = (lake.late(DAILY).await, lake_status(&lake).await);
    assert!(before.starts_with("2026-03-01: 1,440 rows landed"), "{before}");
    assert_eq!(file_marks(&lake.store, &lake.definitions).await.unwrap(), unfiled.unsigned_abs());
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.mark where ordinal is null").await, 0);
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.mark where writer = 'psql'").await, 2);
    assert_eq!((lake.late(DAILY).await, lake_status(&lake).await), (before, statuses));
    assert_eq!(file_marks(&lake.store, &lake.definitions).await.unwrap(), 0);
    lake.build(&[(DAILY, "2026-03-01..2026-03-03")]).await;
    assert_eq!(lake.late(DAILY).await, "");
}

/// What is known of the external asset itself.
async fn lake_status(lake: &Lake) -> String {
    let spec = lake.definitions.find("lake.events").unwrap();
    let keys = [spec.key.clone()];
    let now = karat::clock::Clock::now(&*lake.clock);
    let statuses = karat::engine::status::asset_statuses(&lake.store, &lake.definitions, &keys, now).await.unwrap();
    let status = &statuses[&spec.key];
    format!("{} rows in {}", status.row_count, spec.partitions.describe(&status.materialized))
}

#[tokio::test]
async fn triggers_are_made_once_kept_right_and_taken_away() {
    let lake = Lake::open().await;
    let tables = marked_tables(&lake.definitions);
    let triggers = "select tgname, tgenabled from pg_trigger where tgname like 'karat%' order by 1";
    let first = lake.store.install_mark_triggers(&tables).await.unwrap();
    assert_eq!(first.changed.iter().collect::<Vec<_>>(), ["lake.events"]);
    assert_eq!(
        lake.text(triggers).await,
        "karat_mark_delete | O\nkarat_mark_insert | O\nkarat_mark_truncate | O\nkarat_mark_update | O"
    );
    assert!(lake.store.install_mark_triggers(&tables).await.unwrap().changed.is_empty());
    sqlx::raw_sql(
        "drop trigger karat_mark_delete on lake.events; alter table lake.events disable trigger karat_mark_insert",
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    assert_eq!(lake.store.mark_triggers(&tables).await.unwrap().unmarked.keys().collect::<Vec<_>>(), ["lake.events"]);
    assert_eq!(lake.store.install_mark_triggers(&tables).await.unwrap().changed.len(), 1);
    assert_eq!(lake.text(triggers).await.matches('O').count(), 4);
    // Somebody else's, under any name at all.
    sqlx::raw_sql(
        r#"create trigger "a ""b"" on c" after insert on lake.events referencing new table as new_rows
           for each statement execute function karat.mark_rows('lake.events', 'instant', 'at')"#,
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    assert_eq!(lake.store.install_mark_triggers(&tables).await.unwrap().changed.len(), 1);
    assert_eq!(lake.scalar::<i64>("select count(*) from pg_trigger where tgname like 'a %'").await, 0);
    // The asset is retired: its table is nobody's business any more.
    assert_eq!(lake.store.install_mark_triggers(&[]).await.unwrap().changed.len(), 1);
    assert_eq!(lake.text(triggers).await, "");
}

table! {
    /// Readings of a day, known by their local date.
    pub struct Readings {
        pub day: NaiveDate,
        pub value: i64,
    }
}
impl Asset for Readings {
    const KEY: AssetKey = AssetKey::new("odd.readings");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
}
impl ExternalAsset for Readings {}

/// Two regions.
pub struct Regions;
impl StaticKeys for Regions {
    const KEYS: &'static [&'static str] = &["north", "south"];
}

table! {
    /// Things of a region.
    pub struct Regional {
        pub region: String,
        pub value: i64,
    }
}
impl Asset for Regional {
    const KEY: AssetKey = AssetKey::new("odd.regional");
    type Partitions = Static<Regions>;
    const PARTITION_COLUMN: &'static str = "region";
    type Upstream = ();
}
impl ExternalAsset for Regional {}

table! {
    /// Things.
    pub struct Things {
        pub value: i64,
    }
}
impl Asset for Things {
    const KEY: AssetKey = AssetKey::new("odd.things");
    type Partitions = Unpartitioned;
    type Upstream = ();
}
impl ExternalAsset for Things {}

#[tokio::test]
async fn dates_keys_and_whole_tables_are_marked_also_in_parts_of_partitioned_tables() {
    let database = TestDatabase::create(&crate::lake::migrations()).await.unwrap();
    let pool = database.pool().await.unwrap();
    sqlx::raw_sql(
        r#"create schema odd;
        create table odd.readings (day date not null, value bigint not null) partition by range (day);
        create table odd.readings_march partition of odd.readings for values from ('2026-03-01') to ('2026-04-01');
        create table odd."Rest" partition of odd.readings default;
        create table odd.regional (region text not null, value bigint not null);
        create table odd.things (value bigint not null);"#,
    )
    .execute(&pool)
    .await
    .unwrap();
    let definitions = Definitions::builder(calendar(chrono_tz::Pacific::Apia))
        .external::<Readings>()
        .external::<Regional>()
        .external::<Things>()
        .build()
        .unwrap();
    let store = Store::new(pool.clone());
    let state = store.install_mark_triggers(&marked_tables(&definitions)).await.unwrap();
    assert_eq!(state.marked.len(), 5, "{state:?}");
    let mut psql = PgConnection::connect_with(&database.connect_options().application_name("psql")).await.unwrap();
    for sql in [
        "insert into odd.readings values ('2026-03-01', 1), ('2026-03-01', 2), ('2026-05-07', 3)",
        "insert into odd.readings_march values ('2026-03-31', 1)",
        r#"delete from odd."Rest""#,
        "insert into odd.regional values ('north', 1), ('nowhere', 2)",
        "insert into odd.things values (1), (2), (3)",
    ] {
        run(&mut psql, sql).await;
    }
    file_marks(&store, &definitions).await.unwrap();
    let marks: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "select asset_key, partition_key, sum(row_count)::bigint, sum(rows_removed)::bigint
         from karat.mark group by 1, 2 order by 1, 2",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let marks: Vec<String> =
        marks.iter().map(|(asset, key, came, went)| format!("{asset} {key} +{came} -{went}")).collect();
    assert_eq!(
        marks,
        [
            "odd.readings 2026-03-01 +2 -0",
            "odd.readings 2026-03-31 +1 -0",
            "odd.readings 2026-05-07 +1 -1",
            "odd.regional north +1 -0",
            "odd.regional nowhere +1 -0",
            "odd.things all +3 -0",
        ]
    );
}

#[tokio::test]
async fn a_writer_without_rights_on_the_state_marks_all_the_same() {
    let (lake, mut psql) = built().await;
    let role = format!("collector_{}", std::process::id());
    run(
        &mut psql,
        &format!(
            "create role {role}; grant usage on schema lake to {role}; grant insert on lake.events to {role};
             set role {role}; insert into lake.events values ('2026-03-02T10:00:00Z', 50, 1); reset role;
             drop owned by {role}; drop role {role}"
        ),
    )
    .await;
    assert!(lake.late(DAILY).await.starts_with("2026-03-02: 1 row landed"));
}
