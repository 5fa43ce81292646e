//! Messages of a chat log.

use karat::prelude::*;

table! {
    /// One message in a chat log that knows minutes, not seconds, and nothing of what was written.
    pub struct ChatMessages {
        /// Who: `irc:` and the nick.
        pub account_id: String,
        /// The start of the minute.
        pub at: DateTime<Utc>,
        /// Its number among the account's messages of this minute, from 1.
        pub sequence: i32,
    }
}

impl Asset for ChatMessages {
    const KEY: AssetKey = AssetKey::new("bronze.chat_messages");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["account_id", "at", "sequence"];
    const TAGS: &'static [&'static str] = &["chat"];
}

impl ExternalAsset for ChatMessages {}
