//! What is wrong with a process.

use super::German;
use crate::service::HealthProblem;
use crate::web::page::Page;

impl German for HealthProblem {
    fn german(&self, page: &Page) -> String {
        let since = |seconds: &i64| page.duration(*seconds);
        match self {
            Self::Said(text) => text.clone(),
            Self::Untold => "nicht in Ordnung".to_owned(),
            Self::NotRegistered => {
                "dieser Prozess ist nicht angemeldet: Seine Schritte, falls er welche hatte, haben nun andere"
                    .to_owned()
            }
            Self::LeaseOver(seconds) => format!("seine Frist ist seit {} abgelaufen", since(seconds)),
            Self::NobodyLeads => "kein Prozess führt: Nirgends läuft ein Abgleicher".to_owned(),
            Self::LeaderLeaseOver(seconds) => {
                format!("die Frist des führenden Prozesses ist seit {} abgelaufen", since(seconds))
            }
            Self::NeverRan => "er lief noch nie".to_owned(),
            Self::NeverSucceeded(error) => format!("er war noch nie erfolgreich: {error}"),
            Self::Overdue { age, interval, error } => {
                let error = error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
                let interval = page.span_of(interval);
                format!("er war zuletzt vor {} erfolgreich und sollte es alle {interval} sein{error}", since(age))
            }
        }
    }
}
