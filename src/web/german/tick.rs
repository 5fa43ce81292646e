//! What becomes of a tick.

use super::German;
use crate::daemon::tick::TickMessage;
use crate::web::page::Page;

impl German for TickMessage {
    fn german(&self, page: &Page) -> String {
        match self {
            Self::Problem(problem) => problem.clone(),
            Self::NothingToDo => {
                "nichts zu tun: Was er bauen würde, ist da, und nichts, woraus es gemacht ist, hat sich geändert"
                    .to_owned()
            }
            Self::Withheld { told, more, selection } => {
                let told = told.iter().map(|((key, partitions), missing)| {
                    let missing = missing.iter().map(|(key, partitions)| format!("{key} {}", partitions.german(page)));
                    let missing = missing.collect::<Vec<_>>().join(" und ");
                    format!("{key} {} braucht {missing}", partitions.german(page))
                });
                let told = told.collect::<Vec<_>>().join("; ");
                let more = if *more == 0 { String::new() } else { format!("; und {more} weitere") };
                let remedy = format!("`backfill '{selection}' --missing` baut, was fehlt");
                format!("nicht gebaut, weil etwas fehlt: {told}{more}. {remedy}")
            }
        }
    }
}
