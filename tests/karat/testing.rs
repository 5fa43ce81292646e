//! The helpers for tests that need a database.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use karat::store::migrate::Migrations;
use karat::testing::{TestDatabase, TestServer, TestingError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};

use crate::embedded_support::{Scratch, eventually, is_alive};

/// Tells [`child_process`] in which folder to use a server.
const FOLDER: &str = "KARAT_TESTING_CHILD";

/// So short that the server is gone as soon as nobody uses it.
const AT_ONCE: Duration = Duration::from_millis(20);

/// So long that within a test nothing ends for want of users.
const NEVER: Duration = Duration::from_secs(3600);

async fn value(options: &PgConnectOptions, statement: &'static str) -> String {
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    let value = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    value
}

async fn databases(server: &TestServer) -> Vec<String> {
    let names = "select string_agg(datname, ' ' order by datname) from pg_database where datname !~ '^(postgres|template[01])$'";
    let mut connection = PgConnection::connect_with(&server.connect_options("postgres")).await.unwrap();
    let names: Option<String> = sqlx::query_scalar(names).fetch_one(&mut connection).await.unwrap();
    names.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_database_is_migrated_and_for_its_owner_alone() {
    let migrations = Migrations::karat();
    let (one, other) = tokio::try_join!(TestDatabase::create(&migrations), TestDatabase::create(&migrations)).unwrap();
    assert_ne!(one.name(), other.name());
    let pool = one.pool().await.unwrap();
    Migrations::karat().verify(&pool).await.unwrap();
    pool.execute("create table public.mine (id bigint)").await.unwrap();
    let mine = "select coalesce(to_regclass('public.mine')::text, 'none')";
    assert_eq!(value(&one.connect_options(), mine).await, "mine");
    assert_eq!(value(&other.connect_options(), mine).await, "none");
    let of_another_process = PgConnectOptions::from_str(&one.url()).unwrap();
    assert_eq!(value(&of_another_process, "select current_database()::text").await, one.name());
}

#[tokio::test]
async fn a_database_is_gone_with_its_guard_even_while_it_is_used() {
    let server = TestServer::shared().await.unwrap();
    let database = TestDatabase::create(&Migrations::karat()).await.unwrap();
    let name = database.name().to_owned();
    let pool = database.pool().await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    transaction.execute("create table public.unfinished (id bigint)").await.unwrap();
    assert!(databases(server).await.contains(&name));
    drop(database);
    assert!(!databases(server).await.contains(&name));
}

#[tokio::test]
async fn the_template_is_made_once_however_many_ask() {
    let scratch = Scratch::new();
    let server = TestServer::start(scratch.data(), NEVER).await.unwrap();
    let migrations = Migrations::karat();
    let create = || server.create_database(&migrations);
    let all = tokio::try_join!(create(), create(), create(), create()).unwrap();
    let template = format!("template_{}", migrations.fingerprint());
    let mut expected = vec![all.0.name(), all.1.name(), all.2.name(), all.3.name(), &template];
    expected.sort_unstable();
    assert_eq!(databases(&server).await, expected);
    drop(all);
    assert_eq!(databases(&server).await, [template.as_str()]);
    let refused = PgConnection::connect_with(&server.connect_options(&template)).await.unwrap_err();
    assert!(refused.to_string().contains("not currently accepting connections"), "{refused}");
    for (setting, expected) in [
        ("show fsync", "off"),
        ("show synchronous_commit", "off"),
        ("show full_page_writes", "off"),
        ("show max_connections", "400"),
        ("show listen_addresses", ""),
    ] {
        assert_eq!(value(&server.connect_options("postgres"), setting).await, expected, "{setting}");
    }
}

#[tokio::test]
async fn what_dead_processes_left_behind_goes_when_the_server_starts() {
    let scratch = Scratch::new();
    let server = TestServer::start(scratch.data(), NEVER).await.unwrap();
    let live = server.create_database(&Migrations::karat()).await.unwrap();
    let mut connection = PgConnection::connect_with(&server.connect_options("postgres")).await.unwrap();
    // No process has such a number; this one has not begun with the machine; names of other origin are left alone.
    let this = std::process::id();
    for name in ["test_999999999_7_0".to_owned(), format!("test_{this}_1_0"), "testing".to_owned()] {
        connection.execute(sqlx::AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    }
    connection.close().await.unwrap();
    let adopted = TestServer::start(scratch.data(), NEVER).await.unwrap();
    assert!(!adopted.embedded().was_started());
    assert_eq!(databases(&adopted).await.len(), 5, "a server that is in use is not cleaned");
    drop((server, adopted));
    let server = TestServer::start(scratch.data(), NEVER).await.unwrap();
    assert!(server.embedded().was_started());
    let template = format!("template_{}", Migrations::karat().fingerprint());
    let mut expected = [live.name(), &template, "testing"];
    expected.sort_unstable();
    assert_eq!(databases(&server).await, expected);
}

/// A process that uses the server of a folder and ends by being killed, or runs until then.
struct User(Child);

impl User {
    fn of(folder: &Path) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["testing::child_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ready = folder.join("ready");
        eventually("the child uses the server", || ready.exists());
        std::fs::remove_file(ready).unwrap();
        Self(process)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The entry of child processes. In an ordinary test run there is nothing to do.
#[test]
fn child_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(TestServer::start(folder.clone(), AT_ONCE)).unwrap();
    let _database = runtime.block_on(server.create_database(&Migrations::karat())).unwrap();
    std::fs::write(folder.join("ready"), "").unwrap();
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn the_server_ends_after_the_last_user_even_if_that_is_killed() {
    let scratch = Scratch::new();
    let folder = scratch.data();
    let mut postmasters = Vec::new();
    // Twice: after the first server its watchdog is gone, too, and the second needs one of its own.
    for _ in 0..2 {
        let user = User::of(&folder);
        let server = TestServer::start(folder.clone(), NEVER).await.unwrap();
        assert!(!server.embedded().was_started(), "the child had started it");
        let postmaster = server.embedded().postmaster_pid().unwrap();
        drop(user);
        // The watchdog looks many times meanwhile, and sees this process.
        let database = server.create_database(&Migrations::karat()).await.unwrap();
        assert_eq!(value(&database.connect_options(), "select 'alive'").await, "alive");
        drop(database);
        let last = User::of(&folder);
        drop(server);
        assert!(is_alive(postmaster), "the other process still uses it");
        drop(last);
        eventually("the server has ended", || !is_alive(postmaster));
        postmasters.push(postmaster);
    }
    assert_ne!(postmasters[0], postmasters[1]);
    // It left in good order: nothing is recovered, and the database of the killed child is cleared away.
    let server = TestServer::start(folder, NEVER).await.unwrap();
    assert_eq!(databases(&server).await, [format!("template_{}", Migrations::karat().fingerprint())]);
    let log = std::fs::read_to_string(server.embedded().log_file()).unwrap();
    assert!(!log.contains("not properly shut down"), "{log}");
}

#[tokio::test]
async fn a_folder_that_is_not_the_users_own_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.path.join("file");
    std::fs::write(&file, "").unwrap();
    let link = scratch.path.join("link");
    std::os::unix::fs::symlink(&scratch.path, &link).unwrap();
    for path in [file, link, scratch.path.join("missing/folder")] {
        match TestServer::start(path.clone(), NEVER).await {
            Err(TestingError::Folder { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{}: {other:?}", path.display()),
        }
    }
}
