//! When a partition is built without being asked for.
//!
//! A partition is looked at once its window has ended. It needs to be built when it does not exist, when its version was
//! made before the window ended, or when what it was made of changed since; a changed declaration alone is no reason.
//! The asset's [`Automation`] then says when, its [`WaitPolicy`] how much of what it reads has to be there, and neither
//! repeats what failed: a partition whose newest step failed, was blocked or was canceled is built again when something it
//! reads changed after that step began, or at the next tick of a cron expression after it ended.

mod condition;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

pub use self::condition::{Condition, Met};
use crate::core::cron::{CronError, CronExpression};
use crate::core::key::AssetKey;
use crate::core::policy::{Automation, WaitPolicy};
use crate::core::subset::PartitionSubset;

/// Inputs that change without a pause are waited for at most so many debounces.
const DEBOUNCES: i32 = 10;

/// A change may seem to come from so far in the future: clocks of machines differ. One from beyond was noted by a clock
/// that was ahead, and is not waited for.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// Why a partition needs to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It does not exist.
    Missing,
    /// It was built before its window ended.
    Early,
    /// What it was made of has changed.
    Stale,
}

/// When what a partition reads changed: since its version looked or, where there is none, since its window ended. What
/// has neither changed since the beginning of time, 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The first change.
    pub first: DateTime<Utc>,
    /// The newest change.
    pub newest: DateTime<Utc>,
}

impl Changes {
    /// One change.
    #[must_use]
    pub const fn at(instant: DateTime<Utc>) -> Self {
        Self { first: instant, newest: instant }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), newest: self.newest.max(other.newest) }
    }
}

/// A step that ended without the partition having been built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When its attempt began: what changed later was not looked at.
    pub began: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
}

/// What the rules need to know of a closed partition that needs to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Why it needs to be built.
    pub need: Need,
    /// When what it reads changed.
    pub changes: Changes,
    /// The end of its window; `None` for partitions that are not made of time.
    pub window_end: Option<DateTime<Utc>>,
    /// How its newest step ended, unless it succeeded.
    pub failure: Option<Failure>,
    /// Whether a run has it to build already.
    pub in_progress: bool,
}

impl Situation {
    /// Whether nothing it reads changed since the newest step failed.
    fn would_only_fail_again(&self, now: DateTime<Utc>) -> bool {
        self.failure.is_some_and(|failure| self.changes.newest <= known(failure.began, now))
    }
}

/// What an upstream lacks of what a partition reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamState {
    /// The upstream.
    pub asset: AssetKey,
    /// How many of its partitions are read.
    pub required: u64,
    /// Those that do not exist, or that wait to be built again themselves.
    pub lacking: PartitionSubset,
}

/// Whether a condition is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is.
    Now,
    /// It will be, unless something changes before.
    At(DateTime<Utc>),
    /// Time alone does not help.
    OnChange,
}

impl Due {
    /// The earlier of the two.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Now, _) | (_, Self::Now) => Self::Now,
            (Self::At(one), Self::At(two)) => Self::At(one.min(two)),
            (Self::At(one), Self::OnChange) | (Self::OnChange, Self::At(one)) => Self::At(one),
            (Self::OnChange, Self::OnChange) => Self::OnChange,
        }
    }

    /// The later of the two.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::OnChange, _) | (_, Self::OnChange) => Self::OnChange,
            (Self::At(one), Self::At(two)) => Self::At(one.max(two)),
            (Self::At(one), Self::Now) | (Self::Now, Self::At(one)) => Self::At(one),
            (Self::Now, Self::Now) => Self::Now,
        }
    }

    fn by(instant: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        if instant <= now { Self::Now } else { Self::At(instant) }
    }
}

/// What is to be done about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Build it.
    Launch {
        /// Although partitions it reads are lacking, as its wait policy allows.
        incomplete: bool,
    },
    /// Look again then.
    At(DateTime<Utc>),
    /// Look again when something changed.
    OnChange,
}

/// An [`Automation`] ready to be applied: its cron expressions are read.
#[derive(Clone, Debug)]
pub enum Rule {
    /// See [`Automation::Manual`].
    Manual,
    /// See [`Automation::Cron`].
    Cron(CronExpression),
    /// See [`Automation::Eager`].
    Eager(TimeDelta),
    /// See [`Automation::OnClose`].
    OnClose(TimeDelta),
    /// See [`Automation::Any`].
    Any(Vec<Self>),
    /// See [`Automation::All`].
    All(Vec<Self>),
}

impl Rule {
    /// Reads the expressions of `automation`.
    ///
    /// # Errors
    /// When an expression cannot be read; [`Definitions`](crate::asset::definitions::Definitions) refuse such assets.
    pub fn new(automation: &Automation) -> Result<Self, CronError> {
        let all = |parts: &[Automation]| parts.iter().map(Self::new).collect::<Result<Vec<_>, _>>();
        Ok(match automation {
            Automation::Manual => Self::Manual,
            Automation::Cron(expression) => Self::Cron(CronExpression::parse(expression)?),
            Automation::Eager { debounce } => Self::Eager(delta(*debounce)),
            Automation::OnClose { grace } => Self::OnClose(delta(*grace)),
            Automation::Any(parts) => Self::Any(all(parts)?),
            Automation::All(parts) => Self::All(all(parts)?),
        })
    }

    /// Whether it never starts anything.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        match self {
            Self::Manual => true,
            Self::Cron(_) | Self::Eager(_) | Self::OnClose(_) => false,
            Self::Any(parts) => parts.iter().all(Self::is_manual),
            Self::All(parts) => parts.iter().any(Self::is_manual),
        }
    }

    /// When the partition is due, by this rule alone. Cron expressions tick in `zone`.
    ///
    /// A cron expression is due when it ticked since the first change, however often: ticks that nobody was there for
    /// count as one.
    #[must_use]
    pub fn due(&self, situation: &Situation, now: DateTime<Utc>, zone: Tz) -> Due {
        match self {
            Self::Manual => Due::OnChange,
            Self::Cron(expression) => {
                // A change at the instant of a tick is in time for it; a failure at that instant is its result.
                let changed = before(known(situation.changes.first, now));
                let since = situation.failure.map_or(changed, |failure| changed.max(known(failure.ended, now)));
                expression.next_after(since, zone).map_or(Due::OnChange, |tick| Due::by(tick, now))
            }
            Self::Eager(_) | Self::OnClose(_) if situation.would_only_fail_again(now) => Due::OnChange,
            Self::Eager(debounce) => {
                let Changes { first, newest } = situation.changes;
                let first = known(first, now);
                let waiting_since = situation.failure.map_or(first, |failure| first.max(known(failure.began, now)));
                let quiet = later(newest, *debounce);
                let at_the_latest = later(waiting_since, debounce.checked_mul(DEBOUNCES).unwrap_or(TimeDelta::MAX));
                Due::by(quiet.min(at_the_latest), now)
            }
            Self::OnClose(grace) => match (situation.need, situation.window_end) {
                (Need::Stale, _) => Due::OnChange,
                (Need::Missing | Need::Early, Some(end)) => Due::by(later(end, *grace), now),
                (Need::Missing | Need::Early, None) => Due::Now,
            },
            Self::Any(parts) => {
                parts.iter().map(|part| part.due(situation, now, zone)).reduce(Due::or).unwrap_or(Due::OnChange)
            }
            Self::All(parts) => {
                parts.iter().map(|part| part.due(situation, now, zone)).reduce(Due::and).unwrap_or(Due::OnChange)
            }
        }
    }
}

/// Whether `upstreams` have what the policy asks for: `None` when they do not, else whether something is lacking.
#[must_use]
pub fn readiness(wait: WaitPolicy, upstreams: &[UpstreamState]) -> Option<bool> {
    let lacks = |state: &UpstreamState| !state.lacking.is_empty();
    let is_enough = upstreams.iter().all(|state| match wait {
        WaitPolicy::All => !lacks(state),
        WaitPolicy::AtLeast(count) => state.required.saturating_sub(state.lacking.len()) >= count.min(state.required),
    });
    is_enough.then(|| upstreams.iter().any(lacks))
}

/// What is to be done about a closed partition that needs to be built.
#[must_use]
pub fn decide(
    rule: &Rule,
    wait: WaitPolicy,
    situation: &Situation,
    upstreams: &[UpstreamState],
    now: DateTime<Utc>,
    zone: Tz,
) -> Verdict {
    if situation.in_progress {
        return Verdict::OnChange;
    }
    let Some(incomplete) = readiness(wait, upstreams) else { return Verdict::OnChange };
    match rule.due(situation, now, zone) {
        Due::Now => Verdict::Launch { incomplete },
        Due::At(instant) => Verdict::At(instant),
        Due::OnChange => Verdict::OnChange,
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn later(instant: DateTime<Utc>, delta: TimeDelta) -> DateTime<Utc> {
    instant.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The instant, or the beginning of time for one from a clock that was ahead: how long ago that was, nobody knows.
fn known(instant: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    if instant > later(now, CLOCK_TOLERANCE) { DateTime::UNIX_EPOCH } else { instant }
}

fn before(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.checked_sub_signed(TimeDelta::nanoseconds(1)).unwrap_or(instant)
}
