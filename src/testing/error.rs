//! What can go wrong before a test has its database.

use std::io;
use std::path::PathBuf;

use crate::postgres::PostgresError;
use crate::store::migrate::SchemaError;

/// Why there is no database for a test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestingError {
    /// The server does not start.
    #[error("the test server does not start: {0}")]
    Server(#[from] PostgresError),
    /// The folder of the test server cannot be used.
    #[error("cannot use {path} for the test server: {source}; set KARAT_TEST_SERVER to a folder of your own")]
    Folder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The process that ends the server cannot be started.
    #[error(
        "cannot start the process that ends the test server, which needs `sh` and `flock` (on Debian the package `util-linux`): {0}"
    )]
    Watchdog(#[source] io::Error),
    /// The server refuses something.
    #[error("cannot {action} on the test server: {source}")]
    Database {
        /// What was to be done.
        action: &'static str,
        /// What the server says.
        source: sqlx::Error,
    },
    /// The migrations of the template fail.
    #[error("cannot make a template for test databases: {0}")]
    Migrations(#[from] SchemaError),
}

impl TestingError {
    pub(super) fn database(action: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Database { action, source }
    }

    pub(super) fn folder(path: &std::path::Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Folder { path: path.to_owned(), source }
    }
}
