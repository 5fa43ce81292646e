//! Partitions that cannot be written, on purpose.

use std::sync::Arc;

use super::{Simulation, SimulationError};
use crate::asset::spec::AssetSpec;
use crate::asset::statement::{generated, identifier, partition_condition};

/// The constraint that refuses rows.
const CONSTRAINT: &str = "broken by the simulation";

impl Simulation {
    /// From here on no row can be written into these partitions of an asset (as `materialize` takes them, such as
    /// `2026-05-01..2026-05-03`): building one fails, as long as it has rows. The table refuses the rows by a constraint;
    /// those that are there stay. An asset has at most one such breakage: another replaces it.
    ///
    /// # Errors
    /// When there is no such asset or partition, or the database refuses.
    pub async fn break_partitions(&self, asset: &str, partitions: &str) -> Result<(), SimulationError> {
        let spec = self.spec(asset)?;
        let subset = spec
            .partitions
            .parse_selection(partitions, self.now())
            .map_err(|error| SimulationError::Unknown(format!("{}: {error}", spec.key)))?;
        self.mend(asset).await?;
        let condition = partition_condition(&spec, &subset);
        let constraint = identifier(CONSTRAINT);
        let statement =
            format!("alter table {} add constraint {constraint} check (not ({condition})) not valid", spec.key);
        self.alter(&spec, statement).await
    }

    /// Takes the breakage of an asset away again, if it has one.
    ///
    /// # Errors
    /// When there is no such asset, or the database refuses.
    pub async fn mend(&self, asset: &str) -> Result<(), SimulationError> {
        let spec = self.spec(asset)?;
        let statement = format!("alter table {} drop constraint if exists {}", spec.key, identifier(CONSTRAINT));
        self.alter(&spec, statement).await
    }

    fn spec(&self, asset: &str) -> Result<Arc<AssetSpec>, SimulationError> {
        self.service.definitions().find(asset).cloned().map_err(|unknown| SimulationError::Unknown(unknown.to_string()))
    }

    async fn alter(&self, spec: &AssetSpec, statement: String) -> Result<(), SimulationError> {
        let altered = sqlx::query(generated(statement)).execute(&self.pool).await;
        altered.map(drop).map_err(|source| SimulationError::Breakage { asset: spec.key.to_string(), source })
    }
}
