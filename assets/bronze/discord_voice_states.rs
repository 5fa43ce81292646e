//! Where people are in voice.

use karat::prelude::*;

table! {
    /// Where somebody is in voice from that moment on, as the gateway reported it.
    ///
    /// Every update is kept, also those that change nothing but a microphone; entries of a `GUILD_CREATE` are marked as
    /// part of a snapshot.
    pub struct DiscordVoiceStates {
        /// Who: `discord:` and the user's id.
        pub account_id: String,
        /// When the gateway said so.
        pub at: DateTime<Utc>,
        pub guild_id: i64,
        /// The gateway's sequence number: the order of states of the same moment.
        pub sequence: i64,
        /// The voice channel; null is none: the user left.
        pub channel_id: Option<i64>,
        /// Whether the channel was known to be the guild's AFK channel: recorded, but not active time.
        pub afk: bool,
        /// Whether the account was known to be a bot.
        pub bot: bool,
        /// Whether it is an entry of a complete list rather than a change.
        pub snapshot: bool,
        /// Discord's id of the voice session.
        pub voice_session: Option<String>,
    }
}

impl Asset for DiscordVoiceStates {
    const KEY: AssetKey = AssetKey::new("bronze.discord_voice_states");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["account_id", "at", "guild_id", "sequence"];
    const TAGS: &'static [&'static str] = &["discord"];
}

impl ExternalAsset for DiscordVoiceStates {}
