//! Getting through a database that is away for a while.

use std::io::ErrorKind;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::StoreError;

/// The first wait.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// No call takes so long on a server that is there: the connection has died without anybody saying so.
const CALL_LIMIT: Duration = Duration::from_secs(300);

/// How long a call that is under way may still take once it is to be given up: a database that is there answers.
const GIVE_UP_PATIENCE: Duration = Duration::from_secs(1);

/// Repeats `attempt` for as long as it fails with a transient error, with growing, varied waits in between.
///
/// There is no bound on how long a database may be away; each single wait is bounded. Once `give_up` is cancelled a
/// database that answers is still heard, and one that does not is an error.
pub(crate) async fn until_reachable<T, F: Future<Output = Result<T, StoreError>>>(
    what: &str,
    give_up: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut backoff = Backoff::default();
    let mut said = false;
    let given_up = async {
        give_up.cancelled().await;
        tokio::time::sleep(GIVE_UP_PATIENCE).await;
    };
    tokio::pin!(given_up);
    loop {
        let result = tokio::select! {
            biased;
            result = tokio::time::timeout(CALL_LIMIT, attempt()) => {
                result.unwrap_or_else(|_| Err(StoreError::new(what, sqlx::Error::Io(ErrorKind::TimedOut.into()))))
            }
            () = &mut given_up => return Err(StoreError::new(what, sqlx::Error::PoolTimedOut)),
        };
        match result {
            Err(error) if error.is_transient() && !give_up.is_cancelled() => {
                if !said {
                    tracing::warn!(%error, "the database does not answer; trying again until it does ({what})");
                    said = true;
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff.wait()) => {}
                    () = give_up.cancelled() => {}
                }
            }
            result => {
                if said && result.is_ok() {
                    tracing::info!("the database answers again ({what})");
                }
                return result;
            }
        }
    }
}

/// Growing, varied waits between attempts.
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// From `first` to `longest`, doubling.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// The next wait.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = varied(self.next, random());
        self.next = (self.next * 2).min(self.longest);
        wait
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(FIRST_WAIT, LONGEST_WAIT)
    }
}

/// `wait` varied by half, so that many processes do not return at the same instant.
fn varied(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.5 + random)
}

/// A draw from [0, 1): only for spreading waits, so the entropy of a random id is plenty.
pub(crate) fn random() -> f64 {
    let (_, low) = uuid::Uuid::now_v7().as_u64_pair();
    // The low 32 bits of a version 7 UUID are random.
    f64::from(u32::try_from(low & u64::from(u32::MAX)).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}
