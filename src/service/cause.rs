//! Why there is a run, in words.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::status::staleness_sentence;
use crate::core::id::short_id;
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::status::Staleness;
use crate::core::time::time_text;
use crate::core::told::Told;
use crate::daemon::automation::{AutomationCause, CauseEntry};
use crate::store::run::RunRecord;

/// Why there is a run, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// The kind of cause alone: `manual`.
    Kind(String),
    /// A backfill, by its id.
    Backfill(Uuid),
    /// What failed in this run is repeated.
    RetryOf(Uuid),
    /// A schedule.
    Schedule {
        /// Its name.
        name: String,
        /// The tick.
        tick_at: Option<DateTime<Utc>>,
        /// Whether somebody triggered it.
        by_hand: bool,
    },
    /// A sensor.
    Sensor {
        /// Its name.
        name: String,
        /// What the run was requested under.
        run_key: Option<String>,
    },
    /// Automation: what was the matter with the first of what it built.
    Automation {
        /// The asset.
        asset: AssetKey,
        /// Its partitions, by their keys.
        partitions: String,
        /// What was the matter with them.
        matter: Matter,
        /// How much more there was to build.
        more: usize,
    },
    /// Automation: what was the matter with the partition in question.
    Automated(Matter),
}

/// What automation repairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// It was never built.
    Missing,
    /// Its version had this against it.
    Stale(Vec<Staleness>),
}

impl Because {
    fn told(self, zone: Tz) -> Told<Self> {
        Told::new(self.sentence(zone), self)
    }

    fn sentence(&self, zone: Tz) -> String {
        match self {
            Self::Kind(kind) => kind.clone(),
            Self::Backfill(id) => format!("backfill {}", short_id(*id)),
            Self::RetryOf(id) => format!("retry of run {}", short_id(*id)),
            Self::Schedule { name, tick_at, by_hand } => {
                let tick = tick_at.map_or_else(String::new, |at| format!(", tick of {}", time_text(at, zone)));
                format!("schedule {name}{tick}{}", if *by_hand { ", triggered by hand" } else { "" })
            }
            Self::Sensor { name, run_key } => {
                let key = run_key.as_ref().map_or_else(String::new, |key| format!(", run key {key}"));
                format!("sensor {name}{key}")
            }
            Self::Automation { asset, partitions, matter, more } => {
                let more = if *more == 0 { String::new() } else { format!("; and {more} more") };
                format!("automation: {asset} {partitions}, because {}{more}", matter.sentence(zone))
            }
            Self::Automated(matter) => format!("automation, because {}", matter.sentence(zone)),
        }
    }
}

impl Matter {
    fn of(entry: CauseEntry) -> Self {
        if entry.missing { Self::Missing } else { Self::Stale(entry.reasons) }
    }

    fn sentence(&self, zone: Tz) -> String {
        match self {
            Self::Missing => "its window had ended and it was never built".to_owned(),
            Self::Stale(reasons) => {
                let reasons: Vec<String> = reasons.iter().map(|reason| staleness_sentence(reason, zone)).collect();
                reasons.join(" and ")
            }
        }
    }
}

/// Why the run exists: `manual`, `schedule nightly, tick of 2026-03-20 03:15:00+01:00`, `sensor files, run key 17`, …
pub(super) fn cause_text(run: &RunRecord, zone: Tz) -> Told<Because> {
    cause(run).told(zone)
}

/// The same for one partition of the run: of automation, what was the matter with that one.
pub(super) fn partition_cause_text(
    run: &RunRecord,
    asset: &AssetKey,
    ordinal: Option<Ordinal>,
    zone: Tz,
) -> Told<Because> {
    let automation = automation_of(run);
    match automation.as_ref().zip(ordinal).and_then(|(cause, ordinal)| cause.entry(asset, ordinal)) {
        Some(entry) => Because::Automated(Matter::of(entry.clone())).told(zone),
        None => cause_text(run, zone),
    }
}

fn cause(run: &RunRecord) -> Because {
    let detail = run.cause_detail.as_ref();
    let found = match run.cause.as_str() {
        "backfill" => run.backfill_id.map(Because::Backfill),
        "retry" => run.retry_of.map(Because::RetryOf),
        "schedule" => text(detail, "schedule").map(|name| Because::Schedule {
            name: name.to_owned(),
            tick_at: text(detail, "tick_at").and_then(|at| at.parse().ok()),
            by_hand: text(detail, "kind") == Some("manual"),
        }),
        "sensor" => text(detail, "sensor")
            .map(|name| Because::Sensor { name: name.to_owned(), run_key: text(detail, "run_key").map(str::to_owned) }),
        "automation" => automation_of(run).and_then(automated),
        _ => None,
    };
    found.unwrap_or_else(|| Because::Kind(run.cause.clone()))
}

fn text<'a>(detail: Option<&'a Value>, name: &str) -> Option<&'a str> {
    detail?.get(name)?.as_str()
}

fn automation_of(run: &RunRecord) -> Option<AutomationCause> {
    if run.cause != "automation" {
        return None;
    }
    AutomationCause::deserialize(run.cause_detail.as_ref()?).ok()
}

fn automated(cause: AutomationCause) -> Option<Because> {
    let mut entries = cause.entries.into_iter();
    let first = entries.next()?;
    Some(Because::Automation {
        asset: first.asset.clone(),
        partitions: first.partitions.clone(),
        more: entries.len() + cause.omitted,
        matter: Matter::of(first),
    })
}
