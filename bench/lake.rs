//! A year of messages and three assets made of them.

use std::sync::Arc;

use karat::clock::SystemClock;
use karat::core::plan::PartitionSets;
use karat::engine::launch::{LaunchRequest, launch};
use karat::engine::logs::LogCollector;
use karat::engine::{Worker, WorkerSettings};
use karat::prelude::*;
use karat::store::Store;
use karat::store::launch::RunCause;
use sqlx::Executor;
use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;

use crate::server::{Server, ZONE};

/// How many days, and partitions of each asset.
pub(crate) const DAYS: i64 = 365;

table! {
    /// Messages, without their content.
    pub struct Messages {
        /// When.
        pub at: DateTime<Utc>,
        /// Which.
        pub id: i64,
        /// Whose.
        pub user_id: i64,
        /// Where.
        pub channel_id: i64,
        /// How long.
        pub characters: i64,
    }
}

impl Asset for Messages {
    const KEY: AssetKey = AssetKey::new("bronze.messages");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    const NATURAL_KEY: &'static [&'static str] = &["at", "id"];
    type Upstream = ();
}

impl ExternalAsset for Messages {}

table! {
    /// What a person wrote on a day.
    pub struct UserActivity {
        /// The local day.
        pub day: NaiveDate,
        /// Who.
        pub user_id: i64,
        /// How many messages.
        pub messages: i64,
        /// How much text.
        pub characters: i64,
    }
}

impl Asset for UserActivity {
    const KEY: AssetKey = AssetKey::new("silver.user_activity");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Messages,);
}

impl SqlAsset for UserActivity {
    const SQL: &'static str = "
        select at::date as day, user_id, count(*) as messages, sum(characters)::bigint as characters
        from bronze.messages where at >= $1 and at < $2 group by 1, 2";
    const RANGE_PARTITIONS: u32 = 400;
}

table! {
    /// Distinct people active per day.
    pub struct DailyActiveUsers {
        /// The local day.
        pub day: NaiveDate,
        /// How many people.
        pub users: i64,
        /// How many messages.
        pub messages: i64,
    }
}

impl Asset for DailyActiveUsers {
    const KEY: AssetKey = AssetKey::new("gold.daily_active_users");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (UserActivity,);
}

impl SqlAsset for DailyActiveUsers {
    const SQL: &'static str = "
        select day, count(*) as users, sum(messages)::bigint as messages
        from silver.user_activity where day >= $1::date and day < $2::date group by 1";
    const RANGE_PARTITIONS: u32 = 400;
}

table! {
    /// What was written in each channel.
    pub struct ChannelActivity {
        /// The local day.
        pub day: NaiveDate,
        /// Where.
        pub channel_id: i64,
        /// How many people.
        pub users: i64,
        /// How many messages.
        pub messages: i64,
    }
}

impl Asset for ChannelActivity {
    const KEY: AssetKey = AssetKey::new("gold.channel_activity");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Messages,);
}

impl SqlAsset for ChannelActivity {
    const SQL: &'static str = "
        select at::date as day, channel_id, count(distinct user_id) as users, count(*) as messages
        from bronze.messages where at >= $1 and at < $2 group by 1, 2";
    const RANGE_PARTITIONS: u32 = 400;
}

/// The columns of a table, its key, and the statement that fills it: what a hand-written script would have.
pub(crate) struct Statement {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static str,
    pub(crate) select: &'static str,
}

/// Upstream before downstream.
pub(crate) const STATEMENTS: [Statement; 3] = [
    Statement {
        table: "silver.user_activity",
        columns: "day, user_id, messages, characters",
        select: UserActivity::SQL,
    },
    Statement {
        table: "gold.channel_activity",
        columns: "day, channel_id, users, messages",
        select: ChannelActivity::SQL,
    },
    Statement { table: "gold.daily_active_users", columns: "day, users, messages", select: DailyActiveUsers::SQL },
];

const TABLES: &str = "
    create schema bronze;
    create schema silver;
    create schema gold;
    create table bronze.messages (
        at timestamptz not null, id bigint not null, user_id bigint not null, channel_id bigint not null, characters bigint not null,
        primary key (at, id)
    );
    create table silver.user_activity (
        day date not null, user_id bigint not null, messages bigint not null, characters bigint not null, primary key (day, user_id)
    );
    create table gold.daily_active_users (day date primary key, users bigint not null, messages bigint not null);
    create table gold.channel_activity (
        day date not null, channel_id bigint not null, users bigint not null, messages bigint not null, primary key (day, channel_id)
    );
    insert into bronze.messages
    select timestamptz '2025-01-01 00:00 Europe/Berlin' + i * interval '31.536 seconds', i,
           (500 * power((hashint8(i)::bigint & 1048575) / 1048576.0, 2))::bigint,
           hashint8(i + 1)::bigint & 31,
           1 + (hashint8(i + 2)::bigint & 127)
    from generate_series(0, 999999) as i;
";

/// Makes the tables, fills bronze, and builds everything once so that the planner knows what it will find.
pub(crate) async fn prepare(pool: &PgPool) -> anyhow::Result<()> {
    pool.execute(TABLES).await?;
    pool.execute("vacuum analyze bronze.messages").await?;
    Ok(())
}

pub(crate) fn definitions() -> anyhow::Result<Arc<Definitions>> {
    let definitions = Definitions::builder(Calendar { zone: ZONE, first_day: first_day() })
        .external::<Messages>()
        .sql::<UserActivity>()
        .sql::<DailyActiveUsers>()
        .sql::<ChannelActivity>()
        .build()?;
    Ok(Arc::new(definitions))
}

pub(crate) const fn first_day() -> NaiveDate {
    match NaiveDate::from_ymd_opt(2025, 1, 1) {
        Some(day) => day,
        None => NaiveDate::MIN,
    }
}

/// The first `partitions` partitions of every asset that is built.
pub(crate) fn plan(definitions: &Definitions, partitions: i64) -> PartitionSets {
    definitions
        .assets()
        .filter(|spec| spec.is_materializable())
        .map(|spec| {
            let first = spec.partitions.first();
            (spec.key.clone(), spec.partitions.range(first, first + partitions - 1))
        })
        .collect()
}

/// A worker that stays, with its connections, for several rounds.
pub(crate) struct Karat {
    pub(crate) store: Store,
    pub(crate) definitions: Arc<Definitions>,
    worker: Worker,
}

impl Karat {
    pub(crate) fn new(server: &Server, pool: &PgPool, definitions: Arc<Definitions>, slots: usize) -> Self {
        let worker = Worker::new(
            &server.options(),
            definitions.clone(),
            Arc::new(SystemClock),
            LogCollector::default(),
            WorkerSettings { slots, ..WorkerSettings::default() },
        );
        Self { store: Store::new(pool.clone()), definitions, worker }
    }

    /// Launches a run.
    pub(crate) async fn launch(&self, plan: PartitionSets, per_partition: bool) -> anyhow::Result<Uuid> {
        let request = LaunchRequest {
            plan,
            only_if_stale: std::collections::BTreeSet::new(),
            force: false,
            per_partition,
            concurrency_limit: None,
            priority: 0,
            cause: RunCause::Backfill,
            cause_detail: None,
            backfill_id: None,
            retry_of: None,
            requested_by: None,
            request: Json::Null,
        };
        Ok(launch(&self.store, &self.definitions, request, Utc::now()).await?.run_id)
    }

    /// Works a run off, and makes sure that all its steps succeeded.
    pub(crate) async fn work_off(&self, run_id: Uuid) -> anyhow::Result<()> {
        self.worker.work_off(&[run_id], &CancellationToken::new()).await?;
        let record = self.store.run(run_id).await?;
        let all_succeeded = record.as_ref().is_some_and(|run| run.steps.succeeded == run.steps.total);
        anyhow::ensure!(all_succeeded, "not every step succeeded: {record:?}");
        Ok(())
    }
}
