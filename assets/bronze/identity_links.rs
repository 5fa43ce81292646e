//! Which accounts are the same person's.

use karat::prelude::*;

table! {
    /// Two accounts of one person, and who says so.
    ///
    /// Unpartitioned, because a link has no day: it holds for all that either account ever did. Everything that reads
    /// people is therefore stale exactly when the links change.
    pub struct IdentityLinks {
        pub account_id: String,
        /// Another account of the same person.
        pub same_as: String,
        /// Where the link comes from, such as `irc_rename`.
        pub source: String,
    }
}

impl Asset for IdentityLinks {
    const KEY: AssetKey = AssetKey::new("bronze.identity_links");
    type Partitions = Unpartitioned;
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["account_id", "same_as", "source"];
    const TAGS: &'static [&'static str] = &["identity"];
}

impl ExternalAsset for IdentityLinks {}
