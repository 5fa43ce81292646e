//! What a process answers over HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use karat::asset::calendar::Calendar;
use karat::clock::Clock;
use karat::service::{HealthView, LoginPolicy, Observer, PagesContext, Password, Process, Role, Service, listen};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::service_lake::{APPLICATION, Lake, assets};

/// The service of an installation, by these connections.
pub(crate) fn service(lake: &Lake, options: &PgConnectOptions) -> Service {
    let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: APPLICATION.first_day };
    Service::new(
        PgPoolOptions::new().connect_lazy_with(options.clone()),
        options.clone(),
        Arc::new(assets::definitions(calendar).unwrap()),
        Arc::new(assets::migrations()),
        lake.clock.clone(),
    )
}

/// A server of pages and its client.
pub(crate) struct Pages {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
    client: reqwest::Client,
}

impl Pages {
    pub(crate) async fn of(service: Service, process: Process) -> Self {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (program, wakeups) = (APPLICATION.name, None);
        let context = PagesContext {
            service,
            program,
            process,
            login: LoginPolicy::default(),
            providers: Vec::new(),
            channels: Vec::new(),
            wakeups,
            listener,
            stop: stop.clone(),
        };
        Self { address, stop, served: tokio::spawn(karat::web::serve(context)), client: reqwest::Client::new() }
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    /// The status and the text of an answer.
    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        format!("{} {}", response.status().as_u16(), response.text().await.unwrap())
    }
}

/// Health in a few words: `not ready: database; worker is out of order: …`.
fn told(health: &HealthView) -> String {
    let parts = health.parts.iter().map(|part| match &part.problem {
        None => format!("{}: ok", part.part),
        Some(problem) => format!("{}: {problem}", part.part),
    });
    format!("{}\n{}", if health.ready { "ready" } else { "not ready" }, parts.collect::<Vec<_>>().join("\n"))
}

async fn judged(lake: &Lake, process: &Process) -> String {
    told(&Observer::new(&service(lake, &lake.database.connect_options()), process.clone()).health().await)
}

async fn within<T>(limit: u64, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(limit), what).await.expect("this takes too long")
}

#[tokio::test]
async fn a_process_lives_is_ready_and_says_where_else_to_look() {
    let lake = Lake::new().await;
    let pages = Pages::of(service(&lake, &lake.database.connect_options()), Process::default()).await;
    insta::assert_snapshot!(pages.text("/healthz").await, @"200 ok");
    insta::assert_snapshot!(pages.text("/readyz").await, @r#"200 {"ready":true,"at":"2026-03-20T10:00:00Z","parts":[{"part":"database","ok":true,"problem":null},{"part":"migrations","ok":true,"problem":null}]}"#);
    assert!(pages.text("/nothing").await.starts_with("404 "));
    let response = pages.get("/metrics").await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let posted = pages.client.post(format!("http://{}/healthz", pages.address)).body("x").send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 405);
}

#[tokio::test]
async fn without_its_database_a_process_lives_is_not_ready_and_still_has_metrics() {
    let lake = Lake::new().await;
    let nowhere = lake.database.connect_options().host("127.0.0.1").port(1).socket("/nowhere");
    let pages = Pages::of(service(&lake, &nowhere), Process::default()).await;
    insta::assert_snapshot!(pages.text("/healthz").await, @"200 ok");
    let ready = within(9, pages.text("/readyz")).await;
    assert!(
        ready.starts_with("503 {\"ready\":false") && ready.contains("\"part\":\"database\",\"ok\":false"),
        "{ready}"
    );
    let metrics = within(9, pages.text("/metrics")).await;
    assert!(metrics.starts_with("200 ") && metrics.contains("\nkarat_state_readable 0.0\n"), "{metrics}");
}

#[tokio::test]
async fn a_worker_is_ready_while_its_lease_is_renewed() {
    let lake = Lake::new().await;
    let worker_id = Uuid::now_v7();
    let process = Process { worker_id: Some(worker_id), ..Process::default() };
    insta::assert_snapshot!(judged(&lake, &process).await, @r"
    not ready
    database: ok
    migrations: ok
    worker: this process is not registered: its steps, if it had any, were given to others
    ");
    register(&lake, worker_id).await;
    insta::assert_snapshot!(judged(&lake, &process).await, @r"
    ready
    database: ok
    migrations: ok
    worker: ok
    ");
    lake.clock.advance(Duration::from_secs(20));
    insta::assert_snapshot!(judged(&lake, &process).await, @r"
    not ready
    database: ok
    migrations: ok
    worker: its lease is over since 5 s
    ");
}

#[tokio::test]
async fn reconcilers_are_ready_while_somebody_leads_and_each_succeeds() {
    let lake = Lake::new().await;
    let minute = Duration::from_secs(60);
    let process = Process { reconcilers: vec![("scheduler", minute), ("janitor", 60 * minute)], ..Process::default() };
    insta::assert_snapshot!(judged(&lake, &process).await, @r"
    not ready
    database: ok
    migrations: ok
    leader: no process leads: no reconciler runs anywhere
    reconciler scheduler: it never ran
    reconciler janitor: it never ran
    ");
    let worker_id = Uuid::now_v7();
    register(&lake, worker_id).await;
    sqlx::query("insert into karat.leadership (name, worker_id, epoch, since) values ('reconcilers', $1, 1, $2)")
        .bind(worker_id)
        .bind(lake.clock.now())
        .execute(&lake.pool)
        .await
        .unwrap();
    sqlx::query(
        "insert into karat.reconciler (name, worker_id, started_at, succeeded_at, error)
         values ('scheduler', $1, $2, $2 - interval '10 minutes', 'the line is busy'), ('janitor', $1, $2, $2 - interval '10 minutes', null)",
    )
    .bind(worker_id)
    .bind(lake.clock.now())
    .execute(&lake.pool)
    .await
    .unwrap();
    insta::assert_snapshot!(judged(&lake, &process).await, @r"
    not ready
    database: ok
    migrations: ok
    leader: ok
    reconciler scheduler: it last succeeded 600 s ago, and ought to every 60 s: the line is busy
    reconciler janitor: ok
    ");
    sqlx::query("update karat.reconciler set succeeded_at = started_at, error = null")
        .execute(&lake.pool)
        .await
        .unwrap();
    insta::assert_snapshot!(judged(&lake, &process).await, @r"
    ready
    database: ok
    migrations: ok
    leader: ok
    reconciler scheduler: ok
    reconciler janitor: ok
    ");
}

async fn register(lake: &Lake, worker_id: Uuid) {
    sqlx::query(
        "insert into karat.worker (worker_id, host, process_id, started_at, heartbeat_at, expires_at)
         values ($1, 'here', 1, $2, $2, $2 + interval '15 seconds')",
    )
    .bind(worker_id)
    .bind(lake.clock.now())
    .execute(&lake.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_database_of_another_version_is_no_ready_one() {
    let lake = Lake::migrated_with(&karat::store::migrate::Migrations::karat()).await;
    insta::assert_snapshot!(judged(&lake, &Process::default()).await, @r"
    not ready
    database: ok
    migrations: the database lacks migration lake/0001 lake. Bring it up to date with `migrate`
    ");
}

#[tokio::test]
async fn a_request_without_measure_is_not_read_to_its_end() {
    let lake = Lake::new().await;
    let pages = Pages::of(service(&lake, &lake.database.connect_options()), Process::default()).await;
    let mut stream = TcpStream::connect(pages.address).await.unwrap();
    let padding = "x".repeat(1_000);
    let mut sent = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: here\r\n").await;
    for number in 0..10_000 {
        if sent.is_err() {
            break;
        }
        sent = stream.write_all(format!("x-{number}: {padding}\r\n").as_bytes()).await;
    }
    let mut answer = Vec::new();
    let read = within(10, stream.read_to_end(&mut answer)).await;
    assert!(read.is_err() || answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8(answer));
    assert_eq!(pages.text("/healthz").await, "200 ok\n", "the others are served as before");
}

#[tokio::test]
async fn idle_connections_do_not_keep_a_server_from_ending_or_others_from_being_served() {
    let lake = Lake::new().await;
    let pages = Pages::of(service(&lake, &lake.database.connect_options()), Process::default()).await;
    let mut idle = Vec::new();
    for _ in 0..512 {
        idle.push(TcpStream::connect(pages.address).await.unwrap());
    }
    // There is no room for one more until one of them goes.
    let mut late = TcpStream::connect(pages.address).await.unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
    idle.pop();
    let mut answer = String::new();
    within(10, late.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    pages.stop.cancel();
    within(10, pages.served).await.unwrap().unwrap();
    assert!(TcpStream::connect(pages.address).await.is_err(), "it listens no more");
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_refused_with_the_remedy() {
    let first = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let held = first.local_addr().unwrap();
    let error = listen(held).await.unwrap_err().to_string();
    let error = error.replace(&held.port().to_string(), "PORT").replace(&(held.port() + 1).to_string(), "NEXT");
    insta::assert_snapshot!(error, @"another process listens on 127.0.0.1:PORT already, perhaps another `up`: end it, or give this one another port with --address 127.0.0.1:NEXT");
    insta::assert_snapshot!(listen("192.0.2.1:4747".parse().unwrap()).await.unwrap_err(), @"cannot listen on 192.0.2.1:4747: Cannot assign requested address (os error 99). Give an address of this machine with --address");
    assert!(listen("0.0.0.0:0".parse().unwrap()).await.is_ok());
}

#[tokio::test]
async fn pages_are_served_elsewhere_only_when_somebody_can_log_in() {
    let lake = Lake::new().await;
    let service = service(&lake, &lake.database.connect_options());
    let anywhere = "0.0.0.0:4747".parse().unwrap();
    insta::assert_snapshot!(service.may_listen(anywhere, LoginPolicy::WithAccounts).await.unwrap_err(), @"0.0.0.0:4747 can be reached from other machines, and nobody has a login. Make a user with `user add NAME --role admin`, take a loopback address such as 127.0.0.1:4747, or say --insecure-no-login");
    assert!(service.may_listen(anywhere, LoginPolicy::NotOnLoopback).await.is_err());
    assert!(service.may_listen(anywhere, LoginPolicy::Never).await.is_ok());
    for loopback in ["127.0.0.1:4747", "[::1]:4747", "[::ffff:127.0.0.1]:4747"] {
        assert!(service.may_listen(loopback.parse().unwrap(), LoginPolicy::WithAccounts).await.is_ok(), "{loopback}");
    }
    let password = Password::chosen("correct horse battery".to_owned()).unwrap();
    service.create_account("ada", Role::Admin, Some(&password)).await.unwrap();
    assert!(service.may_listen(anywhere, LoginPolicy::WithAccounts).await.is_ok());
}
