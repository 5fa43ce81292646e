//! A set of partitions as a person reads it.

use std::fmt;

/// How many ranges of a set of partitions are named.
const NAMED_RANGES: usize = 8;

/// A set of partitions as a person reads it: the first ranges by their keys, how many more there are, and the count.
///
/// Displayed, it is `2026-01-01..2026-03-05, 2026-03-07 (65 partitions)`, and the count alone where no range is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// The first eight ranges: `2026-01-01..2026-03-05, 2026-03-07`.
    pub named: String,
    /// How many further ranges there are.
    pub more: usize,
    /// How many partitions.
    pub count: u64,
}

impl Described {
    /// The set of `count` partitions in these ranges, each by its first and last key.
    pub fn new<K: fmt::Display + PartialEq>(mut ranges: impl ExactSizeIterator<Item = (K, K)>, count: u64) -> Self {
        let named = ranges.by_ref().take(NAMED_RANGES).map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}..{last}"),
        });
        let named = named.collect::<Vec<_>>().join(", ");
        Self { named, more: ranges.len(), count }
    }

    /// The ranges without the count; empty for no partitions.
    #[must_use]
    pub fn ranges(&self) -> String {
        match self.more {
            0 => self.named.clone(),
            1 => format!("{}, and 1 more range", self.named),
            more => format!("{}, and {more} more ranges", self.named),
        }
    }
}

impl fmt::Display for Described {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match self.count {
            0 => return formatter.write_str("no partitions"),
            1 => "1 partition".to_owned(),
            count => format!("{count} partitions"),
        };
        match self.named.is_empty() {
            true => formatter.write_str(&count),
            false => write!(formatter, "{} ({count})", self.ranges()),
        }
    }
}
