//! What is read, compared with what is declared upstream.

use karat::engine::verify::{ProblemKind, VerificationReport};

use super::{
    COUNTS_SELECT, COUNTS_TABLE, Fixture, SOURCES, checked, counts, events, kinds, people, sql, verify_counts,
};
use karat::core::policy::references;

/// What the report says of one asset over `lake.people`, among the other assets.
async fn verify_one(tables: &'static str, select: &str) -> VerificationReport {
    let mut fixture = Fixture::new(&[SOURCES, "create table lake.one (n bigint not null);", tables]).await;
    fixture.verify(vec![events(), people(), sql("one", "One", "n bigint", &["people"], select)]).await
}

#[tokio::test]
async fn an_asset_that_is_read_must_be_declared() {
    let select =
        "select count(p.age) as n\nfrom lake.people p\nwhere exists (select from lake.events where person = p.name)";
    insta::assert_snapshot!(verify_one("", select).await, @r#"
    lake.one (assets/lake/one.rs)
      error: its SQL reads `lake.events`, which is not declared upstream
        SQL, line 3, column 27
          3 | where exists (select from lake.events where person = p.name)
            |                           ^
        declare it: add `Events` to `type Upstream` of `One`

    1 error in 3 assets
    "#);
    // However it is hidden.
    let hidden = "with e as (select * from lake.people, lateral (select person from lake.events limit 1) as x)
                  select count(age) as n from e";
    assert_eq!(kinds(&verify_one("", hidden).await), [ProblemKind::UndeclaredRead]);
}

#[tokio::test]
async fn an_asset_downstream_cannot_be_declared() {
    let mut fixture =
        Fixture::new(&[SOURCES, "create table lake.a (n bigint not null); create table lake.b (n bigint not null);"])
            .await;
    let a = sql("a", "A", "n bigint", &["people"], "select n from lake.b, lake.people");
    let b = sql("b", "B", "n bigint", &["a"], "select n from lake.a");
    insta::assert_snapshot!(fixture.verify(vec![people(), a, b]).await, @r#"
    lake.a (assets/lake/a.rs)
      error: its SQL reads `lake.b`, which is not declared upstream
        SQL, line 1, column 15
          1 | select n from lake.b, lake.people
            |               ^
        take the read away: `lake.b` itself reads `lake.a`, directly or through others

    1 error in 3 assets
    "#);
}

#[tokio::test]
async fn tables_and_views_that_are_no_assets_are_errors() {
    let report = verify_one(
        "create table lake.poeple (id bigint); create view public.grown as select * from lake.people;",
        "select count(*) as n from lake.people, lake.poeple, grown",
    )
    .await;
    insta::assert_snapshot!(report, @r#"
    lake.one (assets/lake/one.rs)
      error: its SQL reads `lake.poeple`, which is the table of no asset
        SQL, line 1, column 40
          1 | select count(*) as n from lake.people, lake.poeple, grown
            |                                        ^
        did you mean `lake.people`? Otherwise declare it as an external asset if its rows come from outside
      error: its SQL reads `public.grown`, which is a view and no asset
        SQL, line 1, column 53
          1 | select count(*) as n from lake.people, lake.poeple, grown
            |                                                     ^
        read the tables behind it, or make it an asset: of what is no asset nobody would notice a change

    2 errors in 3 assets
    "#);
}

#[tokio::test]
async fn the_state_of_karat_and_the_catalogs_are_no_data() {
    let report = verify_one(
        "",
        "select count(*) as n from lake.people, karat.run, pg_class, pg_catalog.pg_type, information_schema.tables",
    )
    .await;
    insta::assert_snapshot!(report, @r#"
    lake.one (assets/lake/one.rs)
      error: its SQL reads `information_schema.tables`, which is PostgreSQL's own and no asset
        SQL, line 1, column 81
          1 | … from lake.people, karat.run, pg_class, pg_catalog.pg_type, information_schema.tables
            |                                                              ^
        read assets: nobody would notice when it changes
      error: its SQL reads `karat.run`, which is Karat's own state
        SQL, line 1, column 40
          1 | select count(*) as n from lake.people, karat.run, pg_class, pg_catalog.pg_type, information_schema.t…
            |                                        ^
        read assets: the state changes with every run and its tables with every version
      error: its SQL reads `pg_catalog.pg_class`, which is PostgreSQL's own and no asset
        SQL, line 1, column 51
          1 | select count(*) as n from lake.people, karat.run, pg_class, pg_catalog.pg_type, information_schema.t…
            |                                                   ^
        read assets: nobody would notice when it changes
      error: its SQL reads `pg_catalog.pg_type`, which is PostgreSQL's own and no asset
        SQL, line 1, column 61
          1 | select count(*) as n from lake.people, karat.run, pg_class, pg_catalog.pg_type, information_schema.t…
            |                                                             ^
        read assets: nobody would notice when it changes

    4 errors in 3 assets
    "#);
}

#[tokio::test]
async fn an_asset_cannot_read_itself() {
    insta::assert_snapshot!(verify_one("", "select n + (select count(*) from lake.people) as n from lake.one").await, @r#"
    lake.one (assets/lake/one.rs)
      error: its SQL reads the asset's own table, whose rows it is about to replace
        SQL, line 1, column 57
          1 | select n + (select count(*) from lake.people) as n from lake.one
            |                                                         ^
        compute the rows from the upstreams alone: then a partition can be built at any time, in any order

    1 error in 3 assets
    "#);
}

#[tokio::test]
async fn only_columns_of_the_row_struct_may_be_read() {
    let report = verify_one(
        "alter table lake.people add column nmae text;",
        "select count(*) as n from (select name, nmae, ctid from lake.people) as all_of_them",
    )
    .await;
    insta::assert_snapshot!(report, @r#"
    lake.one (assets/lake/one.rs)
      error: its SQL reads column `ctid` of `lake.people`, which is no field of `People`
        SQL, line 1, column 47
          1 | select count(*) as n from (select name, nmae, ctid from lake.people) as all_of_them
            |                                               ^
        add the field to `People`, or read only what it declares
      error: its SQL reads column `nmae` of `lake.people`, which is no field of `People`
        SQL, line 1, column 41
          1 | select count(*) as n from (select name, nmae, ctid from lake.people) as all_of_them
            |                                         ^
        did you mean `name`? Otherwise add the field to `People`, or read only what it declares

    2 errors in 3 assets
    "#);
    // All of them, the one that is not declared too.
    let report = verify_one(
        "alter table lake.people add column city text;",
        "with p as (select * from lake.people) select count(*) as n from p",
    )
    .await;
    assert_eq!(kinds(&report), [ProblemKind::UndeclaredColumn]);
}

#[tokio::test]
async fn an_upstream_that_is_not_read_is_a_warning_unless_a_check_reads_it() {
    let select = "select $3 as day, count(distinct person) as users from lake.events where at >= $1 and at < $2";
    let report = verify_counts(select).await;
    assert!(report.is_passed());
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      warning: `lake.people` is declared upstream but not read
        take it out of `type Upstream`: it is waited for, and its changes rebuild this asset, for nothing

    no errors, 1 warning in 3 assets
    "#);

    let mut fixture = Fixture::new(&[SOURCES, COUNTS_TABLE]).await;
    let reads_it = references("users", "lake.people".parse().unwrap(), "age");
    let report = fixture.verify(vec![events(), people(), checked(counts(select), vec![reads_it])]).await;
    insta::assert_snapshot!(report, @"no errors in 3 assets");
}

#[tokio::test]
async fn the_lineage_names_exactly_the_columns_that_are_read() {
    let report = verify_counts(COUNTS_SELECT).await;
    insta::assert_snapshot!(serde_json::to_string(&report.lineage).unwrap(), @r#"{"lake.counts":{"lake.events":["at","person"],"lake.people":["name"]}}"#);
    let counted = verify_counts(
        "select $3 as day, count(*) as users from lake.people, lateral (select max(at) from lake.events) as x",
    )
    .await;
    insta::assert_snapshot!(serde_json::to_string(&counted.lineage).unwrap(), @r#"{"lake.counts":{"lake.events":["at"],"lake.people":[]}}"#);
}
