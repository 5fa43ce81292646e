//! Rows from Rust into the database and back: the staging table, bounded memory, refused values, cursors.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use chrono_tz::Tz;
use karat::asset::compute::{ComputeContext, Metadata, RowSink, SharedTransaction, UpstreamRange, staging_table};
use karat::asset::spec::AssetSpec;
use karat::asset::statement::{comment_statements, generated, partition_condition};
use karat::core::subset::PartitionSubset;
use karat::prelude::*;
use karat::store::migrate::Migrations;
use karat::testing::TestDatabase;
use sqlx::{AssertSqlSafe, PgPool, Row};
use tokio_util::sync::CancellationToken;

table! {
    /// Every type that a column can have; it's "all".
    struct Sample {
        /// The day\of the sample.
        day: NaiveDate,
        number: i64,
        select: Option<String>,
        small: i16,
        middle: i32,
        single: f32,
        double: Option<f64>,
        flag: bool,
        bytes: Vec<u8>,
        clock: NaiveTime,
        local: NaiveDateTime,
        instant: DateTime<Utc>,
        id: Uuid,
        json: Json,
        words: Vec<String>,
        numbers: Option<Vec<i64>>,
    }
}

impl Asset for Sample {
    const KEY: AssetKey = AssetKey::new("raw.sample");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
}

impl ExternalAsset for Sample {}

table! {
    struct Hours {
        at: DateTime<Utc>,
        region: String,
    }
}

impl Asset for Hours {
    const KEY: AssetKey = AssetKey::new("raw.hours");
    type Partitions = Hourly;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
}

impl ExternalAsset for Hours {}

struct Quoted;

impl StaticKeys for Quoted {
    const KEYS: &'static [&'static str] = &["it's", r"back\slash", "plain"];
}

table! {
    struct Regions {
        region: String,
    }
}

impl Asset for Regions {
    const KEY: AssetKey = AssetKey::new("raw.regions");
    type Partitions = Static<Quoted>;
    const PARTITION_COLUMN: &'static str = "region";
    type Upstream = ();
}

impl ExternalAsset for Regions {}

table! {
    struct Reader {
        day: NaiveDate,
        total: i64,
    }
}

impl Asset for Reader {
    const KEY: AssetKey = AssetKey::new("gold.reader");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Sample, Hours, Mapped<Regions, All>);
}

impl RustAsset for Reader {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        let mut total = 0;
        let mut samples = Sample::read(context).order_by(&["number"]);
        while let Some(sample) = samples.next().await? {
            total += sample.number;
            context.push(Self { day: context.date(), total }).await?;
        }
        context.metadata("hours", Hours::read(context).collect().await?.len());
        context.metadata("regions", Regions::read(context).order_by(&["region"]).collect().await?.len());
        Ok(())
    }
}

fn calendar() -> Calendar {
    Calendar { zone: Tz::Europe__Berlin, first_day: date(1) }
}

fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, day).unwrap()
}

fn definitions() -> Definitions {
    let builder = Definitions::builder(calendar()).external::<Sample>().external::<Hours>().external::<Regions>();
    builder.rust::<Reader>().build().unwrap()
}

fn spec<A: Asset>() -> Arc<AssetSpec> {
    definitions().asset(&A::KEY).unwrap().clone()
}

fn sample(number: i64) -> Sample {
    Sample {
        day: date(29),
        number,
        select: (number % 2 == 0).then(|| "ä \\ \t \"'".to_owned()),
        small: -3,
        middle: 70_000,
        single: 0.5,
        double: None,
        flag: true,
        bytes: vec![0, 255, 10],
        clock: NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).unwrap(),
        local: date(1).and_hms_opt(0, 0, 1).unwrap(),
        instant: "2026-03-28T23:00:00.000001Z".parse().unwrap(),
        id: Uuid::from_u128(7),
        json: serde_json::json!({"a": [1, null, "x"]}),
        words: vec!["one".to_owned(), String::new()],
        numbers: Some(vec![1, -1]),
    }
}

/// A database with the tables of all assets, made as their row structs say.
async fn database() -> (TestDatabase, PgPool) {
    let database = TestDatabase::create(&Migrations::karat()).await.unwrap();
    let pool = database.pool().await.unwrap();
    for asset in definitions().assets() {
        let columns: Vec<String> = asset
            .columns
            .iter()
            .map(|column| {
                let null = if column.nullable { "" } else { " not null" };
                format!("\"{}\" {}{null}", column.name, column.sql_type)
            })
            .collect();
        execute(&pool, &format!("create schema if not exists {}", asset.key.schema())).await;
        execute(&pool, &format!("create table {} ({})", asset.key, columns.join(", "))).await;
    }
    (database, pool)
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn count(transaction: &SharedTransaction, from: &str) -> i64 {
    let count = generated(format!("select count(*) from {from}"));
    sqlx::query_scalar(count).fetch_one(&mut **transaction.lock().await).await.unwrap()
}

async fn begin(pool: &PgPool) -> SharedTransaction {
    Arc::new(tokio::sync::Mutex::new(pool.begin().await.unwrap()))
}

async fn push(sink: &RowSink, row: &Sample) -> Result<(), AssetError> {
    use karat::asset::table::Table;
    sink.push(|encoder| row.encode(encoder)).await
}

/// Stages the rows and moves them into their table, as the engine does.
async fn publish(pool: &PgPool, rows: &[Sample]) {
    let transaction = begin(pool).await;
    let sink = RowSink::new(spec::<Sample>(), transaction.clone());
    for row in rows {
        push(&sink, row).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), rows.len() as u64);
    drop(sink);
    let insert = generated(format!("insert into raw.sample select * from {}", staging_table(&spec::<Sample>())));
    sqlx::raw_sql(insert).execute(&mut **transaction.lock().await).await.unwrap();
    Arc::into_inner(transaction).unwrap().into_inner().commit().await.unwrap();
}

fn context(definitions: &Definitions, transaction: &SharedTransaction) -> ComputeContext {
    let asset = definitions.asset(&Reader::KEY).unwrap();
    let partition = "2026-03-29".parse().unwrap();
    let ordinal = asset.partitions.ordinal(&partition).unwrap();
    let now = "2026-03-31T00:00:00Z".parse().unwrap();
    let upstream_windows = asset
        .upstreams
        .iter()
        .map(|upstream| {
            let read = definitions.asset(&upstream.key).unwrap().clone();
            let one = PartitionSubset::single(ordinal);
            let partitions = upstream.mapping.upstream_of(&asset.partitions, &read.partitions, &one, now);
            (upstream.key.clone(), UpstreamRange { asset: read, partitions })
        })
        .collect::<BTreeMap<_, _>>();
    ComputeContext {
        asset: asset.clone(),
        partition,
        ordinal,
        window: asset.partitions.window(ordinal),
        calendar: calendar(),
        transaction: transaction.clone(),
        rows: RowSink::new(asset.clone(), transaction.clone()),
        metadata: Metadata::default(),
        cancelled: CancellationToken::new(),
        now,
        upstream_windows,
    }
}

#[tokio::test]
async fn every_type_survives_the_way_in_and_out() {
    let (_database, pool) = database().await;
    let rows = [sample(1), sample(2)];
    publish(&pool, &rows).await;
    let back: Vec<Sample> = sqlx::query_as("select * from raw.sample order by number").fetch_all(&pool).await.unwrap();
    assert_eq!(back, rows);
}

#[tokio::test]
async fn rows_are_sent_while_they_come() {
    let (_database, pool) = database().await;
    let transaction = begin(&pool).await;
    let sink = RowSink::new(spec::<Sample>(), transaction.clone());
    let wide = Sample { bytes: vec![7; 100_000], ..sample(1) };
    for _ in 0..25 {
        push(&sink, &wide).await.unwrap();
    }
    let staged = count(&transaction, &staging_table(&spec::<Sample>())).await;
    assert!((11..25).contains(&staged), "of 25 rows of 100 kB each, {staged} were sent before the end");
    assert_eq!(sink.finish().await.unwrap(), 25);
    assert_eq!(count(&transaction, &staging_table(&spec::<Sample>())).await, 25);
    assert_eq!(sink.finish().await.unwrap(), 25, "finishing again adds nothing");
}

#[tokio::test]
async fn without_rows_there_is_an_empty_staging_table() {
    let (_database, pool) = database().await;
    let transaction = begin(&pool).await;
    let sink = RowSink::new(spec::<Sample>(), transaction.clone());
    assert_eq!(sink.finish().await.unwrap(), 0);
    assert_eq!(count(&transaction, &staging_table(&spec::<Sample>())).await, 0);
}

#[tokio::test]
async fn the_staging_table_stays_with_its_connection_and_its_rows_do_not() {
    let (database, _pool) = database().await;
    let one = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let one = one.connect_with(database.connect_options()).await.unwrap();
    let table = staging_table(&spec::<Sample>());
    let mut tables = Vec::new();
    for is_committed in [true, false, true] {
        let transaction = begin(&one).await;
        let sink = RowSink::new(spec::<Sample>(), transaction.clone());
        push(&sink, &sample(1)).await.unwrap();
        assert_eq!(sink.finish().await.unwrap(), 1);
        assert_eq!(count(&transaction, &table).await, 1);
        drop(sink);
        let mut transaction = Arc::into_inner(transaction).unwrap().into_inner();
        let number = sqlx::query_scalar::<_, i64>("select to_regclass($1)::oid::bigint").bind(&table);
        tables.push(number.fetch_one(&mut *transaction).await.unwrap());
        match is_committed {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await.unwrap(),
        }
    }
    assert_eq!(tables, [tables[0]; 3]);
}

#[tokio::test]
async fn several_tasks_can_push_at_once() {
    let (_database, pool) = database().await;
    let transaction = begin(&pool).await;
    let sink = RowSink::new(spec::<Sample>(), transaction.clone());
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let sink = sink.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    let row = Sample { bytes: vec![1; 5_000], ..sample(task * 100 + number) };
                    push(&sink, &row).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 800);
    let numbers = format!("(select distinct number from {}) as numbers", staging_table(&spec::<Sample>()));
    assert_eq!(count(&transaction, &numbers).await, 800);
}

#[tokio::test]
async fn values_that_cannot_be_stored_are_refused_with_row_column_and_remedy() {
    let (_database, pool) = database().await;
    let transaction = begin(&pool).await;
    let sink = RowSink::new(spec::<Sample>(), transaction.clone());
    push(&sink, &sample(1)).await.unwrap();
    let far = NaiveDate::from_ymd_opt(-5000, 1, 1).unwrap();
    let refused = [
        (
            Sample { double: Some(f64::NAN), ..sample(2) },
            "`double`: NaN can be neither added up nor compared: store null",
        ),
        (Sample { single: f32::NEG_INFINITY, ..sample(2) }, "`single`: -inf can be neither"),
        (
            Sample { select: Some("a\0b".to_owned()), ..sample(2) },
            "`select`: PostgreSQL stores no text with a zero byte",
        ),
        (Sample { words: vec!["\0".to_owned()], ..sample(2) }, "`words`: PostgreSQL stores no text with a zero byte"),
        (
            Sample { json: serde_json::json!([{"a\0": 1}]), ..sample(2) },
            "`json`: PostgreSQL stores no text with a zero byte",
        ),
        (Sample { day: far, ..sample(2) }, "`day`: the year -5000 lies outside what PostgreSQL stores"),
        (Sample { instant: DateTime::<Utc>::MIN_UTC, ..sample(2) }, "lies outside what PostgreSQL stores"),
    ];
    for (row, reason) in refused {
        let error = push(&sink, &row).await.unwrap_err();
        assert!(!error.is_retryable());
        let text = error.to_string();
        assert!(text.starts_with("row 2 of raw.sample, column `") && text.contains(reason), "{text}");
    }
    push(&sink, &sample(3)).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2, "a refused row is left out whole");
    let select = format!("select number from {} order by number", staging_table(&spec::<Sample>()));
    let numbers: Vec<i64> =
        sqlx::query_scalar(generated(select)).fetch_all(&mut **transaction.lock().await).await.unwrap();
    assert_eq!(numbers, [1, 3]);
}

#[tokio::test]
async fn what_the_server_refuses_leaves_the_connection_usable() {
    let (_database, pool) = database().await;
    let transaction = begin(&pool).await;
    execute(&pool, "drop table raw.sample").await;
    let sink = RowSink::new(spec::<Sample>(), transaction.clone());
    push(&sink, &sample(1)).await.unwrap();
    let error = sink.finish().await.unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("42P01"));
    assert!(!error.is_retryable());
    drop(sink);
    Arc::into_inner(transaction).unwrap().into_inner().rollback().await.unwrap();
}

#[tokio::test]
async fn a_function_reads_only_what_its_partition_maps_to() {
    let (_database, pool) = database().await;
    let other_day = Sample { day: date(28), ..sample(1_000) };
    let mut rows: Vec<Sample> = (1..=3).map(sample).collect();
    rows.push(other_day);
    publish(&pool, &rows).await;
    // The day has 23 hours, from 23:00 to 22:00 UTC.
    let inside = ["2026-03-28T23:00:00Z", "2026-03-29T00:59:59Z", "2026-03-29T21:59:59.999999Z"];
    let outside = ["2026-03-28T22:59:59.999999Z", "2026-03-29T22:00:00Z"];
    for at in inside.iter().chain(&outside) {
        execute(&pool, &format!("insert into raw.hours values ('{at}', 'plain')")).await;
    }
    execute(&pool, r"insert into raw.regions values ('it''s'), (E'back\\slash'), ('unknown')").await;

    let definitions = definitions();
    let transaction = begin(&pool).await;
    let untyped = context(&definitions, &transaction);
    let compute = definitions.asset(&Reader::KEY).unwrap().compute.clone().unwrap();
    compute.compute(untyped.clone()).await.unwrap();
    assert_eq!(untyped.rows.finish().await.unwrap(), 3);
    let select = format!("select total from {}", staging_table(&untyped.asset));
    let totals: Vec<i64> =
        sqlx::query_scalar(generated(select)).fetch_all(&mut **transaction.lock().await).await.unwrap();
    assert_eq!(totals, [1, 3, 6], "in the order of `number`");
    let metadata = untyped.metadata.snapshot();
    assert_eq!(metadata.get("hours"), Some(&Json::from(3)));
    assert_eq!(metadata.get("regions"), Some(&Json::from(2)));
}

#[tokio::test]
async fn thousands_of_rows_come_in_several_fetches_and_each_once() {
    let (_database, pool) = database().await;
    execute(
        &pool,
        "insert into raw.hours select timestamptz '2026-03-28 23:00Z' + n * interval '1 second', n::text
         from generate_series(1, 5000) n",
    )
    .await;
    let definitions = definitions();
    let transaction = begin(&pool).await;
    let context = Context::<Reader>::new(context(&definitions, &transaction));
    let mut hours = Hours::read(&context);
    let mut seen = Vec::new();
    while let Some(hour) = hours.next().await.unwrap() {
        seen.push(hour.region.parse::<i64>().unwrap());
        if seen.len() % 1_000 == 0 {
            context.push(Reader { day: context.date(), total: seen.len() as i64 }).await.unwrap();
        }
    }
    assert!(hours.next().await.unwrap().is_none(), "the end stays the end");
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(1..=5_000));
    let left_open = count(&transaction, r"pg_cursors where name like 'karat\_%'").await;
    assert_eq!(left_open, 0, "a read to its end closes its cursor");
}

#[tokio::test]
async fn two_reads_can_alternate() {
    let (_database, pool) = database().await;
    publish(&pool, &(1..=3).map(sample).collect::<Vec<_>>()).await;
    let definitions = definitions();
    let transaction = begin(&pool).await;
    let context = Context::<Reader>::new(context(&definitions, &transaction));
    let (mut left, mut right) = (Sample::read(&context), Sample::read(&context).order_by(&["number"]));
    let mut pairs = 0;
    while let (Some(_), Some(_)) = (left.next().await.unwrap(), right.next().await.unwrap()) {
        pairs += 1;
    }
    assert_eq!(pairs, 3);
    let error = Sample::read(&context).order_by(&["nothing"]).next().await.unwrap_err();
    assert_eq!(error.to_string(), "`raw.sample` has no column `nothing` to be ordered by");
}

#[tokio::test]
async fn infinity_is_refused_when_read() {
    let (_database, pool) = database().await;
    publish(&pool, &[sample(1)]).await;
    for (column, value) in [("local", "infinity"), ("instant", "-infinity")] {
        execute(&pool, &format!("update raw.sample set {column} = '{value}'")).await;
        let error = sqlx::query_as::<_, Sample>("select * from raw.sample").fetch_all(&pool).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(column) && text.contains("an infinite date has no day to belong to"), "{text}");
        execute(&pool, &format!("update raw.sample set {column} = '2026-01-01'")).await;
    }
    execute(&pool, "update raw.sample set day = 'infinity'").await;
    assert!(sqlx::query_as::<_, Sample>("select * from raw.sample").fetch_all(&pool).await.is_err());
}

#[tokio::test]
async fn a_cancelled_attempt_goes_no_further() {
    let (_database, pool) = database().await;
    let definitions = definitions();
    let transaction = begin(&pool).await;
    let untyped = context(&definitions, &transaction);
    let cancelled = untyped.cancelled.clone();
    let context = Context::<Reader>::new(untyped);
    let row = Reader { day: context.date(), total: 0 };
    context.push(row.clone()).await.unwrap();
    cancelled.cancel();
    let error = context.extend([row]).await.unwrap_err();
    assert!(error.is_cancelled() && !error.is_retryable());
    assert!(Sample::read(&context).collect().await.unwrap_err().is_cancelled());
    context.cancelled().await;
}

#[tokio::test]
async fn conditions_select_exactly_the_rows_of_partitions() {
    let (_database, pool) = database().await;
    let days = spec::<Sample>();
    let hours = spec::<Hours>();
    let regions = spec::<Regions>();
    let select = |asset: &AssetSpec, keys: &str| {
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        partition_condition(asset, &asset.partitions.parse_selection(keys, now).unwrap())
    };
    assert_eq!(
        select(&days, "2026-03-28..2026-03-29,2026-03-31"),
        "((\"day\" >= date '2026-03-28' and \"day\" < date '2026-03-30') or \
         (\"day\" >= date '2026-03-31' and \"day\" < date '2026-04-01'))"
    );
    assert_eq!(
        select(&hours, "2026-03-29T01:00..2026-03-29T03:00"),
        "\"at\" >= timestamptz '2026-03-29T00:00:00.000000Z' and \"at\" < timestamptz '2026-03-29T02:00:00.000000Z'"
    );
    assert_eq!(select(&regions, "it's,plain"), "\"region\" in ('it''s', 'plain')");
    assert_eq!(partition_condition(&days, &PartitionSubset::empty()), "false");
    execute(&pool, r"insert into raw.regions values ('it''s'), (E'back\\slash'), ('plain')").await;
    let found: Vec<String> = sqlx::query_scalar(generated(format!(
        "select region from raw.regions where {}",
        select(&regions, r"back\slash")
    )))
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(found, [r"back\slash"]);
}

#[tokio::test]
async fn descriptions_become_comments() {
    let (_database, pool) = database().await;
    for statement in comment_statements(&spec::<Sample>()) {
        execute(&pool, &statement).await;
    }
    let comments = sqlx::query(
        "select obj_description('raw.sample'::regclass, 'pg_class'), col_description('raw.sample'::regclass, 1),
                col_description('raw.sample'::regclass, 2)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(comments.get::<String, _>(0), "Every type that a column can have; it's \"all\".");
    assert_eq!(comments.get::<String, _>(1), r"The day\of the sample.");
    assert_eq!(comments.get::<Option<String>, _>(2), None);
}

#[tokio::test]
async fn a_context_tells_window_and_date_of_its_partition() {
    let (_database, pool) = database().await;
    let definitions = definitions();
    let transaction = begin(&pool).await;
    let context = Context::<Reader>::new(context(&definitions, &transaction));
    assert_eq!(context.partition().as_str(), "2026-03-29");
    assert_eq!(context.date(), date(29));
    assert_eq!(context.window().duration(), TimeDelta::hours(23));
    assert_eq!(context.calendar(), calendar());
    assert_eq!(context.now(), "2026-03-31T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
}
