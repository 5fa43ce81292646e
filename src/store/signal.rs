//! Wake-ups: words sent by `notify` that spare others a wait. Nothing depends on their arrival.

use sqlx::PgExecutor;

use super::error::Context;
use super::{Store, StoreError};

/// The channel of all signals; the word is the payload.
pub const CHANNEL: &str = "karat";

/// What others might want to look at now rather than at their next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Steps may be claimable.
    Work,
    /// A run was asked to cancel.
    Cancel,
    /// Rows landed in an external asset.
    Mark,
    /// Something was published, or a run ended.
    Published,
    /// A schedule or sensor was switched or triggered.
    Schedule,
    /// An alert was opened or closed.
    Alert,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 6] = [Self::Work, Self::Cancel, Self::Mark, Self::Published, Self::Schedule, Self::Alert];

    /// The word that is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Cancel => "cancel",
            Self::Mark => "mark",
            Self::Published => "published",
            Self::Schedule => "schedule",
            Self::Alert => "alert",
        }
    }

    /// The signal a received word means; words of later versions mean nothing here.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.as_str() == word)
    }
}

/// Sends `signal` to everyone who listens on this database; inside a transaction, when it commits.
///
/// Transactions that notify commit one after another, so hot ones do not: they commit, and then this is sent.
///
/// # Errors
/// When the database cannot be used.
pub async fn send(executor: impl PgExecutor<'_>, signal: Signal) -> Result<(), StoreError> {
    sqlx::query("select pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(signal.as_str())
        .execute(executor)
        .await
        .context("sending a wake-up")?;
    Ok(())
}

impl Store {
    /// Sends `signal`. A caller that has already committed what it is about may ignore the error: whoever misses a
    /// signal looks by itself a little later.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn signal(&self, signal: Signal) -> Result<(), StoreError> {
        send(&self.pool, signal).await
    }
}
