//! Wake-ups: words sent by `notify` that spare others a wait. Nothing depends on their arrival.

use std::time::Duration;

use sqlx::PgExecutor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

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
    /// Somebody may do more or less than before.
    Account,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 7] =
        [Self::Work, Self::Cancel, Self::Mark, Self::Published, Self::Schedule, Self::Alert, Self::Account];

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
            Self::Account => "account",
        }
    }

    /// The signal a received word means; words of later versions mean nothing here.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.as_str() == word)
    }
}

/// How long the listener's connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// After so long a silence the connection is asked whether it still lives: a network may forget one without a word.
const SILENCE: Duration = Duration::from_secs(300);

/// How long the answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Hears signals, on a connection of its own.
#[derive(Debug)]
pub struct SignalListener {
    listener: PgListener,
}

impl SignalListener {
    /// Connects and listens.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn connect(options: &PgConnectOptions) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(CONNECT_LIMIT)
            .connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&pool).await.context("connecting to hear wake-ups")?;
        listener.listen(CHANNEL).await.context("listening for wake-ups")?;
        Ok(Self { listener })
    }

    /// The next signal; `None` when the connection was lost and made again, so that signals may have been missed.
    ///
    /// # Errors
    /// When the connection was lost and cannot be made again, and when it does not answer after a long silence.
    pub async fn next(&mut self) -> Result<Option<Signal>, StoreError> {
        loop {
            // A future of the listener that is dropped loses nothing of what has arrived.
            let Ok(heard) = tokio::time::timeout(SILENCE, self.listener.try_recv()).await else {
                self.ask().await?;
                continue;
            };
            match heard.context("hearing wake-ups")? {
                None => return Ok(None),
                Some(notification) => {
                    if let Some(signal) = Signal::of_word(notification.payload()) {
                        return Ok(Some(signal));
                    }
                }
            }
        }
    }
}

impl SignalListener {
    /// Whether the server still answers on this connection.
    async fn ask(&mut self) -> Result<(), StoreError> {
        let silent =
            || sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not answer"));
        let answer = sqlx::query("select 1").execute(&mut self.listener);
        let answer = tokio::time::timeout(ANSWER_LIMIT, answer).await.unwrap_or_else(|_| Err(silent()));
        answer.map(drop).context("hearing wake-ups")
    }
}

/// Sends `signal` to everyone who listens on this database; inside a transaction, when it commits.
///
/// Transactions that notify commit one after another, so hot ones do not: they commit, and then this is sent.
///
/// # Errors
/// When the database cannot be used.
pub async fn send(executor: impl PgExecutor<'_>, signal: Signal) -> Result<(), StoreError> {
    send_all(executor, &[signal]).await
}

/// Sends several, as [`send`].
async fn send_all(executor: impl PgExecutor<'_>, signals: &[Signal]) -> Result<(), StoreError> {
    sqlx::query("select pg_notify($1, word) from unnest($2::text[]) as word")
        .bind(CHANNEL)
        .bind(signals.iter().map(|signal| signal.as_str()).collect::<Vec<_>>())
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
        self.signals(&[signal]).await
    }

    /// Sends several signals at once, as [`signal`](Self::signal).
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn signals(&self, signals: &[Signal]) -> Result<(), StoreError> {
        send_all(&self.pool, signals).await
    }
}
