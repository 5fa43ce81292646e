//! What a rust asset is given while it computes a partition, without its types.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::calendar::Calendar;
pub use super::error::{AssetError, RowError};
pub use super::rows::{RowEncoder, RowSink, staging_table};
use super::spec::AssetSpec;
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::Ordinal;
use crate::core::subset::PartitionSubset;
use crate::core::time::TimeWindow;

/// The open transaction of one attempt, shared between reads and row flushes; one statement at a time.
pub type SharedTransaction = Arc<tokio::sync::Mutex<sqlx::Transaction<'static, sqlx::Postgres>>>;

/// What an asset reports about the partition it computes: named values that are stored with the materialization.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    values: Arc<Mutex<Map<String, Value>>>,
}

impl Metadata {
    /// Sets `name`; the last value of a name counts.
    pub fn set(&self, name: &str, value: impl Into<Value>) {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.into());
    }

    /// All values set so far.
    #[must_use]
    pub fn snapshot(&self) -> Map<String, Value> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a partition reads of one upstream, as its mapping says.
#[derive(Clone)]
pub struct UpstreamRange {
    /// The upstream asset.
    pub asset: Arc<AssetSpec>,
    /// Which of its partitions.
    pub partitions: PartitionSubset,
}

/// Everything one attempt at one partition of a rust asset has at hand; `Context` gives it types.
#[derive(Clone)]
pub struct ComputeContext {
    /// The asset being computed.
    pub asset: Arc<AssetSpec>,
    /// The partition being computed.
    pub partition: PartitionKey,
    /// Its ordinal.
    pub ordinal: Ordinal,
    /// Its window; `None` for static and unpartitioned assets.
    pub window: Option<TimeWindow>,
    /// The installation's calendar.
    pub calendar: Calendar,
    /// The transaction in which everything is read and written.
    pub transaction: SharedTransaction,
    /// Where the rows go.
    pub rows: RowSink,
    /// What is reported about the partition.
    pub metadata: Metadata,
    /// Set when the attempt should end early: its rows will not be kept.
    pub cancelled: CancellationToken,
    /// When the attempt began.
    pub now: DateTime<Utc>,
    /// What this partition reads, by upstream; every declared upstream has an entry.
    pub upstream_windows: BTreeMap<AssetKey, UpstreamRange>,
}
