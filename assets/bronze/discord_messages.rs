//! Messages, as metadata.

use karat::prelude::*;

table! {
    /// One message in a guild: who, where, when, how long. What was written is never kept, and no column could hold it.
    pub struct DiscordMessages {
        /// Who: `discord:` and the user's id.
        pub account_id: String,
        /// When it was written.
        pub at: DateTime<Utc>,
        pub message_id: i64,
        pub guild_id: i64,
        pub channel_id: i64,
        /// How many characters it has; 0 also when Discord withheld the text.
        pub characters: i32,
        /// Whether a bot or a webhook wrote it.
        pub bot: bool,
    }
}

impl Asset for DiscordMessages {
    const KEY: AssetKey = AssetKey::new("bronze.discord_messages");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["account_id", "at", "message_id"];
    const TAGS: &'static [&'static str] = &["discord"];
}

impl ExternalAsset for DiscordMessages {}
