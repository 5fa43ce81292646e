//! What can go wrong with the embedded server, each as one sentence or two: what, where, and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why Karat's own PostgreSQL is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// `DATABASE_URL` cannot be parsed. The URL itself is not repeated: it may hold a password.
    #[error(
        "DATABASE_URL is not a usable PostgreSQL URL: {reason}. Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, \
         or unset it to let Karat run its own PostgreSQL"
    )]
    Url {
        /// What the parser objects to.
        reason: String,
    },

    /// Neither `KARAT_DATA` nor a home directory says where the data may live.
    #[error("there is no home directory to keep the database in. Set KARAT_DATA to a folder for it, or DATABASE_URL")]
    NoDataDirectory,

    /// A file or folder could not be made or used.
    #[error("cannot {action} {}: {source}. {}", path.display(), folder_advice(source))]
    Folder {
        /// What was being done, as in "cannot …".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },

    /// Running as root, and the account the server runs as cannot enter a folder above its data.
    #[error(
        "PostgreSQL does not run as root, and the account `{account}` it would run as may not enter {} (mode {mode:04o}), \
         so its data cannot live in {}. Set KARAT_DATA to a folder outside, such as /var/lib/karat, or run as an ordinary user",
        component.display(),
        directory.display()
    )]
    NotWalkable {
        /// The first folder on the way that the account may not enter.
        component: PathBuf,
        /// The permission bits of that folder.
        mode: u32,
        /// The data folder asked for.
        directory: PathBuf,
        /// The account the server would run as.
        account: String,
    },

    /// The folder belongs to somebody else.
    #[error(
        "{} belongs to the account `{owner}`, not to `{account}`. Run as that account, or set KARAT_DATA to a folder of your own",
        path.display()
    )]
    ForeignOwner {
        /// The folder.
        path: PathBuf,
        /// Who it belongs to.
        owner: String,
        /// Who it would have to belong to.
        account: String,
    },

    /// Running as root on a system with no account to drop to.
    #[error(
        "PostgreSQL does not run as root, and this system has neither an account `postgres` nor `nobody` to run it as. \
         Run as an ordinary user, or set DATABASE_URL to a PostgreSQL server"
    )]
    NoServerAccount,

    /// The user id has no name, as in a container started with an arbitrary one; `initdb` refuses that.
    #[error(
        "PostgreSQL cannot be initialized by user id {uid}, which has no entry in the password database (usual in containers). \
         Set DATABASE_URL to a PostgreSQL server, or run as a user that has an entry"
    )]
    NamelessUser {
        /// The effective user id.
        uid: u32,
    },

    /// No server programs to run.
    #[error(
        "no usable PostgreSQL server programs (version {} or later) were found{}. \
         Install PostgreSQL (`apt-get install postgresql`) or set DATABASE_URL to a PostgreSQL server",
        crate::postgres::binaries::OLDEST_MAJOR,
        explanation(reasons)
    )]
    NoBinaries {
        /// Why each candidate, and the download, was out of the question.
        reasons: Vec<String>,
    },

    /// The cluster was made by another major version than any that can be run.
    #[error(
        "the database in {} was made by PostgreSQL {major}, and only that version can open it; its programs were not found{}. \
         Install PostgreSQL {major} (`apt-get install postgresql-{major}`) or name its programs' folder in KARAT_PG_BIN; \
         to move the data to a later version, use pg_upgrade with both versions installed",
        directory.display(),
        explanation(reasons)
    )]
    OtherMajor {
        /// The folder of the cluster.
        directory: PathBuf,
        /// The version in its `PG_VERSION`.
        major: u32,
        /// Which other versions were found, and why the download was out of the question.
        reasons: Vec<String>,
    },

    /// There is something in the place of the cluster that is none.
    #[error(
        "{} is not empty, and not a PostgreSQL database either. Move it away, or set KARAT_DATA to another folder",
        directory.display()
    )]
    NotACluster {
        /// The folder.
        directory: PathBuf,
    },

    /// `initdb` failed.
    #[error("initializing a database in {} failed:\n{output}", directory.display())]
    Initialization {
        /// Where the cluster was to be.
        directory: PathBuf,
        /// The end of what `initdb` said.
        output: String,
    },

    /// The server ended before it accepted a connection.
    #[error("PostgreSQL did not start on {} ({status}). Its log, {}, ends with:\n{output}", directory.display(), log.display())]
    Launch {
        /// The folder of the cluster.
        directory: PathBuf,
        /// How the process ended.
        status: String,
        /// The server's log file.
        log: PathBuf,
        /// The end of the log.
        output: String,
    },

    /// Another process holds the boot lock for too long.
    #[error(
        "another process has been starting or stopping the database in {} for over {}. Look for a stopped or stuck process that holds {}",
        directory.display(),
        humantime::format_duration(*limit),
        lock.display()
    )]
    Occupied {
        /// The data folder.
        directory: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// How long it was waited for.
        limit: Duration,
    },

    /// A server process lives on the cluster and does not answer at the socket.
    #[error(
        "a PostgreSQL server{} runs on {} but does not answer at {}. Stop it or the processes that use it, and try again",
        pid.map_or_else(String::new, |pid| format!(" (process {pid})")),
        directory.display(),
        socket.display()
    )]
    Unreachable {
        /// Its process, when known.
        pid: Option<i32>,
        /// The folder of the cluster.
        directory: PathBuf,
        /// The folder where its socket was expected.
        socket: PathBuf,
    },

    /// The server runs but is still not ready, as after a crash with much to recover.
    #[error(
        "PostgreSQL on {} is still not ready after {}; it goes on by itself. Try again later, and see its log {}",
        directory.display(),
        humantime::format_duration(*limit),
        log.display()
    )]
    NotReady {
        /// The folder of the cluster.
        directory: PathBuf,
        /// How long it was waited for.
        limit: Duration,
        /// The server's log file.
        log: PathBuf,
    },

    /// The server does not come up, and its disk is full.
    #[error(
        "PostgreSQL on {} does not come up, because the disk is full. Make room on it and try again: what was committed is kept",
        directory.display()
    )]
    DiskFull {
        /// The folder of the cluster.
        directory: PathBuf,
    },

    /// The server refused a connection or statement of Karat's own.
    #[error("cannot {action} on Karat's own PostgreSQL: {source}")]
    Connection {
        /// What was being done, as in "cannot …".
        action: &'static str,
        /// What the server said.
        source: sqlx::Error,
    },
}

impl PostgresError {
    /// For `map_err`: an input or output error with what was being done to which path.
    pub(super) fn folder(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Folder { action, path: path.to_owned(), source }
    }
}

fn folder_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Make room on that disk, or set KARAT_DATA to a folder on another one"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "A file is in the way: set KARAT_DATA to another folder, or DATABASE_URL to a PostgreSQL server"
        }
        _ => "Set KARAT_DATA to a folder that may be written to, or DATABASE_URL to a PostgreSQL server",
    }
}

fn explanation(reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
}
