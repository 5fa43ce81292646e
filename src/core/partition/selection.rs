//! Selections of partitions as people write and read them: `2026-01-01..2026-03-05, 2026-03-07`.

use chrono::{DateTime, Utc};

use super::calendar_text::CalendarText;
use super::keys::malformed;
use super::{Described, Ordinal, PartitionError, PartitionsDefinition};
use crate::core::key::PartitionKey;
use crate::core::subset::PartitionSubset;

impl PartitionsDefinition {
    /// The partitions that a text selects, among those that have begun at `now`.
    ///
    /// A comma-separated list of
    /// - `KEY`;
    /// - `A..B`, both included; `A..` up to the newest that has begun; `..B` from the first;
    /// - `latest`, the newest that has ended.
    ///
    /// A key of a coarser cadence stands for all it covers, so `2026-03` and `2026` are good for days; what it covers
    /// before the start, after the end and in the future is left out. Ranges of static partitions go by their order.
    ///
    /// # Errors
    /// A sentence about the item that cannot be: everything that [`ordinal`](Self::ordinal) refuses, a range that ends
    /// before it begins, a key that has not begun yet, an empty item.
    pub fn parse_selection(&self, text: &str, now: DateTime<Utc>) -> Result<PartitionSubset, PartitionError> {
        let mut selected = PartitionSubset::empty();
        for item in text.split(',').map(str::trim) {
            selected = selected.union(&self.parse_item(text, item, now)?);
        }
        Ok(selected)
    }

    fn parse_item(&self, text: &str, item: &str, now: DateTime<Utc>) -> Result<PartitionSubset, PartitionError> {
        let nothing_selected = || {
            let (first, newest) = (self.first(), self.existing(now).last().unwrap_or(self.first()));
            let example = self.describe_ranges(&PartitionSubset::from_range(first, newest));
            PartitionError::NothingSelected { text: text.to_owned(), example }
        };
        if item.is_empty() {
            return Err(nothing_selected());
        }
        let Some((from, to)) = item.split_once("..") else {
            // A static list may have a key of this name.
            if item == "latest" && self.static_keys().is_none() {
                return self.latest(now);
            }
            let (first, last) = self.span(item, now)?;
            return Ok(self.range(first, last));
        };
        let (from, to) = (from.trim(), to.trim());
        let first = if from.is_empty() { None } else { Some(self.span(from, now)?.0) };
        let last = if to.is_empty() { None } else { Some(self.span(to, now)?.1) };
        match (first, last) {
            (None, None) => Err(nothing_selected()),
            (Some(first), Some(last)) if first > last => {
                Err(PartitionError::Reversed { text: item.to_owned(), swapped: format!("{to}..{from}") })
            }
            (first, last) => Ok(self.existing(now).clip(first.unwrap_or(Ordinal::MIN), last.unwrap_or(Ordinal::MAX))),
        }
    }

    fn latest(&self, now: DateTime<Utc>) -> Result<PartitionSubset, PartitionError> {
        let latest = self.closed(now).last().map(PartitionSubset::single);
        latest.ok_or_else(|| PartitionError::NoneClosed { first: self.key(self.first()) })
    }

    /// The first and last of the existing partitions that one key, or a coarser one, stands for.
    fn span(&self, text: &str, now: DateTime<Utc>) -> Result<(Ordinal, Ordinal), PartitionError> {
        let Self::Time(partitions) = self else {
            let ordinal = match self {
                Self::Static(partitions) => partitions.position(text)?,
                _ => self.ordinal(&text.parse::<PartitionKey>()?)?,
            };
            return Ok((ordinal, ordinal));
        };
        let parsed = CalendarText::parse(text)?;
        let (first, last) = match partitions.exact(text, parsed)? {
            Some(ordinal) => (ordinal, ordinal),
            None => partitions.covered(parsed).ok_or_else(|| malformed(text, partitions.cadence))?,
        };
        // One end in reach is enough for a coarser key.
        partitions.within(text, last.min(partitions.last).max(first))?;
        partitions.within(text, first.max(partitions.first).min(last))?;
        let Some(newest) = self.existing(now).last() else {
            return Err(PartitionError::NoneBegun { first: self.key(self.first()) });
        };
        if first > newest {
            return Err(PartitionError::NotBegun { text: text.to_owned(), newest: self.key(newest) });
        }
        Ok((first.max(partitions.first), last.min(newest)))
    }

    /// The subset as a person reads it, `2026-01-01..2026-03-05, 2026-03-07 (65 partitions)`; after eight ranges it
    /// says how many more there are.
    #[must_use]
    pub fn describe(&self, subset: &PartitionSubset) -> String {
        self.described(subset).to_string()
    }

    /// The same without the count; empty for no partitions.
    #[must_use]
    pub fn describe_ranges(&self, subset: &PartitionSubset) -> String {
        self.described(subset).ranges()
    }

    /// What [`Self::describe`] says, for whoever words it otherwise.
    #[must_use]
    pub fn described(&self, subset: &PartitionSubset) -> Described {
        let ranges = subset.ranges().iter().map(|&(first, last)| (self.key(first), self.key(last)));
        Described::new(ranges, subset.len())
    }
}
