//! When the bot was connected.

use karat::prelude::*;

table! {
    /// Evidence that the bot was connected to the gateway at that moment, and could have seen what happened.
    ///
    /// Thinned: one row per five minutes, and the first and last moment of every stretch. A `snapshot` row says more:
    /// the complete list of who is in voice in that guild was received, so whoever has no voice state of that moment
    /// was not there.
    pub struct DiscordConnection {
        pub at: DateTime<Utc>,
        /// The guild of a snapshot; 0 for the connection as such.
        pub guild_id: i64,
        /// `connected` or `snapshot`.
        pub kind: String,
    }
}

impl Asset for DiscordConnection {
    const KEY: AssetKey = AssetKey::new("bronze.discord_connection");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["at", "guild_id", "kind"];
    const TAGS: &'static [&'static str] = &["discord"];
}

impl ExternalAsset for DiscordConnection {}
