//! SQL that PostgreSQL refuses, results that are not what the row struct says, and checks.

use karat::core::partition::PartitionsDefinition;
use karat::core::policy::{fresh, no_rows, references, unique};
use karat::engine::verify::ProblemKind;

use super::{
    AssetSpec, COUNTS_SELECT, COUNTS_TABLE, Fixture, SOURCES, checked, counts, events, kinds, people, sql,
    verify_counts,
};

/// What PostgreSQL's message, the place and the remedy are for a wrong select of `lake.counts`.
async fn refused(select: &str) -> String {
    let report = verify_counts(select).await;
    assert_eq!(kinds(&report), [ProblemKind::Sql], "{report}");
    report.problems[0].to_string()
}

#[tokio::test]
async fn a_wrong_column_is_shown_with_what_postgresql_suggests() {
    insta::assert_snapshot!(
        refused("select $3 as day,\n\tcount(e.persn) as users\nfrom lake.events e where e.at >= $1").await, @r#"
    error: column e.persn does not exist
      SQL, line 2, column 8
        2 |  count(e.persn) as users
          |        ^
      PostgreSQL: SQLSTATE 42703; hint: Perhaps you meant to reference the column "e.person".
      did you mean `person`?
    "#);
}

#[tokio::test]
async fn the_place_is_right_behind_parameters_and_letters_of_several_bytes() {
    insta::assert_snapshot!(
        refused("/* ü */ select $3 as day, 'größe' as \"ä\", $1 < $2 as b, nam as users from lake.people").await, @r#"
    error: column "nam" does not exist
      SQL, line 1, column 57
        1 | /* ü */ select $3 as day, 'größe' as "ä", $1 < $2 as b, nam as users from lake.people
          |                                                         ^
      PostgreSQL: SQLSTATE 42703; hint: Perhaps you meant to reference the column "people.name".
      did you mean `name`?
    "#);
}

#[tokio::test]
async fn a_wrong_table_is_compared_with_the_assets() {
    insta::assert_snapshot!(refused("select $3 as day, 1::bigint as users from lake.evens").await, @r#"
    error: relation "lake.evens" does not exist
      SQL, line 1, column 43
        1 | select $3 as day, 1::bigint as users from lake.evens
          |                                           ^
      PostgreSQL: SQLSTATE 42P01
      did you mean `lake.events`?
    "#);
    insta::assert_snapshot!(refused("select $3 as day, 1::bigint as users from something").await, @r#"
    error: relation "something" does not exist
      SQL, line 1, column 43
        1 | select $3 as day, 1::bigint as users from something
          |                                           ^
      PostgreSQL: SQLSTATE 42P01
      read the table of an asset, and declare it in `type Upstream`
    "#);
}

#[tokio::test]
async fn wrong_syntax_is_shown_where_it_is() {
    insta::assert_snapshot!(refused("select $3 as day, count(*) as users form lake.events e").await, @r#"
    error: syntax error at or near "form"
      SQL, line 1, column 37
        1 | select $3 as day, count(*) as users form lake.events e
          |                                     ^
      PostgreSQL: SQLSTATE 42601
      correct the syntax here, or just before
    "#);
    insta::assert_snapshot!(refused("select $3 as day, (1 as users").await, @r#"
    error: syntax error at or near "as"
      SQL, line 1, column 22
        1 | select $3 as day, (1 as users
          |                      ^
      PostgreSQL: SQLSTATE 42601
      correct the syntax here, or just before
    "#);
}

#[tokio::test]
async fn wrong_types_and_functions_say_what_to_cast() {
    insta::assert_snapshot!(refused("select $3 as day, lenght(name) as users from lake.people").await, @r#"
    error: function lenght(text) does not exist
      SQL, line 1, column 19
        1 | select $3 as day, lenght(name) as users from lake.people
          |                   ^
      PostgreSQL: SQLSTATE 42883; hint: No function matches the given name and argument types. You might need to add explicit type casts.
      correct the name, or cast the arguments to the types it takes
    "#);
    insta::assert_snapshot!(refused("select $3 as day, count(*) as users from lake.people where age = name").await, @r#"
    error: operator does not exist: integer = text
      SQL, line 1, column 64
        1 | select $3 as day, count(*) as users from lake.people where age = name
          |                                                                ^
      PostgreSQL: SQLSTATE 42883; hint: No operator matches the given name and argument types. You might need to add explicit type casts.
      correct the name, or cast the arguments to the types it takes
    "#);
    insta::assert_snapshot!(refused("select $3 as day, sum('many'::bigint) as users from lake.people").await, @r#"
    error: invalid input syntax for type bigint: "many"
      SQL, line 1, column 23
        1 | select $3 as day, sum('many'::bigint) as users from lake.people
          |                       ^
      PostgreSQL: SQLSTATE 22P02
      correct the SQL
    "#);
}

#[tokio::test]
async fn wrong_grouping_and_ambiguous_names_are_explained() {
    insta::assert_snapshot!(refused("select at::date as day, count(*) as users from lake.events").await, @r#"
    error: column "events.at" must appear in the GROUP BY clause or be used in an aggregate function
      SQL, line 1, column 8
        1 | select at::date as day, count(*) as users from lake.events
          |        ^
      PostgreSQL: SQLSTATE 42803
      put the column into `group by`, or aggregate it
    "#);
    insta::assert_snapshot!(refused("select $3 as day, name as users from lake.people a, lake.people b").await, @r#"
    error: column reference "name" is ambiguous
      SQL, line 1, column 19
        1 | select $3 as day, name as users from lake.people a, lake.people b
          |                   ^
      PostgreSQL: SQLSTATE 42702
      write the table's name or alias before the column
    "#);
}

#[tokio::test]
async fn what_is_no_plain_select_is_refused() {
    insta::assert_snapshot!(
        refused("with gone as (delete from lake.people returning 1) select $3 as day, count(*) as users from gone").await, @r#"
    error: views must not contain data-modifying statements in WITH
      PostgreSQL: SQLSTATE 0A000
      leave it out: the SQL of an asset must be such that a view could have it, and Karat does the deleting and inserting
    "#);
    insta::assert_snapshot!(refused("select $3 as day, 1::bigint as users into lake.other").await, @r#"
    error: views must not contain SELECT INTO
      PostgreSQL: SQLSTATE 0A000
      leave it out: the SQL of an asset must be such that a view could have it, and Karat does the deleting and inserting
    "#);
    insta::assert_snapshot!(refused("select $3 as day, 1::bigint as users, 2 as users").await, @r#"
    error: column "users" specified more than once
      PostgreSQL: SQLSTATE 42701
      give each column of the result its own name
    "#);
}

#[tokio::test]
async fn the_result_must_have_the_columns_of_the_row_struct() {
    let report = verify_counts(
        "select at::date as date, count(*) as user_count, note, 1 + 1\nfrom lake.events, lake.people\ngroup by 1, 3",
    )
    .await;
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      error: its result has no column `day`, which is a field of `Counts`
        add `…::date as day` to the `select`, or take the field away
      error: its result has no column `users`, which is a field of `Counts`
        add `…::bigint as users` to the `select`, or take the field away
      error: its result has the column `date`, which is no field of `Counts`
        SQL, line 1, column 20
          1 | select at::date as date, count(*) as user_count, note, 1 + 1
            |                    ^
        leave it out of the `select`, or add the field `date: NaiveDate`
      error: its result has the column `user_count`, which is no field of `Counts`
        SQL, line 1, column 38
          1 | select at::date as date, count(*) as user_count, note, 1 + 1
            |                                      ^
        leave it out of the `select`, or add the field `user_count: i64`
      error: its result has the column `note`, which is no field of `Counts`
        SQL, line 1, column 50
          1 | select at::date as date, count(*) as user_count, note, 1 + 1
            |                                                  ^
        leave it out of the `select`, or add the field `note: String`
      error: its result has a column without a name
        name it with `as`, or leave it out

    6 errors in 3 assets
    "#);
}

#[tokio::test]
async fn a_misspelt_column_of_the_result_is_one_error() {
    let report = verify_counts(&COUNTS_SELECT.replace("as users", "as user")).await;
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      error: its result has no column `users`, which is a field of `Counts`
        SQL, line 2, column 49
          2 |     select $3 as day, count(distinct p.name) as user
            |                                                 ^
        did you mean `user`? Then name it `users`

    1 error in 3 assets
    "#);
}

#[tokio::test]
async fn the_types_of_the_result_must_be_those_of_the_row_struct() {
    let report = verify_counts(
        "select $1 as day,\n       sum(age::numeric(10, 2)) as users\nfrom lake.people, lake.events where person = name",
    )
    .await;
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      error: column `day` of its result is `timestamp with time zone`, the field of `Counts` is `date`
        SQL, line 1, column 14
          1 | select $1 as day,
            |              ^
        cast it: `(…)::date as day`, or give the field the type `DateTime<Utc>`
      error: column `users` of its result is `numeric`, the field of `Counts` is `bigint`
        SQL, line 2, column 36
          2 |        sum(age::numeric(10, 2)) as users
            |                                    ^
        cast it: `(…)::bigint as users`

    2 errors in 3 assets
    "#);
    let report =
        verify_counts("with a as (select 1 as users from lake.people, lake.events) select $3 as day, users from a")
            .await;
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      error: column `users` of its result is `integer`, the field of `Counts` is `bigint`
        SQL, line 1, column 79
          1 | with a as (select 1 as users from lake.people, lake.events) select $3 as day, users from a
            |                                                                               ^
        cast it: `(…)::bigint as users`, or give the field the type `i32`

    1 error in 3 assets
    "#);
    let report = verify_counts("select $3 as day, null as users from lake.people, lake.events").await;
    insta::assert_snapshot!(report.problems[0].problem, @"column `users` of its result is `text`, the field of `Counts` is `bigint`");
    // Shorter than the type of the column is no other type.
    let select = "select name::varchar(3)::text as name, age::int from lake.people";
    let copy = sql("copy", "Copy", "name text, age integer?", &["people"], select);
    let table = "create table lake.copy (name text not null, age integer)";
    assert!(Fixture::new(&[SOURCES, table]).await.verify(vec![people(), copy]).await.problems.is_empty());
}

#[tokio::test]
async fn parameters_have_the_types_of_the_partitions() {
    let mut fixture = Fixture::new(&[
        SOURCES,
        "create table lake.parts (part text not null, n bigint not null);
        create index on lake.parts (part);",
    ])
    .await;
    let parts = |select: &str| AssetSpec {
        partitions: PartitionsDefinition::fixed(["a", "b"]).unwrap(),
        partition_column: Some("part".to_owned()),
        ..sql("parts", "Parts", "part text, n bigint", &["people"], select)
    };
    let right = parts("select $1 as part, count(*) as n from lake.people where name like $1");
    assert!(fixture.verify(vec![people(), right]).await.problems.is_empty());
    let wrong = parts("select $1 as part, count(*) as n from lake.people where age = $1");
    insta::assert_snapshot!(fixture.verify(vec![people(), wrong]).await.problems[0], @r#"
    error: operator does not exist: integer = text
      SQL, line 1, column 61
        1 | select $1 as part, count(*) as n from lake.people where age = $1
          |                                                             ^
      PostgreSQL: SQLSTATE 42883; hint: No operator matches the given name and argument types. You might need to add explicit type casts.
      correct the name, or cast the arguments to the types it takes
    "#);
}

#[tokio::test]
async fn checks_are_asked_of_postgresql_too() {
    let mut fixture = Fixture::new(&[SOURCES, COUNTS_TABLE, "create table lake.stray (id bigint);"]).await;
    let checks = vec![
        no_rows("typo", "select * from partition_rows\nwhere day >= $3 and user > 5"),
        no_rows("elsewhere", "select from lake.stray, partition_rows"),
        no_rows("right", "select from partition_rows p join lake.events e on e.at::date = p.day where e.at < $2"),
        references("users", "lake.people".parse().unwrap(), "name"),
        unique(&["day"]),
        fresh("day", std::time::Duration::from_secs(3600)),
    ];
    let report = fixture.verify(vec![events(), people(), checked(counts(COUNTS_SELECT), checks)]).await;
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      error: check `typo`: operator does not exist: name > integer
        SQL of check `typo`, line 2, column 26
          2 | where day >= $3 and user > 5
            |                          ^
        PostgreSQL: SQLSTATE 42883; hint: No operator matches the given name and argument types. You might need to add explicit type casts.
        correct the name, or cast the arguments to the types it takes
      error: check `elsewhere` reads `lake.stray`, which is the table of no asset
        SQL of check `elsewhere`, line 1, column 13
          1 | select from lake.stray, partition_rows
            |             ^
        declare it as an external asset if its rows come from outside: of what is no asset nobody would notice a change
      error: check `references_users`: operator does not exist: text = bigint
        PostgreSQL: SQLSTATE 42883; hint: No operator matches the given name and argument types. You might need to add explicit type casts.
        declare the check for columns of types that can be compared

    3 errors in 3 assets
    "#);
}

#[tokio::test]
async fn what_depends_on_the_present_or_on_chance_is_a_warning() {
    let report = verify_counts(
        "select current_date as day, (random() * 10)::bigint as users, 1 as \"current_time\"
         from lake.events e, lake.people p
         where e.at < now() and e.at::date <> 'Yesterday'::date and p.name <> 'now' and age(e.at) > interval '1 day'
           and e.at >= $1 - interval '1 day' and date_trunc('day', e.at, 'UTC') < $2",
    )
    .await;
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      error: its result has the column `current_time`, which is no field of `Counts`
        SQL, line 1, column 68
          1 | select current_date as day, (random() * 10)::bigint as users, 1 as "current_time"
            |                                                                    ^
        leave it out of the `select`, or add the field `current_time: i32`
      warning: `age()` gives something else whenever it runs
        SQL, line 3, column 89
          3 | …and e.at::date <> 'Yesterday'::date and p.name <> 'now' and age(e.at) > interval '1 day'
            |                                                              ^
        take it from the rows or the partition's parameters: otherwise a rebuild changes the rows, and whatever reads them is rebuilt too
      warning: `now()` gives something else whenever it runs
        SQL, line 3, column 23
          3 |          where e.at < now() and e.at::date <> 'Yesterday'::date and p.name <> 'now' and age(e.at) > …
            |                       ^
        take it from the rows or the partition's parameters: otherwise a rebuild changes the rows, and whatever reads them is rebuilt too
      warning: `random()` gives something else whenever it runs
        SQL, line 1, column 30
          1 | select current_date as day, (random() * 10)::bigint as users, 1 as "current_time"
            |                              ^
        take it from the rows or the partition's parameters: otherwise a rebuild changes the rows, and whatever reads them is rebuilt too
      warning: `current_date` depends on when it runs
        SQL, line 1, column 8
          1 | select current_date as day, (random() * 10)::bigint as users, 1 as "current_time"
            |        ^
        use the partition's parameters: otherwise a rebuild changes the rows, and whatever reads them is rebuilt too
      warning: `'yesterday'` depends on when it runs
        SQL, line 3, column 47
          3 |          where e.at < now() and e.at::date <> 'Yesterday'::date and p.name <> 'now' and age(e.at) > …
            |                                               ^
        use the partition's parameters: otherwise a rebuild changes the rows, and whatever reads them is rebuilt too

    1 error, 5 warnings in 3 assets
    "#);
}

#[tokio::test]
async fn a_function_that_may_read_tables_is_a_warning() {
    let mut fixture = Fixture::new(&[
        SOURCES,
        COUNTS_TABLE,
        "
        create function lake.adults() returns bigint stable language sql as 'select count(*) from lake.people';
        create function lake.twice(n bigint) returns bigint immutable language sql as 'select n * 2';",
    ])
    .await;
    let select = COUNTS_SELECT.replace("count(distinct p.name)", "lake.twice(lake.adults())");
    let report = fixture.verify(vec![events(), people(), counts(&select)]).await;
    assert!(report.is_passed());
    insta::assert_snapshot!(report, @r#"
    lake.counts (assets/lake/counts.rs)
      warning: `adults()` may read tables, and nobody sees which
        SQL, line 2, column 39
          2 |     select $3 as day, lake.twice(lake.adults()) as users
            |                                       ^
        changes of such tables make nothing stale: read them in the `select` itself, or declare the function `immutable` if it reads none

    no errors, 1 warning in 3 assets
    "#);
}
