//! Two years of a small community in simulated time, hour by hour, with all that goes wrong in two years.

mod day_tables;
mod editions;
mod ledger;
mod world;

use std::iter::Peekable;
use std::slice;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use community::definitions::migrations;
use karat::core::time::{instant_of, start_of_day};
use karat::prelude::AssetKey;
use karat::service::{Extent, LaunchKind, PartitionState, Request};
use karat::testing::Simulation;
use sqlx::PgPool;

use self::day_tables::DayTables;
use self::editions::{Edition, definitions};
use self::ledger::Ledger;
use self::world::{Delivery, Rows, ZONE};

/// 1 March 2027, in Berlin. There is a 29 February on the way.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2027, 3, 1).unwrap();
const DAYS: u64 = 731;

/// What came in the last hour is worked off within so many.
const HOURS_AFTERWARDS: i64 = 6;

/// Names fewer days to live through, for whoever works on the simulation.
const FEWER_DAYS: &str = "KARAT_SIMULATED_DAYS";

/// Nobody looks after the community meanwhile; the second word says whether its collectors go on. Both changes of the
/// clock, the leap day and a turn of the year are among it.
const ABSENCES: [(&str, &str, bool); 4] = [
    ("2027-03-26T22:00", "2027-03-29T08:00", false),
    ("2027-10-30T01:00", "2027-11-02T01:00", true),
    ("2028-02-28T20:00", "2028-03-02T20:00", false),
    ("2028-12-30T12:00", "2029-01-02T12:00", true),
];

/// The machine's clock is wrong by so many hours. One of these ends a day too early, two happen in the night in which
/// the clock changes anyway.
const WRONG_CLOCKS: [(&str, &str, i64); 5] = [
    ("2027-05-10T14:00", "2027-05-10T17:00", 2),
    ("2027-08-01T23:00", "2027-08-02T01:00", 2),
    ("2027-12-01T10:00", "2027-12-01T15:00", -2),
    ("2028-03-26T00:00", "2028-03-26T04:00", 2),
    ("2028-10-29T01:00", "2028-10-29T05:00", -2),
];

/// When the program changes.
const EDITIONS: [(&str, Edition); 4] = [
    ("2027-06-10T12:00", Edition::CohortsReworded),
    ("2027-12-05T12:00", Edition::UsersRecounted),
    ("2028-06-15T12:00", Edition::PeopleGivenUp),
    ("2028-09-20T12:00", Edition::Last),
];

/// When somebody asks for what is stale.
const BACKFILLS: [&str; 3] = ["2027-06-15T12:00", "2027-12-10T12:00", "2028-09-25T12:00"];

/// From when to when some days of an asset cannot be written, among them the one that has just begun.
const BROKEN: (&str, &str, &[&str], &str) =
    ("2027-07-04T12:00", "2027-07-09T12:00", &["gold.daily_active_users"], "2027-06-20..2027-07-04");

/// What happens when, as instants.
struct Story {
    absences: Vec<(DateTime<Utc>, DateTime<Utc>, bool)>,
    wrong_clocks: Vec<(DateTime<Utc>, DateTime<Utc>, i64)>,
    editions: Vec<(DateTime<Utc>, Edition)>,
    backfills: Vec<DateTime<Utc>>,
    broken: (DateTime<Utc>, DateTime<Utc>),
}

static STORY: LazyLock<Story> = LazyLock::new(|| Story {
    absences: ABSENCES.map(|(from, to, collects)| (local(from), local(to), collects)).into(),
    wrong_clocks: WRONG_CLOCKS.map(|(from, to, hours)| (local(from), local(to), hours)).into(),
    editions: EDITIONS.map(|(at, edition)| (local(at), edition)).into(),
    backfills: BACKFILLS.map(local).into(),
    broken: (local(BROKEN.0), local(BROKEN.1)),
});

/// A local time as an instant.
fn local(text: &str) -> DateTime<Utc> {
    instant_of(NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap(), ZONE)
}

/// The community with the account of what must be so.
struct Community {
    simulation: Simulation,
    ledger: Ledger,
    edition: Edition,
}

impl Community {
    async fn new() -> Self {
        let start = start_of_day(FIRST_DAY, ZONE);
        let mut simulation =
            Simulation::new(definitions(Edition::First, FIRST_DAY), migrations(), start).await.unwrap();
        simulation.let_rest(Duration::from_secs(3 * 86_400));
        let ledger = Ledger::new(simulation.service().definitions().clone());
        Self { simulation, ledger, edition: Edition::First }
    }

    async fn deliver(&mut self, deliveries: &mut Peekable<slice::Iter<'_, Delivery>>, until: DateTime<Utc>) {
        self.ledger.time_passed(self.simulation.now());
        while let Some(delivery) = deliveries.next_if(|delivery| delivery.at <= until) {
            let (key, appended) = append(&mut self.simulation, delivery).await;
            self.ledger.landed(&key, &appended.partitions, self.simulation.now());
        }
    }

    /// A step, after which everything must be as it should; whether anything happened.
    async fn step(&mut self, excused: &[&str]) -> bool {
        self.ledger.time_passed(self.simulation.now());
        let happened = self.simulation.step().await.unwrap();
        if !happened.is_nothing() {
            self.ledger.observe(&self.simulation, &happened).await;
        }
        self.ledger.everything_is_fresh_or_waits_for_a_reason(&self.simulation, excused).await;
        !happened.is_nothing()
    }

    /// The program is replaced by its next edition. An asset that is given up has been asked for a moment before.
    async fn becomes(&mut self, edition: Edition) {
        let open = match edition {
            Edition::PeopleGivenUp => {
                let people = Request::new("silver.dim_user", Extent::All);
                Some(self.simulation.launch(&people, LaunchKind::Materialize).await.unwrap().run_id)
            }
            _ => None,
        };
        self.simulation.restart(definitions(edition, FIRST_DAY)).await;
        self.edition = edition;
        self.ledger.redefined(self.simulation.service().definitions().clone());
        self.step(&[]).await;
        if let Some(run_id) = open {
            let run = self.simulation.service().run(run_id).await.unwrap().run;
            assert!(run.finished_at.is_some(), "what nobody can build any more is {}", run.state);
        }
    }
}

/// Writes what a collector delivers; the asset, and what was new.
async fn append(simulation: &mut Simulation, delivery: &Delivery) -> (AssetKey, karat::engine::external::Appended) {
    fn key_of<R: karat::prelude::Asset>(_: &[R]) -> AssetKey {
        R::KEY
    }
    let (key, appended) = match &delivery.rows {
        Rows::Messages(rows) => (key_of(rows), simulation.append(rows).await),
        Rows::Voice(rows) => (key_of(rows), simulation.append(rows).await),
        Rows::Connection(rows) => (key_of(rows), simulation.append(rows).await),
        Rows::Members(rows) => (key_of(rows), simulation.append(rows).await),
        Rows::Games(rows) => (key_of(rows), simulation.append(rows).await),
        Rows::Links(rows) => (key_of(rows), simulation.append(rows).await),
    };
    (key, appended.unwrap())
}

impl Community {
    /// What is done by hand at this hour; the assets that are known to be broken.
    async fn what_people_do(&mut self, hour: DateTime<Utc>) -> &'static [&'static str] {
        if let Some((_, edition)) = STORY.editions.iter().find(|(at, _)| *at == hour) {
            self.becomes(*edition).await;
        }
        let simulation = &mut self.simulation;
        if STORY.backfills.contains(&hour) {
            let stale = Request { states: [PartitionState::Stale].into(), ..Request::new("*", Extent::All) };
            simulation.launch(&stale, LaunchKind::Backfill).await.unwrap();
        }
        let ((from, to), (.., assets, partitions)) = (STORY.broken, BROKEN);
        if hour == from {
            simulation.break_partitions(assets[0], partitions).await.unwrap();
        } else if hour == to {
            simulation.mend(assets[0]).await.unwrap();
            let failed = Request { states: [PartitionState::Failed].into(), ..Request::new(assets[0], Extent::All) };
            simulation.launch(&failed, LaunchKind::Materialize).await.unwrap();
        }
        if (from..to).contains(&hour) { assets } else { &[] }
    }
}

#[tokio::test]
async fn two_years_hour_by_hour() {
    let began = Instant::now();
    let deliveries = world::deliveries(FIRST_DAY, DAYS);
    let mut waiting = deliveries.iter().peekable();
    let mut community = Community::new().await;
    let days = std::env::var(FEWER_DAYS).map_or(DAYS, |days| days.parse().unwrap());
    let end = start_of_day(FIRST_DAY + Days::new(days), ZONE);
    let final_edition =
        STORY.editions.iter().rfind(|(at, _)| *at < end).map_or(Edition::First, |(_, edition)| *edition);
    let afterwards = end + TimeDelta::hours(HOURS_AFTERWARDS);
    // Beside the community, which only ever keeps one processor busy.
    let scratch = std::thread::spawn({
        let deliveries = deliveries.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(from_scratch(final_edition, deliveries, end, afterwards))
        }
    });
    let mut hour = start_of_day(FIRST_DAY, ZONE);
    let mut hours = 0;
    let mut has_grown = false;
    let mut day_tables = DayTables::default();
    while hour < end {
        hour += TimeDelta::hours(1);
        hours += 1;
        let wrong = STORY.wrong_clocks.iter().find(|(from, to, _)| (*from..*to).contains(&hour));
        let by = TimeDelta::hours(wrong.map_or(0, |(_, _, hours)| *hours));
        community.simulation.jump(hour + by - community.simulation.now());
        let absence = STORY.absences.iter().find(|(from, to, _)| (*from..*to).contains(&hour));
        let pool = community.simulation.pool().clone();
        let hour_passes = async {
            if absence.is_none_or(|(_, _, collects)| *collects) {
                community.deliver(&mut waiting, hour).await;
            }
            if absence.is_some() {
                return false;
            }
            let excused = community.what_people_do(hour).await;
            community.step(excused).await
        };
        // The server counts what the last step left while the community lives on.
        let count = async {
            if has_grown {
                is_bounded(&pool, hour).await;
            }
            if hours % 24 == 0 {
                day_tables.are_bounded(&pool, hour).await;
            }
        };
        (has_grown, ()) = tokio::join!(hour_passes, count);
        if hours % (24 * 30) == 0 && absence.is_none() {
            community.ledger.agrees(&community.simulation).await;
        }
    }
    for _ in 0..HOURS_AFTERWARDS {
        community.simulation.jump(TimeDelta::hours(1));
        community.step(&[]).await;
        is_bounded(community.simulation.pool(), community.simulation.now()).await;
    }
    community.ledger.agrees(&community.simulation).await;
    assert_eq!(community.ledger.behind(), 0, "something waits for ever");
    // A tick a day. Of the three in each absence the last is made up for, and one entry says that the others were not.
    let absences = STORY.absences.iter().filter(|(_, to, _)| *to < end).count();
    assert_eq!(community.ledger.ticks(), usize::try_from(days).unwrap() + 1 - absences);

    assert_eq!((community.edition, community.simulation.now()), (final_edition, afterwards));
    let computed = scratch.join().unwrap();
    for (table, computed) in COMPARED.iter().zip(computed) {
        let lived = content(community.simulation.pool(), table).await;
        assert!(lived.0 > 0, "{table} is empty");
        assert_eq!(lived, computed, "{table}: two years of repairs and a computation from scratch");
    }
    println!("{hours} hours, {} publications in {:?}", community.ledger.publications(), began.elapsed());
}

/// What is compared with a computation from scratch.
const COMPARED: [&str; 5] = [
    "silver.fact_voice_sessions",
    "silver.fact_game_sessions",
    "silver.user_activity",
    "gold.daily_active_users",
    "gold.retention_cohorts",
];

/// Everything that was ever delivered, computed at once; the content of each table.
async fn from_scratch(
    edition: Edition,
    deliveries: Vec<Delivery>,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<Content> {
    let definitions = definitions(edition, FIRST_DAY);
    let mut simulation = Simulation::with_reconcilers(definitions, migrations(), now, Vec::new).await.unwrap();
    for rows in world::together(deliveries.into_iter().filter(|delivery| delivery.at <= until)) {
        append(&mut simulation, &Delivery { at: now, rows }).await;
    }
    simulation.launch(&Request::new("*", Extent::All), LaunchKind::Backfill).await.unwrap();
    simulation.step().await.unwrap();
    let mut contents = Vec::new();
    for table in COMPARED {
        contents.push(content(simulation.pool(), table).await);
    }
    contents
}

/// How many rows a table has, and a hash of all of them.
type Content = (i64, Option<String>);

async fn content(pool: &PgPool, table: &str) -> Content {
    let statement = format!("select count(*), md5(string_agg(t::text, E'\\n' order by t::text)) from {table} t");
    sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_one(pool).await.unwrap()
}

/// History is kept for three months, and of what is current what explains it: no table of Karat's own grows beyond that.
const HISTORY: [(&str, i64); 6] = [
    ("karat.run", 2_500),
    ("karat.step", 6_000),
    ("karat.check_result", 12_000),
    ("karat.worker", 2),
    ("karat.mark", 5_000),
    ("karat.materialization where not current", 5_000),
];

/// None of the tables has more rows than it may, by one statement.
async fn is_bounded(pool: &PgPool, at: DateTime<Utc>) {
    let counts: Vec<String> = HISTORY.iter().map(|(table, _)| format!("(select count(*) from {table})")).collect();
    let statement = format!("select array[{}]", counts.join(", "));
    let rows: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(pool).await.unwrap();
    for ((table, bound), rows) in HISTORY.iter().zip(rows) {
        assert!(rows <= *bound, "{table} has {rows} rows at {at}");
    }
}
