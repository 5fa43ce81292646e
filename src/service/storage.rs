//! What an installation is made of and what it takes: tables, versions, reconcilers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Service, ServiceError};

/// What the tables take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSizesView {
    /// When they were measured.
    pub measured_at: DateTime<Utc>,
    /// The tables of the state and those of the assets, the largest first.
    pub tables: Vec<TableSizeView>,
}

/// What a table takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TableSizeView {
    /// Schema and name.
    pub table: String,
    /// Whether it holds orchestration state, and not the rows of an asset.
    pub own: bool,
    /// What it takes on disk with its indexes.
    pub bytes: u64,
    /// How many rows the server thinks there are.
    pub rows: u64,
    /// Into how many tables of a day it is divided; 0 when it is not.
    pub days: u64,
}

/// Which versions of what are at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionsView {
    /// Of Karat.
    pub karat: &'static str,
    /// The newest migration of each set that this program has.
    pub schema: Vec<String>,
    /// Migrations of this program that the database lacks.
    pub pending: Vec<String>,
    /// Of the server.
    pub postgresql: String,
    /// Of the time zone database that this program reckons with.
    pub time_zones: &'static str,
}

/// A reconciler and its last activation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReconcilerView {
    /// Its name.
    pub name: String,
    /// When its last recorded activation began.
    pub started_at: DateTime<Utc>,
    /// When that ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When one last succeeded.
    pub succeeded_at: Option<DateTime<Utc>>,
    /// Why the last one failed; `None` when it did not.
    pub error: Option<String>,
    /// What it did; `None` when there was nothing to do.
    pub report: Option<String>,
}

impl Service {
    /// What the tables of the state take, and those of the assets; the largest first.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) async fn table_sizes(&self) -> Result<TableSizesView, ServiceError> {
        let measured_at = self.now();
        let tables: Vec<&str> = self.definitions.assets().map(|asset| asset.key.as_str()).collect();
        let sizes = self.store.table_sizes(&tables).await?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let views = sizes.into_iter().map(|size| TableSizeView {
            table: size.name,
            own: size.own,
            bytes: count(size.bytes),
            rows: count(size.rows),
            days: count(size.parts),
        });
        Ok(TableSizesView { measured_at, tables: views.collect() })
    }

    /// Which versions of what are at work.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn versions(&self) -> Result<VersionsView, ServiceError> {
        let state = self.schema_state().await?;
        Ok(VersionsView {
            karat: env!("CARGO_PKG_VERSION"),
            schema: self.migrations.newest(),
            pending: state.pending,
            postgresql: self.store.server_version().await?,
            time_zones: chrono_tz::IANA_TZDB_VERSION,
        })
    }

    /// The reconcilers that were ever activated on this database, by name.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn reconcilers(&self) -> Result<Vec<ReconcilerView>, ServiceError> {
        let records = self.store.reconcilers().await?.into_iter();
        let views = records.map(|record| ReconcilerView {
            name: record.name,
            started_at: record.started_at,
            finished_at: record.finished_at,
            succeeded_at: record.succeeded_at,
            error: record.error,
            report: record.report,
        });
        Ok(views.collect())
    }
}
