//! What game servers log about players and themselves.

use karat::prelude::*;

table! {
    /// One line of a game server's log about who is there; chat, remote console, addresses and settings are not among
    /// them.
    pub struct GameLogEvents {
        /// Who: `steam:` and the SteamID64; empty for what the server itself did.
        pub account_id: String,
        /// When, by the server's clock.
        pub at: DateTime<Utc>,
        /// Which server.
        pub server: String,
        /// `connected`, `entered`, `disconnected`, `switched_team`; for the server `map_loaded`, `log_started`,
        /// `log_closed`, `shutdown`, and `alive`: it logged something then (one row per five minutes, and the last).
        pub kind: String,
        /// The number of the line in its file: the order within a second.
        pub line: i64,
        /// The player's name at that moment.
        pub name: Option<String>,
        /// The side taken.
        pub team: Option<String>,
        /// The map loaded.
        pub map: Option<String>,
        /// The engine's word for why somebody disconnected.
        pub reason: Option<String>,
    }
}

impl Asset for GameLogEvents {
    const KEY: AssetKey = AssetKey::new("bronze.game_log_events");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["account_id", "at", "server", "kind", "line"];
    const TAGS: &'static [&'static str] = &["game"];
}

impl ExternalAsset for GameLogEvents {}
