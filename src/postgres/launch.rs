//! The server's own process: its command line, its log, and what is in its way.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Child;

use super::binaries::Binaries;
use super::error::PostgresError;
use super::place::{Place, SOCKET_FILE};
use super::settings::EmbeddedSettings;

/// At each start a log longer than this becomes `postgres.log.1`; with that one kept, the two bound what accumulates.
const MAX_LOG_BYTES: u64 = 4 << 20;

/// Below this much shared memory (containers often have 64 MB) parallel queries could run out of it.
const ENOUGH_SHARED_MEMORY_BYTES: u64 = 256 << 20;

/// A server process that was launched here.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) process: Child,
    /// Where its part of the log begins.
    log_start: usize,
}

impl Launched {
    /// The error for a server that ended early, with what it logged.
    pub(super) fn failure(&self, place: &Place, status: &str) -> PostgresError {
        let log = fs::read(&place.log).unwrap_or_default();
        let said = String::from_utf8_lossy(log.get(self.log_start..).unwrap_or_default());
        failure(place, status, &said)
    }
}

fn failure(place: &Place, status: &str, said: &str) -> PostgresError {
    PostgresError::Launch {
        directory: place.data.clone(),
        status: status.to_owned(),
        log: place.log.clone(),
        output: place.explain(said),
    }
}

/// Files that a server leaves when it is killed. Once nothing can write to the cluster any more they only keep the next server from
/// starting: it would trust the process id in them, which a zombie or an unrelated process may have.
pub(super) fn remove_leftovers(place: &Place) -> Result<(), PostgresError> {
    let socket = place.socket_directory.join(SOCKET_FILE);
    for path in [place.data.join("postmaster.pid"), socket.with_added_extension("lock"), socket] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PostgresError::folder("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Starts the server in a process group of its own, so that a Ctrl-C at the terminal does not reach it, with `server_lock` as its standard input:
/// its children inherit that, and the lock is free when the last of them has ended.
pub(super) fn launch(
    place: &Place,
    binaries: &Binaries,
    settings: &EmbeddedSettings,
    server_lock: File,
) -> Result<Launched, PostgresError> {
    rotate(&place.log).map_err(PostgresError::folder("rotate", &place.log))?;
    let log = place.open(&place.log)?;
    let log_start = log.metadata().map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(usize::MAX));
    let also_log = log.try_clone().map_err(PostgresError::folder("open", &place.log))?;
    let mut command = place.account.command(&binaries.directory.join("postgres"), &place.data);
    command.arg("-D").arg(&place.data);
    for (name, value) in own_settings(place) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    for (name, value) in &settings.server_settings {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command.stdin(Stdio::from(server_lock)).stdout(log).stderr(also_log).process_group(0).kill_on_drop(false);
    let process = command.spawn().map_err(|error| failure(place, &error.to_string(), ""))?;
    Ok(Launched { process, log_start })
}

/// What is not the cluster's business but this machine's and Karat's. It stands on the command line, where it wins over the cluster's
/// files; what a person may want to change (memory, connections) is left to those, at PostgreSQL's own defaults.
fn own_settings(place: &Place) -> Vec<(&'static str, String)> {
    let mut settings: Vec<(&'static str, String)> = vec![
        ("cluster_name", place.cluster_name.clone()),
        ("listen_addresses", String::new()),
        ("port", "5432".into()),
        ("unix_socket_directories", place.socket_directories_setting()),
        ("unix_socket_permissions", "0700".into()),
        // The texts of statements and of errors contain people's data, which belongs in no log; clients get them anyway.
        ("log_min_messages", "log".into()),
        ("log_min_error_statement", "panic".into()),
    ];
    let shared_memory = rustix::fs::statvfs("/dev/shm").map(|memory| memory.f_blocks.saturating_mul(memory.f_frsize));
    if !shared_memory.is_ok_and(|bytes| bytes >= ENOUGH_SHARED_MEMORY_BYTES) {
        settings.push(("dynamic_shared_memory_type", "mmap".into()));
    }
    settings
}

fn rotate(log: &Path) -> io::Result<()> {
    match fs::symlink_metadata(log) {
        Ok(metadata) if metadata.len() > MAX_LOG_BYTES => fs::rename(log, log.with_added_extension("1")),
        _ => Ok(()),
    }
}
