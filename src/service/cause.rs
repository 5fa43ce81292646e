//! Why there is a run, in words.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::ids::short;
use super::status::reason_view;
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::daemon::automation::{AutomationCause, CauseEntry};
use crate::store::run::RunRecord;

/// An instant as sentences of the service write it.
pub(super) fn instant_text(instant: DateTime<Utc>, zone: Tz) -> String {
    instant.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// Why the run exists: `manual`, `schedule nightly, tick of 2026-03-20 03:15:00+01:00`, `sensor files, run key 17`, …
pub(super) fn cause_text(run: &RunRecord, zone: Tz) -> String {
    let named = |kind: &str, id: Option<Uuid>| id.map_or_else(|| kind.to_owned(), |id| format!("{kind} {}", short(id)));
    let detail = run.cause_detail.as_ref();
    match run.cause.as_str() {
        "backfill" => named("backfill", run.backfill_id),
        "retry" => named("retry of run", run.retry_of),
        "schedule" => schedule_text(detail, zone),
        "sensor" => sensor_text(detail),
        "automation" => match automation_of(run) {
            Some(cause) => automation_text(&cause, zone),
            None => "automation".to_owned(),
        },
        cause => cause.to_owned(),
    }
}

/// The same for one partition of the run: of automation, what was the matter with that one.
pub(super) fn partition_cause_text(run: &RunRecord, asset: &AssetKey, ordinal: Option<Ordinal>, zone: Tz) -> String {
    let automation = automation_of(run);
    match automation.as_ref().zip(ordinal).and_then(|(cause, ordinal)| cause.entry(asset, ordinal)) {
        Some(entry) => format!("automation, because {}", entry_text(entry, zone)),
        None => cause_text(run, zone),
    }
}

fn text<'a>(detail: Option<&'a Value>, name: &str) -> Option<&'a str> {
    detail?.get(name)?.as_str()
}

fn schedule_text(detail: Option<&Value>, zone: Tz) -> String {
    let Some(name) = text(detail, "schedule") else { return "schedule".to_owned() };
    let tick_at = text(detail, "tick_at").and_then(|at| at.parse::<DateTime<Utc>>().ok());
    let tick = tick_at.map_or_else(String::new, |at| format!(", tick of {}", instant_text(at, zone)));
    let by_hand = if text(detail, "kind") == Some("manual") { ", triggered by hand" } else { "" };
    format!("schedule {name}{tick}{by_hand}")
}

fn sensor_text(detail: Option<&Value>) -> String {
    let Some(name) = text(detail, "sensor") else { return "sensor".to_owned() };
    let key = text(detail, "run_key").map_or_else(String::new, |key| format!(", run key {key}"));
    format!("sensor {name}{key}")
}

fn automation_of(run: &RunRecord) -> Option<AutomationCause> {
    if run.cause != "automation" {
        return None;
    }
    AutomationCause::deserialize(run.cause_detail.as_ref()?).ok()
}

fn automation_text(cause: &AutomationCause, zone: Tz) -> String {
    let Some(first) = cause.entries.first() else { return "automation".to_owned() };
    let more = match cause.entries.len() - 1 + cause.omitted {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("automation: {} {}, because {}{more}", first.asset, first.partitions, entry_text(first, zone))
}

fn entry_text(entry: &CauseEntry, zone: Tz) -> String {
    if entry.missing {
        return "its window had ended and it was never built".to_owned();
    }
    let reasons: Vec<String> = entry.reasons.iter().map(|reason| reason_view(reason, zone).sentence).collect();
    reasons.join(" and ")
}
