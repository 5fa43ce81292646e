//! Why a version is stale.

use super::German;
use crate::core::status::Staleness;
use crate::web::page::Page;

impl German for Staleness {
    fn german(&self, page: &Page) -> String {
        let rows = |count: &i64| page.so_many(count, "Zeile", "Zeilen");
        let verb = |count: &i64| if *count == 1 { "ist" } else { "sind" };
        match self {
            Self::Code => "ihre Definition hat sich geändert".to_owned(),
            Self::InputChanged { asset } => format!("{asset} hat sich geändert"),
            Self::PublishedEarly => "sie wurde vor Ende ihres Fensters gebaut".to_owned(),
            Self::IncompleteInputs => "sie wurde erzwungen, obwohl Eingaben fehlten".to_owned(),
            Self::LateRows { asset, rows: came, removed: went, since, writers } => {
                let (since, writers) = (page.instant(*since), writers.join(", "));
                match (came, went) {
                    (0, 0) => format!("{asset} ist seit {since} als geändert markiert, von {writers}"),
                    (_, 0) => format!(
                        "{} {} seit {since} in {asset} eingetroffen, geschrieben von {writers}",
                        rows(came),
                        verb(came)
                    ),
                    (0, _) => format!(
                        "{} {} seit {since} aus {asset} verschwunden, entfernt von {writers}",
                        rows(went),
                        verb(went)
                    ),
                    _ => format!(
                        "seit {since} {} {} in {asset} eingetroffen und {} daraus verschwunden, geschrieben von {writers}",
                        verb(came),
                        rows(came),
                        rows(went)
                    ),
                }
            }
        }
    }
}
