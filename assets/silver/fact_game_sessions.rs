//! Sessions on game servers.

use karat::prelude::*;

use crate::bronze::GameLogEvents;

table! {
    /// The part of a session on a game server that lies in one local day: one player from connecting to disconnecting.
    ///
    /// A session that crosses midnight has a row in each of the two days, both with its id; it is followed for one day.
    /// It ends with the engine's word for the disconnection, or when the player connects anew (`reconnected`), the
    /// server loads a map or closes its log (`map_loaded`, `log_closed`, `shutdown`), or begins a log without having
    /// closed the last (`log_started`: it ends with the last sign of the server before). Without any of these it ends
    /// with the last sign of the server (`last_evidence`); `midnight` is no end: the session goes on in the next day.
    pub struct FactGameSessions {
        pub account_id: String,
        pub day: NaiveDate,
        /// The same for both days of a session: account, server and first second.
        pub session_id: String,
        pub server: String,
        /// The start of the session, or of the day.
        pub started_at: DateTime<Utc>,
        /// The end of the session, or of the day.
        pub ended_at: DateTime<Utc>,
        /// From start to end.
        pub seconds: i64,
        /// Why it ended.
        pub end_reason: String,
    }
}

impl Asset for FactGameSessions {
    const KEY: AssetKey = AssetKey::new("silver.fact_game_sessions");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Mapped<GameLogEvents, Window<-1, 0>>,);
    const AUTOMATION: Automation = Automation::eager();
    const TAGS: &'static [&'static str] = &["game", "sessions"];

    fn checks() -> Vec<AssetCheck> {
        vec![unique(&["account_id", "day", "session_id"])]
    }
}

impl SqlAsset for FactGameSessions {
    const SQL: &'static str = include_str!("fact_game_sessions.sql");
    const RANGE_PARTITIONS: u32 = 31;
}
