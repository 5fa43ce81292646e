//! How an asset is doing, in one word, and whether somebody should look at it.

use serde::Serialize;

use super::AssetPicture;
use crate::core::freshness::FreshnessState;
use crate::core::subset::PartitionSubset;

/// How an asset is doing, in one word: what matters most comes first.
///
/// What is under way counts for more than what it repairs, and for less than what nobody works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetCondition {
    /// The newest attempt at a partition failed or was blocked, and nobody repeats it.
    Failing,
    /// It breaks its freshness policy.
    Late,
    /// Partitions are being built, or wait to be.
    Running,
    /// Nothing was ever built, or ever landed.
    Never,
    /// An ended partition was never built.
    Missing,
    /// A partition was built from other code or data than there is now.
    Stale,
    /// None of the others.
    Fresh,
}

impl AssetCondition {
    /// Every condition, what matters most first.
    pub const ALL: [Self; 7] =
        [Self::Failing, Self::Late, Self::Running, Self::Never, Self::Missing, Self::Stale, Self::Fresh];

    /// The word used in class names and addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Late => "late",
            Self::Running => "running",
            Self::Never => "never",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Fresh => "fresh",
        }
    }
}

impl AssetPicture {
    /// Partitions that are being built or wait to be.
    #[must_use]
    pub fn under_way(&self) -> PartitionSubset {
        self.running.union(&self.queued)
    }

    /// Partitions that were not built and that nobody builds at the moment.
    #[must_use]
    pub fn given_up(&self) -> PartitionSubset {
        self.failed.partitions().difference(&self.under_way())
    }

    /// Since when the freshness policy is broken.
    #[must_use]
    pub fn late_since(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        let freshness = self.freshness.filter(|freshness| freshness.state == FreshnessState::Fail)?;
        freshness.due_at
    }

    /// How the asset is doing.
    #[must_use]
    pub fn condition(&self) -> AssetCondition {
        if !self.given_up().is_empty() {
            AssetCondition::Failing
        } else if self.late_since().is_some() {
            AssetCondition::Late
        } else if !self.running.is_empty() || !self.queued.is_empty() {
            AssetCondition::Running
        } else if self.materialized.is_empty() {
            AssetCondition::Never
        } else if !self.missing.is_empty() {
            AssetCondition::Missing
        } else if !self.stale.is_empty() {
            AssetCondition::Stale
        } else {
            AssetCondition::Fresh
        }
    }

    /// Whether somebody should look at it. What nothing is expected of yet is fine, and so is what is being worked on.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        match self.condition() {
            AssetCondition::Failing | AssetCondition::Late | AssetCondition::Missing | AssetCondition::Stale => true,
            AssetCondition::Never => !self.missing.is_empty(),
            AssetCondition::Running | AssetCondition::Fresh => false,
        }
    }
}
