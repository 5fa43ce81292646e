//! Why automation launched a run, as it is kept with the run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Candidate;
use crate::asset::definitions::Definitions;
use crate::core::automation::Need;
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::status::Staleness;
use crate::core::subset::PartitionSubset;

/// The most entries that are kept.
const ENTRIES: usize = 100;

/// Why a run was launched: which partitions, and for what reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomationCause {
    /// At most a hundred, those of upstream assets first.
    pub entries: Vec<CauseEntry>,
    /// How many further entries there would be.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Partitions of one asset that were launched for the same reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseEntry {
    /// The asset.
    pub asset: AssetKey,
    /// The partitions, as a person reads them.
    pub partitions: String,
    /// The same as numbers.
    pub ordinals: PartitionSubset,
    /// Whether they did not exist.
    pub missing: bool,
    /// What their versions had against them; empty for missing ones.
    pub reasons: Vec<Staleness>,
}

impl CauseEntry {
    /// The reasons in words: `missing`, or what each stale version had against it.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        if self.missing {
            return vec!["missing: its window has ended and it was never built".to_owned()];
        }
        self.reasons.iter().map(Staleness::sentence).collect()
    }
}

impl AutomationCause {
    /// Why these candidates are launched.
    pub(super) fn of(definitions: &Definitions, candidates: &[Candidate]) -> Self {
        let mut groups: Vec<(&AssetKey, bool, Vec<Staleness>, Vec<Ordinal>)> = Vec::new();
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for candidate in candidates {
            let missing = candidate.need.situation.need == Need::Missing;
            let reasons: Vec<Staleness> =
                candidate.need.reasons.iter().filter(|reason| **reason != Staleness::Code).cloned().collect();
            let name = format!("{} {missing} {reasons:?}", candidate.asset);
            let position = *found.entry(name).or_insert_with(|| {
                groups.push((&candidate.asset, missing, reasons, Vec::new()));
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(position) {
                group.3.push(candidate.ordinal);
            }
        }
        let omitted = groups.len().saturating_sub(ENTRIES);
        let entries = groups
            .into_iter()
            .take(ENTRIES)
            .map(|(asset, missing, reasons, list)| {
                let ordinals = PartitionSubset::from_ordinals(list);
                let partitions = definitions
                    .asset(asset)
                    .map_or_else(String::new, |spec| spec.partitions.describe_ranges(&ordinals));
                CauseEntry { asset: asset.clone(), partitions, ordinals, missing, reasons }
            })
            .collect();
        Self { entries, omitted }
    }

    /// Why this partition was launched; `None` when it is not among the entries.
    #[must_use]
    pub fn entry(&self, asset: &AssetKey, ordinal: Ordinal) -> Option<&CauseEntry> {
        self.entries.iter().find(|entry| entry.asset == *asset && entry.ordinals.contains(ordinal))
    }
}
