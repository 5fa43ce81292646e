//! Which assets a selection means, states included.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Service, ServiceError};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::selection::{SelectionState, parse};
use crate::engine::status::asset_statuses;

/// The assets that `selection` means, upstream before downstream; one that asks for states finds none in any.
pub(super) fn select_declared(
    definitions: &Definitions,
    selection: &str,
    states: BTreeMap<SelectionState, BTreeSet<AssetKey>>,
) -> Result<Vec<Arc<AssetSpec>>, ServiceError> {
    Ok(definitions.select(&parse(selection)?, &states)?)
}

/// Whether evaluating the selection needs to know how the assets stand.
#[must_use]
pub fn asks_for_states(selection: &str) -> bool {
    selection.contains("state:")
}

impl Service {
    /// The assets that `selection` means, at least one, upstream before downstream.
    ///
    /// # Errors
    /// When the selection selects nothing, or asks for states and the state cannot be read.
    pub async fn select(&self, selection: &str) -> Result<Vec<Arc<AssetSpec>>, ServiceError> {
        let states = if asks_for_states(selection) { self.states().await? } else { BTreeMap::new() };
        select_declared(&self.definitions, selection, states)
    }

    /// All assets, upstream before downstream.
    pub(super) fn all_assets(&self) -> Vec<Arc<AssetSpec>> {
        let order = self.definitions.graph().topological_order().iter();
        order.filter_map(|key| self.definitions.asset(key).cloned()).collect()
    }

    async fn states(&self) -> Result<BTreeMap<SelectionState, BTreeSet<AssetKey>>, ServiceError> {
        let keys = self.definitions.graph().topological_order();
        let mut states: BTreeMap<SelectionState, BTreeSet<AssetKey>> = BTreeMap::new();
        for (key, status) in asset_statuses(&self.store, &self.definitions, keys, self.now()).await? {
            let mut is_fresh = true;
            for (state, holds) in [
                (SelectionState::Missing, !status.missing.is_empty()),
                (SelectionState::Stale, !status.stale.is_empty()),
                (SelectionState::Failed, !status.failed.is_empty()),
            ] {
                if holds {
                    is_fresh = false;
                    states.entry(state).or_default().insert(key.clone());
                }
            }
            if is_fresh {
                states.entry(SelectionState::Fresh).or_default().insert(key);
            }
        }
        Ok(states)
    }
}
