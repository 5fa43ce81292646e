//! The database's own version.

use serde::Serialize;

use super::{Service, ServiceError};
use crate::engine::verify::{VerificationReport, verify};
use crate::store::migrate::{SchemaError, SchemaState};

/// What a migration did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationView {
    /// What was applied, or is to be.
    pub migrations: Vec<String>,
    /// Whether it has been applied.
    pub applied: bool,
}

impl Service {
    /// Where the database stands compared with this program.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema_state(&self) -> Result<SchemaState, ServiceError> {
        let mut connection = self.store.pool().acquire().await.map_err(SchemaError::Database)?;
        Ok(self.migrations.state(&mut connection).await?)
    }

    /// Verifies every declaration against the database, which may lack migrations and rows; changes nothing.
    ///
    /// # Errors
    /// When the database cannot be asked. What is wrong with the declarations is in the report.
    pub async fn check(&self) -> Result<VerificationReport, ServiceError> {
        let mut connection = self.store.pool().acquire().await.map_err(SchemaError::Database)?;
        Ok(verify(&mut connection, &self.definitions, &self.migrations).await?)
    }

    /// Brings the database up to date, or with `dry_run` only says what that takes. Any number of processes may do so
    /// at once.
    ///
    /// # Errors
    /// When the database is newer than this program, or a migration fails, which is then rolled back.
    pub async fn migrate(&self, dry_run: bool) -> Result<MigrationView, ServiceError> {
        if dry_run {
            let state = self.schema_state().await?;
            state.refuse_foreign()?;
            return Ok(MigrationView { migrations: state.pending, applied: false });
        }
        let migrations = self.migrations.migrate_pool(self.store.pool()).await?;
        Ok(MigrationView { migrations, applied: true })
    }
}
