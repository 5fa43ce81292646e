//! Verification: every declaration against PostgreSQL itself, in one transaction that is rolled back.
//!
//! PostgreSQL knows best what a statement means. Each `select` becomes a temporary view for a moment: what PostgreSQL
//! refuses it explains with the place, the view's columns are the result's types, and what the view depends on is
//! exactly what the `select` reads.

mod assertions;
mod catalog;
mod columns;
mod place;
mod reads;
mod report;
mod select;
mod table;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::{Connection, PgConnection, Postgres, Transaction};

pub use self::columns::{ColumnSources, column_sources};
pub use self::place::SqlPlace;
pub use self::report::{ColumnReads, DatabaseReason, Problem, ProblemKind, Severity, VerificationReport};
use self::table::Names;
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::asset::statement::{generated, text_literal};
use crate::core::key::AssetKey;
use crate::core::policy::{AssetCheck, CheckRule};
use crate::store::error::{describe, sql_state};
use crate::store::migrate::{Migrations, SchemaError};

/// How long a lock that another session holds is waited for: whoever comes after this transaction waits behind it.
const LOCK_LIMIT: Duration = Duration::from_secs(1);

/// PostgreSQL's code for a lock that was not there in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Why nothing could be verified. Nothing was changed then either.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database cannot be brought, for a trial, to the state that this program expects.
    #[error(transparent)]
    Schema(SchemaError),
    /// Another session holds a lock.
    #[error(
        "{doing} needs a lock that another session did not give up within {} s{}. Nothing was changed: try again when it \
         is done",
        LOCK_LIMIT.as_secs(),
        if holders.is_empty() { String::new() } else { format!(": {}", holders.join("; ")) }
    )]
    Locked {
        /// What was being done.
        doing: String,
        /// The sessions that hold or wait for exclusive locks, as far as they can be seen, each in words.
        holders: Vec<String>,
    },
    /// The database could not be used.
    #[error("{doing} failed: {}. Nothing was changed", describe(source))]
    Database {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: sqlx::Error,
    },
}

impl VerifyError {
    fn database(doing: &str, source: sqlx::Error) -> Self {
        Self::Database { doing: doing.to_owned(), source }
    }

    /// What was waiting for a lock in vain, if that was the reason.
    fn locked_out(&self) -> Option<String> {
        let (doing, code) = match self {
            Self::Schema(error) => ("trying the pending migrations", error.sql_state()),
            Self::Database { doing, source } => (doing.as_str(), sql_state(source)),
            Self::Locked { .. } => return None,
        };
        (code.as_deref() == Some(LOCK_NOT_AVAILABLE)).then(|| doing.to_owned())
    }
}

/// Verifies every asset against the database of `connection`: its table, its SQL, what it reads, its checks.
///
/// All of it happens in one transaction that is rolled back (a savepoint, if one is open already), the pending
/// `migrations` included, so it works on an empty and on a live database, needs no rows and changes nothing. It takes the
/// locks of a reader, and those of the pending migrations if there are any; a lock that another session holds exclusively
/// is not waited for longer than a second. Unqualified names mean what the connection's `search_path` says.
///
/// # Errors
/// [`VerifyError`] when the database could not be asked. What is wrong with the definitions is in the report, all of it.
pub async fn verify(
    connection: &mut PgConnection,
    definitions: &Definitions,
    migrations: &Migrations,
) -> Result<VerificationReport, VerifyError> {
    let opened = connection.begin().await;
    let mut transaction =
        opened.map_err(|error| VerifyError::database("opening the transaction of the verification", error))?;
    let result = verify_within(&mut transaction, definitions, migrations).await;
    let ended = transaction.rollback().await;
    match result {
        Ok(report) => ended
            .map(|()| report)
            .map_err(|error| VerifyError::database("rolling back the transaction of the verification", error)),
        Err(error) => match error.locked_out() {
            Some(doing) => {
                // Only to name them: without the right to see them the answer stands all the same.
                let holders = catalog::exclusive_locks(connection).await.unwrap_or_default();
                Err(VerifyError::Locked { doing, holders })
            }
            None => Err(error),
        },
    }
}

async fn verify_within(
    transaction: &mut Transaction<'_, Postgres>,
    definitions: &Definitions,
    migrations: &Migrations,
) -> Result<VerificationReport, VerifyError> {
    let settings = format!(
        "set local lock_timeout = {}; set local client_min_messages = warning; set local timezone = {}",
        LOCK_LIMIT.as_millis(),
        text_literal(definitions.calendar().zone.name()),
    );
    sqlx::raw_sql(generated(settings))
        .execute(&mut **transaction)
        .await
        .map_err(|error| VerifyError::database("preparing the transaction of the verification", error))?;
    let pending_migrations = migrations.migrate_within(transaction).await.map_err(VerifyError::Schema)?;
    let mut verification = Verification { definitions, problems: Vec::new(), lineage: BTreeMap::new() };
    let sound = verification.tables(transaction).await?;
    for asset in definitions.assets() {
        verification.statements(transaction, asset, sound.contains(&asset.key)).await?;
    }
    Ok(VerificationReport::new(
        definitions.assets().len(),
        verification.problems,
        verification.lineage,
        pending_migrations,
    ))
}

struct Verification<'a> {
    definitions: &'a Definitions,
    problems: Vec<Problem>,
    lineage: BTreeMap<AssetKey, ColumnReads>,
}

impl Verification<'_> {
    /// Compares all tables with their row structs; gives the assets whose table has the columns of the row struct.
    ///
    /// Missing tables are made, so that what reads them is verified against the declaration.
    async fn tables(&mut self, connection: &mut PgConnection) -> Result<BTreeSet<AssetKey>, VerifyError> {
        let failed = |error| VerifyError::database("reading the catalogs", error);
        let keys: Vec<&AssetKey> = self.definitions.assets().map(|asset| &asset.key).collect();
        let names = Names { keywords: catalog::keywords(connection).await.map_err(failed)? };
        let relations = catalog::relations(connection, &keys).await.map_err(failed)?;
        let mut sound = BTreeSet::new();
        let mut missing = Vec::new();
        for asset in self.definitions.assets() {
            match relations.get(&asset.key) {
                None => missing.push(asset),
                Some(relation) => {
                    let found = table::compare(asset, relation, &names);
                    let is_unsound = |problem: &Problem| {
                        matches!(
                            problem.kind,
                            ProblemKind::NotATable | ProblemKind::ColumnMissing | ProblemKind::ColumnType
                        )
                    };
                    if !found.iter().any(is_unsound) {
                        sound.insert(asset.key.clone());
                    }
                    self.problems.extend(found);
                }
            }
        }
        if missing.is_empty() {
            return Ok(sound);
        }
        let mut existing = catalog::tables(connection).await.map_err(failed)?;
        existing.retain(|name| !keys.iter().any(|key| key.as_str() == name));
        for asset in missing {
            self.problems.push(table::missing(asset, &existing, &names));
            let create = names.create_table(asset).join("\n");
            if view::try_statement(connection, &create, &format!("making {} for a trial", asset.key)).await? {
                sound.insert(asset.key.clone());
            }
        }
        Ok(sound)
    }

    /// Verifies the `select` and the checks of one asset; `is_sound` says whether its table is as declared.
    async fn statements(
        &mut self,
        connection: &mut PgConnection,
        asset: &AssetSpec,
        is_sound: bool,
    ) -> Result<(), VerifyError> {
        let mut reads = Vec::new();
        let mut is_complete = true;
        if let Some(sql) = &asset.sql {
            let selected = select::verify_select(connection, self.definitions, asset, sql).await?;
            self.problems.extend(selected.problems);
            is_complete &= selected.reads.is_some();
            if let Some(read) = selected.reads {
                self.lineage.insert(asset.key.clone(), read.clone());
                reads.push(read);
            }
        }
        for check in &asset.checks {
            // What is wrong with the table has been said.
            if !is_sound || is_about_columns_alone(check) {
                is_complete &= is_sound;
                continue;
            }
            let selected = assertions::verify_check(connection, self.definitions, asset, check).await?;
            self.problems.extend(selected.problems);
            is_complete &= selected.reads.is_some();
            reads.extend(selected.reads);
        }
        if asset.kind == AssetKind::Sql && is_complete {
            self.problems.extend(reads::unread_upstreams(asset, &reads));
        }
        Ok(())
    }
}

/// Whether the check cannot fail to be understood when the columns exist: every type can be counted, compared with itself
/// and written as text.
fn is_about_columns_alone(check: &AssetCheck) -> bool {
    match check.rule {
        CheckRule::NotNull { .. }
        | CheckRule::Unique { .. }
        | CheckRule::AcceptedValues { .. }
        | CheckRule::RowCount { .. } => true,
        CheckRule::References { .. } | CheckRule::Freshness { .. } | CheckRule::Sql { .. } => false,
    }
}
