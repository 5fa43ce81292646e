//! Whatever dies, stops, jumps or is cut off: in the end the tables are those of an undisturbed run, and nothing is stuck.
//!
//! Three processes of a program (two `up`, one `worker`) share a database behind a proxy. `KARAT_FAULT_SEED` repeats a
//! schedule of faults, and a failure names the seed; `KARAT_FAULTS` sets how many there are.

mod proxy;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use karat::cli::{self, Application, Exit, Session, Verb};
use karat::clock::Clock;
use karat::engine::external::append_rows;
use karat::prelude::*;
use karat::store::migrate::Migrations;
use karat::testing::TestServer;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, SqlSafeStr};

use self::proxy::Proxy;
use crate::lake::{self, Events, Lake};

/// Where the child finds how far the machine's clock is off, and what it is to do.
const CLOCK_FILE: &str = "KARAT_FAULT_CLOCK";
const ARGUMENTS: &str = "KARAT_FAULT_ARGUMENTS";

/// Simulated time when the test begins.
const BEGIN: &str = "2026-05-01T12:00:00Z";

/// The days with events, 1 February to 30 April, and how many events there are in the end.
const DAYS: u64 = 89;
const EVENTS: i64 = 3_000;

const FAULTS: u64 = 200;

/// How long the processes may take to finish when nothing disturbs them any more.
const SETTLING: Duration = Duration::from_secs(120);

const AUTOMATION: Automation = Automation::Eager { debounce: Duration::from_millis(200) };

table! {
    /// Events per day.
    pub struct Daily {
        /// The local day.
        pub day: NaiveDate,
        /// How many.
        pub events: i64,
        /// How much.
        pub amount: i64,
    }
}

impl Asset for Daily {
    const KEY: AssetKey = AssetKey::new("fault.daily");
    type Partitions = karat::prelude::Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Events,);
    const AUTOMATION: Automation = AUTOMATION;
}

impl SqlAsset for Daily {
    const SQL: &'static str = "
        select at::date as day, count(*) as events, sum(amount)::bigint as amount
        from lake.events where at >= $1 and at < $2 group by 1";
    const RANGE_PARTITIONS: u32 = 10;
}

table! {
    /// The days of a month, computed in Rust.
    pub struct MonthReport {
        /// First day of the month.
        pub month: NaiveDate,
        /// Days with events.
        pub days: i64,
        /// How much.
        pub amount: i64,
    }
}

impl Asset for MonthReport {
    const KEY: AssetKey = AssetKey::new("fault.month_report");
    type Partitions = Monthly;
    const PARTITION_COLUMN: &'static str = "month";
    type Upstream = (Daily,);
    const AUTOMATION: Automation = AUTOMATION;
}

impl RustAsset for MonthReport {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        let mut totals = Daily::read(context);
        let (mut days, mut amount) = (0, 0);
        while let Some(day) = totals.next().await? {
            days += 1;
            amount += day.amount;
        }
        tracing::info!(days, "read the days of {}", context.partition());
        context.push(Self { month: context.date(), days, amount }).await
    }
}

const TABLES: &str = "
    create schema fault;
    create table fault.daily (day date not null, events bigint not null, amount bigint not null);
    create index on fault.daily (day);
    create table fault.month_report (month date not null, days bigint not null, amount bigint not null);
";

fn migrations() -> Migrations {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, AssertSqlSafe(sql).into_sql_str(), false)
    };
    let migrations = vec![migration(1, "lake", lake::TABLES), migration(2, "faults", TABLES)];
    Migrations::with_application("fault", Migrator::with_migrations(migrations))
}

fn definitions(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
    Definitions::builder(calendar)
        .external::<Events>()
        .sql::<Daily>()
        .rust::<MonthReport>()
        .schedule(Schedule::new("often", "*/5 * * * *").selection("fault.*"))
        .build()
}

fn calendar() -> Calendar {
    Calendar { zone: chrono_tz::Europe::Berlin, first_day: application().first_day }
}

fn application() -> Application {
    Application {
        name: "fault",
        about: "What is disturbed in tests",
        version: "1",
        first_day: NaiveDate::from_ymd_opt(2026, 2, 1).unwrap(),
        definitions,
        migrations,
        pages: None,
        demonstrate: None,
        alert_channels: || Ok(Vec::new()),
        login_providers: || Ok(Vec::new()),
    }
}

/// The machine's clock, moved by what a file says: it jumps, and all processes see it.
struct MovedClock(PathBuf);

impl MovedClock {
    fn set(file: &std::path::Path, began: i64, offset_seconds: i64) {
        // Renamed over the old one, so that nobody reads half of it.
        let beside = file.with_extension("new");
        std::fs::write(&beside, format!("{began} {offset_seconds}")).unwrap();
        std::fs::rename(&beside, file).unwrap();
    }
}

fn milliseconds() -> i64 {
    i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Clock for MovedClock {
    fn now(&self) -> DateTime<Utc> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        let (began, offset_seconds) = text.split_once(' ').unwrap();
        let since = milliseconds() - began.parse::<i64>().unwrap() + 1_000 * offset_seconds.parse::<i64>().unwrap();
        lake::instant(BEGIN) + chrono::TimeDelta::milliseconds(since)
    }
}

/// A process of the program: this test binary again, with the words of a command line in its environment.
#[test]
fn program() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let clock = MovedClock(std::env::var_os(CLOCK_FILE).unwrap().into());
    let words = ["fault"].into_iter().chain(arguments.split(' '));
    let (options, verb) = cli::parse::<Verb>(&application(), words).unwrap_or_else(|error| panic!("{error}"));
    let mut session = Session::new(application(), options);
    session.clock = Arc::new(clock);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(cli::run(&session, verb));
    let exit = cli::finish(&session, result);
    runtime.shutdown_timeout(Duration::from_secs(1));
    // An unreachable database is a reason to end for a process that begins; whoever supervises it starts it again.
    std::process::exit(i32::from(exit != Exit::Ok));
}

/// A process that is started again whenever it has ended.
struct Member {
    arguments: &'static str,
    child: Option<Child>,
    /// Until when it stands still.
    stopped_until: Option<Instant>,
}

/// Everything that is disturbed.
struct House {
    members: Vec<Member>,
    proxy: Proxy,
    server: Option<TestServer>,
    directory: PathBuf,
    url: String,
    clock_file: PathBuf,
    began: i64,
    offset_seconds: i64,
    log: PathBuf,
    starts: u32,
}

impl House {
    fn start_missing(&mut self) {
        for member in &mut self.members {
            if let Some(child) = &mut member.child
                && child.try_wait().unwrap().is_some()
            {
                member.child = None;
            }
            if member.child.is_none() {
                self.starts += 1;
                let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
                let child = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "faults::program", "--nocapture"])
                    .env(ARGUMENTS, member.arguments)
                    .env(CLOCK_FILE, &self.clock_file)
                    .env("DATABASE_URL", &self.url)
                    .stdout(Stdio::null())
                    .stderr(log)
                    .spawn()
                    .unwrap();
                member.child = Some(child);
                member.stopped_until = None;
            }
        }
    }

    /// Lets the program answer on the test's output.
    fn say(&self, arguments: &str) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "faults::program", "--nocapture"]).env(ARGUMENTS, arguments);
        command.env(CLOCK_FILE, &self.clock_file).env("DATABASE_URL", &self.url).status().unwrap();
    }

    fn wake_sleepers(&mut self, all: bool) {
        for member in &mut self.members {
            if member.stopped_until.is_some_and(|until| all || until <= Instant::now())
                && let Some(child) = &member.child
            {
                signal(child, Signal::CONT);
                member.stopped_until = None;
            }
        }
    }

    fn jump(&mut self, offset_seconds: i64) {
        self.offset_seconds = offset_seconds;
        MovedClock::set(&self.clock_file, self.began, offset_seconds);
    }

    /// One fault; its name.
    async fn fault(&mut self, seed: &mut u64) -> &'static str {
        let chosen = usize::try_from(draw(seed)).unwrap_or(0) % self.members.len();
        match draw(seed) % 20 {
            0..=6 => {
                if let Some(mut child) = self.members[chosen].child.take() {
                    signal(&child, Signal::KILL);
                    child.wait().unwrap();
                    self.members[chosen].stopped_until = None;
                }
                "kill -9"
            }
            7..=10 => {
                let until = Instant::now() + Duration::from_millis(200 + draw(seed) % 2_500);
                let member = &mut self.members[chosen];
                if let Some(child) = &member.child {
                    signal(child, Signal::STOP);
                    member.stopped_until = Some(until);
                }
                "stop"
            }
            11..=14 => {
                self.proxy.cut();
                "cut"
            }
            15..=16 => {
                self.proxy.stall(Duration::from_millis(100 + draw(seed) % 900)).await;
                "stall"
            }
            17..=18 => {
                // Up to two hours either way.
                self.jump(i64::try_from(draw(seed) % 14_400).unwrap() - 7_200);
                "clock"
            }
            _ => {
                self.restart_server().await;
                "restart"
            }
        }
    }

    /// The server loses power, as far as a process can.
    async fn restart_server(&mut self) {
        let server = self.server.take().unwrap();
        let postmaster = server.embedded().postmaster_pid().unwrap();
        kill_process(Pid::from_raw(postmaster).unwrap(), Signal::QUIT).unwrap();
        self.server = Some(TestServer::start(self.directory.clone(), Duration::from_secs(60)).await.unwrap());
        drop(server);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(child) = &mut member.child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    // A process that ended by itself in the meantime is a zombie of ours: the signal does no harm.
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

/// A small generator of repeatable choices (splitmix64).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Every event there is in the end, in the order in which they come: most days over and over, many of them late.
fn events(mut seed: u64) -> Vec<Events> {
    let first = lake::instant("2026-02-01T12:00:00Z");
    (0..EVENTS)
        .map(|id| {
            let at = first + chrono::TimeDelta::days(i64::try_from(draw(&mut seed) % DAYS).unwrap());
            Events { at, id, amount: i64::try_from(draw(&mut seed) % 1_000).unwrap() }
        })
        .collect()
}

/// Writes the events bit by bit for as long as the faults last, by Karat's writer and by plain statements in turn.
async fn write(options: PgConnectOptions, events: Vec<Events>, clock: PathBuf, hurry: Arc<AtomicBool>) {
    let definitions = definitions(calendar()).unwrap();
    let clock = MovedClock(clock);
    for (number, batch) in events.chunks(10).enumerate() {
        loop {
            // A connection of its own each time: the server may have been another one.
            let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options.clone());
            let written = if number % 2 == 0 {
                append_rows(&pool, &definitions, &clock, "writer", batch)
                    .await
                    .map(drop)
                    .map_err(|error| error.to_string())
            } else {
                insert(&pool, batch).await.map_err(|error| error.to_string())
            };
            pool.close().await;
            if written.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if !hurry.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// As another program would that knows nothing of Karat.
async fn insert(pool: &PgPool, batch: &[Events]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into lake.events (at, id, amount) select * from unnest($1::timestamptz[], $2::bigint[], $3::bigint[])
         on conflict do nothing",
    )
    .bind(batch.iter().map(|event| event.at).collect::<Vec<_>>())
    .bind(batch.iter().map(|event| event.id).collect::<Vec<_>>())
    .bind(batch.iter().map(|event| event.amount).collect::<Vec<_>>())
    .execute(pool)
    .await
    .map(drop)
}

/// The tables, as text.
const BUILT: &str = "select 'day', day::text, events, amount from fault.daily
    union all select 'month', month::text, days, amount from fault.month_report order by 1, 2";

/// Current versions; there is one for every partition.
const RECORDED: &str = "select asset_key, partition_key, row_count, data_version, input_versions
    from karat.materialization where current order by 1, 2";

/// What must not be left when nothing is to do: live runs, running steps, late ticks of a schedule that fired twice.
const STUCK: &str = "
    select 'run', run_id::text, cause from karat.run where finished_at is null
    union all select 'step', asset_key || ' ' || partition_key, state from karat.step where state in ('pending', 'ready', 'running')";

/// What a failure shows of the state.
const STATE: [&str; 5] = [
    "select * from karat.reconciler order by name",
    "select * from karat.leadership",
    "select * from karat.worker order by started_at",
    "select cause, outcome, count(*), max(requested_at), max(finished_at) from karat.run group by 1, 2 order by 1, 2",
    "select asset_key, state, reason, count(*), max(finished_at) from karat.step where state not in ('succeeded', 'skipped')
     group by 1, 2, 3 order by 1, 2, 3",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_two_hundred_faults_everything_is_as_if_nothing_had_happened() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let seed = number("KARAT_FAULT_SEED", 20_261_123);
    let faults = number("KARAT_FAULTS", FAULTS);
    let folder = tempfile::tempdir().unwrap();
    // The server's account must be able to reach the folder.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let directory = folder.path().join("server");
    let server = TestServer::start(directory.clone(), Duration::from_secs(60)).await.unwrap();
    let database = server.create_database(&migrations()).await.unwrap();
    let direct = database.connect_options();
    // What the server of tests otherwise does not promise: a commit that was acknowledged survives the server.
    let name = database.name();
    sqlx::query(AssertSqlSafe(format!("alter database \"{name}\" set synchronous_commit = on")))
        .execute(&mut PgConnection::connect_with(&direct).await.unwrap())
        .await
        .unwrap();
    let socket = direct.get_socket().unwrap().join(format!(".s.PGSQL.{}", direct.get_port()));
    let proxy = Proxy::start(socket).await;
    let url = format!(
        "postgres://{}@127.0.0.1:{}/{}?sslmode=disable",
        direct.get_username(),
        proxy.port(),
        direct.get_database().unwrap()
    );
    let clock_file = folder.path().join("clock");
    let began = milliseconds();
    MovedClock::set(&clock_file, began, 0);
    let member = |arguments| Member { arguments, child: None, stopped_until: None };
    let mut house = House {
        members: vec![member("up --slots 2"), member("up --slots 1"), member("worker --slots 1")],
        proxy,
        server: Some(server),
        directory,
        url,
        clock_file: clock_file.clone(),
        began,
        offset_seconds: 0,
        log: folder.path().join("log"),
        starts: 0,
    };
    let events = events(seed);
    let hurry = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(direct.clone(), events.clone(), clock_file, hurry.clone()));
    house.start_missing();

    let mut draws = seed;
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..faults {
        tokio::time::sleep(Duration::from_millis(50 + draw(&mut draws) % 350)).await;
        house.wake_sleepers(false);
        house.start_missing();
        *counts.entry(house.fault(&mut draws).await).or_default() += 1;
    }
    hurry.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    house.wake_sleepers(true);
    house.jump(0);
    println!("seed {seed}: {counts:?}, {} starts", house.starts);

    // Undisturbed, from the same events.
    let mut calm = Lake::on(karat::testing::TestDatabase::create(&migrations()).await.unwrap()).await;
    calm.definitions = Arc::new(definitions(calendar()).unwrap());
    append_rows(&calm.pool, &calm.definitions, &*calm.clock, "calm", &events).await.unwrap();
    calm.build(&[("fault.daily", "2026-02-01..2026-04-30"), ("fault.month_report", "2026-02..2026-04")]).await;

    let deadline = Instant::now() + SETTLING;
    let (built, recorded) = (calm.text(BUILT).await, calm.text(RECORDED).await);
    let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(direct);
    loop {
        house.start_missing();
        let now = [lake::text(&pool, BUILT).await, lake::text(&pool, RECORDED).await, lake::text(&pool, STUCK).await];
        if now == [built.clone(), recorded.clone(), String::new()] {
            break;
        }
        if Instant::now() > deadline {
            let log = std::fs::read_to_string(&house.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            println!("{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            for state in STATE {
                println!("{state}\n{}\n", lake::text(&pool, state).await);
            }
            for words in ["status", "why fault.daily 2026-02-05", "why fault.month_report 2026-02"] {
                house.say(words);
            }
            let [tables, versions, stuck] = now;
            assert_eq!(stuck, "", "stuck after the faults of seed {seed}");
            assert_eq!(tables, built, "other rows after the faults of seed {seed}");
            assert_eq!(versions, recorded, "other versions after the faults of seed {seed}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // No tick fired twice, nothing was built twice at a time, and only the living hold anything.
    let twice =
        "select tick_at, count(*) from karat.run r join karat.tick t using (run_id) group by 1 having count(*) > 1";
    assert_eq!(lake::text(&pool, twice).await, "", "seed {seed}");
    assert_eq!(lake::text(&pool, "select count(*) from karat.leadership").await, "1");
    assert_eq!(
        lake::text(&pool, "select count(*) from karat.attempt where outcome = 'failed' and error_kind = 'defect'")
            .await,
        "0"
    );
    for member in &mut house.members {
        signal(member.child.as_ref().unwrap(), Signal::TERM);
    }
    for member in &mut house.members {
        assert!(member.child.take().unwrap().wait().unwrap().success(), "asked to end, it ends well");
    }
    assert_eq!(lake::text(&pool, "select host, process_id from karat.worker").await, "", "a lease is left");
    pool.close().await;
}
