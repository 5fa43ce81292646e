//! States in the language of the page. Their classes are those of the style sheet, everywhere the same.

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

/// How something stands, as the state names it: a run, a step, a check, a schedule, an alert.
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
        "empty" => page.t("empty", "leer"),
        "external" => page.t("external", "von außen"),
        "not due" => page.t("not due", "nicht fällig"),
        "pass" => page.t("kept", "eingehalten"),
        "warn" => page.t("due soon", "bald fällig"),
        "fail" => page.t("broken", "verletzt"),
        "unknown" => page.t("unknown", "unbekannt"),
        "on" => page.t("on", "an"),
        "retired" => page.t("retired", "abgelöst"),
        "failing" => page.t("failing", "schlägt fehl"),
        "launched" => page.t("launched", "gestartet"),
        "requested" => page.t("requested", "angefordert"),
        "nothing" => page.t("nothing to do", "nichts zu tun"),
        "idle" => page.t("idle", "frei"),
        "stopping" => page.t("stopping", "beendet sich"),
        "dead" => page.t("dead", "tot"),
        "waiting" => page.t("waiting", "wartet"),
        "delivered" => page.t("delivered", "zugestellt"),
        "given_up" => page.t("given up", "aufgegeben"),
        "released" => page.t("released", "freigegeben"),
        "discarded" => page.t("discarded", "verworfen"),
        "open" => page.t("open", "offen"),
        "over" => page.t("over", "vorbei"),
        "warning" => page.t("warning", "Warnung"),
        "error" => page.t("error", "Fehler"),
        word => word,
    }
}

/// The class of a state's badge.
pub(crate) fn state_class(word: &str) -> &'static str {
    match word {
        "succeeded" | "fresh" | "external" | "pass" | "passed" | "on" | "launched" | "idle" | "delivered"
        | "released" | "over" => "state-fresh",
        "running" | "canceling" | "requested" => "state-running",
        "queued" | "waiting" | "ready" | "pending" => "state-queued",
        "failed" | "failing" | "blocked" | "lost" | "fail" | "dead" | "given_up" | "error" => "state-failed",
        "paused" | "stopping" | "warn" | "warning" | "late" | "open" => "state-late",
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
        "backfill" => page.t("backfill", "Backfill"),
        "retry" => page.t("retry", "Wiederholung"),
        "schedule" => page.t("schedule", "Zeitplan"),
        "automation" => page.t("automation", "Automatik"),
        "sensor" => page.t("sensor", "Sensor"),
        word => word,
    }
}

/// By what somebody was known.
pub(crate) fn via<'a>(page: &Page, word: &'a str) -> &'a str {
    match word {
        "command_line" => page.t("command line", "Befehlszeile"),
        "local" => page.t("this machine", "diese Maschine"),
        "session" => page.t("session", "Sitzung"),
        "token" => page.t("token", "Token"),
        "login" => page.t("login", "Anmeldung"),
        word => word,
    }
}

/// The beginning of a hash, which is enough to compare two.
pub(crate) fn short_hash(hash: &str) -> &str {
    hash.get(..10).unwrap_or(hash)
}
