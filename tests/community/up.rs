//! The program as it runs by itself: what it answers while it does, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono_tz::Europe::Berlin;

use crate::support::Platform;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The process; it does not outlive the test.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // It has usually ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status and body of an answer; `None` when nobody answers.
fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

#[tokio::test]
async fn while_it_runs_it_answers_and_when_asked_to_it_ends() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await;
    let secret = "correct-horse-battery";
    let child = Command::new(env!("CARGO_BIN_EXE_community"))
        .args(["up", "--address", "127.0.0.1:0", "-vv", "--log-format", "json"])
        .env_clear()
        .env("DATABASE_URL", platform.url().replacen('@', &format!(":{secret}@"), 1))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = Up(child);
    let mut errors = up.0.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let lines = BufReader::new(up.0.stdout.take().unwrap()).lines();
    let address = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("http://")?.1.to_owned())).unwrap();

    assert_eq!(get(&address, "/healthz"), Some((200, "ok\n".to_owned())));
    let begun = Instant::now();
    loop {
        let (status, body) = get(&address, "/readyz").unwrap();
        if status == 200 {
            for part in ["database", "migrations", "worker", "leader", "reconciler scheduler", "reconciler automation"]
            {
                assert!(body.contains(&format!("\"part\":\"{part}\",\"ok\":true")), "{part}: {body}");
            }
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not become ready: {body}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (status, metrics) = get(&address, "/metrics").unwrap();
    assert_eq!(status, 200);
    for line in
        ["karat_workers{state=\"live\"} 1.0", "karat_state_readable 1.0", "karat_connections_limit{pool=\"worker\"}"]
    {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    assert!(Command::new("kill").arg(up.0.id().to_string()).status().unwrap().success());
    let status = up.0.wait().unwrap();
    let said = said.join().unwrap().unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains(secret) && !metrics.contains(secret), "{said}");
    assert_eq!(get(&address, "/healthz"), None);
}

/// The lines until the one with the address, which is the last.
fn said_until_the_address(up: &mut Up) -> (Vec<String>, String) {
    let mut said = Vec::new();
    for line in BufReader::new(up.0.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(address) = line.strip_prefix("To look at it: http://") {
            let address = address.to_owned();
            return (said, address);
        }
        said.push(line);
    }
    panic!("no address was said: {said:?}");
}

fn demonstration(platform: &Platform) -> Up {
    let mut command = Command::new(env!("CARGO_BIN_EXE_community"));
    command
        .args(["up", "--demo", "--address", "127.0.0.1:0", "--shutdown-limit", "1s"])
        .env_clear()
        .env("DATABASE_URL", platform.url());
    Up(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

fn end(mut up: Up) {
    assert!(Command::new("kill").arg(up.0.id().to_string()).status().unwrap().success());
    assert_eq!(up.0.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_demonstration_has_something_to_show_at_once_and_goes_on_the_second_time() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await;
    let mut up = demonstration(&platform);
    let (_, address) = said_until_the_address(&mut up);
    let (status, backfills) = get(&address, "/backfills").unwrap();
    assert!(status == 200 && backfills.contains("backfill &#39;*&#39; --all --missing --stale"), "{backfills}");
    // A check refuses the day with the message that cannot be.
    let backfill = backfills.split("href=\"/backfills/0").nth(1).unwrap().split('"').next().unwrap();
    let begun = Instant::now();
    loop {
        let (_, page) = get(&address, &format!("/backfills/0{backfill}")).unwrap();
        if page.contains("check no_negative_figure: 1 offending row") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing goes wrong: {page}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let first: i64 =
        sqlx::query_scalar("select count(*) from bronze.discord_members").fetch_one(&platform.pool).await.unwrap();
    end(up);

    let mut up = demonstration(&platform);
    let (_, address) = said_until_the_address(&mut up);
    let wrong = "select count(*) from bronze.discord_messages where characters < 0";
    let wrong: i64 = sqlx::query_scalar(wrong).fetch_one(&platform.pool).await.unwrap();
    let second: i64 =
        sqlx::query_scalar("select count(*) from bronze.discord_members").fetch_one(&platform.pool).await.unwrap();
    assert_eq!((wrong, second), (1, first), "the same people and the same mistake");
    assert_eq!(get(&address, "/").unwrap().0, 200);
    end(up);
}

#[tokio::test]
async fn the_demonstration_refuses_a_database_with_a_community_in_it() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await;
    platform.ingest(community::collect::ingest::Source::Irc, crate::ingest::CHAT).await;
    let output = Command::new(env!("CARGO_BIN_EXE_community"))
        .args(["up", "--demo", "--address", "127.0.0.1:0"])
        .env_clear()
        .env("DATABASE_URL", platform.url())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && errors.contains("already holds a community"), "{errors}");
}
