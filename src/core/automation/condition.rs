//! What is to be said of the conditions under which automation builds a partition.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{Due, Need, Rule, Situation, UpstreamState};
use crate::core::count::counted;
use crate::core::key::AssetKey;
use crate::core::partition::{Cadence, Described, PartitionsDefinition};
use crate::core::time::time_text;

/// One condition of a partition's automation, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Partitions of an upstream are not there.
    Lacking {
        /// The upstream.
        asset: AssetKey,
        /// How it is partitioned; `None` when not by time.
        cadence: Option<Cadence>,
        /// How many of them are read.
        required: u64,
        /// Those that are not there.
        lacking: Described,
    },
    /// Not all of each upstream is waited for, but so many.
    Enough(u64),
    /// It is built on request only.
    Manual,
    /// It is built at the ticks of an expression.
    Cron {
        /// The expression.
        expression: String,
        /// How that stands.
        met: Met,
    },
    /// It is built when what it reads has been quiet.
    Eager {
        /// For how long.
        debounce: TimeDelta,
        /// How that stands.
        met: Met,
        /// When the newest change came, if there was one.
        changed_at: Option<DateTime<Utc>>,
    },
    /// It is built for the first time after its window has ended.
    OnClose {
        /// How long after.
        grace: TimeDelta,
        /// How that stands.
        met: Met,
    },
    /// The rule is for the first build, and there was one.
    BuiltBefore,
    /// One of several of which one is enough.
    AnyOf(Box<Self>),
    /// One of several that all have to be met.
    AllOf(Box<Self>),
}

/// How a condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It is met.
    Now,
    /// Time alone meets it then.
    At(DateTime<Utc>),
    /// Something has to change first.
    OnChange,
    /// Something has to change first: the last step failed, and it would fail again.
    OnChangeSinceFailure,
}

impl Condition {
    /// What is waited for of an upstream; `None` when nothing is lacking.
    #[must_use]
    pub fn lacking(state: &UpstreamState, partitions: &PartitionsDefinition) -> Option<Self> {
        (!state.lacking.is_empty()).then(|| Self::Lacking {
            asset: state.asset.clone(),
            cadence: partitions.cadence(),
            required: state.required,
            lacking: partitions.described(&state.lacking),
        })
    }

    /// In a sentence with times of `zone`: `waiting for 2 of 31 days of silver.user_activity: 2026-02-03, 2026-02-07`.
    #[must_use]
    pub fn sentence(&self, zone: Tz) -> String {
        match self {
            Self::Lacking { asset, cadence, required, lacking } => {
                let noun = match cadence {
                    Some(Cadence::Hourly) => "hour",
                    Some(Cadence::Daily) => "day",
                    Some(Cadence::Weekly) => "week",
                    Some(Cadence::Monthly) => "month",
                    None => "partition",
                };
                let required = counted(*required, noun);
                format!("waiting for {} of {required} of {asset}: {}", lacking.count, lacking.ranges())
            }
            Self::Enough(1) => "1 of each upstream is enough".to_owned(),
            Self::Enough(count) => format!("{count} of each upstream are enough"),
            Self::Manual => "manual: it is built on request only".to_owned(),
            Self::Cron { expression, met } => format!("cron `{expression}` {}", met.words(zone)),
            Self::Eager { debounce, met, changed_at } => {
                let mut sentence = format!("eager (after {} without a change) {}", span(*debounce), met.words(zone));
                if let Some(changed_at) = changed_at {
                    // Infallible: a `String` takes everything.
                    let _ = write!(sentence, "; the newest change was at {}", time_text(*changed_at, zone));
                }
                sentence
            }
            Self::OnClose { grace, met } => {
                format!("on_close ({} after the window has ended) {}", span(*grace), met.words(zone))
            }
            Self::BuiltBefore => "on_close is for the first build, and there is one".to_owned(),
            Self::AnyOf(condition) => format!("any of: {}", condition.sentence(zone)),
            Self::AllOf(condition) => format!("all of: {}", condition.sentence(zone)),
        }
    }
}

impl Met {
    fn of(rule: &Rule, situation: &Situation, now: DateTime<Utc>, zone: Tz) -> Self {
        match rule.due(situation, now, zone) {
            Due::Now => Self::Now,
            Due::At(instant) => Self::At(instant),
            Due::OnChange if situation.would_only_fail_again(now) => Self::OnChangeSinceFailure,
            Due::OnChange => Self::OnChange,
        }
    }

    fn words(self, zone: Tz) -> String {
        match self {
            Self::Now => "is met".to_owned(),
            Self::At(instant) => format!("will be met at {}", time_text(instant, zone)),
            Self::OnChange => "waits for a change".to_owned(),
            Self::OnChangeSinceFailure => {
                "waits for a change: nothing has changed since the last step failed".to_owned()
            }
        }
    }
}

impl Rule {
    /// What is to be said of each of the rule's conditions.
    #[must_use]
    pub fn conditions(&self, situation: &Situation, now: DateTime<Utc>, zone: Tz) -> Vec<Condition> {
        let met = Met::of(self, situation, now, zone);
        match self {
            Self::Manual => vec![Condition::Manual],
            Self::Cron(expression) => vec![Condition::Cron { expression: expression.to_string(), met }],
            Self::Eager(debounce) => {
                let changed_at = Some(situation.changes.newest).filter(|newest| *newest > DateTime::UNIX_EPOCH);
                vec![Condition::Eager { debounce: *debounce, met, changed_at }]
            }
            Self::OnClose(_) if situation.need == Need::Stale => vec![Condition::BuiltBefore],
            Self::OnClose(grace) => vec![Condition::OnClose { grace: *grace, met }],
            Self::Any(parts) => {
                let inner = parts.iter().flat_map(|part| part.conditions(situation, now, zone));
                inner.map(|condition| Condition::AnyOf(Box::new(condition))).collect()
            }
            Self::All(parts) => {
                let inner = parts.iter().flat_map(|part| part.conditions(situation, now, zone));
                inner.map(|condition| Condition::AllOf(Box::new(condition))).collect()
            }
        }
    }
}

/// `90 s`, `15 min`, `2 h`, `1 d`: in the largest unit that leaves no rest.
fn span(delta: TimeDelta) -> String {
    let seconds = delta.num_seconds();
    let unit =
        [(86_400, "d"), (3_600, "h"), (60, "min")].into_iter().find(|(size, _)| seconds > 0 && seconds % size == 0);
    unit.map_or_else(|| format!("{seconds} s"), |(size, name)| format!("{} {name}", seconds / size))
}
