//! Bringing a database up to date: Karat's own migrations and those of the application, each with its own table.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

use super::error::{advice, describe, sql_state};

/// Whoever migrates holds this advisory lock.
const LOCK: &str = "hashtextextended('karat.migrate', 0)";

/// Both sets of migrations.
#[derive(Debug)]
pub struct Migrations {
    karat: Migrator,
    application: Option<(&'static str, Migrator)>,
}

/// Where a database stands compared with this build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaState {
    /// Migrations that this build has and the database has not, as `set/version description`.
    pub pending: Vec<String>,
    /// Migrations that the database has and this build has not: the database is newer.
    pub unknown: Vec<String>,
    /// Migrations whose text differs from what was applied.
    pub modified: Vec<String>,
}

impl SchemaState {
    /// Whether this build can work with the database as it is.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.pending.is_empty() && self.unknown.is_empty() && self.modified.is_empty()
    }

    /// Refuses a database that this build must not change: a newer one, or one with an edited migration.
    ///
    /// # Errors
    /// [`SchemaError::Newer`] or [`SchemaError::Modified`] accordingly.
    pub fn refuse_foreign(&self) -> Result<(), SchemaError> {
        if !self.unknown.is_empty() {
            return Err(SchemaError::Newer(self.unknown.clone()));
        }
        if !self.modified.is_empty() {
            return Err(SchemaError::Modified(self.modified.clone()));
        }
        Ok(())
    }
}

/// Why a database could not be brought up to date, or is not.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database was migrated by a newer build.
    #[error(
        "the database is newer than this program: it has {}, which this program does not know. \
         Use the newer program; nothing was changed",
        named(.0)
    )]
    Newer(Vec<String>),
    /// An applied migration was edited.
    #[error(
        "this program has another text of {} than was applied. \
         An applied migration is never edited: restore its text and add a new one; nothing was changed",
        named(.0)
    )]
    Modified(Vec<String>),
    /// Migrations are missing.
    #[error("the database lacks {}. Bring it up to date with `migrate`", named(.0))]
    Pending(Vec<String>),
    /// Migrations cannot be tried in a transaction.
    #[error(
        "`-- no-transaction` marks {}, and what is so marked cannot be tried without being applied: \
         give the command `migrate` first",
        named(.0)
    )]
    Untransactional(Vec<String>),
    /// A migration failed; it was rolled back.
    #[error("migration {set}/{version:04} failed and was rolled back: {message}{}", remedy(sql_state.as_deref()))]
    Failed {
        /// Which set.
        set: &'static str,
        /// Its version.
        version: i64,
        /// PostgreSQL's message.
        message: String,
        /// PostgreSQL's code for it, if it was PostgreSQL that refused.
        sql_state: Option<String>,
    },
    /// The database could not be used.
    #[error("the database cannot be migrated: {}{}", describe(.0), advised(.0))]
    Database(#[source] sqlx::Error),
}

fn named(migrations: &[String]) -> String {
    format!("migration{} {}", if migrations.len() == 1 { "" } else { "s" }, migrations.join(", "))
}

fn advised(error: &sqlx::Error) -> String {
    advice(error).map_or_else(String::new, |advice| format!(". {advice}"))
}

/// What to do about a migration that failed with this code.
fn remedy(sql_state: Option<&str>) -> &'static str {
    match sql_state {
        Some("42P06" | "42P07" | "42710" | "42723") => {
            ". Something of that name is there that no migration made: use an empty database, or move it out of the way"
        }
        Some("42501") => ". The database user lacks a right that Karat needs: use the database's owner, or grant it",
        Some("53100") => ". The database's disk is full: make room on it, and give the command again",
        _ => "",
    }
}

impl SchemaError {
    /// PostgreSQL's code for what happened, if it was PostgreSQL that refused.
    #[must_use]
    pub fn sql_state(&self) -> Option<String> {
        match self {
            Self::Failed { sql_state, .. } => sql_state.clone(),
            Self::Database(error) => sql_state(error),
            Self::Newer(_) | Self::Modified(_) | Self::Pending(_) | Self::Untransactional(_) => None,
        }
    }
}

impl Migrations {
    /// Karat's own migrations alone.
    #[must_use]
    pub fn karat() -> Self {
        let mut karat = sqlx::migrate!("./migrations/karat");
        karat.create_schema("karat");
        karat.dangerous_set_table_name("karat.migration");
        // The caller holds one lock over both sets; see `migrate`.
        karat.set_locking(false);
        Self { karat, application: None }
    }

    /// Karat's migrations, and then the application's; `name` keeps their records apart (`karat.migration_<name>`).
    #[must_use]
    pub fn with_application(name: &'static str, mut migrator: Migrator) -> Self {
        migrator.dangerous_set_table_name(format!("karat.migration_{name}"));
        migrator.set_locking(false);
        Self { application: Some((name, migrator)), ..Self::karat() }
    }

    fn sets(&self) -> impl Iterator<Item = (&'static str, String, &Migrator)> {
        std::iter::once(("karat", "karat.migration".to_owned(), &self.karat))
            .chain(self.application.iter().map(|(name, migrator)| (*name, format!("karat.migration_{name}"), migrator)))
    }

    /// A text that changes whenever a migration is added or edited: the name of a test template, for instance.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for (set, _, migrator) in self.sets() {
            for migration in migrator.iter() {
                hash.update(set);
                hash.update(migration.version.to_be_bytes());
                hash.update(&migration.checksum);
            }
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Compares the database with this build; changes nothing.
    ///
    /// # Errors
    /// [`SchemaError::Database`] when the database cannot be read.
    pub async fn state(&self, connection: &mut PgConnection) -> Result<SchemaState, SchemaError> {
        let mut state = SchemaState { pending: Vec::new(), unknown: Vec::new(), modified: Vec::new() };
        for (set, table, migrator) in self.sets() {
            let exists: bool = sqlx::query_scalar("select to_regclass($1) is not null")
                .bind(&table)
                .fetch_one(&mut *connection)
                .await
                .map_err(SchemaError::Database)?;
            let applied: Vec<(i64, Vec<u8>)> = if exists {
                sqlx::query_as(sqlx::AssertSqlSafe(format!("select version, checksum from {table} order by version")))
                    .fetch_all(&mut *connection)
                    .await
                    .map_err(SchemaError::Database)?
            } else {
                Vec::new()
            };
            let mut applied: BTreeMap<i64, Vec<u8>> = applied.into_iter().collect();
            for migration in migrator.iter() {
                let name = name(set, migration);
                match applied.remove(&migration.version) {
                    None => state.pending.push(name),
                    Some(checksum) if checksum != *migration.checksum => state.modified.push(name),
                    Some(_) => {}
                }
            }
            state.unknown.extend(applied.keys().map(|version| format!("{set}/{version:04}")));
        }
        Ok(state)
    }

    /// Refuses a database that this build cannot work with as it is.
    ///
    /// # Errors
    /// [`SchemaError::Newer`], [`SchemaError::Modified`] or [`SchemaError::Pending`] accordingly.
    pub async fn verify(&self, pool: &PgPool) -> Result<(), SchemaError> {
        let mut connection = pool.acquire().await.map_err(SchemaError::Database)?;
        let state = self.state(&mut connection).await?;
        state.refuse_foreign()?;
        if state.pending.is_empty() { Ok(()) } else { Err(SchemaError::Pending(state.pending)) }
    }

    /// Applies what is missing, each migration in its own transaction, and returns what was applied. Any number of
    /// processes may call this at once: they take turns under an advisory lock.
    ///
    /// # Errors
    /// When the database is newer, a migration was edited, or one fails; what was applied before stays.
    pub async fn migrate(&self, connection: &mut PgConnection) -> Result<Vec<String>, SchemaError> {
        sqlx::query(sqlx::AssertSqlSafe(format!("select pg_advisory_lock({LOCK})")))
            .execute(&mut *connection)
            .await
            .map_err(SchemaError::Database)?;
        let result = self.migrate_locked(connection).await;
        // A lock that could not be released goes with the connection: that must not hide the result.
        let unlocked = sqlx::query(sqlx::AssertSqlSafe(format!("select pg_advisory_unlock({LOCK})")))
            .execute(&mut *connection)
            .await;
        if result.is_ok() {
            unlocked.map_err(SchemaError::Database)?;
        }
        result
    }

    /// Applies what is missing inside `transaction`, and with its end keeps it or not; returns what was applied. That is
    /// how definitions are verified against a database without changing it.
    ///
    /// When nothing is missing nothing is locked. Otherwise others who migrate wait for the end of the transaction, and
    /// this waits for them, at most as long as the transaction's `lock_timeout` says.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate), after which the transaction can only be rolled back; and
    /// [`SchemaError::Untransactional`].
    pub async fn migrate_within(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
    ) -> Result<Vec<String>, SchemaError> {
        let state = self.state(transaction).await?;
        state.refuse_foreign()?;
        if state.pending.is_empty() {
            return Ok(Vec::new());
        }
        // A lock of the transaction, not of the session: it goes with a rollback, also after a failed statement.
        sqlx::query(sqlx::AssertSqlSafe(format!("select pg_advisory_xact_lock({LOCK})")))
            .execute(&mut **transaction)
            .await
            .map_err(SchemaError::Database)?;
        let untransactional = self.untransactional(&self.state(transaction).await?.pending);
        if !untransactional.is_empty() {
            return Err(SchemaError::Untransactional(untransactional));
        }
        self.migrate_locked(transaction).await
    }

    /// The newest migration of each set, as `set/version description`.
    #[must_use]
    pub fn newest(&self) -> Vec<String> {
        let newest = self.sets().filter_map(|(set, _, migrator)| {
            migrator.iter().max_by_key(|migration| migration.version).map(|migration| name(set, migration))
        });
        newest.collect()
    }

    /// Those of the `pending` migrations that want no transaction.
    fn untransactional(&self, pending: &[String]) -> Vec<String> {
        let names = self.sets().flat_map(|(set, _, migrator)| {
            migrator.iter().filter(|migration| migration.no_tx).map(move |migration| name(set, migration))
        });
        names.filter(|name| pending.contains(name)).collect()
    }

    async fn migrate_locked(&self, connection: &mut PgConnection) -> Result<Vec<String>, SchemaError> {
        let state = self.state(connection).await?;
        state.refuse_foreign()?;
        if state.pending.is_empty() {
            return Ok(Vec::new());
        }
        for (set, _, migrator) in self.sets() {
            migrator.run_direct(None, &mut *connection, false).await.map_err(|error| match error {
                MigrateError::ExecuteMigration(error, version) => {
                    SchemaError::Failed { set, version, message: describe(&error), sql_state: sql_state(&error) }
                }
                MigrateError::Execute(error) => SchemaError::Database(error),
                other => SchemaError::Failed { set, version: 0, message: other.to_string(), sql_state: None },
            })?;
        }
        Ok(state.pending)
    }

    /// The same as [`migrate`](Self::migrate) on a connection of its own.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub async fn migrate_pool(&self, pool: &PgPool) -> Result<Vec<String>, SchemaError> {
        let mut connection = pool.acquire().await.map_err(SchemaError::Database)?.detach();
        let result = self.migrate(&mut connection).await;
        // The connection ends here and with it a lock that could not be released.
        let _ = connection.close().await;
        result
    }
}

/// How a migration is called in messages.
fn name(set: &str, migration: &Migration) -> String {
    format!("{set}/{:04} {}", migration.version, migration.description)
}
