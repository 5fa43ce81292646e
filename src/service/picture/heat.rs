//! Heat bars: a history of any length in a few hundred cells.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AssetPicture;
use crate::core::key::PartitionKey;
use crate::core::partition::{Ordinal, PartitionsDefinition};
use crate::core::subset::PartitionSubset;
use crate::service::status::staleness_sentence;

/// How a partition stands, or the worst of several; the first is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeatState {
    /// The newest step failed or was blocked.
    Failed,
    /// Its window has ended and it was never built.
    Missing,
    /// It was built from other code or data than there is now.
    Stale,
    /// It is being built.
    Running,
    /// A run has it to build and has not begun.
    Queued,
    /// It was built before its window ended: provisional.
    Open,
    /// It is there, with nothing against it.
    Fresh,
    /// Rows have landed in it from outside.
    Landed,
    /// There is nothing, and nothing is expected yet.
    Empty,
}

impl HeatState {
    /// Every state, the worst first.
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::Missing,
        Self::Stale,
        Self::Running,
        Self::Queued,
        Self::Open,
        Self::Fresh,
        Self::Landed,
        Self::Empty,
    ];

    /// The word used in class names and listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Open => "open",
            Self::Fresh => "fresh",
            Self::Landed => "landed",
            Self::Empty => "empty",
        }
    }
}

/// Neighbouring partitions taken together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeatCell {
    /// The first partition.
    pub first: PartitionKey,
    /// The last, inclusive.
    pub last: PartitionKey,
    /// The first one's number.
    pub first_ordinal: Ordinal,
    /// The last one's number.
    pub last_ordinal: Ordinal,
    /// How many of them stand how; each counts once.
    pub counts: HeatCounts,
    /// The worst that is among them.
    pub worst: HeatState,
}

/// How many partitions stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeatCounts {
    /// Newest step failed or blocked, and not being built again.
    pub failed: u64,
    /// Ended and never built.
    pub missing: u64,
    /// Stale.
    pub stale: u64,
    /// Being built.
    pub running: u64,
    /// Waiting to be built.
    pub queued: u64,
    /// Provisional.
    pub open: u64,
    /// Fresh.
    pub fresh: u64,
    /// With rows from outside.
    pub landed: u64,
    /// Nothing there, nothing expected.
    pub empty: u64,
}

impl HeatCounts {
    /// How many stand so.
    #[must_use]
    pub const fn get(&self, state: HeatState) -> u64 {
        match state {
            HeatState::Failed => self.failed,
            HeatState::Missing => self.missing,
            HeatState::Stale => self.stale,
            HeatState::Running => self.running,
            HeatState::Queued => self.queued,
            HeatState::Open => self.open,
            HeatState::Fresh => self.fresh,
            HeatState::Landed => self.landed,
            HeatState::Empty => self.empty,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        HeatState::ALL.iter().map(|&state| self.get(state)).fold(0, u64::saturating_add)
    }

    const fn get_mut(&mut self, state: HeatState) -> &mut u64 {
        match state {
            HeatState::Failed => &mut self.failed,
            HeatState::Missing => &mut self.missing,
            HeatState::Stale => &mut self.stale,
            HeatState::Running => &mut self.running,
            HeatState::Queued => &mut self.queued,
            HeatState::Open => &mut self.open,
            HeatState::Fresh => &mut self.fresh,
            HeatState::Landed => &mut self.landed,
            HeatState::Empty => &mut self.empty,
        }
    }

    fn worst(&self) -> HeatState {
        HeatState::ALL.into_iter().find(|&state| self.get(state) > 0).unwrap_or(HeatState::Empty)
    }
}

/// The partitions of an asset that have begun, within `range` (first and last number) when that is given, as at most
/// `cells` cells of nearly equal size, in order.
///
/// What is being built again counts as running or queued, whatever it was before. The cost is that of the ranges in the
/// picture and the cells, never that of the partitions.
#[must_use]
pub fn heat(
    asset: &AssetPicture,
    definition: &PartitionsDefinition,
    range: Option<(Ordinal, Ordinal)>,
    cells: usize,
) -> Vec<HeatCell> {
    let shown = match range {
        Some((first, last)) => asset.existing.clip(first, last),
        None => asset.existing.clone(),
    };
    let (Some(first), Some(last)) = (shown.first(), shown.last()) else { return Vec::new() };
    let mut bar = empty_cells(first, last, cells);
    for (state, subset) in asset.by_state(shown) {
        add(&mut bar, state, &subset);
    }
    bar.into_iter()
        // A cell of days that the zone skipped has nobody in it.
        .filter(|cell| cell.counts.total() > 0)
        .map(|cell| HeatCell {
            first: definition.key(cell.first),
            last: definition.key(cell.last),
            first_ordinal: cell.first,
            last_ordinal: cell.last,
            worst: cell.counts.worst(),
            counts: cell.counts,
        })
        .collect()
}

impl AssetPicture {
    /// Some of the partitions divided by how they stand, each of them once; what is being built again counts as running or
    /// queued.
    #[must_use]
    pub fn by_state(&self, subset: PartitionSubset) -> Vec<(HeatState, PartitionSubset)> {
        let mut left = subset;
        let mut take = |state, subset: &PartitionSubset| {
            let taken = left.intersection(subset);
            left = left.difference(&taken);
            (state, taken)
        };
        let mut states = vec![
            take(HeatState::Running, &self.running),
            take(HeatState::Queued, &self.queued),
            take(HeatState::Failed, &self.failed.partitions()),
            take(HeatState::Missing, &self.missing),
            take(HeatState::Stale, &self.stale.partitions()),
            take(HeatState::Open, &self.open),
            take(HeatState::Fresh, &self.fresh),
            take(HeatState::Landed, &self.materialized),
        ];
        states.push((HeatState::Empty, left));
        states
    }

    /// The partitions that stand so, each counted once as in a heat bar.
    #[must_use]
    pub fn in_state(&self, state: HeatState) -> PartitionSubset {
        let states = self.by_state(self.existing.clone());
        states.into_iter().find(|(of, _)| *of == state).map(|(_, subset)| subset).unwrap_or_default()
    }

    /// How one partition stands.
    #[must_use]
    pub fn state_of(&self, ordinal: Ordinal) -> HeatState {
        let states = self.by_state(PartitionSubset::single(ordinal));
        states.into_iter().find(|(_, subset)| !subset.is_empty()).map_or(HeatState::Empty, |(state, _)| state)
    }

    /// Why a partition is stale, or was not built, in sentences with times of `zone`.
    #[must_use]
    pub fn reasons(&self, ordinal: Ordinal, zone: Tz) -> Vec<String> {
        let unbuilt = self.failed.get(ordinal).and_then(|unbuilt| unbuilt.reason.clone());
        let stale = self.stale.get(ordinal).into_iter().flatten();
        unbuilt.into_iter().chain(stale.map(|reason| staleness_sentence(reason, zone))).collect()
    }
}

struct Cell {
    first: Ordinal,
    last: Ordinal,
    counts: HeatCounts,
}

/// `first..=last` divided evenly.
fn empty_cells(first: Ordinal, last: Ordinal, cells: usize) -> Vec<Cell> {
    let partitions = u128::from(last.abs_diff(first)) + 1;
    let cells = (cells.max(1) as u128).min(partitions);
    let edge = |index: u128| {
        let offset = u64::try_from(index * partitions / cells).unwrap_or(u64::MAX);
        first.saturating_add_unsigned(offset)
    };
    (0..cells)
        .map(|index| Cell { first: edge(index), last: edge(index + 1) - 1, counts: HeatCounts::default() })
        .collect()
}

/// Counts `subset` into the cells; both go forward only.
fn add(bar: &mut [Cell], state: HeatState, subset: &PartitionSubset) {
    let mut index = 0;
    for &(first, last) in subset.ranges() {
        while bar.get(index).is_some_and(|cell| cell.last < first) {
            index += 1;
        }
        let mut from = first;
        while let Some(cell) = bar.get_mut(index) {
            let to = last.min(cell.last);
            if from > to {
                break;
            }
            *cell.counts.get_mut(state) += to.abs_diff(from) + 1;
            if cell.last >= last {
                break;
            }
            from = cell.last + 1;
            index += 1;
        }
    }
}
