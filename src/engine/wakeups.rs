//! Wake-ups within a process: one connection hears the signals of the database, everything in the process that waits
//! hears it.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::reconnect::Backoff;
use crate::store::signal::{Signal, SignalListener};

/// How many wake-ups may wait for a listener that is busy; when there are more it is told to look at everything.
const BUFFER: usize = 64;

/// What a listener is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// This was signaled.
    Signal(Signal),
    /// Signals may have been missed.
    Everything,
}

impl Wakeup {
    /// Whether it may mean one of these signals.
    #[must_use]
    pub fn concerns(self, signals: &[Signal]) -> bool {
        match self {
            Self::Signal(signal) => signals.contains(&signal),
            Self::Everything => true,
        }
    }
}

/// The wake-ups of a process. Cheap to clone; they end with the last clone.
#[derive(Clone, Debug)]
pub struct Wakeups {
    sender: broadcast::Sender<Wakeup>,
    _listening: Arc<AbortOnDropHandle<()>>,
}

impl Wakeups {
    /// Begins to listen, on one connection. While the database is away nothing is heard; when it is back, everybody is
    /// told to look at everything. To be called within a runtime.
    #[must_use]
    pub fn listen(connect_options: &PgConnectOptions) -> Self {
        let sender = broadcast::Sender::new(BUFFER);
        let listening = tokio::spawn(listen(connect_options.clone(), sender.clone()));
        Self { sender, _listening: Arc::new(AbortOnDropHandle::new(listening)) }
    }

    /// What is heard from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription { receiver: Some(self.sender.subscribe()) }
    }
}

/// One listener's wake-ups, in order.
#[derive(Debug)]
pub struct Subscription {
    receiver: Option<broadcast::Receiver<Wakeup>>,
}

impl Subscription {
    /// Wake-ups that never come, for who only looks by itself.
    #[must_use]
    pub const fn silent() -> Self {
        Self { receiver: None }
    }

    /// The next wake-up. Dropping the future loses none.
    pub async fn next(&mut self) -> Wakeup {
        if let Some(receiver) = &mut self.receiver {
            match receiver.recv().await {
                Ok(wakeup) => return wakeup,
                Err(broadcast::error::RecvError::Lagged(_)) => return Wakeup::Everything,
                Err(broadcast::error::RecvError::Closed) => self.receiver = None,
            }
        }
        std::future::pending().await
    }
}

async fn listen(connect_options: PgConnectOptions, sender: broadcast::Sender<Wakeup>) {
    // Nobody listening is no error.
    let tell = |wakeup| drop(sender.send(wakeup));
    let mut backoff = Backoff::default();
    loop {
        match SignalListener::connect(&connect_options).await {
            Err(error) => tracing::debug!(%error, "wake-ups are not heard; the database is looked at by the clock"),
            Ok(mut listener) => {
                tell(Wakeup::Everything);
                backoff = Backoff::default();
                loop {
                    match listener.next().await {
                        Ok(Some(signal)) => tell(Wakeup::Signal(signal)),
                        Ok(None) => tell(Wakeup::Everything),
                        Err(error) => {
                            tracing::debug!(%error, "wake-ups are not heard any more");
                            break;
                        }
                    }
                }
            }
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}
