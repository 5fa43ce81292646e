//! Daily, weekly and monthly active users.

use karat::prelude::*;

use crate::silver::UserActivity;

table! {
    /// Distinct people active within the 1, 7 and 30 local days that end with each day (DAU, WAU, MAU); a day at the end
    /// of 30 without anybody has no row.
    pub struct RollingActiveUsers {
        pub day: NaiveDate,
        /// People seen on this day on at least one surface.
        pub daily_users: i64,
        /// Distinct people seen within the 7 days that end with this one.
        pub weekly_users: i64,
        /// Distinct people seen within the 30 days that end with this one.
        pub monthly_users: i64,
        /// People in voice channels on this day.
        pub daily_voice_users: i64,
        /// Distinct people in voice channels within the 7 days that end with this one.
        pub weekly_voice_users: i64,
        /// Distinct people in voice channels within the 30 days that end with this one.
        pub monthly_voice_users: i64,
        /// People who wrote on this day.
        pub daily_chat_users: i64,
        /// Distinct people who wrote within the 7 days that end with this one.
        pub weekly_chat_users: i64,
        /// Distinct people who wrote within the 30 days that end with this one.
        pub monthly_chat_users: i64,
        /// People on game servers on this day.
        pub daily_game_users: i64,
        /// Distinct people on game servers within the 7 days that end with this one.
        pub weekly_game_users: i64,
        /// Distinct people on game servers within the 30 days that end with this one.
        pub monthly_game_users: i64,
        /// Of the month's people, the share seen on this day: daily_users / monthly_users.
        pub stickiness: f64,
        /// daily_voice_users / monthly_voice_users; none when nobody was in voice within the month.
        pub voice_stickiness: Option<f64>,
        /// daily_chat_users / monthly_chat_users; none when nobody wrote within the month.
        pub chat_stickiness: Option<f64>,
        /// daily_game_users / monthly_game_users; none when nobody played within the month.
        pub game_stickiness: Option<f64>,
    }
}

impl Asset for RollingActiveUsers {
    const KEY: AssetKey = AssetKey::new("gold.rolling_active_users");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Mapped<UserActivity, Window<-29, 0>>,);
    const AUTOMATION: Automation = Automation::eager();
    const TAGS: &'static [&'static str] = &["kpi"];

    fn checks() -> Vec<AssetCheck> {
        vec![
            unique(&["day"]),
            no_rows(
                "longer_times_have_more_people",
                "select * from gold.rolling_active_users
                 where (daily_users > weekly_users or weekly_users > monthly_users)
                    and day >= $1::timestamptz::date and day < $2::timestamptz::date",
            ),
        ]
    }
}

impl SqlAsset for RollingActiveUsers {
    const SQL: &'static str = include_str!("rolling_active_users.sql");
    const RANGE_PARTITIONS: u32 = 92;
}
