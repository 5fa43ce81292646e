//! How far ahead to claim.

use std::time::Duration;

/// How much work is claimed ahead of free slots, as time: more would sit idle here while others could do it.
const CLAIM_AHEAD: Duration = Duration::from_millis(200);

/// Never more units ahead than this per slot.
const CLAIM_AHEAD_LIMIT: usize = 16;

/// How long units take, as a moving average, so that claims cover a fixed time rather than a fixed number.
#[derive(Default)]
pub(super) struct Pace {
    average: Option<Duration>,
}

impl Pace {
    pub(super) fn observe(&mut self, elapsed: Duration) {
        self.average = Some(self.average.map_or(elapsed, |average| (average * 7 + elapsed) / 8));
    }

    /// How many units more than there are free slots to claim.
    pub(super) fn ahead(&self, slots: usize) -> usize {
        self.average.map_or(0, |average| {
            let each = usize::try_from(CLAIM_AHEAD.as_micros() / average.as_micros().max(1)).unwrap_or(0);
            slots * each.min(CLAIM_AHEAD_LIMIT)
        })
    }
}
