//! Asking a process to end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// A request to end, in two steps: first nothing more is begun and what runs may finish within a limit; then, or when
/// it is asked for, what runs is stopped and handed back. Clones are the same request.
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: CancellationToken,
    aborted: CancellationToken,
    limit: Duration,
}

impl Shutdown {
    /// No request yet; what runs will have `limit` to finish.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { begun: CancellationToken::new(), aborted: CancellationToken::new(), limit }
    }

    /// Asks to end: nothing more is begun.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Asks to end at once: what runs is handed back.
    pub fn abort(&self) {
        self.begun.cancel();
        self.aborted.cancel();
    }

    /// Cancelled when the end was asked for.
    #[must_use]
    pub const fn begun(&self) -> &CancellationToken {
        &self.begun
    }

    /// Cancelled when the end was asked for at once.
    #[must_use]
    pub const fn aborted(&self) -> &CancellationToken {
        &self.aborted
    }

    /// How long what runs may take to finish.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }
}
