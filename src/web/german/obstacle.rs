//! What keeps a partition waiting.

use chrono::{DateTime, Utc};

use super::German;
use crate::service::{Obstacle, PoolHolder};
use crate::web::page::Page;

impl German for Obstacle {
    fn german(&self, page: &Page) -> String {
        match self {
            Self::FailedUpstream { asset, partition, run_id, reason } => {
                let reason = reason.as_deref().unwrap_or("ein Grund ist nicht bekannt");
                format!("{asset} {partition} ist in Lauf {} fehlgeschlagen: {reason}", page.short(run_id))
            }
            Self::Canceling { run_id } => {
                format!("Ihr Lauf {} soll anhalten: Nichts davon beginnt mehr.", page.short(run_id))
            }
            Self::Paused { run_id, since } => {
                format!("Ihr Lauf {} ist seit {} pausiert.", page.short(run_id), page.instant(*since))
            }
            Self::Inputs { run_id, waits } => {
                let waits = waits.iter().map(|(key, partitions)| format!("{key} {}", partitions.german(page)));
                let waits = waits.collect::<Vec<_>>().join("; ");
                format!("Sie wartet auf das, was Lauf {} zuerst baut: {waits}.", page.short(run_id))
            }
            Self::Delay { at } => format!("Sie wird am {} erneut versucht.", page.instant(*at)),
            Self::SamePartition { run_id, since: at } => {
                format!("Lauf {} baut dieselbe Partition{}.", page.short(run_id), since(page, *at))
            }
            Self::PoolFull { pool, limit, holders, more } => {
                let told = holders.iter().map(|PoolHolder { asset, partition, run_id, since: at }| {
                    format!("{asset} {partition} (Lauf {}{})", page.short(run_id), since(page, *at))
                });
                let told = told.collect::<Vec<_>>().join(", ");
                let rest = if *more == 0 { String::new() } else { format!(" und {more} weitere") };
                let held = holders.len() + more;
                format!("Der Pool {pool} ist voll, {held} von {limit} zugleich. Belegt durch: {told}{rest}.")
            }
            Self::RunLimit { run_id, limit, running } => {
                let running = page.so_many(running, "läuft", "laufen");
                format!("Ihr Lauf {} führt höchstens {limit} zugleich aus, und {running}.", page.short(run_id))
            }
            Self::NoWorker { .. } => {
                "Kein Worker ist am Leben: Starte einen mit `up` oder `worker`, oder arbeite den Lauf von hier aus ab."
                    .to_owned()
            }
            Self::Busy { slots, workers: 1 } => format!("Alle {slots} Plätze des Workers sind belegt."),
            Self::Busy { slots, workers } => format!("Alle {slots} Plätze der {workers} Worker sind belegt."),
            Self::Queued { steps: 1, or_more: false } => "1 anderer Schritt kommt vor ihr an die Reihe.".to_owned(),
            Self::Queued { steps, or_more } => {
                let or_more = if *or_more { " oder mehr" } else { "" };
                format!("{steps}{or_more} andere Schritte kommen vor ihr an die Reihe.")
            }
        }
    }
}

fn since(page: &Page, at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(String::new, |at| format!(", seit {}", page.instant(at)))
}
