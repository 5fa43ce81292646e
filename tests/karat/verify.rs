//! What a verification says about declarations, on a real database.

mod database;
mod reads;
mod statements;
mod tables;

use chrono::NaiveDate;
use karat::asset::calendar::Calendar;
use karat::asset::definitions::Definitions;
use karat::asset::spec::{AssetKind, AssetSpec, ColumnSpec, PoolLimits, UpstreamSpec};
use karat::core::mapping::PartitionMapping;
use karat::core::partition::{Cadence, PartitionsDefinition};
use karat::core::policy::{AssetCheck, Automation, RetryPolicy, WaitPolicy, WriteMode, no_rows, references};
use karat::engine::verify::{ProblemKind, VerificationReport, verify};
use karat::store::migrate::Migrations;
use karat::testing::TestDatabase;
use sqlx::{Connection, PgConnection};

/// Two external assets and tables for them, as they should be.
const SOURCES: &str = "
    create schema lake;
    create table lake.events (
        event_id bigint not null, at timestamptz not null, person text not null, note text, unique (event_id));
    create index on lake.events (at);
    create table lake.people (name text not null, age integer);
";

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()
}

fn definitions(specs: Vec<AssetSpec>) -> Definitions {
    let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: first_day() };
    Definitions::from_specs(calendar, specs, PoolLimits::new()).unwrap()
}

/// An unpartitioned asset with columns written as `name type, name type?`, the mark meaning that it may be null.
fn asset(kind: AssetKind, table: &str, type_name: &'static str, columns: &str) -> AssetSpec {
    let columns = columns.split(", ").map(|column| {
        let (name, sql_type) = column.split_once(' ').unwrap();
        ColumnSpec {
            name: name.to_owned(),
            sql_type: sql_type.trim_end_matches('?').to_owned().leak(),
            nullable: sql_type.ends_with('?'),
            description: String::new(),
        }
    });
    AssetSpec {
        key: format!("lake.{table}").parse().unwrap(),
        kind,
        description: String::new(),
        type_name,
        owner: None,
        tags: Vec::new(),
        partitions: PartitionsDefinition::Unpartitioned,
        partition_column: None,
        columns: columns.collect(),
        upstreams: Vec::new(),
        checks: Vec::new(),
        write_mode: WriteMode::ReplacePartition,
        automation: Automation::Manual,
        wait: WaitPolicy::All,
        freshness: None,
        retry: RetryPolicy::NONE,
        timeout: None,
        pool: None,
        priority: 0,
        range_partitions: 1,
        source_file: format!("assets/lake/{table}.rs").leak(),
        sql: None,
        compute: None,
        compute_version: 0,
        late_limit: None,
        code_version: String::new(),
    }
}

fn external(table: &str, type_name: &'static str, columns: &str) -> AssetSpec {
    asset(AssetKind::External, table, type_name, columns)
}

fn sql(table: &str, type_name: &'static str, columns: &str, upstreams: &[&str], select: &str) -> AssetSpec {
    let upstream =
        |name: &&str| UpstreamSpec { key: format!("lake.{name}").parse().unwrap(), mapping: PartitionMapping::Overlap };
    AssetSpec {
        upstreams: upstreams.iter().map(upstream).collect(),
        sql: Some(select.to_owned()),
        ..asset(AssetKind::Sql, table, type_name, columns)
    }
}

fn daily(asset: AssetSpec, column: &str) -> AssetSpec {
    AssetSpec {
        partitions: PartitionsDefinition::time(Cadence::Daily, chrono_tz::Europe::Berlin, first_day(), None).unwrap(),
        partition_column: Some(column.to_owned()),
        ..asset
    }
}

fn appending(asset: AssetSpec, natural_key: &[&str]) -> AssetSpec {
    let natural_key = natural_key.iter().map(|&column| column.to_owned()).collect();
    AssetSpec { write_mode: WriteMode::Append { natural_key }, ..asset }
}

fn checked(asset: AssetSpec, checks: Vec<AssetCheck>) -> AssetSpec {
    AssetSpec { checks, ..asset }
}

fn events() -> AssetSpec {
    let columns = "event_id bigint, at timestamp with time zone, person text, note text?";
    appending(daily(external("events", "Events", columns), "at"), &["event_id"])
}

fn people() -> AssetSpec {
    external("people", "People", "name text, age integer?")
}

/// A sql asset over both sources, whose table is as it should be.
fn counts(select: &str) -> AssetSpec {
    daily(sql("counts", "Counts", "day date, users bigint", &["events", "people"], select), "day")
}

const COUNTS_TABLE: &str = "
    create table lake.counts (day date not null, users bigint not null);
    create index on lake.counts (day);
";

/// A select for [`counts`] that is right in every way.
const COUNTS_SELECT: &str = "
    select $3 as day, count(distinct p.name) as users
    from lake.events e join lake.people p on p.name = e.person
    where e.at >= $1 and e.at < $2";

/// A migrated database with tables of one's own.
struct Fixture {
    database: TestDatabase,
    connection: PgConnection,
}

impl Fixture {
    async fn new(tables: &[&'static str]) -> Self {
        let database = TestDatabase::create(&Migrations::karat()).await.unwrap();
        let mut fixture = Self { connection: connect(&database).await, database };
        for tables in tables {
            fixture.execute(tables).await;
        }
        fixture
    }

    async fn execute(&mut self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&mut self.connection).await.unwrap();
    }

    async fn value(&mut self, statement: &'static str) -> String {
        sqlx::query_scalar(statement).fetch_one(&mut self.connection).await.unwrap()
    }

    async fn verify(&mut self, specs: Vec<AssetSpec>) -> VerificationReport {
        verify(&mut self.connection, &definitions(specs), &Migrations::karat()).await.unwrap()
    }
}

async fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.connect_options()).await.unwrap()
}

/// What the report says of the sql asset [`counts`] with this select.
async fn verify_counts(select: &str) -> VerificationReport {
    Fixture::new(&[SOURCES, COUNTS_TABLE]).await.verify(vec![events(), people(), counts(select)]).await
}

fn kinds(report: &VerificationReport) -> Vec<ProblemKind> {
    report.problems.iter().map(|problem| problem.kind).collect()
}

#[tokio::test]
async fn what_is_right_gives_no_problem_and_the_lineage_of_columns() {
    let mut fixture = Fixture::new(&[SOURCES, COUNTS_TABLE]).await;
    let assets = vec![
        events(),
        people(),
        checked(
            counts(COUNTS_SELECT),
            vec![
                no_rows("few", "select * from partition_rows where users > 1000 and day >= $3 and $1 < $2;"),
                no_rows("known", "select from partition_rows where not exists (select from lake.people)"),
            ],
        ),
    ];
    let report = fixture.verify(assets).await;
    assert!(report.is_passed());
    insta::assert_snapshot!(report, @"no errors in 3 assets");
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap(), @r#"
    {
      "assets": 3,
      "problems": [],
      "lineage": {
        "lake.counts": {
          "lake.events": [
            "at",
            "person"
          ],
          "lake.people": [
            "name"
          ]
        }
      },
      "pending_migrations": []
    }
    "#);
}

#[tokio::test]
async fn everything_that_is_wrong_is_reported_at_once() {
    let mut fixture = Fixture::new(&[
        SOURCES,
        "create table lake.counts (day date not null, users integer not null);
         create table lake.typo (name text not null);
         create table lake.stray (id bigint);",
    ])
    .await;
    let typo = sql("typo", "Typo", "name text", &["people"], "select p.name\nfrom lake.people as p\nwhere p.agee > 18");
    let secret = sql("secret", "Secret", "id bigint", &["people"], "select id, now() from lake.stray");
    let references = references("users", "lake.people".parse().unwrap(), "name");
    let report = fixture
        .verify(vec![
            events(),
            people(),
            checked(counts("select $3 as day, count(*) as users from lake.events"), vec![references]),
            typo,
            secret,
        ])
        .await;
    assert!(!report.is_passed());
    assert_eq!((report.error_count(), report.warning_count()), (5, 3));
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      error: column `users` of the table is `integer`, the field of `Counts` is `bigint`
        give the field the type `i32`, or change the column in a migration:
        alter table lake.counts alter column users type bigint using users::bigint;
      warning: no index of the table begins with its partition column `day`
        every attempt would read the whole table; make one in a migration:
        create index on lake.counts (day);

    lake.secret (assets/lake/secret.rs)
      error: there is no table lake.secret
        make it in a migration:
        create schema if not exists lake;
        create table lake.secret (
            id bigint not null
        );
      error: its result has the column `now`, which is no field of `Secret`
        leave it out of the `select`, or add the field `now: DateTime<Utc>`
      error: its SQL reads `lake.stray`, which is the table of no asset
        SQL, line 1, column 23
          1 | select id, now() from lake.stray
            |                       ^
        declare it as an external asset if its rows come from outside: of what is no asset nobody would notice a change
      warning: `now()` gives something else whenever it runs
        SQL, line 1, column 12
          1 | select id, now() from lake.stray
            |            ^
        take it from the rows or the partition's parameters: otherwise a rebuild changes the rows, and whatever reads them is rebuilt too
      warning: `lake.people` is declared upstream but not read
        take it out of `type Upstream`: it is waited for, and its changes rebuild this asset, for nothing

    lake.typo (assets/lake/typo.rs)
      error: column p.agee does not exist
        SQL, line 3, column 7
          3 | where p.agee > 18
            |       ^
        PostgreSQL: SQLSTATE 42703; hint: Perhaps you meant to reference the column "p.age".
        did you mean `age`?

    5 errors, 3 warnings in 5 assets
    "#);
}

#[test]
fn a_cron_expression_that_never_fires_is_no_definition() {
    let asset = AssetSpec { automation: Automation::Cron("0 0 31 2 *"), ..people() };
    let asset = AssetSpec { kind: AssetKind::Sql, sql: Some("select 1".to_owned()), ..asset };
    let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: first_day() };
    let errors = Definitions::from_specs(calendar, vec![asset], PoolLimits::new()).unwrap_err();
    insta::assert_snapshot!(errors, @r#"
    1 problem in the definitions

    lake.people (assets/lake/people.rs)
      * AUTOMATION: `0 0 31 2 *` never fires: none of its months has such a day
        correct the cron expression
    "#);
}
