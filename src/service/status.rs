//! How the assets stand.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::picture::{AssetPicture, Unbuilt};
use super::{PartitionsView, Service, ServiceError};
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::core::freshness::{Freshness, FreshnessState};
use crate::core::key::AssetKey;
use crate::core::partition::Ordinal;
use crate::core::policy::FreshnessPolicy;
use crate::core::status::{Staleness, late_rows_sentence};
use crate::core::stretches::Stretches;
use crate::core::subset::PartitionSubset;
use crate::core::time::time_text;
use crate::core::told::Told;
use crate::core::word::{self, Word};
use crate::engine::freshness::freshness_of;
use crate::engine::status::asset_statuses;

/// How an asset stands, in one word: the worst that holds of any of its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssetState {
    /// The newest attempt at a partition failed or was blocked.
    Failed,
    /// An ended partition was never built.
    Missing,
    /// A partition was built from other code or data than there is now.
    Stale,
    /// No partition has ended yet, or of an external asset: no row has landed.
    Empty,
    /// None of the others.
    Fresh,
}

impl AssetState {
    /// The word used in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Empty => "empty",
            Self::Fresh => "fresh",
        }
    }
}

/// How all selected assets stand.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// When this was so.
    pub at: DateTime<Utc>,
    /// The assets, upstream before downstream.
    pub assets: Vec<AssetStatusView>,
    /// Whether nothing is failed, missing, stale or overdue.
    pub is_fresh: bool,
}

/// How one asset stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetStatusView {
    /// The asset.
    pub asset: AssetKey,
    /// How it is computed.
    pub kind: AssetKind,
    /// `daily`, `static`, …
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub partitioned: Word,
    /// In one word.
    pub state: AssetState,
    /// Partitions that have begun.
    pub existing: PartitionsView,
    /// Partitions with a version; of an external asset those in which rows landed.
    pub materialized: PartitionsView,
    /// Versions with nothing against them.
    pub fresh: PartitionsView,
    /// Ended partitions without a version.
    pub missing: PartitionsView,
    /// Versions with something against them.
    pub stale: PartitionsView,
    /// The same by reason; a partition may have several.
    pub stale_reasons: Vec<StaleView>,
    /// Partitions whose newest attempt failed or was blocked.
    pub failed: PartitionsView,
    /// The same by reason.
    pub failed_reasons: Vec<FailedView>,
    /// Versions of a window that has not ended.
    pub open: PartitionsView,
    /// Partitions that wait for a worker.
    pub queued: PartitionsView,
    /// Partitions being built.
    pub running: PartitionsView,
    /// When the newest version was published, or the newest rows landed.
    pub newest_at: Option<DateTime<Utc>>,
    /// Rows in all versions; of an external asset, rows known to have landed.
    pub row_count: i64,
    /// Rows of an external asset that came too late and wait in quarantine for a decision.
    pub quarantined: i64,
    /// How it keeps its freshness policy, if it has one.
    pub freshness: Option<FreshnessView>,
}

/// Partitions that are stale for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StaleView {
    /// The reason.
    #[serde(flatten)]
    pub reason: StaleReasonView,
    /// The partitions.
    pub partitions: PartitionsView,
}

/// Partitions that were not built for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedView {
    /// `failed` or `blocked`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// The partitions.
    pub partitions: PartitionsView,
}

/// One reason why a version is stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StaleReasonView {
    /// `code`, `input_changed`, `late_rows`, `published_early` or `incomplete_inputs`.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub reason: Word,
    /// In words, times in the calendar's zone.
    #[schema(value_type = String)]
    pub sentence: Told<Staleness>,
    /// The upstream that changed, if it is one.
    pub asset: Option<AssetKey>,
}

/// How an asset keeps its freshness policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreshnessView {
    /// `unknown`, `pass`, `warn` or `fail`.
    pub state: FreshnessState,
    /// The policy in words.
    #[schema(value_type = String)]
    pub policy: Told<FreshnessPolicy>,
    /// From when on the policy is broken unless something newer is published; in the past exactly when it is broken.
    pub due_at: Option<DateTime<Utc>>,
    /// Since when the policy is broken; `None` when it is kept.
    pub overdue_since: Option<DateTime<Utc>>,
}

impl FreshnessView {
    pub(super) fn new(policy: FreshnessPolicy, freshness: Freshness) -> Self {
        Self {
            state: freshness.state,
            policy: policy.into(),
            due_at: freshness.due_at,
            overdue_since: freshness.due_at.filter(|_| freshness.state == FreshnessState::Fail),
        }
    }
}

impl Service {
    /// How the assets of `selection` stand; of all assets when it is `None`.
    ///
    /// # Errors
    /// When the selection selects nothing or the state cannot be read.
    pub async fn status(&self, selection: Option<&str>) -> Result<StatusView, ServiceError> {
        let specs = match selection {
            Some(selection) => self.select(selection).await?,
            None => self.all_assets(),
        };
        let keys: Vec<AssetKey> = specs.iter().map(|spec| spec.key.clone()).collect();
        let now = self.now();
        let zone = self.definitions.calendar().zone;
        let mut statuses = asset_statuses(&self.store, &self.definitions, &keys, now).await?;
        let freshness = freshness_of(&self.store, &self.definitions, &specs, now).await?;
        let (mut assets, mut is_fresh) = (Vec::new(), true);
        for spec in &specs {
            let Some(status) = statuses.remove(&spec.key) else { continue };
            let picture = AssetPicture::new(status, freshness.get(&spec.key).copied());
            is_fresh &= picture.is_fresh();
            assets.push(picture.view(spec, zone));
        }
        Ok(StatusView { at: now, assets, is_fresh })
    }
}

pub(super) fn status_view(spec: &AssetSpec, status: &AssetPicture, zone: Tz) -> AssetStatusView {
    let view = |subset: &PartitionSubset| PartitionsView::new(&spec.partitions, subset);
    AssetStatusView {
        asset: spec.key.clone(),
        kind: spec.kind,
        partitioned: spec.partitions.as_str(),
        state: status.state(),
        existing: view(&status.existing),
        materialized: view(&status.materialized),
        fresh: view(&status.fresh),
        missing: view(&status.missing),
        stale: view(&status.stale.partitions()),
        stale_reasons: stale_reasons(spec, &status.stale, zone),
        failed: view(&status.failed.partitions()),
        failed_reasons: failed_reasons(spec, &status.failed),
        open: view(&status.open),
        queued: view(&status.queued),
        running: view(&status.running),
        newest_at: status.newest_at,
        row_count: status.row_count,
        quarantined: status.quarantined,
        freshness: spec
            .freshness
            .zip(status.freshness)
            .map(|(policy, freshness)| FreshnessView::new(policy, freshness)),
    }
}

/// The failed partitions by reason, in the order of the first of each.
fn failed_reasons(spec: &AssetSpec, failed: &Stretches<Unbuilt>) -> Vec<FailedView> {
    let mut by_reason: BTreeMap<&Unbuilt, Vec<Range>> = BTreeMap::new();
    for (first, last, unbuilt) in failed.iter() {
        by_reason.entry(unbuilt).or_default().push((first, last));
    }
    let mut by_first: Vec<_> = by_reason.into_iter().collect();
    by_first.sort_by_key(|(_, ranges)| ranges.first().copied());
    by_first
        .into_iter()
        .map(|(unbuilt, ranges)| FailedView {
            state: unbuilt.state.clone(),
            reason: unbuilt.reason.clone(),
            partitions: PartitionsView::new(&spec.partitions, &PartitionSubset::from_ranges(ranges)),
        })
        .collect()
}

/// First and last ordinal, inclusive.
type Range = (Ordinal, Ordinal);

/// A reason, and the partitions it holds of.
type StaleTogether = (Staleness, Vec<Range>);

/// The stale partitions by reason, late rows of one asset taken together.
fn stale_reasons(spec: &AssetSpec, stale: &Stretches<Vec<Staleness>>, zone: Tz) -> Vec<StaleView> {
    let mut by_reason: BTreeMap<(usize, Option<&AssetKey>), StaleTogether> = BTreeMap::new();
    for (first, last, reasons) in stale.iter() {
        for reason in reasons {
            let place = match reason {
                Staleness::Code => (0, None),
                Staleness::InputChanged { asset } => (1, Some(asset)),
                Staleness::LateRows { asset, .. } => (2, Some(asset)),
                Staleness::PublishedEarly => (3, None),
                Staleness::IncompleteInputs => (4, None),
            };
            let partitions = last.abs_diff(first).saturating_add(1);
            match by_reason.get_mut(&place) {
                Some((sum, ranges)) => {
                    merge(sum, reason, partitions);
                    ranges.push((first, last));
                }
                None => {
                    let mut sum = reason.clone();
                    merge(&mut sum, reason, partitions - 1);
                    by_reason.insert(place, (sum, vec![(first, last)]));
                }
            }
        }
    }
    by_reason
        .into_values()
        .map(|(reason, ranges)| StaleView {
            reason: reason_view(&reason, zone),
            partitions: PartitionsView::new(&spec.partitions, &PartitionSubset::from_ranges(ranges)),
        })
        .collect()
}

/// Adds to late rows what holds of each of so many more partitions.
fn merge(sum: &mut Staleness, more: &Staleness, partitions: u64) {
    if let (
        Staleness::LateRows { rows, removed, since, writers, .. },
        Staleness::LateRows {
            rows: more_rows, removed: more_removed, since: also_since, writers: more_writers, ..
        },
    ) = (sum, more)
    {
        let times = i64::try_from(partitions).unwrap_or(i64::MAX);
        *rows = rows.saturating_add(more_rows.saturating_mul(times));
        *removed = removed.saturating_add(more_removed.saturating_mul(times));
        *since = (*since).min(*also_since);
        for writer in more_writers {
            if !writers.contains(writer) {
                writers.push(writer.clone());
            }
        }
    }
}

pub(super) fn reason_view(reason: &Staleness, zone: Tz) -> StaleReasonView {
    let (word, asset) = match reason {
        Staleness::Code => ("code", None),
        Staleness::InputChanged { asset } => ("input_changed", Some(asset)),
        Staleness::LateRows { asset, .. } => ("late_rows", Some(asset)),
        Staleness::PublishedEarly => ("published_early", None),
        Staleness::IncompleteInputs => ("incomplete_inputs", None),
    };
    let sentence = Told::new(staleness_sentence(reason, zone), reason.clone());
    StaleReasonView { reason: word, sentence, asset: asset.cloned() }
}

/// The reason in words, times in `zone`.
pub(super) fn staleness_sentence(reason: &Staleness, zone: Tz) -> String {
    match reason {
        Staleness::LateRows { asset, rows, removed, since, writers } => {
            late_rows_sentence(asset, *rows, *removed, &time_text(*since, zone), writers)
        }
        reason => reason.sentence(),
    }
}
