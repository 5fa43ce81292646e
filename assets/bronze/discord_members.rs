//! Joins and leaves.

use karat::prelude::*;

table! {
    /// Somebody joined or left a guild.
    ///
    /// A join has the time that the guild itself recorded, so the member lists of later snapshots repeat it exactly.
    pub struct DiscordMembers {
        /// Who: `discord:` and the user's id.
        pub account_id: String,
        /// When.
        pub at: DateTime<Utc>,
        pub guild_id: i64,
        /// `joined` or `left`.
        pub change: String,
        /// Whether the account was known to be a bot.
        pub bot: bool,
    }
}

impl Asset for DiscordMembers {
    const KEY: AssetKey = AssetKey::new("bronze.discord_members");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["account_id", "at", "guild_id", "change"];
    const TAGS: &'static [&'static str] = &["discord"];
}

impl ExternalAsset for DiscordMembers {}
