//! Sets of partitions.

use super::German;
use crate::core::partition::{Described, PartitionsDefinition};
use crate::core::subset::PartitionSubset;
use crate::service::PartitionsView;
use crate::web::page::{Language, Page};

impl German for Described {
    fn german(&self, page: &Page) -> String {
        let count = match self.count {
            0 => return "keine Partitionen".to_owned(),
            1 => "1 Partition".to_owned(),
            count => format!("{count} Partitionen"),
        };
        match self.named.is_empty() {
            true => count,
            false => format!("{} ({count})", page.ranges_of(self)),
        }
    }
}

impl Page {
    /// A set of partitions, in words.
    pub(crate) fn partitions(&self, view: &PartitionsView) -> String {
        match self.language {
            Language::English => view.text.clone(),
            Language::German => {
                let ranges = view.ranges.iter().map(|range| (&range.first, &range.last));
                Described::new(ranges, view.count).german(self)
            }
        }
    }

    /// The partitions `subset` of `definition`, in words.
    pub(crate) fn partitions_of(&self, definition: &PartitionsDefinition, subset: &PartitionSubset) -> String {
        self.told(&definition.described(subset).into())
    }

    /// The ranges of a set in German, without the count.
    pub(super) fn ranges_of(&self, set: &Described) -> String {
        match set.more {
            0 => set.named.clone(),
            1 => format!("{} und 1 weiterer Bereich", set.named),
            more => format!("{} und {more} weitere Bereiche", set.named),
        }
    }
}
