//! The database's own version.

use std::collections::BTreeMap;

use serde::Serialize;

use super::accounts::Done;
use super::{Service, ServiceError};
use crate::engine::cluster::adopt_cluster;
use crate::engine::marks::marked_tables;
use crate::engine::verify::{VerificationReport, verify};
use crate::store::migrate::{SchemaError, SchemaState};
use crate::store::trigger::TriggerState;

/// What a migration did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MigrationView {
    /// What was applied, or is to be.
    pub migrations: Vec<String>,
    /// Whether it has been applied.
    pub applied: bool,
    /// Tables of external assets that got the triggers by which whoever writes there leaves marks.
    pub marked_tables: Vec<String>,
    /// Tables that should have them and could not get them, with the reason.
    pub unmarked_tables: BTreeMap<String, String>,
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
        let mut report = verify(&mut connection, &self.definitions, &self.migrations).await?;
        drop(connection);
        // What is about to be migrated gets its triggers with that.
        if report.pending_migrations.is_empty() {
            let triggers = self.store.mark_triggers(&marked_tables(&self.definitions)).await?;
            let unmarked =
                triggers.unmarked.iter().map(|(table, unmarked)| (unmarked.asset_key.as_str(), table.as_str()));
            report.add_unmarked(&self.definitions, unmarked);
        }
        Ok(report)
    }

    /// Brings the database up to date and makes it ready for the definitions ([`prepare`](Self::prepare)), or with
    /// `dry_run` only says what that takes. Any number of processes may do so at once.
    ///
    /// # Errors
    /// When the database is newer than this program, or a migration fails, which is then rolled back.
    pub async fn migrate(&self, dry_run: bool) -> Result<MigrationView, ServiceError> {
        let state = self.schema_state().await?;
        state.refuse_foreign()?;
        if dry_run {
            return Ok(MigrationView { migrations: state.pending, ..MigrationView::default() });
        }
        let migrations = match state.pending.is_empty() {
            true => Vec::new(),
            false => self.apply_migrations().await?,
        };
        let triggers = self.prepare().await?;
        Ok(MigrationView {
            migrations,
            applied: true,
            marked_tables: triggers.changed.into_iter().collect(),
            unmarked_tables: triggers
                .unmarked
                .into_iter()
                .map(|(table, unmarked)| (table, unmarked.reason.unwrap_or_default()))
                .collect(),
        })
    }

    /// Applies what is missing. A database that has no place for records yet gets it with that, and the record after it.
    async fn apply_migrations(&self) -> Result<Vec<String>, ServiceError> {
        let done = Done { action: "migrate", command: Some("migrate"), ..Done::default() };
        let begun = match self.store.has_audit().await? {
            true => Some(self.begin(done.clone()).await?),
            false => None,
        };
        let migrations = self.migrations.migrate_pool(self.store.pool()).await?;
        let begun = match begun {
            Some(begun) => begun,
            None => self.begin(done).await?,
        };
        self.ended(begun, serde_json::json!({ "migrations": migrations })).await;
        Ok(migrations)
    }

    /// Makes a database that has all migrations ready for these definitions: carries over what is stale when it has come
    /// from another server, and sees to it that whoever writes to external assets leaves marks. Two queries when there
    /// is nothing to do.
    ///
    /// # Errors
    /// When the database cannot be used. A table that could not get its triggers is in the result, and in the log.
    pub async fn prepare(&self) -> Result<TriggerState, ServiceError> {
        if adopt_cluster(&self.store, &self.definitions, self.now()).await? {
            tracing::info!("the database has come from another server: what is stale was carried over");
        }
        let triggers = self.store.install_mark_triggers(&marked_tables(&self.definitions)).await?;
        for (table, unmarked) in &triggers.unmarked {
            let reason = unmarked.reason.as_deref().unwrap_or_default();
            tracing::warn!(table, reason, "rows that other programs write there will make nothing stale");
        }
        Ok(triggers)
    }
}
