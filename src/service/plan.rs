//! From a request to the partitions that would be built: what a preview shows and a launch starts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::known::Known;
use super::view::sets_view;
use super::{AssetPartitionsView, Extent, PartitionState, PartitionsView, Picture, Request, Service, ServiceError};
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::core::key::AssetKey;
use crate::core::plan::{PartitionSets, add_affected, add_missing_inputs};
use crate::core::subset::PartitionSubset;
use crate::engine::extent::{self, ExtentError};

/// What a request comes to, before anything is launched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// The request.
    pub request: Request,
    /// What would be built, upstream before downstream.
    pub assets: Vec<PlannedAsset>,
    /// How many partitions of all assets together.
    pub partition_count: u64,
    /// What these read and what neither exists nor is part of the plan. Launching is refused unless it is empty or the
    /// request forces it.
    pub missing_upstream: Vec<AssetPartitionsView>,
    /// Selected assets that are filled from outside and so not built.
    pub external: Vec<AssetKey>,
}

/// The partitions of one asset in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedAsset {
    /// The asset.
    pub asset: AssetKey,
    /// How it is computed.
    pub kind: AssetKind,
    /// Which of its partitions.
    pub partitions: PartitionsView,
    /// How many of them have been built before.
    pub built_before: u64,
    /// Why it is in the plan.
    pub because: PlannedBecause,
    /// Partitions that turn out to be fresh at their turn are skipped.
    pub only_if_stale: bool,
}

/// Why an asset is in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlannedBecause {
    /// It was selected.
    Selected,
    /// It is selected, and reads partitions that are chosen.
    Affected,
    /// Something planned needs it.
    Upstream,
}

/// A part of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanPart {
    /// The plan with the assets of this part; everything else in it is of the whole.
    pub plan: PlanView,
    /// How many partitions of each asset would be built, also of those that are not in this part.
    pub partition_counts: BTreeMap<AssetKey, u64>,
}

/// What launching and previews need of a plan.
pub(super) struct Plan {
    pub(super) sets: PartitionSets,
    pub(super) only_if_stale: BTreeSet<AssetKey>,
    pub(super) missing: PartitionSets,
    because: BTreeMap<AssetKey, PlannedBecause>,
    present: PartitionSets,
    external: Vec<AssetKey>,
}

impl Plan {
    /// The plan with the assets that come in `order`.
    pub(super) fn view<'k>(
        &self,
        definitions: &Definitions,
        request: &Request,
        order: impl Iterator<Item = &'k AssetKey>,
    ) -> PlanView {
        let assets = order.filter_map(|key| {
            let (spec, subset) = (definitions.asset(key)?, self.sets.get(key)?);
            Some(PlannedAsset {
                asset: key.clone(),
                kind: spec.kind,
                partitions: PartitionsView::new(&spec.partitions, subset),
                built_before: self.present.get(key).map_or(0, |present| present.intersection(subset).len()),
                because: *self.because.get(key)?,
                only_if_stale: self.only_if_stale.contains(key),
            })
        });
        PlanView {
            request: request.clone(),
            assets: assets.collect(),
            partition_count: self.sets.values().map(PartitionSubset::len).sum(),
            missing_upstream: sets_view(definitions, &self.missing),
            external: self.external.clone(),
        }
    }

    /// The plan with all its assets.
    pub(super) fn whole(&self, definitions: &Definitions, request: &Request) -> PlanView {
        self.view(definitions, request, definitions.graph().topological_order().iter())
    }
}

impl Service {
    /// What `request` comes to; nothing is launched.
    ///
    /// # Errors
    /// When the request is wrong ([`ErrorKind::Request`](super::ErrorKind)), when nothing is in the states asked for
    /// ([`ServiceError::NothingToDo`]), or when the state cannot be read. What is missing upstream is no error here.
    pub async fn plan(&self, request: &Request) -> Result<PlanView, ServiceError> {
        Ok(self.resolve(request, Known::by_database(self)).await?.whole(&self.definitions, request))
    }

    /// The same by what the picture shows, so that no partition is looked at: for showing what would be launched. What is
    /// launched is decided by the database.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub async fn plan_as_pictured(&self, picture: &Picture, request: &Request) -> Result<PlanView, ServiceError> {
        Ok(self.resolve(request, Known::by_picture(self, picture)).await?.whole(&self.definitions, request))
    }

    /// A part of the same: of the assets that would be built those that were not `told`, at most `limit`.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub async fn plan_in_part(
        &self,
        picture: &Picture,
        request: &Request,
        told: &BTreeSet<&AssetKey>,
        limit: usize,
    ) -> Result<PlanPart, ServiceError> {
        let plan = self.resolve(request, Known::by_picture(self, picture)).await?;
        let order = self.definitions.graph().topological_order().iter();
        let rest = order.filter(|key| plan.sets.contains_key(*key) && !told.contains(key));
        Ok(PlanPart {
            plan: plan.view(&self.definitions, request, rest.take(limit)),
            partition_counts: plan.sets.iter().map(|(key, subset)| (key.clone(), subset.len())).collect(),
        })
    }

    pub(super) async fn resolve(&self, request: &Request, known: Known<'_>) -> Result<Plan, ServiceError> {
        let now = self.now();
        let selected = known.select(&request.selection).await?;
        let (built, external): (Vec<Arc<AssetSpec>>, Vec<Arc<AssetSpec>>) =
            selected.into_iter().partition(|spec| spec.is_materializable());
        if let ([], [first, ..]) = (built.as_slice(), external.as_slice()) {
            return Err(ServiceError::External(first.key.clone()));
        }
        let by_state = !request.states.is_empty();
        let extent = if by_state && request.extent == Extent::Newest { &Extent::All } else { &request.extent };
        let within = match extent::resolve(&built, extent, now) {
            // Nothing that could be in any state; failed open partitions may still be.
            Err(ExtentError::NoPartitions(_)) if by_state && *extent == Extent::All => PartitionSets::new(),
            within => within?,
        };
        let chosen = if by_state { in_states(known, request, extent, &built, &within).await? } else { within.clone() };
        let mut sets = chosen.clone();
        if by_state {
            add_affected(&*self.definitions, &mut sets, &within, now);
        }
        if request.upstream {
            let ancestors = self.definitions.graph().ancestors(sets.keys(), None);
            let present = known.built(&ancestors).await?;
            add_missing_inputs(&*self.definitions, &mut sets, &present, now);
        }
        let missing = known.missing_upstream(&sets, now).await?;
        let present = known.built(&sets.keys().cloned().collect()).await?;
        let selected: BTreeSet<&AssetKey> = built.iter().map(|spec| &spec.key).collect();
        // Partitions in a state are never fresh, so the test costs them nothing and stops where content stays equal.
        let only_if_stale: BTreeSet<AssetKey> = match by_state {
            true => sets.keys().filter(|key| selected.contains(key)).cloned().collect(),
            false => BTreeSet::new(),
        };
        let because = |key: &AssetKey| match (selected.contains(key), chosen.contains_key(key)) {
            (true, true) => PlannedBecause::Selected,
            (true, false) => PlannedBecause::Affected,
            (false, _) => PlannedBecause::Upstream,
        };
        Ok(Plan {
            because: sets.keys().map(|key| (key.clone(), because(key))).collect(),
            external: external.iter().map(|spec| spec.key.clone()).collect(),
            sets,
            only_if_stale,
            missing,
            present,
        })
    }
}

/// The partitions in one of the states asked for.
async fn in_states(
    known: Known<'_>,
    request: &Request,
    extent: &Extent,
    assets: &[Arc<AssetSpec>],
    within: &PartitionSets,
) -> Result<PartitionSets, ServiceError> {
    let mut chosen = PartitionSets::new();
    for (key, asset) in known.standings(assets).await? {
        let nothing = PartitionSubset::empty();
        let within = within.get(&key).unwrap_or(&nothing);
        let mut subset = PartitionSubset::empty();
        for state in &request.states {
            let in_state = match state {
                PartitionState::Missing => asset.missing.intersection(within),
                PartitionState::Stale => asset.stale.partitions().intersection(within),
                // An open partition that failed was asked for by its name once.
                PartitionState::Failed if *extent == Extent::All => asset.failed.partitions(),
                PartitionState::Failed => asset.failed.partitions().intersection(within),
            };
            subset = subset.union(&in_state);
        }
        if !subset.is_empty() {
            chosen.insert(key, subset);
        }
    }
    if chosen.is_empty() {
        let states: Vec<&str> = request.states.iter().map(|state| state.as_str()).collect();
        let whose = match assets {
            [one] => one.key.to_string(),
            several => format!("the {} selected assets", several.len()),
        };
        return Err(ServiceError::NothingToDo(format!(
            "nothing to do: no partition of {whose} is {}",
            states.join(" or ")
        )));
    }
    Ok(chosen)
}
