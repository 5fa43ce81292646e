//! People.

use karat::prelude::*;

use super::{AccountLinks, UserActivity};
use crate::bronze::DiscordMembers;

table! {
    /// One row per person: everybody who was ever active, is or was a member of a guild, or has linked accounts.
    pub struct DimUser {
        /// The smallest of the person's account ids.
        pub person_id: String,
        /// The Discord id; of several the smallest.
        pub discord_id: Option<String>,
        /// The SteamID64; of several the smallest.
        pub steamid64: Option<String>,
        /// The nick in chat logs; of several the smallest.
        pub irc_nick: Option<String>,
        /// How many accounts are known to be this person's.
        pub accounts: i64,
        /// When the person first joined a guild.
        pub member_since: Option<DateTime<Utc>>,
        pub first_active_on: Option<NaiveDate>,
        pub last_active_on: Option<NaiveDate>,
    }
}

impl Asset for DimUser {
    const KEY: AssetKey = AssetKey::new("silver.dim_user");
    type Partitions = Unpartitioned;
    type Upstream = (AccountLinks, DiscordMembers, UserActivity);
    const AUTOMATION: Automation = Automation::eager();
    const TAGS: &'static [&'static str] = &["identity"];

    fn checks() -> Vec<AssetCheck> {
        vec![unique(&["person_id"])]
    }
}

impl SqlAsset for DimUser {
    const SQL: &'static str = include_str!("dim_user.sql");
}
