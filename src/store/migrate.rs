//! Bringing a database up to date: Karat's own migrations and those of the application, each with its own table.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection, PgPool};

use super::error::sql_state;

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
            return Err(SchemaError::Newer(self.unknown.join(", ")));
        }
        if !self.modified.is_empty() {
            return Err(SchemaError::Modified(self.modified.join(", ")));
        }
        Ok(())
    }
}

/// Why a database could not be brought up to date, or is not.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database was migrated by a newer build.
    #[error(
        "the database is newer than this program: it has the migration(s) {0}, which this program does not know. \
         Use the newer program; nothing was changed"
    )]
    Newer(String),
    /// An applied migration was edited.
    #[error(
        "the migration(s) {0} were applied with a different text than this program has. \
         An applied migration is never edited: restore its text and add a new one; nothing was changed"
    )]
    Modified(String),
    /// Migrations are missing.
    #[error("the database lacks the migration(s) {0}. Bring it up to date with `migrate`")]
    Pending(String),
    /// A migration failed; it was rolled back.
    #[error("migration {set}/{version} failed and was rolled back: {message}")]
    Failed {
        /// Which set.
        set: &'static str,
        /// Its version.
        version: i64,
        /// PostgreSQL's message.
        message: String,
    },
    /// The database could not be used.
    #[error("the database cannot be migrated: {0}")]
    Database(#[source] sqlx::Error),
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
                let name = format!("{set}/{:04} {}", migration.version, migration.description);
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
        if state.pending.is_empty() { Ok(()) } else { Err(SchemaError::Pending(state.pending.join(", "))) }
    }

    /// Applies what is missing, each migration in its own transaction, and returns what was applied. Any number of
    /// processes may call this at once: they take turns under an advisory lock.
    ///
    /// Inside an open transaction everything stays inside it (each migration in a savepoint); that is how definitions
    /// are checked against an empty database without changing it.
    ///
    /// # Errors
    /// When the database is newer, a migration was edited, or one fails; what was applied before stays.
    pub async fn migrate(&self, connection: &mut PgConnection) -> Result<Vec<String>, SchemaError> {
        const LOCK: &str = "hashtextextended('karat.migrate', 0)";
        sqlx::query(sqlx::AssertSqlSafe(format!("select pg_advisory_lock({LOCK})")))
            .execute(&mut *connection)
            .await
            .map_err(SchemaError::Database)?;
        let result = self.migrate_locked(connection).await;
        // A failed statement leaves an enclosing transaction unusable; its end releases nothing of a session lock, but
        // the connection's end does. So a failure to unlock must not hide the result.
        let unlocked = sqlx::query(sqlx::AssertSqlSafe(format!("select pg_advisory_unlock({LOCK})")))
            .execute(&mut *connection)
            .await;
        if result.is_ok() {
            unlocked.map_err(SchemaError::Database)?;
        }
        result
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
                    SchemaError::Failed { set, version, message: describe(&error) }
                }
                MigrateError::Execute(error) => SchemaError::Database(error),
                other => SchemaError::Failed { set, version: 0, message: other.to_string() },
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

fn describe(error: &sqlx::Error) -> String {
    sql_state(error).map_or_else(|| error.to_string(), |code| format!("{error} (SQLSTATE {code})"))
}
