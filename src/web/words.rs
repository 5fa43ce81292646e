//! States in the language of the page. Their classes are those of the style sheet, everywhere the same.

use uuid::Uuid;

use super::page::Page;
use crate::service::{AssetCondition, HeatState};

/// How an asset is doing.
pub(crate) fn condition(page: &Page, condition: AssetCondition) -> &'static str {
    match condition {
        AssetCondition::Failing => page.t("failing", "fehlerhaft"),
        AssetCondition::Late => page.t("late", "verspätet"),
        AssetCondition::Running => page.t("running", "läuft"),
        AssetCondition::Never => page.t("never", "noch nie"),
        AssetCondition::Missing => page.t("missing", "fehlt"),
        AssetCondition::Stale => page.t("stale", "veraltet"),
        AssetCondition::Fresh => page.t("fresh", "frisch"),
    }
}

/// The class of a condition's badge.
pub(crate) fn condition_class(condition: AssetCondition) -> &'static str {
    match condition {
        AssetCondition::Failing => "state-failed",
        AssetCondition::Late => "state-late",
        AssetCondition::Running => "state-running",
        AssetCondition::Never => "state-empty",
        AssetCondition::Missing => "state-missing",
        AssetCondition::Stale => "state-stale",
        AssetCondition::Fresh => "state-fresh",
    }
}

/// The sign beside a condition's colour, as the style sheet gives it to badges.
pub(crate) fn condition_sign(condition: AssetCondition) -> &'static str {
    match condition {
        AssetCondition::Failing => "✕",
        AssetCondition::Late => "◔",
        AssetCondition::Running => "▶",
        AssetCondition::Never => "–",
        AssetCondition::Missing => "○",
        AssetCondition::Stale => "◐",
        AssetCondition::Fresh => "●",
    }
}

/// How a partition stands.
pub(crate) fn heat(page: &Page, state: HeatState) -> &'static str {
    match state {
        HeatState::Failed => page.t("failed", "fehlgeschlagen"),
        HeatState::Missing => page.t("missing", "fehlt"),
        HeatState::Stale => page.t("stale", "veraltet"),
        HeatState::Running => page.t("running", "läuft"),
        HeatState::Queued => page.t("queued", "wartet"),
        HeatState::Open => page.t("provisional", "vorläufig"),
        HeatState::Fresh => page.t("fresh", "frisch"),
        HeatState::Landed => page.t("landed", "eingetroffen"),
        HeatState::Empty => page.t("nothing expected", "nichts erwartet"),
    }
}

/// The state of a run, step, attempt, partition or check, as the state names it.
pub(crate) fn state<'a>(page: &Page, word: &'a str) -> &'a str {
    match word {
        "queued" => page.t("queued", "wartet"),
        "running" => page.t("running", "läuft"),
        "paused" => page.t("paused", "pausiert"),
        "canceling" => page.t("canceling", "wird abgebrochen"),
        "succeeded" => page.t("succeeded", "gelungen"),
        "failed" => page.t("failed", "fehlgeschlagen"),
        "canceled" => page.t("canceled", "abgebrochen"),
        "pending" => page.t("pending", "wartet auf andere"),
        "ready" => page.t("ready", "bereit"),
        "skipped" => page.t("skipped", "übersprungen"),
        "blocked" => page.t("blocked", "blockiert"),
        "lost" => page.t("lost", "verloren"),
        "fresh" => page.t("fresh", "frisch"),
        "stale" => page.t("stale", "veraltet"),
        "missing" => page.t("missing", "fehlt"),
        "external" => page.t("external", "von außen"),
        "not due" => page.t("not due", "nicht fällig"),
        "pass" => page.t("kept", "eingehalten"),
        "warn" => page.t("due soon", "bald fällig"),
        "fail" => page.t("broken", "verletzt"),
        "unknown" => page.t("unknown", "unbekannt"),
        word => word,
    }
}

/// The class of a state's badge.
pub(crate) fn state_class(word: &str) -> &'static str {
    match word {
        "succeeded" | "fresh" | "external" | "pass" | "passed" => "state-fresh",
        "running" | "canceling" => "state-running",
        "queued" | "ready" | "pending" => "state-queued",
        "failed" | "blocked" | "lost" | "fail" => "state-failed",
        "paused" | "warn" | "late" => "state-late",
        "stale" => "state-stale",
        "missing" => "state-missing",
        _ => "state-empty",
    }
}

/// How an asset is partitioned, in one word.
pub(crate) fn partitioned<'a>(page: &Page, word: &'a str) -> &'a str {
    match word {
        "hourly" => page.t("hourly", "stündlich"),
        "daily" => page.t("daily", "täglich"),
        "weekly" => page.t("weekly", "wöchentlich"),
        "monthly" => page.t("monthly", "monatlich"),
        "static" => page.t("static", "feste Liste"),
        "unpartitioned" => page.t("unpartitioned", "unpartitioniert"),
        word => word,
    }
}

/// Why there is a run, in one word.
pub(crate) fn cause<'a>(page: &Page, word: &'a str) -> &'a str {
    match word {
        "manual" => page.t("by hand", "von Hand"),
        "backfill" => "Backfill",
        "retry" => page.t("retry", "Wiederholung"),
        "schedule" => page.t("schedule", "Zeitplan"),
        "automation" => page.t("automation", "Automatik"),
        "sensor" => "Sensor",
        word => word,
    }
}

/// The end of an id, by which people name it.
pub(crate) fn short_id(id: &Uuid) -> String {
    let text = id.simple().to_string();
    text.get(text.len() - 8..).unwrap_or_default().to_owned()
}

/// The beginning of a hash, which is enough to compare two.
pub(crate) fn short_hash(hash: &str) -> &str {
    shortened(hash, 10)
}

/// The text, or its first characters.
pub(crate) fn shortened(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

/// JSON for people, its first characters.
pub(crate) fn json(value: &serde_json::Value, characters: usize) -> String {
    shortened(&serde_json::to_string_pretty(value).unwrap_or_default(), characters).to_owned()
}
