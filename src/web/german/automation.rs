//! What automation makes of a partition.

use chrono::TimeDelta;

use super::German;
use crate::core::automation::{Condition, Met};
use crate::core::partition::Cadence;
use crate::core::policy::Automation;
use crate::daemon::automation::Finding;
use crate::web::page::Page;

impl German for Automation {
    fn german(&self, _: &Page) -> String {
        in_short(self)
    }
}

fn in_short(automation: &Automation) -> String {
    let several = |parts: &[Automation], word: &str| parts.iter().map(in_short).collect::<Vec<_>>().join(word);
    match automation {
        Automation::Manual => "nur auf Anforderung".to_owned(),
        Automation::Cron(expression) => format!("cron {expression}"),
        Automation::Eager { .. } => "eager".to_owned(),
        Automation::OnClose { .. } => "on close".to_owned(),
        Automation::Any(parts) => several(parts, " oder "),
        Automation::All(parts) => several(parts, " und "),
    }
}

impl German for Finding {
    fn german(&self, _: &Page) -> String {
        let text = match self {
            Self::External => "sie wird von außen gefüllt",
            Self::Manual => "sie wird nur auf Anforderung gebaut",
            Self::NotEnded => "nicht fällig: Ihr Fenster ist noch offen",
            Self::Fresh => "nichts zu tun: Seit sie gebaut wurde, hat sich nichts geändert, was sie liest",
            Self::Due => "fällig: Sie wird beim nächsten Durchgang gestartet",
            Self::DueIncomplete => "fällig: Sie wird mit dem gestartet, was da ist",
            Self::NotYet => "noch nicht fällig",
            Self::InProgress => "in Arbeit: Ein Lauf soll sie bauen",
            Self::Waiting => "wartet auf eine Änderung",
        };
        text.to_owned()
    }
}

impl German for Condition {
    fn german(&self, page: &Page) -> String {
        match self {
            Self::Lacking { asset, cadence, required, lacking } => {
                let (one, several) = match cadence {
                    Some(Cadence::Hourly) => ("Stunde", "Stunden"),
                    Some(Cadence::Daily) => ("Tag", "Tagen"),
                    Some(Cadence::Weekly) => ("Woche", "Wochen"),
                    Some(Cadence::Monthly) => ("Monat", "Monaten"),
                    None => ("Partition", "Partitionen"),
                };
                let noun = if *required == 1 { one } else { several };
                let ranges = page.ranges_of(lacking);
                format!("wartet auf {} von {required} {noun} von {asset}: {ranges}", lacking.count)
            }
            Self::Enough(1) => "1 von jedem, was sie liest, genügt".to_owned(),
            Self::Enough(count) => format!("{count} von jedem, was sie liest, genügen"),
            Self::Manual => "manual: Sie wird nur auf Anforderung gebaut".to_owned(),
            Self::Cron { expression, met } => format!("cron `{expression}` {}", met.german(page)),
            Self::Eager { debounce, met, changed_at } => {
                let newest = changed_at
                    .map_or_else(String::new, |at| format!("; die neueste Änderung kam am {}", page.instant(at)));
                format!("eager (nach {} ohne Änderung) {}{newest}", length(page, *debounce), met.german(page))
            }
            Self::OnClose { grace, met } => {
                format!("on_close ({} nach dem Ende des Fensters) {}", length(page, *grace), met.german(page))
            }
            Self::BuiltBefore => "on_close gilt dem ersten Bau, und den gab es schon".to_owned(),
            Self::AnyOf(condition) => format!("eines von: {}", condition.german(page)),
            Self::AllOf(condition) => format!("alles von: {}", condition.german(page)),
        }
    }
}

impl German for Met {
    fn german(&self, page: &Page) -> String {
        match self {
            Self::Now => "ist erfüllt".to_owned(),
            Self::At(instant) => format!("wird am {} erfüllt", page.instant(*instant)),
            Self::OnChange => "wartet auf eine Änderung".to_owned(),
            Self::OnChangeSinceFailure => {
                "wartet auf eine Änderung: Seit der letzte Schritt fehlschlug, hat sich nichts geändert".to_owned()
            }
        }
    }
}

fn length(page: &Page, length: TimeDelta) -> String {
    page.duration(length.num_seconds())
}
