//! Why automation does, or does not, build one partition.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ReadState;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::automation::{Condition, Rule, UpstreamState, Verdict, decide};
use crate::core::partition::Ordinal;
use crate::core::policy::WaitPolicy;
use crate::core::subset::PartitionSubset;
use crate::core::told::Told;
use crate::engine::needs::partition_needs;
use crate::store::{Store, StoreError};

/// What automation makes of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evaluation {
    /// In one sentence.
    #[schema(value_type = String)]
    pub verdict: Told<Finding>,
    /// The conditions, one sentence each: those of the policy, and what is waited for upstream.
    #[schema(value_type = Vec<String>)]
    pub conditions: Vec<Told<Condition>>,
    /// When time alone leads to a build, if nothing changes.
    pub next_at: Option<DateTime<Utc>>,
}

impl From<Finding> for Evaluation {
    fn from(finding: Finding) -> Self {
        Self { verdict: finding.into(), conditions: Vec::new(), next_at: None }
    }
}

/// What automation makes of a partition, before its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is no asset that is built.
    External,
    /// It is never built by itself.
    Manual,
    /// Its window has not ended.
    NotEnded,
    /// It is there, and made of what there is now.
    Fresh,
    /// It is going to be launched.
    Due,
    /// It is going to be launched although something upstream is not there.
    DueIncomplete,
    /// Time alone leads to its build.
    NotYet,
    /// A live run has it to build.
    InProgress,
    /// Something has to change first.
    Waiting,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::External => "it is filled from outside",
            Self::Manual => "it is built on request only",
            Self::NotEnded => "not due: its window has not ended",
            Self::Fresh => "nothing to do: nothing it reads has changed since it was built",
            Self::Due => "due: it is launched at the next look",
            Self::DueIncomplete => "due: it is launched with what is there",
            Self::NotYet => "not due yet",
            Self::InProgress => "in progress: a run has it to build",
            Self::Waiting => "waiting for a change",
        })
    }
}

/// What automation makes of the partition `ordinal` of `asset` at `now`, by the same facts and rules it goes by itself.
///
/// # Errors
/// When the state cannot be read.
pub async fn explain(
    store: &Store,
    definitions: &Definitions,
    asset: &AssetSpec,
    ordinal: Ordinal,
    now: DateTime<Utc>,
) -> Result<Evaluation, StoreError> {
    let rule = Rule::new(&asset.automation).unwrap_or(Rule::Manual);
    if !asset.is_materializable() {
        return Ok(Finding::External.into());
    }
    if rule.is_manual() {
        return Ok(Finding::Manual.into());
    }
    let single = PartitionSubset::single(ordinal);
    if !asset.partitions.closed(now).contains(ordinal) {
        let end = asset.partitions.window(ordinal).map(|window| window.end);
        return Ok(Evaluation { next_at: end, ..Finding::NotEnded.into() });
    }
    let mut needs = partition_needs(store, definitions, asset, &single, now).await?;
    let Some(need) = needs.partitions.remove(&ordinal) else {
        return Ok(Finding::Fresh.into());
    };
    let mut upstreams: Vec<UpstreamState> = Vec::with_capacity(asset.upstreams.len());
    let mut conditions = Vec::new();
    let zone = definitions.calendar().zone;
    for upstream in &asset.upstreams {
        let Some(spec) = definitions.asset(&upstream.key) else { continue };
        let required = upstream.mapping.required_of(&asset.partitions, &spec.partitions, &single, now);
        let unfresh = partition_needs(store, definitions, spec, &required, now).await?.unfresh;
        let Some(read) = ReadState::new(definitions, asset, upstream, &single, &unfresh, now) else { continue };
        let state = read.state_for(asset, ordinal, now);
        conditions.extend(Condition::lacking(&state, &spec.partitions));
        upstreams.push(state);
    }
    if let (WaitPolicy::AtLeast(count), false) = (asset.wait, conditions.is_empty()) {
        conditions.push(Condition::Enough(count));
    }
    conditions.extend(rule.conditions(&need.situation, now, zone));
    let decided = decide(&rule, asset.wait, &need.situation, &upstreams, now, zone);
    let finding = match decided {
        Verdict::Launch { incomplete: false } => Finding::Due,
        Verdict::Launch { incomplete: true } => Finding::DueIncomplete,
        Verdict::At(_) => Finding::NotYet,
        Verdict::OnChange if need.situation.in_progress => Finding::InProgress,
        Verdict::OnChange => Finding::Waiting,
    };
    let conditions = conditions.into_iter().map(|condition| Told::new(condition.sentence(zone), condition)).collect();
    let next_at = if let Verdict::At(instant) = decided { Some(instant) } else { None };
    Ok(Evaluation { verdict: finding.into(), conditions, next_at })
}
