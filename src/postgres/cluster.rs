//! The cluster: the folder that `initdb` makes, and the database in it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::binaries::Binaries;
use super::error::PostgresError;
use super::lock;
use super::place::{Place, ROLE};
use super::settings::EmbeddedSettings;

const INITIALIZATION_LIMIT: Duration = Duration::from_secs(120);

const REMOVAL_LIMIT: Duration = Duration::from_secs(10);

/// The same order of text on every machine: by code point, where the system knows that order for UTF-8, else by byte.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// The major version that made the cluster in `data`; none when there is no cluster yet.
pub(super) fn major(data: &Path) -> Result<Option<u32>, PostgresError> {
    let not_a_cluster = || PostgresError::NotACluster { directory: data.to_owned() };
    match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(text) => {
            // Up to 9.6 the major version had two parts; the first is enough to tell that it is too old.
            let major = text.trim().split('.').next().and_then(|major| major.parse().ok());
            major.map(Some).ok_or_else(not_a_cluster)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_dir(data) {
            Ok(mut entries) => {
                if entries.next().is_none() {
                    Ok(None)
                } else {
                    Err(not_a_cluster())
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PostgresError::folder("read", data)(error)),
        },
        Err(error) => Err(PostgresError::folder("read", &data.join("PG_VERSION"))(error)),
    }
}

/// Makes the cluster beside its place and renames it when it is complete, so that an interrupted initialization leaves nothing that
/// looks like a cluster. `server_lock` is held by `initdb` for as long as any of its processes lives.
pub(super) async fn initialize(
    place: &Place,
    binaries: &Binaries,
    settings: &EmbeddedSettings,
    server_lock: &File,
) -> Result<(), PostgresError> {
    (settings.on_message)(&format!("Making a PostgreSQL {} database in {}.", binaries.major, place.data.display()));
    let mut outcome = Ok(());
    for locale in LOCALES {
        remove_unfinished(place).await?;
        place.make_private(&place.unfinished)?;
        outcome = run_initdb(place, binaries, settings, server_lock, locale).await;
        match &outcome {
            Err(PostgresError::Initialization { output, .. }) if output.contains("locale") => {}
            _ => break,
        }
    }
    if outcome.is_err() {
        if let Err(error) = remove_unfinished(place).await {
            tracing::debug!(%error, "cannot remove an unfinished database");
        }
        return outcome;
    }
    fs::rename(&place.unfinished, &place.data).map_err(PostgresError::folder("put in place", &place.data))?;
    File::open(&place.home).and_then(|home| home.sync_all()).map_err(PostgresError::folder("write", &place.home))
}

async fn run_initdb(
    place: &Place,
    binaries: &Binaries,
    settings: &EmbeddedSettings,
    server_lock: &File,
    locale: &str,
) -> Result<(), PostgresError> {
    let failed = |output: String| PostgresError::Initialization { directory: place.data.clone(), output };
    let stdin = server_lock.try_clone().map_err(PostgresError::folder("use", &place.server_lock))?;
    let mut command = place.account.command(&binaries.directory.join("initdb"), &place.unfinished);
    command
        .arg(format!("--username={ROLE}"))
        .args(["--encoding=UTF8", "--auth-local=trust", "--auth-host=reject", "--no-instructions"])
        .arg(format!("--locale={locale}"))
        .arg("--pgdata")
        .arg(&place.unfinished)
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if settings.server_settings.iter().any(|(name, value)| name == "fsync" && value == "off") {
        command.arg("--no-sync");
    }
    let child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let output = match tokio::time::timeout(INITIALIZATION_LIMIT, child.wait_with_output()).await {
        Err(_) => return Err(failed(format!("it did not end within {} s", INITIALIZATION_LIMIT.as_secs()))),
        Ok(output) => output.map_err(|error| failed(error.to_string()))?,
    };
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.contains("could not look up effective user ID") {
        return Err(PostgresError::NamelessUser { uid: place.account.uid });
    }
    Err(failed(place.explain(&text)))
}

/// A helper of a killed `initdb` may still be putting files there; without its parent it ends in a moment.
async fn remove_unfinished(place: &Place) -> Result<(), PostgresError> {
    let removed = lock::wait(REMOVAL_LIMIT, || match fs::remove_dir_all(&place.unfinished) {
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {
            Ok(!place.unfinished.exists())
        }
        outcome => outcome.map(|()| true),
    });
    match removed.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(PostgresError::folder("remove", &place.unfinished)(io::ErrorKind::DirectoryNotEmpty.into())),
        Err(error) => Err(PostgresError::folder("remove", &place.unfinished)(error)),
    }
}

/// Creates `database` on the running server.
pub(super) async fn create_database(place: &Place, database: &str) -> Result<(), PostgresError> {
    let failed = |source| PostgresError::Connection { action: "create the database", source };
    let mut connection = PgConnection::connect_with(&place.connect_options("postgres")).await.map_err(failed)?;
    let statement = format!("create database \"{}\"", database.replace('"', "\"\""));
    connection.execute(AssertSqlSafe(statement)).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}
