//! Versions of data: how the many versions an attempt read become one short text to compare later.

use sha2::{Digest, Sha256};

use crate::core::partition::Ordinal;
use crate::core::subset::PartitionSubset;

/// The versions of an asset's partitions, ready to be digested over any set of them in time proportional to the number
/// of its ranges.
///
/// A digest is the count of versions in the set and the sum (modulo 2^128) of a hash of each key with its version, so it
/// does not depend on order, and sums over ranges are differences of prefix sums.
#[derive(Clone, Debug, Default)]
pub struct VersionIndex {
    ordinals: Vec<Ordinal>,
    prefix_sums: Vec<u128>,
}

impl VersionIndex {
    /// An index over (ordinal, partition key, data version) in any order; of equal ordinals the last one counts.
    #[must_use]
    pub fn new<'a>(versions: impl IntoIterator<Item = (Ordinal, &'a str, &'a str)>) -> Self {
        let mut hashed: Vec<(Ordinal, u128)> =
            versions.into_iter().map(|(ordinal, key, version)| (ordinal, hash(key, version))).collect();
        hashed.sort_by_key(|&(ordinal, _)| ordinal);
        let mut index = Self::default();
        let mut sum = 0_u128;
        for (position, &(ordinal, hash)) in hashed.iter().enumerate() {
            if hashed.get(position + 1).is_some_and(|next| next.0 == ordinal) {
                continue;
            }
            sum = sum.wrapping_add(hash);
            index.ordinals.push(ordinal);
            index.prefix_sums.push(sum);
        }
        index
    }

    /// The digest of the versions in `subset`; partitions without a version add nothing.
    #[must_use]
    pub fn digest(&self, subset: &PartitionSubset) -> String {
        let mut count = 0_usize;
        let mut sum = 0_u128;
        for &(first, last) in subset.ranges() {
            let from = self.ordinals.partition_point(|&ordinal| ordinal < first);
            let to = self.ordinals.partition_point(|&ordinal| ordinal <= last);
            count += to - from;
            sum = sum.wrapping_add(self.sum_before(to)).wrapping_sub(self.sum_before(from));
        }
        format!("{count}:{sum:032x}")
    }

    /// The partitions that have a version.
    #[must_use]
    pub fn present(&self) -> PartitionSubset {
        PartitionSubset::from_ordinals(self.ordinals.iter().copied())
    }

    fn sum_before(&self, position: usize) -> u128 {
        position.checked_sub(1).and_then(|last| self.prefix_sums.get(last)).copied().unwrap_or(0)
    }
}

fn hash(key: &str, version: &str) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update(key.as_bytes());
    hasher.update([0]);
    hasher.update(version.as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    u128::from_be_bytes(bytes)
}
