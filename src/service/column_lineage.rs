//! Which columns of its upstreams feed an asset.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::{Service, ServiceError};
use crate::core::key::AssetKey;
use crate::engine::verify::column_sources;
use crate::store::migrate::SchemaError;

/// Where the columns of an asset come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ColumnLineageView {
    /// The asset.
    pub asset: AssetKey,
    /// Its columns, in order.
    pub columns: Vec<ColumnSourceView>,
    /// The columns of its upstreams that decide what its rows are.
    pub reads: Vec<ReadColumnsView>,
    /// Whether PostgreSQL refuses its SQL at the moment, so that nothing can be said: `check` says why.
    pub is_refused: bool,
}

/// A column, and the one that it is taken over from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ColumnSourceView {
    /// The column.
    pub column: String,
    /// The column of an upstream that it is, as it is. Without one it is computed from what is read.
    pub taken_from: Option<UpstreamColumnView>,
}

/// A column of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamColumnView {
    /// The upstream.
    pub asset: AssetKey,
    /// Its column.
    pub column: String,
}

/// The columns that are read of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadColumnsView {
    /// The upstream.
    pub asset: AssetKey,
    /// Its columns in their order; none where only its rows are counted.
    pub columns: Vec<String>,
}

/// What was found, for as long as the process lives: its declarations do not change.
pub(super) type KnownColumnLineage = Arc<Mutex<BTreeMap<AssetKey, Arc<ColumnLineageView>>>>;

impl Service {
    /// Where the columns of an asset come from, by its key or table. PostgreSQL is asked once for each asset, and for one
    /// asset at a time.
    ///
    /// # Errors
    /// When there is no such asset, or the database cannot be used.
    pub async fn column_lineage(&self, name: &str) -> Result<Arc<ColumnLineageView>, ServiceError> {
        let spec = self.definitions.find(name)?.clone();
        let mut known = self.column_lineage.lock().await;
        if let Some(view) = known.get(&spec.key) {
            return Ok(view.clone());
        }
        let mut connection = self.store.pool().acquire().await.map_err(SchemaError::Database)?;
        let found = column_sources(&mut connection, &self.definitions, &spec).await?;
        drop(connection);
        let is_refused = found.is_none();
        let sources = found.unwrap_or_default();
        let taken_from = |column: &str| {
            let (asset, column) = sources.taken.get(column)?;
            Some(UpstreamColumnView { asset: asset.clone(), column: column.clone() })
        };
        let in_order = |asset: &AssetKey| {
            let columns = self.definitions.asset(asset).map(|spec| spec.columns.as_slice()).unwrap_or_default();
            let read = sources.reads.get(asset);
            let is_read = |column: &String| read.is_some_and(|read| read.contains(column));
            columns.iter().map(|column| column.name.clone()).filter(is_read).collect()
        };
        let columns = spec.columns.iter().map(|column| column.name.as_str());
        let view = Arc::new(ColumnLineageView {
            asset: spec.key.clone(),
            columns: columns
                .map(|column| ColumnSourceView { column: column.to_owned(), taken_from: taken_from(column) })
                .collect(),
            reads: sources
                .reads
                .keys()
                .map(|asset| ReadColumnsView { asset: asset.clone(), columns: in_order(asset) })
                .collect(),
            is_refused,
        });
        // A table may still be missing: what is refused is asked again.
        if !is_refused {
            known.insert(spec.key.clone(), view.clone());
        }
        Ok(view)
    }
}
