//! Marking by hand: saying that an external asset changed where Karat could not see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::{Done, Role};
use super::request::quoted;
use super::{AssetPartitionsView, PartitionsView, Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::plan::partitions_reading;
use crate::core::subset::PartitionSubset;
use crate::engine::extent::ExtentError;
use crate::engine::status::asset_statuses;
use crate::store::mark::NewMark;
use crate::store::signal::Signal;

/// What was marked by hand, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarkedView {
    /// The external asset.
    pub asset: AssetKey,
    /// Its partitions.
    pub partitions: PartitionsView,
    /// Why.
    pub reason: String,
    /// Whether it was done.
    pub marked: bool,
    /// The versions that read these partitions, which become stale; what reads them follows when their content changes.
    pub stale: Vec<AssetPartitionsView>,
}

/// The command line that marks the same, after the program's name.
#[must_use]
pub fn mark_command(asset: &AssetKey, partitions: &str, reason: &str) -> String {
    let (from, to) = match partitions.split_once("..") {
        Some((from, to)) => (from, format!(" --to {}", quoted(to))),
        None => (partitions, String::new()),
    };
    format!("mark {asset} --from {}{to} --reason {}", quoted(from), quoted(reason))
}

impl Service {
    /// Marks partitions of an external asset as if rows had landed in them, or with `dry_run` only says what would
    /// become stale. `partitions` is a selection such as `2026-03-01..2026-03-05`.
    ///
    /// # Errors
    /// When the asset is unknown, or computed: that is built again instead; when the partitions cannot be; when the
    /// state cannot be used.
    pub async fn mark(
        &self,
        asset: &str,
        partitions: &str,
        reason: &str,
        dry_run: bool,
    ) -> Result<MarkedView, ServiceError> {
        let spec = self.definitions.find(asset)?.clone();
        if spec.is_materializable() {
            return Err(ServiceError::Refused(format!(
                "{0} is computed by Karat: nobody else writes into it. To build it again: `materialize {0} {partitions}`",
                spec.key
            )));
        }
        let now = self.now();
        let subset = spec
            .partitions
            .parse_selection(partitions, now)
            .map_err(|source| ExtentError::Partition { asset: spec.key.clone(), source })?;
        if subset.is_empty() {
            let none = format!("{} has no partition in `{partitions}`", spec.key);
            return Err(ExtentError::NoPartitions(none).into());
        }
        let stale = self.readers_of(&spec, &subset).await?;
        if !dry_run {
            self.authorize(Role::Operator)?;
            let marks: Vec<NewMark> = subset
                .iter()
                .map(|ordinal| NewMark {
                    partition_key: spec.partitions.key(ordinal).to_string(),
                    ordinal,
                    row_count: 0,
                })
                .collect();
            let text = spec.partitions.describe(&subset);
            let command = mark_command(&spec.key, partitions, reason);
            let audit = self.record_of(Done {
                action: "mark",
                target: Some(spec.key.as_str()),
                command: Some(&command),
                detail: Some(serde_json::json!({ "partitions": text, "reason": reason })),
                ..Done::default()
            });
            self.store.mark(spec.key.as_str(), &format!("by hand: {reason}"), &marks, now, audit).await?;
            // Committed: whoever misses the signal looks a little later.
            let _ = self.store.signal(Signal::Mark).await;
        }
        Ok(MarkedView {
            asset: spec.key.clone(),
            partitions: PartitionsView::new(&spec.partitions, &subset),
            reason: reason.to_owned(),
            marked: !dry_run,
            stale,
        })
    }

    /// The versions that read any of `subset` of `spec` directly.
    async fn readers_of(
        &self,
        spec: &AssetSpec,
        subset: &PartitionSubset,
    ) -> Result<Vec<AssetPartitionsView>, ServiceError> {
        let now = self.now();
        let readers: Vec<AssetKey> = self.definitions.graph().downstream(&spec.key).into_iter().cloned().collect();
        let statuses = asset_statuses(&self.store, &self.definitions, &readers, now).await?;
        let mut stale = Vec::new();
        for reader in readers.iter().filter_map(|key| self.definitions.asset(key)) {
            let mapping =
                reader.upstreams.iter().find(|upstream| upstream.key == spec.key).map(|upstream| upstream.mapping);
            let (Some(mapping), Some(status)) = (mapping, statuses.get(&reader.key)) else { continue };
            let reading = partitions_reading(&*self.definitions, &reader.key, &spec.key, mapping, subset, now);
            let reading = reading.intersection(&status.materialized);
            if !reading.is_empty() {
                let partitions = PartitionsView::new(&reader.partitions, &reading);
                stale.push(AssetPartitionsView { asset: reader.key.clone(), partitions });
            }
        }
        Ok(stale)
    }
}
