//! Pieces that several views share.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asset::definitions::Definitions;
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::PartitionsDefinition;
use crate::core::plan::PartitionSets;
use crate::core::subset::PartitionSubset;

/// A set of partitions of one asset, by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionsView {
    /// How many there are.
    pub count: u64,
    /// The set in words, at most eight ranges: `2026-01-01..2026-03-05, 2026-03-07 (65 partitions)`.
    pub text: String,
    /// All of it, as ranges.
    pub ranges: Vec<PartitionRangeView>,
}

/// Partitions that follow one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionRangeView {
    /// The first.
    pub first: PartitionKey,
    /// The last, inclusive.
    pub last: PartitionKey,
    /// How many.
    pub count: u64,
}

impl PartitionsView {
    /// The partitions `subset` of `definition`.
    #[must_use]
    pub fn new(definition: &PartitionsDefinition, subset: &PartitionSubset) -> Self {
        let ranges = subset
            .ranges()
            .iter()
            .map(|&(first, last)| PartitionRangeView {
                first: definition.key(first),
                last: definition.key(last),
                count: PartitionSubset::from_range(first, last).len(),
            })
            .collect();
        Self { count: subset.len(), text: definition.describe(subset), ranges }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Partitions of a named asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetPartitionsView {
    /// The asset.
    pub asset: AssetKey,
    /// Its partitions.
    pub partitions: PartitionsView,
}

/// The sets of assets that are defined, with their keys.
pub(super) fn sets_view(definitions: &Definitions, sets: &PartitionSets) -> Vec<AssetPartitionsView> {
    sets.iter()
        .filter_map(|(key, subset)| {
            let spec = definitions.asset(key)?;
            Some(AssetPartitionsView { asset: key.clone(), partitions: PartitionsView::new(&spec.partitions, subset) })
        })
        .collect()
}
