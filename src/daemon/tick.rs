//! One tick of a schedule: what it builds, and the run that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::partition::Described;
use crate::core::plan::{PartitionSets, Withheld, add_affected, withhold_incomplete};
use crate::core::schedule::ScheduleSpec;
use crate::core::subset::PartitionSubset;
use crate::engine::extent::{self, ExtentError};
use crate::engine::launch::{LaunchError, LaunchRequest, prepare, present};
use crate::engine::needs::partition_needs;
use crate::store::launch::{NewRun, NewSteps, RunCause};
use crate::store::schedule::{NewTick, TickKind, TickOutcome};
use crate::store::{Store, StoreError};

/// How many assets a message tells of.
const TOLD_ASSETS: usize = 5;

/// What a tick builds.
#[derive(Clone, Debug, Default)]
pub struct TickPlan {
    /// The partitions to be built; those that prove fresh at their turn are skipped.
    pub sets: PartitionSets,
    /// Partitions that would be built if something they read were there.
    pub withheld: BTreeMap<AssetKey, Withheld>,
    /// Why there are no partitions to look at.
    pub problem: Option<ExtentError>,
}

impl TickPlan {
    /// What comes of it.
    #[must_use]
    pub fn outcome(&self) -> TickOutcome {
        match &self.problem {
            _ if !self.sets.is_empty() => TickOutcome::Launched,
            // Time will bring some.
            None | Some(ExtentError::NoPartitions(_)) => TickOutcome::Nothing,
            Some(_) => TickOutcome::Failed,
        }
    }

    /// What is left out and why, or why there is nothing to build; `None` when everything due is built.
    #[must_use]
    pub fn message(&self, definitions: &Definitions, schedule: &ScheduleSpec) -> Option<TickMessage> {
        if let Some(problem) = &self.problem {
            return Some(TickMessage::Problem(problem.to_string()));
        }
        if self.withheld.is_empty() {
            return self.sets.is_empty().then_some(TickMessage::NothingToDo);
        }
        let described = |key: &AssetKey, subset: &PartitionSubset| {
            let partitions = definitions.asset(key).map(|spec| spec.partitions.described(subset));
            (key.clone(), partitions.unwrap_or_default())
        };
        let told = self.withheld.iter().take(TOLD_ASSETS).map(|(key, withheld)| {
            let missing = withheld.missing.iter().map(|(key, subset)| described(key, subset)).collect();
            (described(key, &withheld.partitions), missing)
        });
        Some(TickMessage::Withheld {
            told: told.collect(),
            more: self.withheld.len().saturating_sub(TOLD_ASSETS),
            selection: schedule.selection.to_string(),
        })
    }
}

/// An asset and partitions of it.
type Partitions = (AssetKey, Described);

/// What is left out of a tick and why, or why there is nothing to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TickMessage {
    /// It cannot be made out which partitions are meant.
    Problem(String),
    /// Everything is there, and made of what there is now.
    NothingToDo,
    /// Something that is read is missing.
    Withheld {
        /// What is not built, each with what is missing of what it reads.
        told: Vec<(Partitions, Vec<Partitions>)>,
        /// How many more assets there are of which something is not built.
        more: usize,
        /// The schedule's selection.
        selection: String,
    },
}

impl fmt::Display for TickMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => formatter.write_str(problem),
            Self::NothingToDo => {
                formatter.write_str("nothing to do: what it would build is there, and nothing it was made of changed")
            }
            Self::Withheld { told, more, selection } => {
                let told = told.iter().map(|((key, partitions), missing)| {
                    let missing = missing.iter().map(|(key, partitions)| format!("{key} {partitions}"));
                    format!("{key} {partitions} needs {}", missing.collect::<Vec<_>>().join(" and "))
                });
                let told = told.collect::<Vec<_>>().join("; ");
                let more = if *more == 0 { String::new() } else { format!("; and {more} more") };
                let remedy = format!("`backfill '{selection}' --missing` builds what is missing");
                write!(formatter, "not built, because something is missing: {told}{more}. {remedy}")
            }
        }
    }
}

/// What the tick of `schedule` at the instant `at` builds as things stand at `now`.
///
/// Of each asset, its extent at `at`; of these, what is missing or whose data changed, and what reads that. Partitions
/// of which only the code changed are left alone.
///
/// # Errors
/// When the state cannot be read.
pub async fn plan_tick(
    store: &Store,
    definitions: &Definitions,
    schedule: &ScheduleSpec,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<TickPlan, StoreError> {
    let assets: Vec<Arc<AssetSpec>> =
        schedule.assets.iter().filter_map(|key| definitions.asset(key).cloned()).collect();
    let within = match extent::resolve(&assets, &schedule.partitions, at) {
        Ok(within) => within,
        Err(problem) => return Ok(TickPlan { problem: Some(problem), ..TickPlan::default() }),
    };
    let mut sets = PartitionSets::new();
    for asset in &assets {
        let Some(within) = within.get(&asset.key) else { continue };
        let needs = partition_needs(store, definitions, asset, within, now).await?;
        if !needs.partitions.is_empty() {
            sets.insert(asset.key.clone(), PartitionSubset::from_ordinals(needs.partitions.into_keys()));
        }
    }
    add_affected(definitions, &mut sets, &within, now);
    let upstream: BTreeSet<AssetKey> = sets
        .keys()
        .filter_map(|key| definitions.asset(key))
        .flat_map(|spec| spec.upstreams.iter().map(|upstream| upstream.key.clone()))
        .collect();
    let present = present(store, definitions, &upstream).await?;
    let withheld = withhold_incomplete(definitions, &mut sets, &present, now);
    Ok(TickPlan { sets, withheld, problem: None })
}

/// A tick with its run, ready to be written.
pub struct PreparedTick {
    /// What comes of it.
    pub outcome: TickOutcome,
    /// What is left out and why, or why nothing is launched.
    pub message: Option<String>,
    /// The run.
    pub launch: Option<(NewRun, Vec<NewSteps>)>,
}

impl PreparedTick {
    /// The record of the tick.
    #[must_use]
    pub fn record<'a>(
        &self,
        schedule: &'a ScheduleSpec,
        kind: TickKind,
        tick_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> NewTick<'a> {
        NewTick {
            schedule: &schedule.name,
            tick_at,
            kind,
            outcome: self.outcome,
            message: self.message.clone(),
            recorded_at: now,
        }
    }

    /// The run in the form in which it is written.
    #[must_use]
    pub fn launch(&self) -> Option<(&NewRun, &[NewSteps])> {
        self.launch.as_ref().map(|(run, steps)| (run, steps.as_slice()))
    }
}

/// Plans the tick of `schedule` at the instant `at` and makes up its run; nothing is written.
///
/// # Errors
/// When the state cannot be read. That a run cannot be made is an outcome.
pub async fn prepare_tick(
    store: &Store,
    definitions: &Definitions,
    schedule: &ScheduleSpec,
    kind: TickKind,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<PreparedTick, StoreError> {
    let plan = plan_tick(store, definitions, schedule, at, now).await?;
    let outcome = plan.outcome();
    let message = plan.message(definitions, schedule).map(|message| message.to_string());
    if outcome != TickOutcome::Launched {
        return Ok(PreparedTick { outcome, message, launch: None });
    }
    let at_text = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let request = LaunchRequest {
        only_if_stale: plan.sets.keys().cloned().collect(),
        plan: plan.sets,
        force: false,
        per_partition: false,
        concurrency_limit: None,
        priority: 0,
        cause: RunCause::Schedule,
        cause_detail: Some(json!({ "schedule": schedule.name, "tick_at": at_text, "kind": kind.as_str() })),
        backfill_id: None,
        retry_of: None,
        requested_by: None,
        request: json!({
            "command": format!("schedule trigger {} --at {at_text}", schedule.name),
            "request": {
                "selection": schedule.selection.to_string(),
                "extent": schedule.partitions,
                "states": ["missing", "stale"],
            },
        }),
    };
    match prepare(store, definitions, request, now).await {
        Ok(launch) => Ok(PreparedTick { outcome, message, launch: Some(launch) }),
        Err(LaunchError::Store(error)) => Err(error),
        Err(error) => Ok(PreparedTick { outcome: TickOutcome::Failed, message: Some(error.to_string()), launch: None }),
    }
}
