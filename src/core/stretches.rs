//! What holds of each partition, kept as ranges: a thousand partitions that are stale for one reason are one entry.

use std::collections::BTreeMap;

use crate::core::partition::Ordinal;
use crate::core::subset::PartitionSubset;

/// A value for each of some partitions: sorted ranges that do not overlap, neighbours with equal values joined.
///
/// Two of them that say the same of the same partitions are equal. Operations cost time in the number of ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretches<T> {
    ranges: Vec<(Ordinal, Ordinal, T)>,
}

impl<T> Default for Stretches<T> {
    fn default() -> Self {
        Self { ranges: Vec::new() }
    }
}

impl<T: Clone + PartialEq> Stretches<T> {
    /// Adds a range that begins after the end of the last one.
    fn append(&mut self, first: Ordinal, last: Ordinal, value: T) {
        match self.ranges.last_mut() {
            Some(previous) if previous.1.saturating_add(1) == first && previous.2 == value => previous.1 = last,
            _ => self.ranges.push((first, last, value)),
        }
    }

    /// The same with what `other` says of `subset`; what it says of other partitions is not taken.
    #[must_use]
    pub fn replaced(&self, subset: &PartitionSubset, other: &Self) -> Self {
        let mut ranges: Vec<(Ordinal, Ordinal, T)> = Vec::with_capacity(self.ranges.len() + other.ranges.len());
        for (first, last, value) in &self.ranges {
            let kept = PartitionSubset::from_range(*first, *last).difference(subset);
            ranges.extend(kept.ranges().iter().map(|&(first, last)| (first, last, value.clone())));
        }
        for (first, last, value) in &other.ranges {
            let taken = subset.clip(*first, *last);
            ranges.extend(taken.ranges().iter().map(|&(first, last)| (first, last, value.clone())));
        }
        ranges.sort_by_key(|&(first, ..)| first);
        let mut joined = Self { ranges: Vec::with_capacity(ranges.len()) };
        for (first, last, value) in ranges {
            joined.append(first, last, value);
        }
        joined
    }
}

impl<T> Stretches<T> {
    /// What is said of a partition.
    #[must_use]
    pub fn get(&self, ordinal: Ordinal) -> Option<&T> {
        let index = self.ranges.partition_point(|&(_, last, _)| last < ordinal);
        self.ranges.get(index).filter(|&&(first, ..)| first <= ordinal).map(|(_, _, value)| value)
    }

    /// The partitions that something is said of.
    #[must_use]
    pub fn partitions(&self) -> PartitionSubset {
        PartitionSubset::from_ranges(self.ranges.iter().map(|&(first, last, _)| (first, last)))
    }

    /// Whether nothing is said of any.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, ascending, both ends included, with what is said of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Ordinal, Ordinal, &T)> {
        self.ranges.iter().map(|(first, last, value)| (*first, *last, value))
    }
}

impl<T: Clone + PartialEq> From<BTreeMap<Ordinal, T>> for Stretches<T> {
    fn from(values: BTreeMap<Ordinal, T>) -> Self {
        let mut stretches = Self::default();
        for (ordinal, value) in values {
            stretches.append(ordinal, ordinal, value);
        }
        stretches
    }
}
