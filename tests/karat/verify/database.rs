//! What a verification does to the database, which is nothing, and what it needs of it.

use karat::engine::verify::{VerifyError, verify};
use karat::store::migrate::{Migrations, SchemaError};
use karat::testing::TestServer;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection, PgConnection, SqlSafeStr};

use super::{COUNTS_SELECT, COUNTS_TABLE, Fixture, SOURCES, connect, counts, definitions, events, people};

/// Everything in the catalogs that a verification could leave behind, and what it could do to the session.
const EVERYTHING: &str = "
    select string_agg(line, E'\\n' order by line) from (
        select concat_ws(' ', 'relation', oid, relname, relnamespace, relkind, relnatts, relfilenode) from pg_class
        union all select concat_ws(' ', 'function', oid, proname, prosrc) from pg_proc
        union all select concat_ws(' ', 'schema', oid, nspname) from pg_namespace
        union all select concat_ws(' ', 'type', oid, typname) from pg_type
        union all select concat_ws(' ', 'column', attrelid, attnum, attname, atttypid, attnotnull) from pg_attribute
        union all select concat_ws(' ', 'rule', oid, ev_class) from pg_rewrite
        union all select concat_ws(' ', 'lock', locktype, mode) from pg_locks
            where pid = pg_backend_pid() and locktype not in ('relation', 'virtualxid')
        union all select concat_ws(' ', 'setting', name, setting) from pg_settings
        union all select concat_ws(' ', 'rows', count(*)) from lake.people
    ) as everything (line)";

fn application(sql: &'static str, without_transaction: bool) -> Migrations {
    let description = "tables of the lake";
    let migration =
        Migration::new(1, description.into(), MigrationType::Simple, sql.into_sql_str(), without_transaction);
    Migrations::with_application("lake", Migrator::with_migrations(vec![migration]))
}

#[tokio::test]
async fn nothing_is_changed() {
    let mut fixture = Fixture::new(&[SOURCES, "insert into lake.people values ('A', 1)"]).await;
    let before = fixture.value(EVERYTHING).await;
    // Everything that is ever made for a trial: migrations, a missing table, views, also refused ones.
    let migrations = application("create table lake.more (id bigint); delete from lake.people;", false);
    for select in [COUNTS_SELECT, "select wrong"] {
        let definitions = definitions(vec![events(), people(), counts(select)]);
        let report = verify(&mut fixture.connection, &definitions, &migrations).await.unwrap();
        assert!(!report.problems.is_empty());
    }
    assert_eq!(fixture.value(EVERYTHING).await, before);
}

#[tokio::test]
async fn pending_migrations_are_applied_for_the_verification_alone() {
    let server = TestServer::shared().await.unwrap();
    let empty = server.create_database(&Migrations::karat()).await.unwrap();
    let mut connection = connect(&empty).await;
    sqlx::raw_sql("drop schema karat cascade").execute(&mut connection).await.unwrap();
    let definitions = definitions(vec![events(), people()]);
    let migrations = application(SOURCES, false);
    let report = verify(&mut connection, &definitions, &migrations).await.unwrap();
    assert_eq!(verify(&mut connection, &definitions, &migrations).await.unwrap(), report);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(karat/\d{4} [a-z ]+, )+", "[Karat's own], ");
    settings.bind(|| {
        insta::assert_snapshot!(report, @r#"
        Verified as if these migrations had been applied, which the database lacks: [Karat's own], lake/0001 tables of the lake

        no errors in 2 assets
        "#);
    });
    migrations.migrate(&mut connection).await.unwrap();
    let report = verify(&mut connection, &definitions, &migrations).await.unwrap();
    insta::assert_snapshot!(report, @"no errors in 2 assets");
}

#[tokio::test]
async fn a_migration_that_cannot_be_tried_is_told() {
    let mut fixture = Fixture::new(&[SOURCES]).await;
    let definitions = definitions(vec![events(), people()]);
    let mut refused = async |migrations| {
        let error = verify(&mut fixture.connection, &definitions, &migrations).await.unwrap_err();
        assert!(matches!(error, VerifyError::Schema(_)));
        // Neither a transaction nor the lock of those who migrate is left.
        let locks = "select count(*)::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()";
        assert_eq!(fixture.value(locks).await, "0");
        error.to_string()
    };
    insta::assert_snapshot!(refused(application("create tabel lake.more (id bigint)", false)).await, @r#"migration lake/0001 failed and was rolled back: syntax error at or near "tabel" (SQLSTATE 42601)"#);
    insta::assert_snapshot!(refused(application("create index concurrently on lake.people (name)", true)).await, @"`-- no-transaction` marks migration lake/0001 tables of the lake, and what is so marked cannot be tried without being applied: give the command `migrate` first");
}

#[tokio::test]
async fn a_database_of_another_version_is_refused() {
    let mut fixture = Fixture::new(&[SOURCES]).await;
    application("select 1", false).migrate(&mut fixture.connection).await.unwrap();
    let definitions = definitions(vec![events(), people()]);
    let edited = verify(&mut fixture.connection, &definitions, &application("select 2", false)).await.unwrap_err();
    assert!(matches!(edited, VerifyError::Schema(SchemaError::Modified(_))), "{edited}");
    let nothing = Migrations::with_application("lake", Migrator::with_migrations(Vec::new()));
    let newer = verify(&mut fixture.connection, &definitions, &nothing).await.unwrap_err();
    assert!(matches!(newer, VerifyError::Schema(SchemaError::Newer(_))), "{newer}");
}

#[tokio::test]
async fn live_work_does_not_disturb_it() {
    let mut fixture = Fixture::new(&[SOURCES, COUNTS_TABLE]).await;
    let mut other = connect(&fixture.database).await;
    let mut work = other.begin().await.unwrap();
    // What attempts, collectors and index builds hold, and what those hold who migrate.
    sqlx::raw_sql(
        "insert into lake.people values ('B', 2); delete from lake.counts; select * from lake.events for update;
         lock table lake.people in share row exclusive mode; lock table lake.counts in exclusive mode;
         select pg_advisory_xact_lock(hashtextextended('karat.migrate', 0));",
    )
    .execute(&mut *work)
    .await
    .unwrap();
    let report = fixture.verify(vec![events(), people(), counts(COUNTS_SELECT)]).await;
    assert!(report.problems.is_empty(), "{report}");
    work.rollback().await.unwrap();
}

#[tokio::test]
async fn a_table_that_nobody_may_read_is_not_waited_for() {
    let mut fixture = Fixture::new(&[SOURCES, COUNTS_TABLE]).await;
    let options = fixture.database.connect_options().application_name("rebuilding");
    let mut other = PgConnection::connect_with(&options).await.unwrap();
    let process: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut other).await.unwrap();
    let mut work = other.begin().await.unwrap();
    sqlx::raw_sql("lock table lake.people").execute(&mut *work).await.unwrap();
    let definitions = definitions(vec![events(), people(), counts(COUNTS_SELECT)]);
    let error = verify(&mut fixture.connection, &definitions, &Migrations::karat()).await.unwrap_err();
    assert!(matches!(error, VerifyError::Locked { .. }));
    insta::assert_snapshot!(error.to_string().replace(&format!("process {process} "), "process 1 "), @"verifying the SQL of lake.counts needs a lock that another session did not give up within 1 s: process 1 (rebuilding, idle in transaction) on lake.people. Nothing was changed: try again when it is done");
    work.rollback().await.unwrap();
    let report = verify(&mut fixture.connection, &definitions, &Migrations::karat()).await.unwrap();
    assert!(report.problems.is_empty(), "{report}");
}

#[tokio::test]
async fn others_who_migrate_are_not_waited_for() {
    let mut fixture = Fixture::new(&[]).await;
    let mut other = connect(&fixture.database).await;
    let lock = "select pg_advisory_lock(hashtextextended('karat.migrate', 0))";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let migrations = application(SOURCES, false);
    let definitions = definitions(vec![events(), people()]);
    let error = verify(&mut fixture.connection, &definitions, &migrations).await.unwrap_err();
    insta::assert_snapshot!(error, @"trying the pending migrations needs a lock that another session did not give up within 1 s. Nothing was changed: try again when it is done");
}

#[tokio::test]
async fn a_transaction_of_the_caller_goes_on() {
    let mut fixture = Fixture::new(&[SOURCES]).await;
    let definitions = definitions(vec![events(), people(), counts("select wrong")]);
    let mut transaction = fixture.connection.begin().await.unwrap();
    sqlx::raw_sql("insert into lake.people values ('C', 3)").execute(&mut *transaction).await.unwrap();
    let report = verify(&mut transaction, &definitions, &Migrations::karat()).await.unwrap();
    assert!(!report.is_passed());
    let timeout: String = sqlx::query_scalar("show lock_timeout").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!(timeout, "0");
    transaction.commit().await.unwrap();
    assert_eq!(fixture.value("select string_agg(name, ' ') from lake.people").await, "C");
}

#[tokio::test]
async fn a_database_that_cannot_be_asked_is_told() {
    let mut fixture = Fixture::new(&[SOURCES, COUNTS_TABLE, "set default_transaction_read_only = on"]).await;
    let definitions = definitions(vec![events(), people(), counts(COUNTS_SELECT)]);
    let error = verify(&mut fixture.connection, &definitions, &Migrations::karat()).await.unwrap_err();
    insta::assert_snapshot!(error, @"verifying the SQL of lake.counts failed: cannot execute CREATE VIEW in a read-only transaction (SQLSTATE 25006). Nothing was changed");
}
