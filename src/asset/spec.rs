//! The plain form that every declaration is lowered to: all that lies above works on these, not on traits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asset::compute::{AssetError, ComputeContext};
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::PartitionsDefinition;
use crate::core::policy::{AssetCheck, Automation, FreshnessPolicy, RetryPolicy, WaitPolicy, WriteMode};
use crate::core::word::{self, Word};

/// Where the rows of an asset come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// From outside Karat: a collector or a file. It has marks instead of materializations.
    External,
    /// From one `select`.
    Sql,
    /// From an async function.
    Rust,
}

impl AssetKind {
    /// The word used in listings and selections (`kind:sql`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Sql => "sql",
            Self::Rust => "rust",
        }
    }
}

/// One column of an asset's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ColumnSpec {
    /// The column's name.
    pub name: String,
    /// PostgreSQL's name of the type as `format_type` prints it, e.g. `bigint`, `timestamp with time zone`.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub sql_type: Word,
    /// Whether the row struct allows null.
    pub nullable: bool,
    /// The doc comment of the field.
    pub description: String,
}

/// One declared dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamSpec {
    /// The asset that is read.
    pub key: AssetKey,
    /// Which of its partitions.
    pub mapping: PartitionMapping,
}

/// Computes the rows of one partition of a rust asset.
pub trait Compute: Send + Sync {
    /// Produces the rows through the context; returning `Ok` without a row makes an empty partition.
    fn compute(&self, context: ComputeContext) -> BoxFuture<'_, Result<(), AssetError>>;
}

/// Everything Karat knows of an asset.
#[derive(Clone)]
pub struct AssetSpec {
    /// The key, and table.
    pub key: AssetKey,
    /// Where rows come from.
    pub kind: AssetKind,
    /// The doc comment of the row struct.
    pub description: String,
    /// The name of the row struct.
    pub type_name: &'static str,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Free words for selections (`tag:…`).
    pub tags: Vec<String>,
    /// The partitions it is made of.
    pub partitions: PartitionsDefinition,
    /// The column that says which partition a row belongs to; `None` exactly for unpartitioned assets.
    pub partition_column: Option<String>,
    /// The row's contract, in order.
    pub columns: Vec<ColumnSpec>,
    /// What it reads.
    pub upstreams: Vec<UpstreamSpec>,
    /// What its rows must satisfy.
    pub checks: Vec<AssetCheck>,
    /// How new rows meet old ones.
    pub write_mode: WriteMode,
    /// When it runs by itself.
    pub automation: Automation,
    /// What its automation waits for.
    pub wait: WaitPolicy,
    /// How old it may get.
    pub freshness: Option<FreshnessPolicy>,
    /// When a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// The longest an attempt may take.
    pub timeout: Option<Duration>,
    /// Of an external asset: rows whose partition ended longer ago than this when they come go into quarantine.
    pub late_limit: Option<Duration>,
    /// The named pool whose limit it counts against.
    pub pool: Option<String>,
    /// Higher runs earlier.
    pub priority: i32,
    /// The most partitions that one statement of a sql asset may build together; 1 is one by one.
    pub range_partitions: u32,
    /// The source file of the declaration, for error messages.
    pub source_file: &'static str,
    /// The `select` of a sql asset.
    pub sql: Option<String>,
    /// The function of a rust asset.
    pub compute: Option<Arc<dyn Compute>>,
    /// The version of that function, counted up by whoever changes what it computes; 0 for other kinds.
    pub compute_version: u32,
    /// Hash of everything in this declaration that decides what rows come out; `Definitions` fills it in
    /// ([`code_version`](super::code_version::code_version)).
    pub code_version: String,
}

impl fmt::Debug for AssetSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AssetSpec")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("code_version", &self.code_version)
            .finish_non_exhaustive()
    }
}

impl AssetSpec {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnSpec> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether Karat computes it (external assets are filled from outside).
    #[must_use]
    pub const fn is_materializable(&self) -> bool {
        !matches!(self.kind, AssetKind::External)
    }
}

/// Limits of the named pools: how many steps of a pool may run at once over all workers.
pub type PoolLimits = BTreeMap<String, u32>;
