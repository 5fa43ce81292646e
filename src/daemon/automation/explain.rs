//! Why automation does, or does not, build one partition.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ReadState;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::automation::{Rule, UpstreamState, Verdict, decide, lacking_sentence};
use crate::core::partition::Ordinal;
use crate::core::policy::WaitPolicy;
use crate::core::subset::PartitionSubset;
use crate::engine::needs::partition_needs;
use crate::store::{Store, StoreError};

/// What automation makes of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evaluation {
    /// In one sentence.
    pub verdict: String,
    /// The conditions, one sentence each: those of the policy, and what is waited for upstream.
    pub conditions: Vec<String>,
    /// When time alone leads to a build, if nothing changes.
    pub next_at: Option<DateTime<Utc>>,
}

impl Evaluation {
    fn verdict(verdict: &str) -> Self {
        Self { verdict: verdict.to_owned(), conditions: Vec::new(), next_at: None }
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
        return Ok(Evaluation::verdict("it is filled from outside"));
    }
    if rule.is_manual() {
        return Ok(Evaluation::verdict("it is built on request only"));
    }
    let single = PartitionSubset::single(ordinal);
    if !asset.partitions.closed(now).contains(ordinal) {
        let end = asset.partitions.window(ordinal).map(|window| window.end);
        return Ok(Evaluation { next_at: end, ..Evaluation::verdict("not due: its window has not ended") });
    }
    let mut needs = partition_needs(store, definitions, asset, &single, now).await?;
    let Some(need) = needs.partitions.remove(&ordinal) else {
        return Ok(Evaluation::verdict("nothing to do: nothing it reads has changed since it was built"));
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
        conditions.extend(lacking_sentence(&state, &spec.partitions));
        upstreams.push(state);
    }
    if let (WaitPolicy::AtLeast(count), false) = (asset.wait, conditions.is_empty()) {
        conditions.push(format!("{count} of each upstream are enough"));
    }
    conditions.extend(rule.sentences(&need.situation, now, zone));
    let decided = decide(&rule, asset.wait, &need.situation, &upstreams, now, zone);
    let verdict = match decided {
        Verdict::Launch { incomplete: false } => "due: it is launched at the next look",
        Verdict::Launch { incomplete: true } => "due: it is launched with what is there",
        Verdict::At(_) => "not due yet",
        Verdict::OnChange if need.situation.in_progress => "in progress: a run has it to build",
        Verdict::OnChange => "waiting for a change",
    };
    let next_at = if let Verdict::At(instant) = decided { Some(instant) } else { None };
    Ok(Evaluation { conditions, next_at, ..Evaluation::verdict(verdict) })
}
