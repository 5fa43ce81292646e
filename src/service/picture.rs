//! How everything stands, in memory: what pages show without asking the database.
//!
//! A [`PictureKeeper`] keeps one [`Picture`] up to date in the background; [`PictureKeeper::current`] hands it out at
//! once, whatever the database does. A picture costs memory in the number of *ranges* of partitions that stand alike, and
//! so do the questions it answers: none of them looks at one partition after the other.
//!
//! ```text
//! PictureKeeper::start(&service, subscription) -> PictureKeeper       // once per process, cheap to clone
//! keeper.current() -> Arc<Picture>                                    // for a page; never waits
//! keeper.up_to_date().await -> Arc<Picture>                           // after an action: with all that is committed now
//! keeper.watch() -> watch::Receiver<Arc<Picture>>                     // for what is told live
//! picture.asset(&key) -> Option<&Arc<AssetPicture>>                   // None while loading
//! picture.status(&definitions, selection) -> StatusView               // what `status` says, without SQL
//! asset.view(spec, zone) -> AssetStatusView
//! asset.state() -> AssetState                                         // the worst in one word
//! heat(&asset, &spec.partitions, range, cells) -> Vec<HeatCell>       // a heat bar of so many cells at most
//! ```

mod heat;
mod keeper;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

pub use self::heat::{HeatCell, HeatCounts, HeatState, heat};
pub use self::keeper::PictureKeeper;
use super::status::status_view;
use super::{AssetState, AssetStatusView, StatusView};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::freshness::{Freshness, FreshnessState};
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::status::Staleness;
use crate::core::stretches::Stretches;
use crate::core::subset::PartitionSubset;
use crate::engine::status::AssetStatus;

/// The longest reason of a failure that is kept, in characters.
const REASON_CHARACTERS: usize = 300;

/// How all assets stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// When this was so.
    pub at: DateTime<Utc>,
    /// Grows with every change.
    pub generation: u64,
    /// Whether some assets have not been looked at yet: those are missing in `assets`.
    pub loading: bool,
    /// Why the picture is not kept up to date at the moment, in a sentence.
    pub problem: Option<String>,
    /// The assets that are known.
    pub assets: BTreeMap<AssetKey, Arc<AssetPicture>>,
}

/// How one asset stands. The sets overlap where that makes sense: a stale partition may also be failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetPicture {
    /// Partitions that have begun.
    pub existing: PartitionSubset,
    /// Partitions whose window has ended.
    pub closed: PartitionSubset,
    /// Partitions with a current version; of an external asset, those in which rows are known to have landed.
    pub materialized: PartitionSubset,
    /// Closed partitions without a version; never any for an external asset.
    pub missing: PartitionSubset,
    /// Current versions with nothing against them.
    pub fresh: PartitionSubset,
    /// Versions that are stale, with all reasons.
    pub stale: Stretches<Vec<Staleness>>,
    /// Versions of a partition whose window has not ended: provisional.
    pub open: PartitionSubset,
    /// Partitions whose newest step waits.
    pub queued: PartitionSubset,
    /// Partitions being built.
    pub running: PartitionSubset,
    /// Partitions whose newest step failed or was blocked.
    pub failed: Stretches<Unbuilt>,
    /// When the newest version was published, or the newest rows landed.
    pub newest_at: Option<DateTime<Utc>>,
    /// Rows in all current versions; of an external asset, all rows known to have landed.
    pub row_count: i64,
    /// Rows of an external asset that came too late and wait in quarantine for a decision.
    pub quarantined: i64,
    /// How it keeps its freshness policy, if it has one.
    pub freshness: Option<Freshness>,
}

/// Why a partition was not built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unbuilt {
    /// `failed` or `blocked`.
    pub state: String,
    /// Why, cut after some hundred characters.
    pub reason: Option<String>,
}

impl Picture {
    /// How an asset stands; `None` when it is not known yet.
    #[must_use]
    pub fn asset(&self, key: &AssetKey) -> Option<&Arc<AssetPicture>> {
        self.assets.get(key)
    }

    /// Whether nothing of these assets is failed, missing, stale or overdue, as far as they are known.
    #[must_use]
    pub fn is_fresh<'a>(&self, assets: impl IntoIterator<Item = &'a Arc<AssetSpec>>) -> bool {
        assets.into_iter().filter_map(|spec| self.asset(&spec.key)).all(|asset| asset.is_fresh())
    }

    /// How these assets stand, in their order; those that are not known yet are left out.
    #[must_use]
    pub fn status<'a>(
        &self,
        definitions: &Definitions,
        assets: impl IntoIterator<Item = &'a Arc<AssetSpec>>,
    ) -> StatusView {
        let zone = definitions.calendar().zone;
        let specs: Vec<&Arc<AssetSpec>> = assets.into_iter().collect();
        let assets = specs.iter().filter_map(|spec| Some(self.asset(&spec.key)?.view(spec, zone))).collect();
        StatusView { at: self.at, is_fresh: self.is_fresh(specs), assets }
    }
}

impl AssetPicture {
    /// What the state says of an asset.
    #[must_use]
    pub fn new(status: AssetStatus, freshness: Option<Freshness>) -> Self {
        let failed = status.failed.into_iter().map(|(ordinal, (state, reason))| {
            (ordinal, Unbuilt { state, reason: reason.map(|reason| reason.chars().take(REASON_CHARACTERS).collect()) })
        });
        Self {
            existing: status.existing,
            closed: status.closed,
            materialized: status.materialized,
            missing: status.missing,
            fresh: status.fresh,
            stale: status.stale.into(),
            open: status.open,
            queued: status.queued,
            running: status.running,
            failed: failed.collect::<BTreeMap<Ordinal, Unbuilt>>().into(),
            newest_at: status.newest_at,
            row_count: status.row_count,
            quarantined: status.quarantined,
            freshness,
        }
    }

    /// Takes over from `other` what it says of `subset`; totals and freshness stay.
    fn replace(&mut self, subset: &PartitionSubset, other: &Self) {
        let replaced =
            |own: &PartitionSubset, other: &PartitionSubset| own.difference(subset).union(&other.intersection(subset));
        self.materialized = replaced(&self.materialized, &other.materialized);
        self.fresh = replaced(&self.fresh, &other.fresh);
        self.open = replaced(&self.open, &other.open);
        self.stale = self.stale.replaced(subset, &other.stale);
        self.replace_steps(subset, other);
    }

    /// The same of what the newest steps say.
    fn replace_steps(&mut self, subset: &PartitionSubset, other: &Self) {
        let replaced =
            |own: &PartitionSubset, other: &PartitionSubset| own.difference(subset).union(&other.intersection(subset));
        self.queued = replaced(&self.queued, &other.queued);
        self.running = replaced(&self.running, &other.running);
        self.failed = self.failed.replaced(subset, &other.failed);
    }

    /// In one word: the worst that holds of any partition.
    #[must_use]
    pub fn state(&self) -> AssetState {
        if !self.failed.is_empty() {
            AssetState::Failed
        } else if !self.missing.is_empty() {
            AssetState::Missing
        } else if !self.stale.is_empty() {
            AssetState::Stale
        } else if self.materialized.is_empty() {
            AssetState::Empty
        } else {
            AssetState::Fresh
        }
    }

    /// Whether nothing is failed, missing, stale or overdue.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        let is_overdue = self.freshness.is_some_and(|freshness| freshness.state == FreshnessState::Fail);
        matches!(self.state(), AssetState::Fresh | AssetState::Empty) && !is_overdue
    }

    /// The same for people and programs, with the keys of partitions instead of their numbers.
    #[must_use]
    pub fn view(&self, spec: &AssetSpec, zone: Tz) -> AssetStatusView {
        status_view(spec, self, zone)
    }
}
