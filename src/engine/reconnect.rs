//! Getting through a database that is away for a while.

use std::time::Duration;

use crate::store::StoreError;

/// The first wait.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Repeats `attempt` for as long as it fails with a transient error, with growing, varied waits in between.
///
/// There is no bound on how long a database may be away; each single wait is bounded, and the caller can drop the future
/// at any time.
pub(super) async fn until_reachable<T, F: Future<Output = Result<T, StoreError>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut wait = FIRST_WAIT;
    let mut said = false;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() => {
                if !said {
                    tracing::warn!(%error, "the database does not answer; trying again until it does ({what})");
                    said = true;
                }
                tokio::time::sleep(varied(wait, random())).await;
                wait = (wait * 2).min(LONGEST_WAIT);
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

/// `wait` varied by half, so that many processes do not return at the same instant.
fn varied(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.5 + random)
}

/// A draw from [0, 1): only for spreading waits, so the entropy of a random id is plenty.
pub(super) fn random() -> f64 {
    let (_, low) = uuid::Uuid::now_v7().as_u64_pair();
    // The low 32 bits of a version 7 UUID are random.
    f64::from(u32::try_from(low & u64::from(u32::MAX)).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}
