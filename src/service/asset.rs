//! One asset in detail.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::assets::asset_view;
use super::history::{CheckView, MaterializationView};
use super::picture::AssetPicture;
use super::{AssetStatusView, AssetView, Service, ServiceError};
use crate::asset::spec::{AssetSpec, ColumnSpec, UpstreamSpec};
use crate::core::policy::{AssetCheck, FreshnessPolicy, RetryPolicy, WriteMode};
use crate::core::word::{self, Word};
use crate::engine::freshness::freshness_of;
use crate::engine::status::asset_statuses;

/// How many versions and check results are told.
const TOLD_VERSIONS: i64 = 10;
const TOLD_CHECKS: i64 = 200;

/// One asset in detail.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetDetailView {
    /// The asset.
    #[serde(flatten)]
    pub asset: AssetView,
    /// How it stands.
    pub status: AssetStatusView,
    /// Its columns, in order.
    pub columns: Vec<ColumnSpec>,
    /// Which partitions it reads of what.
    pub reads: Vec<UpstreamSpec>,
    /// What its rows must satisfy.
    pub assertions: Vec<AssetCheck>,
    /// The newest results of its checks, one for each partition and check, newest first.
    pub check_results: Vec<CheckView>,
    /// The newest versions, newest first.
    pub materializations: Vec<MaterializationView>,
    /// What the newest version says of itself.
    pub metadata: Option<Value>,
    /// The column that says which partition a row belongs to.
    pub partition_column: Option<String>,
    /// How new rows meet old ones.
    pub write_mode: WriteMode,
    /// When a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// The longest an attempt may take, in seconds.
    pub timeout_seconds: Option<u64>,
    /// How old it may get.
    pub freshness: Option<FreshnessPolicy>,
    /// The most partitions that one statement builds together.
    pub range_partitions: u32,
    /// The row struct.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub type_name: Word,
    /// The source file of the declaration.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub source_file: Word,
    /// Hash of everything in the declaration that decides what rows come out.
    pub code_version: String,
    /// The `select` of a sql asset.
    pub sql: Option<String>,
}

impl Service {
    /// One asset in detail, by its key or table.
    ///
    /// # Errors
    /// When there is no such asset, or the state cannot be read.
    pub async fn asset(&self, name: &str) -> Result<AssetDetailView, ServiceError> {
        let spec = self.definitions.find(name)?.clone();
        let now = self.now();
        let mut statuses = asset_statuses(&self.store, &self.definitions, std::slice::from_ref(&spec.key), now).await?;
        let status = statuses.remove(&spec.key).unwrap_or_default();
        let freshness = freshness_of(&self.store, &self.definitions, [&spec], now).await?;
        let picture = AssetPicture::new(status, freshness.get(&spec.key).copied());
        self.asset_as_pictured(&spec, &picture).await
    }

    /// One asset in detail. How it stands is what the picture says, so that its partitions are not looked at.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn asset_as_pictured(
        &self,
        spec: &AssetSpec,
        picture: &AssetPicture,
    ) -> Result<AssetDetailView, ServiceError> {
        let versions = self.store.materializations(spec.key.as_str(), None, TOLD_VERSIONS).await?;
        let materializations: Vec<MaterializationView> = versions.into_iter().map(MaterializationView::from).collect();
        let mut check_results: Vec<CheckView> = Vec::new();
        for result in self.store.check_results(spec.key.as_str(), None, false, TOLD_CHECKS).await? {
            let is_told = |told: &CheckView| told.partition == result.partition_key && told.check == result.check_name;
            if !check_results.iter().any(is_told) {
                check_results.push(result.into());
            }
        }
        Ok(AssetDetailView {
            asset: asset_view(&self.definitions, spec),
            status: picture.view(spec, self.definitions.calendar().zone),
            columns: spec.columns.clone(),
            reads: spec.upstreams.clone(),
            assertions: spec.checks.clone(),
            check_results,
            metadata: materializations
                .iter()
                .find(|version| version.current)
                .and_then(|version| version.metadata.clone()),
            materializations,
            partition_column: spec.partition_column.clone(),
            write_mode: spec.write_mode.clone(),
            retry: spec.retry.clone(),
            timeout_seconds: spec.timeout.map(|timeout| timeout.as_secs()),
            freshness: spec.freshness,
            range_partitions: spec.range_partitions,
            type_name: spec.type_name,
            source_file: spec.source_file,
            code_version: spec.code_version.clone(),
            sql: spec.sql.clone(),
        })
    }
}
