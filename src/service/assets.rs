//! The assets as they are declared; no database is needed.

use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ServiceError;
use super::select::select_declared;
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::policy::Automation;
use crate::core::told::Told;
use crate::core::word::{self, Word};

/// An asset in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AssetView {
    /// The asset.
    pub asset: AssetKey,
    /// How it is computed.
    pub kind: AssetKind,
    /// What it is: the doc comment of the row struct.
    pub description: String,
    /// `daily`, `static`, `unpartitioned`, …
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub partitioned: Word,
    /// The zone of time partitions.
    #[schema(value_type = Option<String>)]
    pub zone: Option<Tz>,
    /// The first partition, begun or not.
    pub first_partition: PartitionKey,
    /// The day with which time partitions end.
    pub end: Option<NaiveDate>,
    /// What it reads directly.
    pub upstream: Vec<AssetKey>,
    /// What reads it directly.
    pub downstream: Vec<AssetKey>,
    /// When it runs by itself, in words.
    #[schema(value_type = String)]
    pub automation: Told<Automation>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words for selections.
    pub tags: Vec<String>,
    /// The names of its checks.
    pub checks: Vec<String>,
    /// The pool it counts against.
    pub pool: Option<String>,
}

/// The assets that `selection` means, upstream before downstream; all when it is `None`. The selection must not ask for
/// states ([`asks_for_states`](super::asks_for_states)): those are in the database.
///
/// # Errors
/// When the selection selects nothing.
pub fn list_assets(definitions: &Definitions, selection: Option<&str>) -> Result<Vec<AssetView>, ServiceError> {
    let specs = match selection {
        Some(selection) => select_declared(definitions, selection, Default::default())?,
        None => {
            let order = definitions.graph().topological_order().iter();
            order.filter_map(|key| definitions.asset(key).cloned()).collect()
        }
    };
    Ok(asset_views(definitions, &specs))
}

/// These assets as they are declared.
#[must_use]
pub fn asset_views(definitions: &Definitions, specs: &[Arc<AssetSpec>]) -> Vec<AssetView> {
    specs.iter().map(|spec| asset_view(definitions, spec)).collect()
}

pub(super) fn asset_view(definitions: &Definitions, spec: &AssetSpec) -> AssetView {
    let graph = definitions.graph();
    let owned = |keys: Vec<&AssetKey>| keys.into_iter().cloned().collect();
    AssetView {
        asset: spec.key.clone(),
        kind: spec.kind,
        description: spec.description.clone(),
        partitioned: spec.partitions.as_str(),
        zone: spec.partitions.zone(),
        first_partition: spec.partitions.key(spec.partitions.first()),
        end: spec.partitions.as_time().and_then(|time| time.end()),
        upstream: owned(graph.upstream(&spec.key)),
        downstream: owned(graph.downstream(&spec.key)),
        automation: Told::new(automation_text(&spec.automation), spec.automation.clone()),
        owner: spec.owner.clone(),
        tags: spec.tags.clone(),
        checks: spec.checks.iter().map(|check| check.name.clone()).collect(),
        pool: spec.pool.clone(),
    }
}

/// When an asset runs by itself, in words.
fn automation_text(automation: &Automation) -> String {
    let several = |parts: &[Automation], word: &str| parts.iter().map(automation_text).collect::<Vec<_>>().join(word);
    match automation {
        Automation::Manual => "manual".to_owned(),
        Automation::Cron(expression) => format!("cron {expression}"),
        Automation::Eager { .. } => "eager".to_owned(),
        Automation::OnClose { .. } => "on close".to_owned(),
        Automation::Any(parts) => several(parts, " or "),
        Automation::All(parts) => several(parts, " and "),
    }
}

impl super::Service {
    /// The assets that `selection` means, states included; all when it is `None`.
    ///
    /// # Errors
    /// When the selection selects nothing or the state cannot be read.
    pub async fn assets(&self, selection: Option<&str>) -> Result<Vec<AssetView>, ServiceError> {
        let specs = match selection {
            Some(selection) => self.select(selection).await?,
            None => self.all_assets(),
        };
        Ok(specs.iter().map(|spec| asset_view(&self.definitions, spec)).collect())
    }
}
