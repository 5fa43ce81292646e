//! Whole processes that run by themselves: asked to end, killed, without a database.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use karat::cli::{self, Application, Session, Verb};
use karat::clock::{Clock, SystemClock};
use karat::engine::launch::{Launched, launch};
use karat::store::run::Control;
use karat::testing::TestServer;
use rustix::process::{Pid, Signal, kill_process};

use crate::lake::{self, Lake};
use crate::service_lake::words;

const URL: &str = "KARAT_TEST_UP_URL";
const WORDS: &str = "KARAT_TEST_UP_WORDS";

/// Nothing is to take longer.
const PATIENCE: Duration = Duration::from_secs(20);

const APPLICATION: Application = Application {
    name: "lake",
    about: "Waits",
    version: "1.0.0",
    first_day: NaiveDate::from_ymd_opt(2023, 1, 1).unwrap(),
    definitions: |calendar| Ok(lake::definitions(calendar.zone)),
    migrations: lake::migrations,
    alert_channels: || Ok(Vec::new()),
    login_providers: || Ok(Vec::new()),
    pages: Some(karat::web::serve),
    demonstrate: None,
};

/// A process of the application: this test binary again, with the command line that the environment names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn application_process() {
    let Ok(url) = std::env::var(URL) else { return };
    let line = format!("lake --database-url {url} {}", std::env::var(WORDS).unwrap());
    let (options, verb) = cli::parse::<Verb>(&APPLICATION, words(&line)).unwrap();
    let session = Session::new(APPLICATION, options);
    println!();
    let result = cli::run(&session, verb).await;
    let exit = cli::finish(&session, result);
    std::process::exit(exit.code().into());
}

/// A running process and what it says.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(lake: &Lake, line: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "up::application_process", "--nocapture"])
            .env(URL, lake.database.url())
            .env(WORDS, line)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (said, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        Self { child, lines }
    }

    /// Waits until it says something that contains `what`.
    fn says(&self, what: &str) -> String {
        let began = Instant::now();
        loop {
            let line = self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed()));
            match line {
                Ok(line) if line.contains(what) => return line,
                Ok(_) => {}
                Err(error) => panic!("it does not say `{what}`: {error}"),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits until it ends; its exit code.
    async fn exit_code(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn launch_sleepy(lake: &Lake) -> Launched {
    launch(&lake.store, &lake.definitions, lake.request(&[("lake.sleepy", "all")]), SystemClock.now()).await.unwrap()
}

async fn becomes(lake: &Lake, sql: &'static str, expected: &str) {
    let began = Instant::now();
    loop {
        let text = lake.text(sql).await;
        if text == expected {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{sql} is {text}, not {expected}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Statements that sleep on the server.
const SLEEPING: &str = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active'
    and datname = current_database() and pid <> pg_backend_pid()";
const STEPS: &str = "select state, attempts from karat.step";

#[tokio::test]
async fn what_does_not_end_within_the_limit_is_handed_back_and_the_exit_is_good() {
    let lake = Lake::open().await;
    let mut process = Process::start(&lake, "up --address 127.0.0.1:0 --shutdown-limit 1s");
    assert!(process.says("pages").contains("http://127.0.0.1:"));
    launch_sleepy(&lake).await;
    becomes(&lake, SLEEPING, "1").await;
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, Some(0));
    assert_eq!(lake.text(STEPS).await, "ready | 0");
    assert_eq!(lake.text(SLEEPING).await, "0");
    assert_eq!(lake.text("select count(*) from karat.worker").await, "0");
}

#[tokio::test]
async fn the_second_signal_hands_back_at_once() {
    let lake = Lake::open().await;
    let mut process = Process::start(&lake, "worker --slots 1 --shutdown-limit 1h");
    process.says("slots     1");
    launch_sleepy(&lake).await;
    becomes(&lake, SLEEPING, "1").await;
    process.signal(Signal::TERM);
    becomes(&lake, "select count(*) from karat.worker where stopping_at is not null", "1").await;
    assert_eq!(lake.text(SLEEPING).await, "1");
    process.signal(Signal::INT);
    assert_eq!(process.exit_code().await, Some(1));
    assert_eq!(lake.text(STEPS).await, "ready | 0");
    assert_eq!(lake.text(SLEEPING).await, "0");
}

#[tokio::test]
async fn when_the_first_of_two_is_killed_the_second_leads_and_takes_its_work_over() {
    let lake = Lake::open().await;
    let mut first = Process::start(&lake, "up --address 127.0.0.1:0");
    first.says("This process leads");
    let launched = launch_sleepy(&lake).await;
    becomes(&lake, SLEEPING, "1").await;
    let second = Process::start(&lake, "up --address 127.0.0.1:0");
    let stands_by = second.says("Stands by");
    assert!(stands_by.contains(&format!("process {} on", first.child.id())), "{stands_by}");
    first.signal(Signal::KILL);
    assert_eq!(first.exit_code().await, None);
    let killed = Instant::now();
    second.says("This process leads");
    assert!(killed.elapsed() < Duration::from_secs(10), "it took {:?}", killed.elapsed());
    becomes(&lake, "select outcome from karat.attempt", "lost").await;
    becomes(&lake, SLEEPING, "1").await;
    assert!(killed.elapsed() < Duration::from_secs(10), "it took {:?}", killed.elapsed());
    assert_eq!(lake.text("select epoch from karat.leadership").await, "2");
    // A cancellation reaches it: nothing of it is left on the server.
    lake.store.control_runs(&[launched.run_id], Control::Cancel, SystemClock.now(), None).await.unwrap();
    let canceled = Instant::now();
    becomes(&lake, SLEEPING, "0").await;
    assert!(canceled.elapsed() < Duration::from_secs(5), "it took {:?}", canceled.elapsed());
    becomes(&lake, "select outcome from karat.run", "canceled").await;
}

#[tokio::test]
async fn a_connection_that_never_comes_back_keeps_no_program_from_ending() {
    let lake = Lake::open().await;
    let line = format!("lake --database-url {} status", lake.database.url());
    let (options, _) = cli::parse::<Verb>(&APPLICATION, words(&line)).unwrap();
    let connected = Session::new(APPLICATION, options).connect().await.unwrap();
    let held = connected.pool.acquire().await.unwrap();
    tokio::time::timeout(PATIENCE, connected.close()).await.unwrap();
    drop(held);
}

#[tokio::test]
async fn an_outage_is_survived_and_in_one_a_single_signal_ends_the_process() {
    let folder = tempfile::tempdir().unwrap();
    // The server's account must be able to reach the folder.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let directory = folder.path().join("server");
    let server = TestServer::start(directory.clone(), Duration::from_secs(60)).await.unwrap();
    let lake = Lake::on(server.create_database(&lake::migrations()).await.unwrap()).await;
    let mut process = Process::start(&lake, "up --address 127.0.0.1:0 --shutdown-limit 2s");
    process.says("This process leads");
    let stop = |server: &TestServer| {
        let postmaster = server.embedded().postmaster_pid().unwrap();
        kill_process(Pid::from_raw(postmaster).unwrap(), Signal::QUIT).unwrap();
    };
    stop(&server);
    // Starting waits until the old one is gone, and recovers.
    let server = TestServer::start(directory, Duration::from_secs(60)).await.unwrap();
    launch_sleepy(&lake).await;
    becomes(&lake, SLEEPING, "1").await;
    stop(&server);
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, Some(0));
}
