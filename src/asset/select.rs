//! Which assets a selection means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::definitions::Definitions;
use super::spec::AssetSpec;
use crate::core::graph::AssetGraph;
use crate::core::key::AssetKey;
use crate::core::selection::{Selection, SelectionCatalog, SelectionError, SelectionState, evaluate};

/// What selections ask of the definitions, with the states looked up beforehand.
struct Selectable<'a> {
    definitions: &'a Definitions,
    states: &'a BTreeMap<SelectionState, BTreeSet<AssetKey>>,
}

impl SelectionCatalog for Selectable<'_> {
    fn graph(&self) -> &AssetGraph {
        self.definitions.graph()
    }

    fn kind(&self, key: &AssetKey) -> &str {
        self.definitions.asset(key).map_or("", |spec| spec.kind.as_str())
    }

    fn tags(&self, key: &AssetKey) -> &[String] {
        self.definitions.asset(key).map_or(&[], |spec| &spec.tags)
    }

    fn owner(&self, key: &AssetKey) -> Option<&str> {
        self.definitions.asset(key).and_then(|spec| spec.owner.as_deref())
    }

    fn assets_in_state(&self, state: SelectionState) -> BTreeSet<AssetKey> {
        self.states.get(&state).cloned().unwrap_or_default()
    }
}

impl Definitions {
    /// The assets that `selection` means, at least one, upstream before downstream. Which assets are in which state is
    /// for the caller to know: a selection that asks for a state not in `states` finds none in it.
    ///
    /// # Errors
    /// When a name in it is unknown, or nothing is selected.
    pub fn select(
        &self,
        selection: &Selection,
        states: &BTreeMap<SelectionState, BTreeSet<AssetKey>>,
    ) -> Result<Vec<Arc<AssetSpec>>, SelectionError> {
        let selected = evaluate(selection, &Selectable { definitions: self, states })?;
        let order = self.graph().topological_order().iter();
        Ok(order.filter(|key| selected.contains(*key)).filter_map(|key| self.asset(key).cloned()).collect())
    }
}
