//! What each person did on each day.

use karat::prelude::*;

use super::{AccountLinks, FactGameSessions, FactVoiceSessions};
use crate::bronze::{ChatMessages, DiscordMessages};

table! {
    /// One row for each person and local day with any activity; bots are no people.
    pub struct UserActivity {
        /// The person: the smallest of their account ids.
        pub person_id: String,
        pub day: NaiveDate,
        /// Messages, in guilds and in chat logs.
        pub messages: i64,
        /// Characters of the messages whose length is known.
        pub characters: i64,
        /// Time in voice channels, the AFK channel not counted.
        pub voice_seconds: i64,
        /// Time on game servers.
        pub game_seconds: i64,
    }
}

impl Asset for UserActivity {
    const KEY: AssetKey = AssetKey::new("silver.user_activity");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (DiscordMessages, ChatMessages, FactVoiceSessions, FactGameSessions, AccountLinks);
    const AUTOMATION: Automation = Automation::eager();
    const TAGS: &'static [&'static str] = &["activity"];

    fn checks() -> Vec<AssetCheck> {
        vec![
            unique(&["person_id", "day"]),
            no_rows(
                "no_negative_figure",
                "select * from silver.user_activity
                 where least(messages, characters, voice_seconds, game_seconds) < 0
                    and day >= $1::timestamptz::date and day < $2::timestamptz::date",
            ),
        ]
    }
}

impl SqlAsset for UserActivity {
    const SQL: &'static str = include_str!("user_activity.sql");
    const RANGE_PARTITIONS: u32 = 366;
}
