//! Thinning of evidence: of many moments at which something was alive, the few that say the same.

use chrono::{DateTime, TimeDelta, Utc};

/// Of every such stretch of time one moment is kept.
const SLOT_MILLISECONDS: i64 = 300_000;

/// Thins moments to one per five minutes, without making any silence look longer than it was by more than that.
///
/// The first moment is kept, the first of every slot of five minutes, and the last one before a silence or an
/// [`interruption`](Self::interrupt).
#[derive(Clone, Debug, Default)]
pub struct EvidenceThinner<T> {
    kept: Option<DateTime<Utc>>,
    held_back: Option<(DateTime<Utc>, T)>,
}

impl<T> EvidenceThinner<T> {
    /// A thinner that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { kept: None, held_back: None }
    }

    /// Takes a moment, and what is known of it; gives those that are to be kept, in order.
    pub fn seen(&mut self, at: DateTime<Utc>, what: T) -> impl Iterator<Item = (DateTime<Utc>, T)> + use<T> {
        let slot = |instant: DateTime<Utc>| instant.timestamp_millis().div_euclid(SLOT_MILLISECONDS);
        let (before, now) = match self.kept {
            Some(kept) if at < kept => (self.held_back.take(), Some((at, what))),
            Some(kept) if slot(at) == slot(kept) => {
                if self.held_back.as_ref().is_none_or(|(latest, _)| *latest < at) && at > kept {
                    self.held_back = Some((at, what));
                }
                (None, None)
            }
            // A neighbouring slot: what was held back says nothing more, unless silence would look too long without it.
            Some(kept) if at - kept <= TimeDelta::milliseconds(SLOT_MILLISECONDS * 2) => {
                self.held_back = None;
                (None, Some((at, what)))
            }
            Some(_) => (self.held_back.take(), Some((at, what))),
            None => (None, Some((at, what))),
        };
        if let Some((at, _)) = &now {
            self.kept = Some(*at);
        }
        before.into_iter().chain(now)
    }

    /// Takes the end of a stretch; gives its last moment if that was held back.
    pub fn interrupt(&mut self) -> Option<(DateTime<Utc>, T)> {
        self.held_back.take()
    }
}
