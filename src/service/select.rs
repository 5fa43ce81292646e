//! Which assets a selection means, states included.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Picture, Service, ServiceError};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::selection::{SelectionState, parse};
use crate::engine::status::asset_statuses;

/// The assets that `selection` means, upstream before downstream; one that asks for states finds none in any.
pub(super) fn select_declared(
    definitions: &Definitions,
    selection: &str,
    states: AssetsByState,
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
        let states = if asks_for_states(selection) { self.states().await? } else { AssetsByState::new() };
        select_declared(&self.definitions, selection, states)
    }

    /// All assets, upstream before downstream.
    pub(super) fn all_assets(&self) -> Vec<Arc<AssetSpec>> {
        let order = self.definitions.graph().topological_order().iter();
        order.filter_map(|key| self.definitions.asset(key).cloned()).collect()
    }

    async fn states(&self) -> Result<AssetsByState, ServiceError> {
        let keys = self.definitions.graph().topological_order();
        let statuses = asset_statuses(&self.store, &self.definitions, keys, self.now()).await?;
        Ok(by_state(statuses.into_iter().map(|(key, status)| {
            let holds = [!status.missing.is_empty(), !status.stale.is_empty(), !status.failed.is_empty()];
            (key, holds)
        })))
    }
}

impl Picture {
    /// The same as [`Service::select`], with the states that the picture shows.
    ///
    /// # Errors
    /// When the selection selects nothing.
    pub fn select(&self, definitions: &Definitions, selection: &str) -> Result<Vec<Arc<AssetSpec>>, ServiceError> {
        let states = || {
            by_state(self.assets.iter().map(|(key, asset)| {
                let holds = [!asset.missing.is_empty(), !asset.stale.is_empty(), !asset.failed.is_empty()];
                (key.clone(), holds)
            }))
        };
        let states = if asks_for_states(selection) { states() } else { AssetsByState::new() };
        select_declared(definitions, selection, states)
    }
}

type AssetsByState = BTreeMap<SelectionState, BTreeSet<AssetKey>>;

/// The assets by state, of which each says whether it has missing, stale and failed partitions.
fn by_state(assets: impl Iterator<Item = (AssetKey, [bool; 3])>) -> AssetsByState {
    let mut states = AssetsByState::new();
    for (key, holds) in assets {
        let not_fresh = [SelectionState::Missing, SelectionState::Stale, SelectionState::Failed];
        for (state, _) in not_fresh.into_iter().zip(holds).filter(|(_, holds)| *holds) {
            states.entry(state).or_default().insert(key.clone());
        }
        if !holds.contains(&true) {
            states.entry(SelectionState::Fresh).or_default().insert(key);
        }
    }
    states
}
