//! Everything that the other files in this folder get wrong, done right: proof that they fail for their own reasons.
#![deny(warnings)]

use karat::prelude::*;

table! {
    /// What a person did on a day.
    pub struct UserActivity {
        pub day: NaiveDate,
        pub person: i64,
        /// Missing when nothing was said.
        pub messages: Option<i64>,
        pub r#type: String,
    }
}
impl Asset for UserActivity {
    const KEY: AssetKey = AssetKey::new("silver.user_activity");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["day", "person"];
}
impl ExternalAsset for UserActivity {}

table! {
    /// Distinct people active per local calendar day.
    pub struct DailyActiveUsers {
        pub day: NaiveDate,
        /// People seen on at least one surface.
        pub users: i64,
        pub voice_users: i64,
        pub chat_users: i64,
        pub game_users: i64,
    }
}
impl Asset for DailyActiveUsers {
    const KEY: AssetKey = AssetKey::new("gold.daily_active_users");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (UserActivity,);
    const AUTOMATION: Automation = Automation::eager();          // rebuild when inputs change
    const FRESHNESS: Option<FreshnessPolicy> = FreshnessPolicy::hours(30);
    fn checks() -> Vec<AssetCheck> { vec![unique(&["day"]), not_null("users")] }
}
impl SqlAsset for DailyActiveUsers { const SQL: &'static str = "select 1"; }

pub struct Regions;
impl StaticKeys for Regions {
    const KEYS: &'static [&'static str] = &["europe", "america"];
}

table! {
    /// A report per region.
    pub struct RegionReport {
        pub region: String,
        pub peak: f64,
    }
}
impl Asset for RegionReport {
    const KEY: AssetKey = AssetKey::new("gold.region_report");
    type Partitions = Static<Regions>;
    const PARTITION_COLUMN: &'static str = "region";
    type Upstream = (Mapped<DailyActiveUsers, All>, Mapped<UserActivity, Latest>);
}
impl RustAsset for RegionReport {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        let region = context.partition().as_str().to_owned();
        let mut peak = 0;
        let mut days = DailyActiveUsers::read(context);
        while let Some(day) = days.next().await? {
            peak = peak.max(day.users);
        }
        let rows: Vec<UserActivity> = UserActivity::read(context).order_by(&["person"]).collect().await?;
        context.metadata("people", rows.len());
        context.extend([Self { region, peak: peak as f64 }]).await
    }
}

table! {
    /// What happened in a week, against the weeks before.
    pub struct WeeklyTrend {
        pub week: NaiveDate,
    }
}
impl Asset for WeeklyTrend {
    const KEY: AssetKey = AssetKey::new("gold.weekly_trend");
    type Partitions = Weekly;
    const PARTITION_COLUMN: &'static str = "week";
    type Upstream = (DailyActiveUsers, Mapped<UserActivity, Window<-27, 0>>);
}
impl RustAsset for WeeklyTrend {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        assert!(context.window().contains(context.window().start));
        context.push(Self { week: context.date() }).await
    }
}

macro_rules! counters {
    ($($name:ident $key:literal)*) => {$(
        table! {
            /// One of many.
            pub struct $name {
                pub value: i64,
            }
        }
        impl Asset for $name {
            const KEY: AssetKey = AssetKey::new($key);
            type Partitions = Unpartitioned;
            type Upstream = ();
        }
    )*};
}

counters! { A "a.a" B "a.b" C "a.c" D "a.d" E "a.e" F "a.f" G "a.g" H "a.h" }

table! {
    /// As many upstreams as there can be.
    pub struct Sum {
        pub sum: i64,
    }
}
impl Asset for Sum {
    const KEY: AssetKey = AssetKey::new("a.sum");
    type Partitions = Unpartitioned;
    type Upstream = (A, B, C, D, E, F, Mapped<G, All>, H);
}
impl RustAsset for Sum {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        let mut sum = 0;
        sum += A::read(context).next().await?.map_or(0, |row| row.value);
        sum += G::read(context).next().await?.map_or(0, |row| row.value);
        sum += H::read(context).next().await?.map_or(0, |row| row.value);
        context.push(Self { sum }).await
    }
}

pub fn definitions(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
    Definitions::builder(calendar)
        .external::<UserActivity>()
        .sql::<DailyActiveUsers>()
        .rust::<RegionReport>()
        .rust::<WeeklyTrend>()
        .rust::<Sum>()
        .pool("database", 4)
        .build()
}

fn main() {}
