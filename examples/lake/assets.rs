//! The assets of the lake: events come in from outside, and are counted by day, by week, by region, and as a whole.

use karat::prelude::*;
use karat::store::migrate::Migrations;

table! {
    /// Something that somebody did.
    pub struct Event {
        pub event_id: i64,
        pub occurred_at: DateTime<Utc>,
        pub person: i64,
        pub region: String,
    }
}
impl Asset for Event {
    const KEY: AssetKey = AssetKey::new("lake.events");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "occurred_at";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["event_id"];
}
impl ExternalAsset for Event {}

table! {
    /// What happened on a day.
    pub struct DayCount {
        pub day: NaiveDate,
        /// Distinct people.
        pub people: i64,
        pub events: i64,
    }
}
impl Asset for DayCount {
    const KEY: AssetKey = AssetKey::new("lake.daily");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Event,);
    const AUTOMATION: Automation = Automation::eager();
    const FRESHNESS: Option<FreshnessPolicy> = FreshnessPolicy::hours(30);
    const TAGS: &'static [&'static str] = &["nightly"];
    const OWNER: Option<&'static str> = Some("ada");

    fn checks() -> Vec<AssetCheck> {
        vec![
            unique(&["day"]),
            no_rows(
                "plausible",
                "select day from lake.daily where day >= $1::timestamptz::date and day < $2::timestamptz::date and people > 50",
            ),
        ]
    }
}
impl SqlAsset for DayCount {
    const SQL: &'static str = "
        select occurred_at::date as day, count(distinct person) as people, count(*) as events
        from lake.events
        where occurred_at >= $1 and occurred_at < $2
        group by 1";
    const RANGE_PARTITIONS: u32 = 31;
}

table! {
    /// What happened in an ISO week.
    pub struct WeekCount {
        pub week: NaiveDate,
        /// The day with the most people; none when nothing happened.
        pub busiest: Option<NaiveDate>,
        pub events: i64,
    }
}
impl Asset for WeekCount {
    const KEY: AssetKey = AssetKey::new("lake.weekly");
    type Partitions = Weekly;
    const PARTITION_COLUMN: &'static str = "week";
    type Upstream = (DayCount,);
}
impl RustAsset for WeekCount {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        let days: Vec<DayCount> = DayCount::read(context).collect().await?;
        tracing::info!(days = days.len(), "counting a week");
        let busiest = days.iter().max_by_key(|day| (day.people, day.day)).map(|day| day.day);
        context.metadata("days", days.len());
        context.push(Self { week: context.date(), busiest, events: days.iter().map(|day| day.events).sum() }).await
    }
}

/// Where events come from.
pub struct Regions;
impl StaticKeys for Regions {
    const KEYS: &'static [&'static str] = &["europe", "america", "asia"];
}

table! {
    /// All events of a region.
    pub struct RegionCount {
        pub region: String,
        pub events: i64,
    }
}
impl Asset for RegionCount {
    const KEY: AssetKey = AssetKey::new("lake.regions");
    type Partitions = Static<Regions>;
    const PARTITION_COLUMN: &'static str = "region";
    type Upstream = (Mapped<Event, All>,);
}
impl SqlAsset for RegionCount {
    const SQL: &'static str = "select $1 as region, count(*) as events from lake.events where region = $1";
}

table! {
    /// All weeks together.
    pub struct Summary {
        pub weeks: i64,
        pub events: i64,
    }
}
impl Asset for Summary {
    const KEY: AssetKey = AssetKey::new("lake.summary");
    type Partitions = Unpartitioned;
    type Upstream = (Mapped<WeekCount, All>,);
}
impl SqlAsset for Summary {
    const SQL: &'static str = "select count(*) as weeks, coalesce(sum(events), 0)::bigint as events from lake.weekly";
}

/// All assets, in the installation's calendar.
pub fn definitions(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
    Definitions::builder(calendar)
        .external::<Event>()
        .sql::<DayCount>()
        .rust::<WeekCount>()
        .sql::<RegionCount>()
        .sql::<Summary>()
        .schedule(
            Schedule::new("nightly", "15 3 * * *")
                .selection("lake.daily+")
                .description("Counts yesterday, and the week when it is over"),
        )
        .schedule(Schedule::new("hourly", "30 * * * *").selection("lake.regions").paused())
        .build()
}

/// Karat's tables, and the lake's.
pub fn migrations() -> Migrations {
    Migrations::with_application("lake", sqlx::migrate!("./examples/lake/migrations"))
}
