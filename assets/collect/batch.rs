//! Rows on their way into the database, and the one place that writes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use karat::clock::SharedClock;
use karat::engine::external::{AppendError, append_rows};
use karat::prelude::*;
use sqlx::PgPool;

use crate::bronze::{
    ChatMessages, DiscordConnection, DiscordMembers, DiscordMessages, DiscordVoiceStates, GameLogEvents, IdentityLinks,
};

/// Rows of all bronze assets, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Voice states.
    pub voice_states: Vec<DiscordVoiceStates>,
    /// Messages in guilds.
    pub messages: Vec<DiscordMessages>,
    /// Joins and leaves.
    pub members: Vec<DiscordMembers>,
    /// Evidence of the bot's connection.
    pub connection: Vec<DiscordConnection>,
    /// Lines of game servers.
    pub game_log_events: Vec<GameLogEvents>,
    /// Messages of chat logs.
    pub chat_messages: Vec<ChatMessages>,
    /// Identity links.
    pub identity_links: Vec<IdentityLinks>,
}

impl Batch {
    /// How many rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.voice_states.len()
            + self.messages.len()
            + self.members.len()
            + self.connection.len()
            + self.game_log_events.len()
            + self.chat_messages.len()
            + self.identity_links.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What became of the rows for one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TableCount {
    /// Rows that were new.
    pub inserted: u64,
    /// Rows that were there already.
    pub duplicates: u64,
    /// New rows from before the calendar's first day: stored, but in no partition.
    pub outside: u64,
    /// Rows that came later than the table's asset allows: in quarantine.
    pub quarantined: u64,
}

/// Writes batches into the bronze tables, with the marks that make their readers stale.
#[derive(Clone)]
pub struct Writer {
    /// The database.
    pub pool: PgPool,
    /// The platform's assets.
    pub definitions: Arc<Definitions>,
    /// Tells when marks are made.
    pub clock: SharedClock,
    /// The source's name in explanations.
    pub name: String,
}

impl Writer {
    /// Writes a batch, each table in one transaction, and adds what became of it to `counts`.
    ///
    /// May be repeated after any failure: what was written is recognized by its natural key.
    ///
    /// # Errors
    /// When a table could not be written; those before it were.
    pub async fn write(&self, batch: &Batch, counts: &mut BTreeMap<AssetKey, TableCount>) -> Result<(), AppendError> {
        self.table(&batch.identity_links, counts).await?;
        self.table(&batch.connection, counts).await?;
        self.table(&batch.members, counts).await?;
        self.table(&batch.voice_states, counts).await?;
        self.table(&batch.messages, counts).await?;
        self.table(&batch.chat_messages, counts).await?;
        self.table(&batch.game_log_events, counts).await
    }

    async fn table<R: ExternalAsset>(
        &self,
        rows: &[R],
        counts: &mut BTreeMap<AssetKey, TableCount>,
    ) -> Result<(), AppendError> {
        if rows.is_empty() {
            return Ok(());
        }
        let appended = append_rows(&self.pool, &self.definitions, &*self.clock, &self.name, rows).await?;
        let count = counts.entry(R::KEY).or_default();
        count.inserted += appended.inserted;
        count.duplicates += appended.duplicates;
        count.outside += appended.outside;
        count.quarantined += appended.quarantined;
        Ok(())
    }
}
