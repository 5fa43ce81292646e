//! The picture that is kept up to date is the one that is made from scratch, whatever happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::TimeDelta;
use karat::asset::calendar::Calendar;
use karat::clock::Clock;
use karat::core::subset::PartitionSubset;
use karat::engine::Subscription;
use karat::engine::freshness::freshness_of;
use karat::engine::status::asset_statuses;
use karat::prelude::*;
use karat::service::{AssetPicture, Extent, HeatState, PartitionState, Picture, PictureKeeper, Request, Service, heat};
use karat::store::change::{OpenDigest, StepChanges};
use karat::store::migrate::Migrations;
use karat::store::run::Control;
use karat::testing::TestDatabase;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};
use uuid::Uuid;

use crate::lake::{self, DailyTotals, Events, Lake, MonthlyReport, Troublesome};

table! {
    /// Everything there is.
    pub struct Overall {
        /// How many events.
        pub events: i64,
    }
}

impl Asset for Overall {
    const KEY: AssetKey = AssetKey::new("picture.overall");
    type Partitions = Unpartitioned;
    type Upstream = (Mapped<DailyTotals, All>, Mapped<Events, Latest>);
    const FRESHNESS: Option<FreshnessPolicy> = FreshnessPolicy::hours(30);
}

impl SqlAsset for Overall {
    const SQL: &'static str = "
        select (sum(t.events) + (select 0 * count(*) from lake.events))::bigint as events from lake.daily_totals t";
}

table! {
    /// Events of an hour and the two before it.
    pub struct Hours {
        /// The hour.
        pub hour: DateTime<Utc>,
        /// How many events.
        pub events: i64,
    }
}

impl Asset for Hours {
    const KEY: AssetKey = AssetKey::new("picture.hours");
    type Partitions = Hourly;
    const PARTITION_COLUMN: &'static str = "hour";
    type Upstream = (Mapped<Events, Overlap>, Mapped<DailyTotals, Window<-1, 0>>);
    const FRESHNESS: Option<FreshnessPolicy> = FreshnessPolicy::hours(3);
    const RETRY: RetryPolicy = RetryPolicy::NONE;
}

impl SqlAsset for Hours {
    const SQL: &'static str = "
        select date_trunc('hour', at) as hour, count(*) + (select 0 * count(*) from lake.daily_totals) as events
        from lake.events where at >= $1 and at < $2 group by 1";
    const RANGE_PARTITIONS: u32 = 20;
}

const TABLES: &str = "
    create schema picture;
    create table picture.overall (events bigint not null);
    create table picture.hours (hour timestamptz not null, events bigint not null);
";

const FIRST_DAY: &str = "2026-04-10";

async fn open() -> Lake {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, AssertSqlSafe(sql).into_sql_str(), false)
    };
    let migrations = vec![migration(1, "lake", lake::TABLES), migration(2, "picture", TABLES)];
    let migrations = Migrations::with_application("picture", Migrator::with_migrations(migrations));
    let mut lake = Lake::on(TestDatabase::create(&migrations).await.unwrap()).await;
    lake.definitions = Arc::new(definitions(0));
    lake.install_triggers().await;
    lake
}

/// The assets; with another edition some have other code.
fn definitions(edition: u32) -> Definitions {
    let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: FIRST_DAY.parse().unwrap() };
    let plain = Definitions::builder(calendar)
        .external::<Events>()
        .sql::<DailyTotals>()
        .rust::<MonthlyReport>()
        .rust::<Troublesome>()
        .sql::<Overall>()
        .sql::<Hours>()
        .build()
        .unwrap();
    let specs = plain.assets().map(|spec| {
        let mut spec = (**spec).clone();
        if edition % 2 == 1 && (spec.key == DailyTotals::KEY || spec.key == Hours::KEY) {
            spec.sql = spec.sql.map(|sql| format!("{sql} having count(*) > 0"));
        }
        spec
    });
    Definitions::from_specs(calendar, specs.collect(), plain.pools().clone()).unwrap()
}

fn service(lake: &Lake) -> Service {
    let migrations = Arc::new(Migrations::karat());
    Service::new(lake.pool.clone(), lake.options.clone(), lake.definitions.clone(), migrations, lake.clock.clone())
}

fn keeper(lake: &Lake) -> PictureKeeper {
    PictureKeeper::start(&service(lake), Subscription::silent())
}

/// The same by the statements that other questions are answered with.
async fn from_scratch(lake: &Lake) -> BTreeMap<AssetKey, AssetPicture> {
    let now = lake.clock.now();
    let keys = lake.definitions.graph().topological_order();
    let statuses = asset_statuses(&lake.store, &lake.definitions, keys, now).await.unwrap();
    let freshness = freshness_of(&lake.store, &lake.definitions, lake.definitions.assets(), now).await.unwrap();
    statuses
        .into_iter()
        .map(|(key, status)| {
            let freshness = freshness.get(&key).copied();
            (key, AssetPicture::new(status, freshness))
        })
        .collect()
}

async fn assert_same(lake: &Lake, keeper: &PictureKeeper, after: &str) {
    let kept = keeper.up_to_date().await;
    assert!(!kept.loading && kept.problem.is_none(), "after {after}: {kept:?}");
    for (key, made) in from_scratch(lake).await {
        let kept = kept.asset(&key).unwrap();
        assert_eq!(**kept, made, "{key} after {after}");
        assert_heat(lake, &key, kept);
    }
    assert_plans(lake, &kept, after).await;
}

/// What would be launched is the same by the picture and by the database.
async fn assert_plans(lake: &Lake, picture: &Picture, after: &str) {
    let service = service(lake);
    let states = [PartitionState::Missing, PartitionState::Failed, PartitionState::Stale];
    for selection in ["*", "lake.daily_totals+", "state:stale", "lake.monthly_report"] {
        for states in std::iter::once(&[][..]).chain(states.chunks(1)).chain([&states[..]]) {
            for (extent, upstream) in [(Extent::All, false), (Extent::Newest, true)] {
                let states = states.iter().copied().collect();
                let request = Request { states, upstream, ..Request::new(selection, extent) };
                let by_database = service.plan(&request).await.map_err(|error| error.to_string());
                let by_picture = service.plan_as_pictured(picture, &request).await.map_err(|error| error.to_string());
                assert_eq!(by_picture, by_database, "{request:?} after {after}");
            }
        }
    }
}

/// A bar counts every partition that has begun once.
fn assert_heat(lake: &Lake, key: &AssetKey, asset: &AssetPicture) {
    let partitions = &lake.definitions.asset(key).unwrap().partitions;
    for cells in [1, 7, 300] {
        let bar = heat(asset, partitions, None, cells);
        assert!(bar.len() <= cells, "{key}: {}", bar.len());
        assert_eq!(bar.iter().map(|cell| cell.counts.total()).sum::<u64>(), asset.existing.len(), "{key}");
        let covered = PartitionSubset::from_ranges(bar.iter().map(|cell| (cell.first_ordinal, cell.last_ordinal)));
        assert_eq!(covered.intersection(&asset.existing), asset.existing, "{key}");
        let running: u64 = bar.iter().map(|cell| cell.counts.running).sum();
        assert_eq!(running, asset.running.len(), "{key}");
        for cell in &bar {
            assert!(cell.counts.get(cell.worst) > 0);
            let worse = HeatState::ALL.iter().take_while(|&&state| state != cell.worst);
            assert!(worse.map(|&state| cell.counts.get(state)).sum::<u64>() == 0);
        }
    }
}

/// Numbers that look random and are the same everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// What happens to an installation, one thing after the other.
struct History {
    lake: Lake,
    random: Random,
    next_id: i64,
    edition: u32,
    waiting: Vec<Uuid>,
}

impl History {
    /// Does something; what it was.
    async fn step(&mut self) -> String {
        match self.random.below(12) {
            0..=2 => self.rows(false).await,
            3 => self.rows(true).await,
            4..=6 => self.build(true).await,
            7 => self.build(false).await,
            8 => self.settle().await,
            9 => self.removal().await,
            _ => self.time(),
        }
    }

    async fn rows(&mut self, bad: bool) -> String {
        let days = i64::try_from(self.random.below(25)).unwrap();
        let at = self.lake.clock.now() - TimeDelta::days(days) - TimeDelta::minutes(7);
        let at = at.max(lake::instant("2026-04-10T10:00:00Z"));
        self.next_id += 1;
        let amount = if bad { -1 } else { 5 };
        if self.random.below(2) == 0 {
            self.lake.add_events(&[(&at.to_rfc3339(), self.next_id, amount)]).await;
        } else {
            sqlx::query("insert into lake.events (at, id, amount) values ($1, $2, $3)")
                .bind(at)
                .bind(self.next_id)
                .bind(amount)
                .execute(&self.lake.pool)
                .await
                .unwrap();
        }
        format!("a row of {amount} at {at}")
    }

    async fn removal(&mut self) -> String {
        sqlx::query("delete from lake.events where amount < 0").execute(&self.lake.pool).await.unwrap();
        "the bad rows went".to_owned()
    }

    /// Launches some partitions, and works them off at once or later.
    async fn build(&mut self, work: bool) -> String {
        let specs: Vec<_> = self.lake.definitions.assets().filter(|spec| spec.is_materializable()).cloned().collect();
        let spec = &specs[usize::try_from(self.random.below(specs.len() as u64)).unwrap()];
        let existing = spec.partitions.existing(self.lake.clock.now());
        let from = existing.first().unwrap() + i64::try_from(self.random.below(existing.len())).unwrap();
        // What never ends is no part of this.
        let (first, last) = if spec.key == Troublesome::KEY { (0, 3) } else { (from, from + 12) };
        let subset = existing.clip(first, last);
        let words = format!("{} {}", spec.key, spec.partitions.describe(&subset));
        let mut request = self.lake.request(&[]);
        request.plan.insert(spec.key.clone(), subset);
        request.force = true;
        let launched = self.lake.launch(request).await;
        if work {
            self.lake.work_off(launched).await.unwrap();
            format!("building {words}")
        } else {
            self.waiting.push(launched.run_id);
            format!("launching {words}")
        }
    }

    /// Works off or cancels what waits.
    async fn settle(&mut self) -> String {
        let runs = std::mem::take(&mut self.waiting);
        if self.random.below(2) == 0 {
            let now = self.lake.clock.now();
            self.lake.store.control_runs(&runs, Control::Cancel, now, None).await.unwrap();
            for &run_id in &runs {
                self.lake.store.finish_run(run_id, now).await.unwrap();
            }
            "cancelling what waits".to_owned()
        } else {
            self.lake.worker().work_off(&runs, &tokio_util::sync::CancellationToken::new()).await.unwrap();
            "working off what waits".to_owned()
        }
    }

    fn time(&mut self) -> String {
        let minutes = [5, 40, 60, 600, 1_440, 4_000][usize::try_from(self.random.below(6)).unwrap()];
        self.lake.clock.advance(StdDuration::from_secs(minutes * 60));
        format!("{minutes} minutes")
    }
}

async fn follow(seed: u64, steps: usize) {
    println!("seed {seed}");
    let lake = open().await;
    lake.add_event_a_day(FIRST_DAY, 20).await;
    let mut history = History { lake, random: Random(seed), next_id: 1_000, edition: 0, waiting: Vec::new() };
    let mut kept = keeper(&history.lake);
    let mut happened = Vec::new();
    for step in 0..steps {
        happened.push(history.step().await);
        // Several things happen between two looks.
        if history.random.below(3) > 0 {
            continue;
        }
        assert_same(&history.lake, &kept, &format!("seed {seed}, {}", happened.join("; "))).await;
        if step > 0 && history.random.below(10) == 0 {
            history.edition += 1;
            history.lake.definitions = Arc::new(definitions(history.edition));
            kept = keeper(&history.lake);
            happened.push("another edition of the code".to_owned());
        }
    }
    assert_same(&history.lake, &kept, &format!("seed {seed}, {}", happened.join("; "))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_what_is_found_anew() {
    for seed in [1, 2] {
        follow(seed, 40).await;
    }
}

/// Many more histories, for whoever changes how the picture is kept: `KARAT_PICTURE_SEEDS=100..200`.
#[tokio::test(flavor = "multi_thread")]
async fn many_histories_on_request() {
    let Ok(range) = std::env::var("KARAT_PICTURE_SEEDS") else { return };
    let (first, last) = range.split_once("..").expect("KARAT_PICTURE_SEEDS is a range such as 100..200");
    for seed in first.parse().unwrap()..last.parse().unwrap() {
        follow(seed, 60).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_twice_for_nothing() {
    let lake = open().await;
    let kept = keeper(&lake);
    let before = kept.up_to_date().await;
    let again = kept.up_to_date().await;
    assert_eq!((before.generation, before.loading), (again.generation, false));
    lake.add_events(&[("2026-04-20T10:00:00Z", 1, 1)]).await;
    let after = kept.up_to_date().await;
    assert_eq!(after.generation, before.generation + 1);
    // Who only looks has what there was before: nothing waits for the database.
    assert_eq!(kept.current().generation, after.generation);
    let untouched = Overall::KEY;
    assert!(Arc::ptr_eq(before.asset(&untouched).unwrap(), after.asset(&untouched).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_picture_shows_is_planned_without_the_database_once_all_is_known() {
    let lake = open().await;
    let picture = keeper(&lake).up_to_date().await;
    let missing = Request { states: [PartitionState::Missing].into(), ..Request::new("picture.hours", Extent::All) };
    let planned = service(&lake).plan(&missing).await.unwrap();
    assert!(planned.partition_count > 0, "{planned:?}");
    let unknown = Picture { loading: true, assets: BTreeMap::new(), ..(*picture).clone() };
    assert_eq!(service(&lake).plan_as_pictured(&unknown, &missing).await.unwrap(), planned);
    sqlx::query("alter table karat.materialization rename to gone").execute(&lake.pool).await.unwrap();
    assert_eq!(service(&lake).plan_as_pictured(&picture, &missing).await.unwrap(), planned);
    let troubled = Picture { problem: Some("the database is away".to_owned()), ..(*picture).clone() };
    assert!(service(&lake).plan_as_pictured(&troubled, &missing).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_said_and_waited_for() {
    let lake = open().await;
    let kept = keeper(&lake);
    let before = kept.up_to_date().await;
    sqlx::query("alter table karat.run rename to run_away").execute(&lake.pool).await.unwrap();
    let mut watched = kept.watch();
    let broken = {
        let wait = watched.wait_for(|picture| picture.problem.is_some());
        tokio::time::timeout(StdDuration::from_secs(30), wait).await.unwrap().unwrap().clone()
    };
    assert_eq!(broken.assets, before.assets);
    sqlx::query("alter table karat.run_away rename to run").execute(&lake.pool).await.unwrap();
    let wait = watched.wait_for(|picture| picture.problem.is_none());
    tokio::time::timeout(StdDuration::from_secs(30), wait).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_begun_is_known_and_missing_once_it_has() {
    let lake = open().await;
    let before = format!("{FIRST_DAY}T00:00:00Z").parse::<DateTime<Utc>>().unwrap() - TimeDelta::days(10);
    lake.clock.set(before);
    let kept = keeper(&lake);
    let picture = kept.up_to_date().await;
    assert!(!picture.loading);
    let totals = picture.asset(&DailyTotals::KEY).expect("nothing has to be read of what has not begun");
    assert!(totals.existing.is_empty() && totals.missing.is_empty());
    lake.clock.set(before + TimeDelta::days(13));
    let picture = kept.up_to_date().await;
    assert_eq!(picture.asset(&DailyTotals::KEY).unwrap().missing.len(), 3);
    assert_same(&lake, &kept, "the first partitions began").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_steps_that_nothing_happened_to_are_not_read_again() {
    let lake = open().await;
    let sets = [("lake.daily_totals", "2026-04-12..2026-04-20"), ("lake.monthly_report", "2026-04")];
    let troubles = ("lake.troublesome", "none");
    let mut first = lake.request(&sets);
    first.force = true;
    let runs = [lake.launch(first).await.run_id, lake.launch(lake.request(&[sets[0], troubles])).await.run_id];
    let look = async |known: &[OpenDigest]| {
        let mut steps = lake.store.steps_of_runs(&runs, known, &[], &[troubles.0]).await.unwrap();
        steps.open.sort_by_key(|open| (open.run_id, open.asset_key.clone()));
        steps
    };
    let set = async |state: &str| {
        let statement =
            "update karat.step set state = $1 where run_id = $2 and asset_key = $3 and partition_key = '2026-04-14'";
        let changed =
            sqlx::query(statement).bind(state).bind(runs[0]).bind(sets[0].0).execute(&lake.pool).await.unwrap();
        assert_eq!(changed.rows_affected(), 1);
    };
    let first = look(&[]).await;
    assert_eq!(first.open.len(), 4);
    let told = |steps: &StepChanges| {
        let told = steps.stretches.iter().map(|stretch| (stretch.run_id, stretch.asset_key.clone()));
        told.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let all: Vec<_> = first.open.iter().map(|open| (open.run_id, open.asset_key.clone())).collect();
    assert_eq!(told(&first), all);
    assert_eq!(look(&first.open).await, StepChanges { open: first.open.clone(), stretches: Vec::new() });
    // One begins: of its run and asset all is read again, and of nothing else.
    set("running").await;
    let begun = look(&first.open).await;
    assert_eq!(told(&begun), [(runs[0], sets[0].0.to_owned())]);
    let states: Vec<&str> = begun.stretches.iter().map(|stretch| stretch.state.as_str()).collect();
    assert_eq!(states.iter().filter(|state| **state == "running").count(), 1, "{states:?}");
    assert_eq!(states.iter().filter(|state| **state == "waiting").count(), 2, "{states:?}");
    assert!(look(&begun.open).await.stretches.is_empty());
    // It waits again, as at first.
    set("ready").await;
    let back = look(&begun.open).await;
    assert_eq!((told(&back), back.open), (told(&begun), first.open.clone()));
    // What has nothing open any more is not told.
    set("succeeded").await;
    assert_ne!(look(&first.open).await.open, first.open);
    let ended = "update karat.step set state = 'canceled' where run_id = $1";
    sqlx::query(ended).bind(runs[0]).execute(&lake.pool).await.unwrap();
    let rest = look(&first.open).await;
    assert!(rest.stretches.is_empty() && rest.open.iter().all(|open| open.run_id == runs[1]), "{rest:?}");
}
