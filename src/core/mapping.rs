//! Which upstream partitions a partition reads.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::key::PartitionKey;
use crate::core::partition::{Ordinal, PartitionsDefinition, TimePartitions};
use crate::core::subset::PartitionSubset;
use crate::core::time::TimeWindow;

/// Which partitions of an upstream asset one partition of the asset downstream reads.
///
/// `Overlap` and `Window` are fixed by the two definitions alone, so they may name partitions that have not begun yet;
/// `All` and `Latest` depend on the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionMapping {
    /// Those that have an instant in common with it, across cadences and zones; of static partitions the one with the
    /// same key; where either side is unpartitioned, all that exist.
    #[default]
    Overlap,
    /// From `start` partitions after the first overlapping one to `end` partitions after the last (negative: before);
    /// `Window { start: -6, end: 0 }` of days is a week. `i64::MIN` means since the beginning. Days that the zone skipped
    /// are counted. The upstream's start and end clip the window.
    Window {
        /// Added to the number of the first overlapping partition.
        start: i64,
        /// Added to the number of the last overlapping partition.
        end: i64,
    },
    /// All that have begun.
    All,
    /// The newest that has ended; of static partitions, which do not end, the last in the list.
    Latest,
}

impl fmt::Display for PartitionMapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap => formatter.write_str("overlap"),
            Self::Window { start: Ordinal::MIN, end } => write!(formatter, "window(beginning, {end})"),
            Self::Window { start, end } => write!(formatter, "window({start}, {end})"),
            Self::All => formatter.write_str("all"),
            Self::Latest => formatter.write_str("latest"),
        }
    }
}

/// Why a mapping cannot be between two definitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Instants on one side, keys on the other.
    #[error(
        "{downstream} partitions do not overlap {upstream} ones: say which upstream partitions are read, with the \
         mapping `All` or `Latest`"
    )]
    NothingInCommon {
        /// The kind of partitions downstream.
        downstream: &'static str,
        /// The kind of partitions upstream.
        upstream: &'static str,
    },
    /// A static key without an equal upstream.
    #[error("the partition `{key}` has no upstream partition of the same key: add it there, or use the mapping `All`")]
    KeyMissingUpstream {
        /// The key.
        key: PartitionKey,
    },
    /// Offsets need an order in time on both sides.
    #[error("{mapping} needs time partitions on both sides, not {downstream} ones over {upstream} ones")]
    WindowWithoutTime {
        /// The mapping.
        mapping: PartitionMapping,
        /// The kind of partitions downstream.
        downstream: &'static str,
        /// The kind of partitions upstream.
        upstream: &'static str,
    },
    /// A window that no partition is in.
    #[error("window({start}, {end}) ends before it begins: the first offset must not be greater than the second")]
    WindowReversed {
        /// The first offset.
        start: i64,
        /// The second offset.
        end: i64,
    },
    /// Static partitions have no newest one.
    #[error("static partitions have no latest one: use the mapping `Overlap` or `All`")]
    LatestOfStatic,
}

impl PartitionMapping {
    /// Whether the mapping makes sense between these definitions.
    ///
    /// # Errors
    /// The reason why it does not, with the remedy.
    pub fn validate(
        &self,
        downstream: &PartitionsDefinition,
        upstream: &PartitionsDefinition,
    ) -> Result<(), MappingError> {
        use PartitionsDefinition::{Static, Time};
        let kinds = (downstream.as_str(), upstream.as_str());
        match (self, downstream, upstream) {
            (Self::Overlap, Time(_), Static(_)) | (Self::Overlap, Static(_), Time(_)) => {
                Err(MappingError::NothingInCommon { downstream: kinds.0, upstream: kinds.1 })
            }
            (Self::Overlap, Static(keys), Static(_)) => {
                match keys.keys().iter().find(|key| upstream.ordinal(key).is_err()) {
                    Some(key) => Err(MappingError::KeyMissingUpstream { key: key.clone() }),
                    None => Ok(()),
                }
            }
            (&Self::Window { start, end }, Time(_), Time(_)) if start > end => {
                Err(MappingError::WindowReversed { start, end })
            }
            (Self::Window { .. }, Time(_), Time(_)) => Ok(()),
            (Self::Window { .. }, _, _) => {
                Err(MappingError::WindowWithoutTime { mapping: *self, downstream: kinds.0, upstream: kinds.1 })
            }
            (Self::Latest, _, Static(_)) => Err(MappingError::LatestOfStatic),
            (Self::Overlap | Self::All | Self::Latest, _, _) => Ok(()),
        }
    }

    /// What the partitions of `subset` read, taken together. Numbers that `downstream` does not have read nothing.
    ///
    /// The cost is a few conversions of time for each *range* of `subset`.
    #[must_use]
    pub fn upstream_of(
        &self,
        downstream: &PartitionsDefinition,
        upstream: &PartitionsDefinition,
        subset: &PartitionSubset,
        now: DateTime<Utc>,
    ) -> PartitionSubset {
        let subset = downstream.restrict(subset);
        if subset.is_empty() {
            return subset;
        }
        match self.relation(downstream, upstream) {
            Relation::Everything => upstream.existing(now),
            Relation::Newest => upstream.closed(now).last().map(PartitionSubset::single).unwrap_or_default(),
            Relation::Nothing => PartitionSubset::empty(),
            Relation::Same => subset,
            Relation::EqualKeys => equal_keys(&subset, downstream, upstream),
            Relation::Windows { downstream, upstream, start, end } => {
                // Neighbours read windows that overlap or touch, so a range reads from where its first partition
                // begins to where its last one ends.
                over_ranges(&subset, |first, last| {
                    let read = joined_windows(downstream, first, last);
                    let (first_read, last_read) = (upstream.at(read.start), upstream.last_before(read.end));
                    upstream.range(first_read.saturating_add(start), last_read.saturating_add(end))
                })
            }
        }
    }

    /// What the partitions of `subset` need in order to be complete: all that they read, begun or not. Of everything there
    /// is, which grows with time, only what has ended.
    #[must_use]
    pub fn required_of(
        &self,
        downstream: &PartitionsDefinition,
        upstream: &PartitionsDefinition,
        subset: &PartitionSubset,
        now: DateTime<Utc>,
    ) -> PartitionSubset {
        let read = self.upstream_of(downstream, upstream, subset, now);
        match self.relation(downstream, upstream) {
            Relation::Everything => read.intersection(&upstream.closed(now)),
            _ => read,
        }
    }

    /// The partitions downstream, among those that have begun, that read any of `upstream_subset`: exactly those whose
    /// [`upstream_of`](Self::upstream_of) has a member in it.
    #[must_use]
    pub fn downstream_of(
        &self,
        downstream: &PartitionsDefinition,
        upstream: &PartitionsDefinition,
        upstream_subset: &PartitionSubset,
        now: DateTime<Utc>,
    ) -> PartitionSubset {
        let subset = upstream.restrict(upstream_subset);
        let existing = downstream.existing(now);
        match self.relation(downstream, upstream) {
            Relation::Everything if subset.intersects(&upstream.existing(now)) => existing,
            Relation::Newest if upstream.closed(now).last().is_some_and(|newest| subset.contains(newest)) => existing,
            Relation::Everything | Relation::Newest | Relation::Nothing => PartitionSubset::empty(),
            Relation::Same => subset.intersection(&existing),
            Relation::EqualKeys => equal_keys(&subset, upstream, downstream),
            Relation::Windows { downstream, upstream, start, end } => {
                // A partition whose own upstream partitions run from `f` to `l` reads `f + start ..= l + end`; that
                // meets `first ..= last` when `f <= last - start` and `l >= first - end`.
                let readers = over_ranges(&subset, |first, last| {
                    let latest_first = last.saturating_sub(start);
                    let earliest_last = first.saturating_sub(end);
                    downstream.between(upstream.window(earliest_last).start, upstream.window(latest_first).end)
                });
                readers.intersection(&existing)
            }
        }
    }

    fn relation<'a>(&self, downstream: &'a PartitionsDefinition, upstream: &'a PartitionsDefinition) -> Relation<'a> {
        use PartitionsDefinition::{Static, Time, Unpartitioned};
        match (self, downstream, upstream) {
            (Self::All, _, _) => Relation::Everything,
            (Self::Latest, _, _) => Relation::Newest,
            (Self::Overlap, Unpartitioned, _) | (Self::Overlap, _, Unpartitioned) => Relation::Everything,
            (Self::Overlap, Static(_), Static(_)) => Relation::EqualKeys,
            (Self::Overlap, Time(downstream), Time(upstream)) if downstream == upstream => Relation::Same,
            (Self::Overlap, Time(downstream), Time(upstream)) => {
                Relation::Windows { downstream, upstream, start: 0, end: 0 }
            }
            (&Self::Window { start, end }, Time(downstream), Time(upstream)) if start <= end => {
                Relation::Windows { downstream, upstream, start, end }
            }
            (Self::Overlap | Self::Window { .. }, _, _) => Relation::Nothing,
        }
    }
}

/// What a mapping comes down to between two definitions.
enum Relation<'a> {
    Everything,
    Newest,
    Nothing,
    /// Both sides have the same windows.
    Same,
    EqualKeys,
    Windows {
        downstream: &'a TimePartitions,
        upstream: &'a TimePartitions,
        start: i64,
        end: i64,
    },
}

/// The union of what `map` makes of each range.
fn over_ranges(subset: &PartitionSubset, map: impl Fn(Ordinal, Ordinal) -> PartitionSubset) -> PartitionSubset {
    match subset.ranges() {
        &[(first, last)] => map(first, last),
        ranges => PartitionSubset::from_ranges(ranges.iter().flat_map(|&(first, last)| Vec::from(map(first, last)))),
    }
}

/// The window from the beginning of one partition to the end of another.
fn joined_windows(partitions: &TimePartitions, first: Ordinal, last: Ordinal) -> TimeWindow {
    TimeWindow { start: partitions.window(first).start, end: partitions.window(last).end }
}

/// The partitions of `to` that have the keys of `subset` in `from`.
fn equal_keys(subset: &PartitionSubset, from: &PartitionsDefinition, to: &PartitionsDefinition) -> PartitionSubset {
    subset.iter().filter_map(|ordinal| to.ordinal(&from.key(ordinal)).ok()).collect()
}
