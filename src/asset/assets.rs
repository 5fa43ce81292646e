//! The assets of an installation: in the order of their keys, and found by them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::spec::AssetSpec;
use crate::core::key::AssetKey;

/// Assets with different keys. Keys are looked up all the time, and mostly begin with the same letters: by hash.
#[derive(Clone, Default)]
pub(super) struct Assets {
    sorted: Vec<Arc<AssetSpec>>,
    by_key: HashMap<AssetKey, Arc<AssetSpec>>,
}

impl Assets {
    /// The first asset of each key; `duplicate` is told of it and of each other one.
    pub(super) fn new(specs: Vec<AssetSpec>, mut duplicate: impl FnMut(&AssetSpec, &AssetSpec)) -> Self {
        let mut sorted = Vec::with_capacity(specs.len());
        let mut by_key: HashMap<AssetKey, Arc<AssetSpec>> = HashMap::with_capacity(specs.len());
        for spec in specs {
            match by_key.entry(spec.key.clone()) {
                Entry::Occupied(first) => duplicate(first.get(), &spec),
                Entry::Vacant(entry) => sorted.push(entry.insert(Arc::new(spec)).clone()),
            }
        }
        sorted.sort_by(|left, right| left.key.cmp(&right.key));
        Self { sorted, by_key }
    }

    /// The asset of that key.
    pub(super) fn get(&self, key: &AssetKey) -> Option<&Arc<AssetSpec>> {
        self.by_key.get(key)
    }

    /// All of them in the order of their keys.
    pub(super) fn values(&self) -> std::slice::Iter<'_, Arc<AssetSpec>> {
        self.sorted.iter()
    }

    /// All keys in order.
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = &AssetKey> {
        self.sorted.iter().map(|asset| &asset.key)
    }
}
