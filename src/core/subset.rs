//! Sets of partitions, kept as ranges: a year of days is one pair of numbers.

use std::cmp::{max, min};

use serde::{Deserialize, Serialize};

use crate::core::partition::Ordinal;

/// A set of partitions of one asset: sorted inclusive ranges of [`Ordinal`]s that neither overlap nor touch.
///
/// Two subsets with the same members are equal. Every operation costs time in the number of *ranges*, not of
/// partitions. In JSON it is the list of its ranges, `[[20500, 20506], [20510, 20510]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<(Ordinal, Ordinal)>", into = "Vec<(Ordinal, Ordinal)>")]
pub struct PartitionSubset {
    ranges: Vec<(Ordinal, Ordinal)>,
}

impl PartitionSubset {
    /// The set without members.
    #[must_use]
    pub const fn empty() -> Self {
        Self { ranges: Vec::new() }
    }

    /// All from `first` to `last`, both included; empty when `last` is before `first`.
    #[must_use]
    pub fn from_range(first: Ordinal, last: Ordinal) -> Self {
        if first > last { Self::empty() } else { Self { ranges: vec![(first, last)] } }
    }

    /// The set of one member.
    #[must_use]
    pub fn single(ordinal: Ordinal) -> Self {
        Self::from_range(ordinal, ordinal)
    }

    /// The union of inclusive ranges in any order; those that end before they begin count for nothing.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = (Ordinal, Ordinal)>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        sorted.sort_unstable();
        let mut set = Self::empty();
        for range in sorted {
            set.append(range);
        }
        set
    }

    /// The set of these members, in any order and as often as they like.
    #[must_use]
    pub fn from_ordinals(ordinals: impl IntoIterator<Item = Ordinal>) -> Self {
        Self::from_ranges(ordinals.into_iter().map(|ordinal| (ordinal, ordinal)))
    }

    /// Adds a range that begins at or after the beginning of the last one.
    fn append(&mut self, (first, last): (Ordinal, Ordinal)) {
        match self.ranges.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = max(previous.1, last),
            _ => self.ranges.push((first, last)),
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.ranges.as_slice(), other.ranges.as_slice());
        let mut set = Self { ranges: Vec::with_capacity(left.len() + right.len()) };
        loop {
            let next = match (left.split_first(), right.split_first()) {
                (Some((range, rest)), None) => {
                    left = rest;
                    range
                }
                (Some((range, rest)), Some((opposite, _))) if range <= opposite => {
                    left = rest;
                    range
                }
                (_, Some((range, rest))) => {
                    right = rest;
                    range
                }
                (None, None) => return set,
            };
            set.append(*next);
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { ranges: common_ranges(&self.ranges, &other.ranges).collect() }
    }

    /// Whether anything is in both.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        common_ranges(&self.ranges, &other.ranges).next().is_some()
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len());
        let mut removed = other.ranges.as_slice();
        'ranges: for &(mut first, last) in &self.ranges {
            while let Some((&(removed_first, removed_last), rest)) = removed.split_first() {
                if removed_last < first {
                    removed = rest;
                    continue;
                }
                if removed_first > last {
                    break;
                }
                if removed_first > first {
                    ranges.push((first, removed_first - 1));
                }
                if removed_last >= last {
                    continue 'ranges;
                }
                first = removed_last + 1;
            }
            ranges.push((first, last));
        }
        Self { ranges }
    }

    /// The members from `first` to `last`, both included.
    #[must_use]
    pub fn clip(&self, first: Ordinal, last: Ordinal) -> Self {
        self.intersection(&Self::from_range(first, last))
    }

    /// Whether `ordinal` is a member.
    #[must_use]
    pub fn contains(&self, ordinal: Ordinal) -> bool {
        let index = self.ranges.partition_point(|&(_, last)| last < ordinal);
        self.ranges.get(index).is_some_and(|&(first, _)| first <= ordinal)
    }

    /// How many members there are; `u64::MAX` for the one set that has more, that of all ordinals.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges
            .iter()
            .fold(0, |sum: u64, &(first, last)| sum.saturating_add(last.abs_diff(first)).saturating_add(1))
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The smallest member.
    #[must_use]
    pub fn first(&self) -> Option<Ordinal> {
        self.ranges.first().map(|&(first, _)| first)
    }

    /// The largest member.
    #[must_use]
    pub fn last(&self) -> Option<Ordinal> {
        self.ranges.last().map(|&(_, last)| last)
    }

    /// The smallest `count` members.
    #[must_use]
    pub fn first_members(&self, count: u64) -> Self {
        let mut left = count;
        let mut ranges = Vec::new();
        for &(first, last) in &self.ranges {
            if left == 0 {
                break;
            }
            let taken = last.abs_diff(first).saturating_add(1).min(left);
            ranges.push((first, first.saturating_add_unsigned(taken - 1)));
            left -= taken;
        }
        Self { ranges }
    }

    /// The ranges, ascending, both ends included.
    #[must_use]
    pub fn ranges(&self) -> &[(Ordinal, Ordinal)] {
        &self.ranges
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Ordinal> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }
}

/// The common parts of two sorted lists of ranges. They neither overlap nor touch, as the lists themselves do not.
fn common_ranges<'a>(
    mut left: &'a [(Ordinal, Ordinal)],
    mut right: &'a [(Ordinal, Ordinal)],
) -> impl Iterator<Item = (Ordinal, Ordinal)> + 'a {
    std::iter::from_fn(move || {
        while let (Some((&(left_first, left_last), left_rest)), Some((&(right_first, right_last), right_rest))) =
            (left.split_first(), right.split_first())
        {
            if left_last < right_last {
                left = left_rest;
            } else {
                right = right_rest;
            }
            let common = (max(left_first, right_first), min(left_last, right_last));
            if common.0 <= common.1 {
                return Some(common);
            }
        }
        None
    })
}

impl FromIterator<Ordinal> for PartitionSubset {
    fn from_iter<I: IntoIterator<Item = Ordinal>>(ordinals: I) -> Self {
        Self::from_ordinals(ordinals)
    }
}

impl From<Vec<(Ordinal, Ordinal)>> for PartitionSubset {
    fn from(ranges: Vec<(Ordinal, Ordinal)>) -> Self {
        Self::from_ranges(ranges)
    }
}

impl From<PartitionSubset> for Vec<(Ordinal, Ordinal)> {
    fn from(subset: PartitionSubset) -> Self {
        subset.ranges
    }
}
