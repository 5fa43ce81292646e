//! Why a partition is as it is: what built it, what has changed since, and what keeps it from being built.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::cause::{Because, partition_cause_text};
use super::history::{CheckView, MaterializationView, StepView};
use super::run::command_of;
use super::status::{StaleReasonView, reason_view};
use super::view::sets_view;
use super::{AssetPartitionsView, FreshnessView, ObstacleView, PartitionsView, Service, ServiceError};
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::{Ordinal, PartitionError};
use crate::core::plan::{PartitionSets, partitions_read};
use crate::core::status::Staleness;
use crate::core::subset::PartitionSubset;
use crate::core::time::TimeWindow;
use crate::core::told::Told;
use crate::daemon::automation::{Evaluation, explain};
use crate::engine::extent::ExtentError;
use crate::engine::freshness::freshness_of;
use crate::engine::launch::missing_upstream;
use crate::engine::status::{AssetStatus, partition_statuses};

/// How many steps and check results are told.
const TOLD_STEPS: i64 = 5;
const TOLD_CHECKS: i64 = 20;

/// How one partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionStanding {
    /// It is filled from outside.
    External,
    /// It is being built.
    Running,
    /// A run has it to build and has not begun.
    Queued,
    /// The newest attempt failed.
    Failed,
    /// The newest step could not run because of something upstream.
    Blocked,
    /// It was built from other code or data than there is now.
    Stale,
    /// It is there, with nothing against it.
    Fresh,
    /// Its window has ended and it was never built.
    Missing,
    /// Its window has not ended: nobody waits for it yet.
    NotDue,
}

impl PartitionStanding {
    /// The word used in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Stale => "stale",
            Self::Fresh => "fresh",
            Self::Missing => "missing",
            Self::NotDue => "not due",
        }
    }
}

/// Why a partition is as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WhyView {
    /// The asset.
    pub asset: AssetKey,
    /// The partition.
    pub partition: PartitionKey,
    /// How the asset is computed.
    pub kind: AssetKind,
    /// When this was so.
    pub at: DateTime<Utc>,
    /// The partition's window.
    pub window: Option<TimeWindow>,
    /// Whether the window has ended; always for partitions without one.
    pub is_closed: bool,
    /// How it stands.
    pub standing: PartitionStanding,
    /// The present version.
    pub version: Option<MaterializationView>,
    /// The run that built the present version.
    pub built_by: Option<BuiltByView>,
    /// What the present version has against it.
    pub stale: Vec<StaleReasonView>,
    /// What it reads.
    pub inputs: Vec<InputView>,
    /// What it reads that does not exist: it cannot be built before that is.
    pub missing_upstream: Vec<AssetPartitionsView>,
    /// What keeps it from being built or begun, the most decisive first.
    pub obstacles: Vec<ObstacleView>,
    /// What automation makes of it; `None` for external assets.
    pub automation: Option<Evaluation>,
    /// The schedules that build it, the next one to fire first.
    pub schedules: Vec<NextTickView>,
    /// How its asset keeps its freshness policy, if it has one.
    pub freshness: Option<FreshnessView>,
    /// The newest steps, newest first.
    pub steps: Vec<StepView>,
    /// What the checks of the newest step that had any found.
    pub checks: Vec<CheckView>,
    /// Of an external asset: rows known to have landed in the whole asset.
    pub landed_rows: Option<i64>,
}

/// The run that built a version; it is known for as long as the version is the present one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuiltByView {
    /// The run.
    pub run_id: Uuid,
    /// The kind of cause: `manual`, `backfill`, `retry`, `schedule`, `automation` or `sensor`.
    pub cause: String,
    /// Why it built this partition.
    #[schema(value_type = String)]
    pub because: Told<Because>,
    /// What was asked for.
    pub command: String,
}

/// When a schedule fires next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextTickView {
    /// The schedule.
    pub schedule: String,
    /// When; `None` when it is paused.
    pub at: Option<DateTime<Utc>>,
}

/// What a partition reads of one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputView {
    /// The upstream.
    pub asset: AssetKey,
    /// How that is computed.
    pub kind: AssetKind,
    /// Which partitions: `overlap`, `window(-6, 0)`, `all`, `latest`.
    pub mapping: String,
    /// The partitions it reads.
    pub partitions: PartitionsView,
    /// Whether their content differs from what was read.
    pub changed: bool,
    /// Those of them that were published after the partition itself was.
    pub newer: PartitionsView,
}

impl Service {
    /// Why `partition` of `asset` is as it is: both as a person writes them, the asset by its key or table. Without a
    /// partition, the newest that has ended, or the first one there will be.
    ///
    /// # Errors
    /// When there is no such asset or partition, or the partition has not begun, or the state cannot be read.
    pub async fn why(&self, asset: &str, partition: Option<&str>) -> Result<WhyView, ServiceError> {
        let spec = self.definitions.find(asset)?.clone();
        let now = self.now();
        let ordinal = chosen_ordinal(&spec, partition, now)
            .map_err(|source| ExtentError::Partition { asset: spec.key.clone(), source })?;
        let key = spec.partitions.key(ordinal);
        // Of an external asset the rows of the whole are told, of others nothing but this partition.
        let looked_at = match spec.is_materializable() {
            true => PartitionSubset::single(ordinal),
            false => spec.partitions.existing(now),
        };
        let status = partition_statuses(&self.store, &self.definitions, &spec, &looked_at, now).await?;
        let steps = self.store.partition_steps(spec.key.as_str(), key.as_str(), TOLD_STEPS).await?;
        let versions = self.store.materializations(spec.key.as_str(), Some(key.as_str()), 1).await?;
        let version = versions.into_iter().map(MaterializationView::from).find(|version| version.current);
        let reasons = status.stale.get(&ordinal).cloned().unwrap_or_default();
        let plan = PartitionSets::from([(spec.key.clone(), PartitionSubset::single(ordinal))]);
        let missing = missing_upstream(&self.store, &self.definitions, &plan, now).await?;
        let inputs = self.inputs(&spec, ordinal, version.as_ref(), &reasons, now).await?;
        let checks = self.newest_checks(&spec, &key).await?;
        let standing = standing(&spec, &status, ordinal);
        let obstacles = match (standing, steps.first()) {
            (PartitionStanding::Queued, Some(step)) => self.waiting_for(&spec, ordinal, step, now).await?,
            (PartitionStanding::Blocked, _) => self.failures_upstream(&spec, ordinal, now).await?,
            _ if !missing.is_empty() => self.failures_upstream(&spec, ordinal, now).await?,
            _ => Vec::new(),
        };
        let automation = match spec.is_materializable() {
            true => Some(explain(&self.store, &self.definitions, &spec, ordinal, now).await?),
            false => None,
        };
        let schedules = self.next_ticks(&spec.key).await?;
        let kept = freshness_of(&self.store, &self.definitions, [&spec], now).await?;
        let freshness = spec.freshness.zip(kept.get(&spec.key)).map(|(policy, kept)| FreshnessView::new(policy, *kept));
        let window = spec.partitions.window(ordinal);
        let zone = self.definitions.calendar().zone;
        let run = match &version {
            Some(version) => self.store.run(version.run_id).await?,
            None => None,
        };
        let built_by = run.map(|run| BuiltByView {
            run_id: run.run_id,
            because: partition_cause_text(&run, &spec.key, Some(ordinal), zone),
            command: command_of(&run.request),
            cause: run.cause,
        });
        Ok(WhyView {
            asset: spec.key.clone(),
            partition: key,
            kind: spec.kind,
            at: now,
            window,
            is_closed: window.is_none_or(|window| window.end <= now),
            standing,
            version,
            built_by,
            stale: reasons.iter().map(|reason| reason_view(reason, zone)).collect(),
            inputs,
            missing_upstream: sets_view(&self.definitions, &missing),
            steps: self.step_views(&spec.key, Some(ordinal), steps).await?,
            obstacles,
            automation,
            schedules,
            freshness,
            checks,
            landed_rows: (!spec.is_materializable()).then_some(status.row_count),
        })
    }

    /// The declared schedules that select the asset; paused ones last.
    async fn next_ticks(&self, asset: &AssetKey) -> Result<Vec<NextTickView>, ServiceError> {
        let mut ticks: Vec<NextTickView> = self
            .schedules()
            .await?
            .into_iter()
            .filter(|schedule| schedule.assets.contains(asset))
            .map(|schedule| NextTickView { schedule: schedule.schedule, at: schedule.next_tick_at })
            .collect();
        ticks.sort_by_key(|tick| (tick.at.is_none(), tick.at));
        Ok(ticks)
    }

    async fn inputs(
        &self,
        spec: &AssetSpec,
        ordinal: Ordinal,
        version: Option<&MaterializationView>,
        reasons: &[Staleness],
        now: DateTime<Utc>,
    ) -> Result<Vec<InputView>, ServiceError> {
        let subset = PartitionSubset::single(ordinal);
        let mut inputs = Vec::with_capacity(spec.upstreams.len());
        for upstream in &spec.upstreams {
            let Some(read_spec) = self.definitions.asset(&upstream.key) else { continue };
            let read = partitions_read(&*self.definitions, &spec.key, &subset, &upstream.key, upstream.mapping, now);
            let changed = reasons.iter().any(|reason| match reason {
                Staleness::InputChanged { asset } | Staleness::LateRows { asset, .. } => *asset == upstream.key,
                _ => false,
            });
            // Positions of keys may have moved: of these all are looked at.
            let ranges = match read_spec.partitions.as_time() {
                Some(_) => read.ranges().to_vec(),
                None => vec![(Ordinal::MIN, Ordinal::MAX)],
            };
            let built_later = match version {
                Some(version) => self.store.published_after(upstream.key.as_str(), &ranges, version.at).await?,
                None => Vec::new(),
            };
            let newer = PartitionSubset::from_ordinals(
                built_later
                    .iter()
                    .filter_map(|key| key.parse().ok().and_then(|key| read_spec.partitions.ordinal(&key).ok())),
            );
            inputs.push(InputView {
                asset: upstream.key.clone(),
                kind: read_spec.kind,
                mapping: upstream.mapping.to_string(),
                partitions: PartitionsView::new(&read_spec.partitions, &read),
                changed,
                newer: PartitionsView::new(&read_spec.partitions, &newer.intersection(&read)),
            });
        }
        Ok(inputs)
    }

    async fn newest_checks(&self, spec: &AssetSpec, key: &PartitionKey) -> Result<Vec<CheckView>, ServiceError> {
        let mut results = self.store.check_results(spec.key.as_str(), Some(key.as_str()), false, TOLD_CHECKS).await?;
        if let Some(newest) = results.first().map(|result| (result.step_id, result.checked_at)) {
            results.retain(|result| (result.step_id, result.checked_at) == newest);
        }
        Ok(results.into_iter().rev().map(CheckView::from).collect())
    }
}

/// The partition a person means; one that has begun.
fn chosen_ordinal(spec: &AssetSpec, partition: Option<&str>, now: DateTime<Utc>) -> Result<Ordinal, PartitionError> {
    let definition = &spec.partitions;
    let Some(text) = partition else {
        let newest = definition.closed(now).last().or_else(|| definition.existing(now).last());
        return newest.ok_or_else(|| PartitionError::NoneBegun { first: definition.key(definition.first()) });
    };
    let subset = definition.parse_selection(text, now)?;
    match (subset.first(), subset.len()) {
        (Some(ordinal), 1) => Ok(ordinal),
        // Of several the newest would be a guess.
        _ => definition.ordinal(&text.parse()?),
    }
}

fn standing(spec: &AssetSpec, status: &AssetStatus, ordinal: Ordinal) -> PartitionStanding {
    if !spec.is_materializable() {
        return PartitionStanding::External;
    }
    if status.running.contains(ordinal) {
        return PartitionStanding::Running;
    }
    if status.queued.contains(ordinal) {
        return PartitionStanding::Queued;
    }
    match status.failed.get(&ordinal) {
        Some((state, _)) if state == "blocked" => PartitionStanding::Blocked,
        Some(_) => PartitionStanding::Failed,
        None if status.stale.contains_key(&ordinal) => PartitionStanding::Stale,
        None if status.materialized.contains(ordinal) => PartitionStanding::Fresh,
        None if status.missing.contains(ordinal) => PartitionStanding::Missing,
        None => PartitionStanding::NotDue,
    }
}
