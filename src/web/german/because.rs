//! Why there is a run.

use super::German;
use crate::service::{Because, Matter};
use crate::web::page::Page;
use crate::web::words;

impl German for Because {
    fn german(&self, page: &Page) -> String {
        match self {
            Self::Kind(kind) => words::cause(page, kind).to_owned(),
            Self::Backfill(id) => format!("Backfill {}", page.short(id)),
            Self::RetryOf(id) => format!("Wiederholung von Lauf {}", page.short(id)),
            Self::Schedule { name, tick_at, by_hand } => {
                let tick = tick_at.map_or_else(String::new, |at| format!(", Tick vom {}", page.instant(at)));
                format!("Zeitplan {name}{tick}{}", if *by_hand { ", von Hand ausgelöst" } else { "" })
            }
            Self::Sensor { name, run_key } => {
                let key = run_key.as_ref().map_or_else(String::new, |key| format!(", Laufschlüssel {key}"));
                format!("Sensor {name}{key}")
            }
            Self::Automation { asset, partitions, matter, more } => {
                let more = if *more == 0 { String::new() } else { format!("; und {more} weitere") };
                format!("Automatik: {asset} {partitions}, denn {}{more}", matter.german(page))
            }
            Self::Automated(matter) => format!("Automatik, denn {}", matter.german(page)),
        }
    }
}

impl German for Matter {
    fn german(&self, page: &Page) -> String {
        match self {
            Self::Missing => "ihr Fenster war vorbei, und sie wurde nie gebaut".to_owned(),
            Self::Stale(reasons) => reasons.iter().map(|reason| reason.german(page)).collect::<Vec<_>>().join(", und "),
        }
    }
}
