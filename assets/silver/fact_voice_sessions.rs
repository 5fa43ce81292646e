//! Voice sessions.

use karat::prelude::*;

use crate::bronze::{DiscordConnection, DiscordVoiceStates};

table! {
    /// The part of a voice session that lies in one local day: one person, one channel, without a break.
    ///
    /// A session that crosses midnight has a row in each day, all with its id. It ends when the person leaves
    /// (`left`) or goes to another channel (`switched`). When the bot missed the end, it ends with the last moment that
    /// the bot is known to have been connected: because a later list of who is in voice contradicts it (`restart`), or
    /// because the bot was away for more than a quarter of an hour (`last_evidence`). `midnight` is no end: the session
    /// goes on in the next day. A session is followed for at most seven days.
    pub struct FactVoiceSessions {
        pub account_id: String,
        pub day: NaiveDate,
        /// The same for all days of a session: account, guild, channel and first millisecond.
        pub session_id: String,
        pub guild_id: i64,
        pub channel_id: i64,
        /// Whether it was spent in the AFK channel: recorded, not active.
        pub afk: bool,
        /// The start of the session, or of the day.
        pub started_at: DateTime<Utc>,
        /// The end of the session, or of the day.
        pub ended_at: DateTime<Utc>,
        /// From start to end.
        pub seconds: i64,
        /// `left`, `switched`, `restart`, `last_evidence` or `midnight`.
        pub end_reason: String,
    }
}

impl Asset for FactVoiceSessions {
    const KEY: AssetKey = AssetKey::new("silver.fact_voice_sessions");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Mapped<DiscordVoiceStates, Window<-7, 0>>, Mapped<DiscordConnection, Window<-7, 0>>);
    const AUTOMATION: Automation = Automation::eager();
    const TAGS: &'static [&'static str] = &["discord", "sessions"];

    fn checks() -> Vec<AssetCheck> {
        vec![
            unique(&["account_id", "day", "session_id"]),
            accepted_values("end_reason", &["left", "switched", "restart", "last_evidence", "midnight"]),
        ]
    }
}

impl SqlAsset for FactVoiceSessions {
    const SQL: &'static str = include_str!("fact_voice_sessions.sql");
    const RANGE_PARTITIONS: u32 = 31;
}
