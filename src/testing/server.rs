//! The server that tests share.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use super::database::TestDatabase;
use super::error::TestingError;
use super::watchdog;
use crate::postgres::{EmbeddedServer, EmbeddedSettings};
use crate::store::migrate::Migrations;

/// How long the shared server outlives its last user, at most: longer than from one test process to the next.
const IDLE: Duration = Duration::from_secs(10);

/// Nothing in a test database has to survive the machine, and many tests run at once.
const SETTINGS: [(&str, &str); 8] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_connections", "400"),
    // The cluster may live in memory.
    ("min_wal_size", "32MB"),
    ("max_wal_size", "256MB"),
];

/// A file system in memory: making the few hundred files of a database takes 20 ms there and 300 ms on many a disk.
const MEMORY: &str = "/dev/shm";

/// Where the file system in memory is smaller, as in most containers, tests could fill it.
const ENOUGH_MEMORY_BYTES: u64 = 4 << 30;

/// Templates that are older belong to migrations that are long gone.
const OLD_TEMPLATES: &str = "select datname from pg_database where datname like 'template\\_%' \
     and (pg_stat_file('base/' || oid || '/PG_VERSION')).modification < now() - interval '7 days'";

/// A PostgreSQL server for tests. Most tests want a [`TestDatabase`] and need not know of it.
#[derive(Debug)]
pub struct TestServer {
    server: EmbeddedServer,
}

/// Never dropped: what keeps the server up is the process, and what ends it is the watchdog.
static SHARED: OnceCell<TestServer> = OnceCell::const_new();

impl TestServer {
    /// The server that all test processes of this user share. It lives in `$KARAT_TEST_SERVER`; without that in
    /// `/dev/shm` if that has room, else in the temporary folder. Some 100 MB stay there for the next test run.
    ///
    /// # Errors
    /// When it does not start; see [`TestingError`].
    pub async fn shared() -> Result<&'static Self, TestingError> {
        SHARED.get_or_try_init(|| Self::start(shared_directory(), IDLE)).await
    }

    /// A server in a folder of its own, made if it is missing; it is adopted when it runs already.
    ///
    /// It is stopped when its last user drops it. When the last user's process ends without that, it is stopped after at
    /// most twice `idle`.
    ///
    /// # Errors
    /// When it does not start; see [`TestingError`].
    pub async fn start(directory: PathBuf, idle: Duration) -> Result<Self, TestingError> {
        make_own(&directory).map_err(TestingError::folder(&directory))?;
        let server = crate::postgres::start(EmbeddedSettings {
            data_directory: directory,
            database: "postgres".to_owned(),
            server_settings: SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..EmbeddedSettings::from_environment("karat_test")
        })
        .await?;
        let home = server.cluster_directory().parent().unwrap_or(Path::new("/"));
        watchdog::ensure(home, idle)?;
        let server = Self { server };
        if server.server.was_started() {
            server.drop_leftovers().await?;
        }
        Ok(server)
    }

    /// The server itself.
    #[must_use]
    pub const fn embedded(&self) -> &EmbeddedServer {
        &self.server
    }

    /// How to connect to a database of this server.
    #[must_use]
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        self.server.connect_options().database(database)
    }

    /// A database that has these migrations and nothing else, for the caller alone.
    ///
    /// It is a copy of a template, which is made when there is none for these migrations yet.
    ///
    /// # Errors
    /// When the migrations fail or the server refuses; see [`TestingError`].
    pub async fn create_database(&self, migrations: &Migrations) -> Result<TestDatabase, TestingError> {
        let template = format!("template_{}", migrations.fingerprint());
        let mut connection = self.connect("postgres").await?;
        let name = new_name();
        if let Err(error) = copy(&mut connection, &name, &template).await {
            if !does_not_exist(&error) {
                return Err(TestingError::database("copy the template")(error));
            }
            self.make_template(&mut connection, &template, migrations).await?;
            copy(&mut connection, &name, &template).await.map_err(TestingError::database("copy the template"))?;
        }
        let database = TestDatabase::new(name, self.server.connect_options());
        connection.close().await.map_err(TestingError::database("disconnect"))?;
        Ok(database)
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, TestingError> {
        PgConnection::connect_with(&self.connect_options(database)).await.map_err(TestingError::database("connect"))
    }

    /// Makes the template under a lock, beside its name, and names it when it is complete.
    async fn make_template(
        &self,
        connection: &mut PgConnection,
        template: &str,
        migrations: &Migrations,
    ) -> Result<(), TestingError> {
        let failed = TestingError::database("make a template");
        let mut locked = connection.begin().await.map_err(&failed)?;
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(template)
            .execute(&mut *locked)
            .await
            .map_err(&failed)?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(template)
            .fetch_one(&mut *locked)
            .await
            .map_err(&failed)?;
        if !exists {
            // `create database` cannot run in the transaction that holds the lock.
            let mut connection = self.connect("postgres").await?;
            let unfinished = new_name();
            copy(&mut connection, &unfinished, "template0").await.map_err(&failed)?;
            let mut inside = self.connect(&unfinished).await?;
            migrations.migrate(&mut inside).await?;
            inside.close().await.map_err(&failed)?;
            for statement in [
                format!("alter database \"{unfinished}\" with allow_connections false"),
                format!("alter database \"{unfinished}\" rename to \"{template}\""),
            ] {
                connection.execute(AssertSqlSafe(statement)).await.map_err(&failed)?;
            }
            connection.close().await.map_err(&failed)?;
        }
        locked.commit().await.map_err(&failed)
    }

    /// Drops the databases of processes that ended without doing it, and templates of long ago.
    async fn drop_leftovers(&self) -> Result<(), TestingError> {
        let failed = TestingError::database("drop what earlier tests left behind");
        let mut connection = self.connect("postgres").await?;
        let mut names: Vec<String> =
            sqlx::query_scalar("select datname from pg_database where datname like 'test\\_%'")
                .fetch_all(&mut connection)
                .await
                .map_err(&failed)?;
        names.retain(|name| !owner_lives(name));
        names.extend(sqlx::query_scalar::<_, String>(OLD_TEMPLATES).fetch_all(&mut connection).await.map_err(&failed)?);
        for name in names {
            drop_database(&mut connection, &name).await.map_err(&failed)?;
        }
        connection.close().await.map_err(&failed)
    }
}

/// Ends all connections to the database and removes it, if it is there.
pub(super) async fn drop_database(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let statement = format!("drop database if exists \"{name}\" with (force)");
    connection.execute(AssertSqlSafe(statement)).await.map(drop)
}

/// Copies files rather than pages through the log: without `fsync` that is the faster way, and leaves no log to write out.
async fn copy(connection: &mut PgConnection, name: &str, template: &str) -> Result<(), sqlx::Error> {
    let statement = format!("create database \"{name}\" template \"{template}\" strategy file_copy");
    connection.execute(AssertSqlSafe(statement)).await.map(drop)
}

fn does_not_exist(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "3D000")
}

/// A name that says which process owns the database: its id, when it began (ids are used again), and a number.
fn new_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    format!("test_{pid}_{}_{}", beginning_of(pid), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Whether the process in a name made by [`new_name`] lives.
fn owner_lives(name: &str) -> bool {
    let mut parts = name.split('_').skip(1);
    let pid = parts.next().and_then(|pid| pid.parse().ok());
    match (pid, parts.next()) {
        (Some(pid), Some(beginning)) => beginning_of(pid) == beginning,
        _ => false,
    }
}

/// When the process began, in the kernel's ticks; "gone" when there is no such process.
fn beginning_of(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name in parentheses, with anything in it; the beginning is the 22nd.
    let beginning = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(19));
    beginning.unwrap_or("gone").to_owned()
}

fn shared_directory() -> PathBuf {
    if let Some(chosen) = std::env::var_os("KARAT_TEST_SERVER").filter(|value| !value.is_empty()) {
        return std::path::absolute(&chosen).unwrap_or_else(|_| chosen.into());
    }
    // The size and not what is free: all processes have to come to the same folder.
    let memory = rustix::fs::statvfs(MEMORY).map(|memory| memory.f_blocks.saturating_mul(memory.f_frsize));
    let base = match memory {
        Ok(bytes) if bytes >= ENOUGH_MEMORY_BYTES => PathBuf::from(MEMORY),
        _ => std::env::temp_dir(),
    };
    base.join(format!("karat-test-{}", rustix::process::geteuid().as_raw()))
}

/// Makes the folder, or makes sure that it is this user's: in a shared folder somebody else could have put it there.
fn make_own(directory: &Path) -> io::Result<()> {
    let user = rustix::process::geteuid();
    // Root's server runs under another account, which has to pass through.
    let mode = if user.is_root() { 0o755 } else { 0o700 };
    match DirBuilder::new().mode(mode).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => created?,
    }
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() || metadata.uid() != user.as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is no folder of this user"));
    }
    Ok(())
}
