//! Whether an asset keeps its freshness policy, and when that can change by time alone.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::cron::CronExpression;
use crate::core::partition::{Ordinal, PartitionsDefinition};
use crate::core::policy::{FreshnessPolicy, FreshnessRule};

/// A skipped date is no partition; after one there is always another.
const SEARCHED_ORDINALS: i64 = 3;

/// How an asset keeps its freshness policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FreshnessState {
    /// There is nothing yet, and nothing was due.
    Unknown,
    /// It is kept.
    Pass,
    /// It is kept, but not for long unless something is published.
    Warn,
    /// It is broken.
    Fail,
}

impl FreshnessState {
    /// The word used in listings and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// The newest that there is of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newest {
    /// Of partitions with windows: the newest with a version that was published after its window had ended.
    Window(Option<Ordinal>),
    /// Of all others: when it was published, or when rows landed.
    Instant(Option<DateTime<Utc>>),
}

/// How an asset keeps its policy, and since or until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// How.
    pub state: FreshnessState,
    /// From when on the policy is broken unless something newer is published: in the past exactly when it is broken;
    /// `None` when nothing is expected any more or yet.
    pub due_at: Option<DateTime<Utc>>,
    /// When the state changes if nothing is published; `None` when it never does.
    pub changes_at: Option<DateTime<Utc>>,
}

/// How a policy is kept at `now`.
///
/// What was never built is measured by the newest window that was due: since when it should have been built nobody
/// knows. A cron expression that cannot be read makes nothing due.
#[must_use]
pub fn freshness(
    policy: FreshnessPolicy,
    partitions: &PartitionsDefinition,
    newest: Newest,
    zone: Tz,
    now: DateTime<Utc>,
) -> Freshness {
    let due_after = Due::of(policy.rule, zone);
    let (due_at, nothing_yet) = match newest {
        Newest::Window(Some(newest)) => {
            let next = next_window_end(partitions, newest.saturating_add(1));
            (next.and_then(|end| due_after.window(end)), false)
        }
        Newest::Window(None) => (first_due(partitions, &due_after, now), true),
        Newest::Instant(Some(newest)) => (due_after.instant(newest), false),
        Newest::Instant(None) => (None, true),
    };
    let warn_at = due_at
        .filter(|_| !policy.warn_before.is_zero())
        .and_then(|due| due.checked_sub_signed(TimeDelta::from_std(policy.warn_before).ok()?));
    let come = |instant: Option<DateTime<Utc>>| instant.is_some_and(|instant| instant <= now);
    let state = if come(due_at) {
        FreshnessState::Fail
    } else if nothing_yet {
        FreshnessState::Unknown
    } else if come(warn_at) {
        FreshnessState::Warn
    } else {
        FreshnessState::Pass
    };
    let changes_at = match state {
        FreshnessState::Fail => None,
        FreshnessState::Unknown | FreshnessState::Warn => due_at,
        FreshnessState::Pass => warn_at.or(due_at),
    };
    Freshness { state, due_at, changes_at }
}

/// When something is due after something else.
enum Due {
    Lag(TimeDelta),
    Ticks(CronExpression, Tz),
    Never,
}

impl Due {
    fn of(rule: FreshnessRule, zone: Tz) -> Self {
        match rule {
            FreshnessRule::MaximumLag(lag) => Self::Lag(TimeDelta::from_std(lag).unwrap_or(TimeDelta::MAX)),
            FreshnessRule::Deadline(expression) => {
                CronExpression::parse(expression).map_or(Self::Never, |expression| Self::Ticks(expression, zone))
            }
        }
    }

    /// When the version of a window that ends at `end` is due. A tick at the very end is too early for it.
    fn window(&self, end: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Lag(lag) => end.checked_add_signed(*lag),
            Self::Ticks(expression, zone) => expression.next_after(end, *zone),
            Self::Never => None,
        }
    }

    /// When the next version is due after one of `instant`: that one serves the next tick, and no other.
    fn instant(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Lag(lag) => instant.checked_add_signed(*lag),
            Self::Ticks(expression, zone) => expression.next_after(expression.next_after(instant, *zone)?, *zone),
            Self::Never => None,
        }
    }
}

/// The end of the first window from this number on; `None` when the definition has no more.
fn next_window_end(partitions: &PartitionsDefinition, from: Ordinal) -> Option<DateTime<Utc>> {
    let from = from.max(partitions.first());
    let next = partitions.range(from, from.saturating_add(SEARCHED_ORDINALS)).first()?;
    Some(partitions.window(next)?.end)
}

/// When the newest window that is due was due; when none is, when the first will be.
fn first_due(partitions: &PartitionsDefinition, due: &Due, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let closed = partitions.closed(now);
    // Usually the newest is due or the one before it: older ones are looked at only until one is.
    let newest_due = closed
        .ranges()
        .iter()
        .rev()
        .flat_map(|&(first, last)| (first..=last).rev())
        .find_map(|ordinal| due.window(partitions.window(ordinal)?.end).filter(|&due| due <= now));
    newest_due.or_else(|| due.window(next_window_end(partitions, partitions.first())?))
}
