//! What planning sees of the definitions.

use super::definitions::Definitions;
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::PartitionsDefinition;
use crate::core::plan::Catalog;

impl Catalog for Definitions {
    fn partitions(&self, key: &AssetKey) -> Option<&PartitionsDefinition> {
        self.asset(key).map(|spec| &spec.partitions)
    }

    fn upstreams(&self, key: &AssetKey) -> Vec<(&AssetKey, PartitionMapping)> {
        self.asset(key).map_or_else(Vec::new, |spec| {
            spec.upstreams.iter().map(|upstream| (&upstream.key, upstream.mapping)).collect()
        })
    }

    fn is_external(&self, key: &AssetKey) -> bool {
        self.asset(key).is_some_and(|spec| !spec.is_materializable())
    }

    fn topological_order(&self) -> &[AssetKey] {
        self.graph().topological_order()
    }
}
