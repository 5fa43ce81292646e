//! The program as a process: whatever is wrong with what it is given, it ends with the documented code and a sentence.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use assert_cmd::Command;
use community::definitions::migrations;
use karat::store::migrate::Migrations;
use karat::testing::TestDatabase;

/// What must never be shown to a person.
const DEBRIS: [&str; 6] =
    ["panicked at", "RUST_BACKTRACE", "stack backtrace", "Error {", "Some(", "error with configuration"];

/// The program in a clean environment.
fn community(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("community").unwrap();
    command.env_clear().env("DATABASE_URL", url).args(arguments);
    command
}

/// Runs the program, and insists on its exit code and on every one of these fragments in what it says.
fn expect(url: &str, arguments: &[&str], exit: i32, fragments: &[&str]) {
    let output = community(url, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
    for fragment in fragments {
        assert!(said.contains(fragment), "{arguments:?} does not say {fragment:?}: {said}");
    }
    for debris in DEBRIS {
        assert!(!said.contains(debris), "{arguments:?} shows {debris:?}: {said}");
    }
}

#[tokio::test]
async fn wrong_requests_end_with_a_sentence() {
    let database = TestDatabase::create(&migrations()).await.unwrap();
    let url = database.url();
    let cases: &[(&str, i32, &[&str])] = &[
        ("why daily_active_usrs", 2, &["did you mean `gold.daily_active_users`?"]),
        ("why gold.daily_active_users 2026-02-30", 2, &["February 2026 has 28 days"]),
        ("why gold.daily_active_users 2025-12-30", 2, &["before the start", "`2026-01-01`"]),
        ("why gold.daily_active_users 2999-01-01", 2, &["has not begun yet"]),
        ("why gold.daily_active_users yesterday", 2, &["YYYY-MM-DD"]),
        ("why retention_cohorts 2026-02-03", 2, &["YYYY-MM"]),
        ("backfill *", 2, &["backfill '*' 2026-01..2026-03", "--missing"]),
        ("backfill gold.daily_active_users 2026-03-05..2026-03-01", 2, &["ends before it begins"]),
        ("backfill gold.daily_active_users 2026-02-01", 1, &["silver.user_activity 2026-02-01", "--upstream"]),
        ("backfill * --stale", 0, &["nothing to do"]),
        ("materialize bronze.discord_messages 2026-02-03", 2, &["its rows come from outside"]),
        ("materialize * --concurrency 0", 2, &["1..=1000"]),
        ("ls state:stalle", 2, &["did you mean `state:stale`?"]),
        ("ls gold.*,silver.*", 2, &["matches no asset"]),
        ("ls tag:zzz", 2, &["no asset has the tag `zzz`"]),
        ("backfill show abc", 2, &["too short"]),
        ("backfill resume zzzz", 2, &["no id of a backfill"]),
        ("run cancel 1234", 2, &["there is no run `1234`"]),
        ("gc --keep-logs banana", 2, &["30d"]),
        ("--zone Europe/Berln ls", 2, &["did you mean `Europe/Berlin`?"]),
        ("--first-day 2026-02-29 ls", 2, &["YYYY-MM-DD"]),
        ("--first-day 2999-01-01 plan gold.daily_active_users 2026-02-01", 2, &["before the start"]),
        ("status --exit-code", 4, &["missing"]),
        ("frobnicate", 2, &["unrecognized subcommand"]),
        ("ingest discord frames.jsonl --at 2026-01-01", 2, &["2026-11-22T11:08:29Z"]),
    ];
    for (line, exit, fragments) in cases {
        expect(&url, &line.split(' ').collect::<Vec<_>>(), *exit, fragments);
    }
}

#[tokio::test]
async fn hints_repeat_the_calendar_of_the_command_line() {
    let database = TestDatabase::create(&migrations()).await.unwrap();
    let url = database.url();
    let hint = "backfill '*' --missing --zone UTC --first-day 2026-02-01";
    expect(&url, &["status", "--zone", "UTC", "--first-day", "2026-02-01"], 0, &[hint]);
    let output = community(&url, &["status"]).env("KARAT_ZONE", "UTC").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("backfill '*' --missing\n"), "{said}");
}

#[tokio::test]
async fn files_that_are_none_are_named_and_stop_nothing() {
    let database = TestDatabase::create(&migrations()).await.unwrap();
    let url = database.url();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let truncated = write("truncated.csv.gz", &[0x1f, 0x8b, 8]);
    let empty = write("empty.log", b"");
    let binary = write("binary.log", &[0xff, 0, 0x80, b'\n'].repeat(1_000));
    let good = write("good.csv", b"day,hhmm,kind,nick_id,other_nick_id\n2026-02-01,10:00,message,1,\n");
    let old = write("old.csv", b"2025-12-31,10:00,message,1,\n");
    let mut long = vec![b'x'; 10_000_000];
    long.extend_from_slice(b"\n2026-02-02,10:00,message,1,\n");
    let long = write("long.csv", &long);
    let missing = folder.path().join("missing.csv").display().to_string();
    let directory = folder.path().display().to_string();

    expect(&url, &["ingest", "irc", &directory], 1, &["it is a folder"]);
    expect(&url, &["ingest", "irc", &missing, &good], 1, &["no such file", "bronze.chat_messages: 1 new", "next"]);
    expect(&url, &["ingest", "irc", &good, &good], 0, &["0 new, 1 already there"]);
    expect(&url, &["ingest", "irc", &truncated], 1, &["ends in the middle", "Copy the file again"]);
    expect(&url, &["ingest", "irc", &empty], 0, &["0 lines"]);
    expect(&url, &["ingest", "irc", &binary], 0, &["not UTF-8", "is it the right source?"]);
    expect(&url, &["ingest", "irc", &long], 0, &["longer than this source allows (line 1)", "1 new"]);
    expect(&url, &["ingest", "irc", &old], 0, &["before the calendar's first day", "--first-day"]);

    let again = community(&url, &["ingest", "irc", &good]).output().unwrap();
    assert!(!String::from_utf8_lossy(&again.stdout).contains("next"), "nothing is new, so nothing is next");
}

#[tokio::test]
async fn databases_that_cannot_be_used_are_refused_with_code_5() {
    let database = TestDatabase::create(&migrations()).await.unwrap();
    let url = database.url();
    let no_database = url.replacen(database.name(), "there_is_no_such_database", 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Whoever connects is answered by something that is no PostgreSQL.
    thread::spawn(move || listener.incoming().flatten().for_each(answer));
    let stranger = format!("postgres://karat:SECRETWORD@127.0.0.1:{port}/own");
    let cases: &[(&str, &[&str])] = &[
        ("not a url", &["does not begin with `postgres://`"]),
        ("postgres://karat:SECRETWORD@127.0.0.1:99999/own", &["invalid port number"]),
        ("postgres://karat:SECRETWORD@localhost/own?sslmode=banana", &["unknown value"]),
        ("postgres://karat:SECRETWORD@127.0.0.1:1/own", &["127.0.0.1:1", "Check that the server runs"]),
        (&stranger, &["is no PostgreSQL server", "Correct the host and the port"]),
        (&no_database, &["does not exist", "Create the database"]),
    ];
    for (url, fragments) in cases {
        expect(url, &["status"], 5, fragments);
        let output = community(url, &["status"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("SECRETWORD"), "the password is shown");
    }
}

fn answer(mut stream: std::net::TcpStream) {
    use std::io::{Read as _, Write as _};
    let mut request = [0; 64];
    if stream.read(&mut request).is_ok() {
        // A client that has gone does not matter.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }
}

#[tokio::test]
async fn databases_of_others_are_left_alone() {
    let newer = TestDatabase::create(&migrations()).await.unwrap();
    let pool = newer.pool().await.unwrap();
    sqlx::query(
        "insert into karat.migration select 99, 'from later', now(), true, checksum, 1 from karat.migration limit 1",
    )
    .execute(&pool)
    .await
    .unwrap();
    for verb in ["status", "migrate", "check"] {
        expect(&newer.url(), &[verb], 5, &["newer than this program", "karat/0099", "nothing was changed"]);
    }

    let foreign = TestDatabase::create(&Migrations::karat()).await.unwrap();
    let pool = foreign.pool().await.unwrap();
    expect(&foreign.url(), &["status"], 5, &["lacks migrations", "migrate"]);
    sqlx::raw_sql("create schema gold; create table gold.daily_active_users (users bigint)")
        .execute(&pool)
        .await
        .unwrap();
    expect(&foreign.url(), &["migrate"], 5, &["community/0001", "was rolled back", "no migration made"]);
    let kept: bool =
        sqlx::query_scalar("select to_regclass('bronze.discord_messages') is null").fetch_one(&pool).await.unwrap();
    assert!(kept, "a failed migration leaves nothing behind");
}

#[test]
fn a_data_folder_that_is_none_is_refused_with_code_5() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("inside"), Path::new("/proc/karat").to_owned()] {
        let output = community("", &["status"]).env("KARAT_DATA", &path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("KARAT_DATA"), "{said}");
    }
}
