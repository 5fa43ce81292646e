//! Daily active users.

use karat::prelude::*;

use crate::silver::UserActivity;

table! {
    /// Distinct people active per local calendar day; a day without anybody has no row.
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
    const AUTOMATION: Automation = Automation::eager();
    const FRESHNESS: Option<FreshnessPolicy> = FreshnessPolicy::hours(30);
    const TAGS: &'static [&'static str] = &["kpi"];

    fn checks() -> Vec<AssetCheck> {
        vec![unique(&["day"]), not_null("users")]
    }
}

impl SqlAsset for DailyActiveUsers {
    const SQL: &'static str = include_str!("daily_active_users.sql");
    const RANGE_PARTITIONS: u32 = 366;
}
