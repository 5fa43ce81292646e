//! Karat's own PostgreSQL: what runs when no `DATABASE_URL` is given.
//!
//! [`start`] makes a private server available in a data folder: it finds the server programs, initializes the
//! cluster when there is none, adopts a server that already runs there, and otherwise starts one. The server listens on a
//! Unix socket in a folder that only its own account may enter, and is as durable as PostgreSQL is by default.
//!
//! Three lock files keep any number of processes in step, and all three are released by the kernel when a process dies:
//!
//! | file | held by | meaning |
//! |---|---|---|
//! | `boot.lock` | whoever starts or stops the server, exclusively | one change at a time |
//! | `users.lock` | every process that uses the server, shared | the last one out stops the server |
//! | `server.lock` | the server and all its children, as their standard input | something may still write to the data |

mod account;
mod binaries;
mod cluster;
mod download;
mod error;
mod launch;
mod lock;
mod place;
mod process;
mod server;
mod settings;

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

pub use self::error::PostgresError;
pub use self::server::{EmbeddedServer, start};
pub use self::settings::{EmbeddedSettings, MessageSink};

/// How to reach the database: the server that `database_url` names, or Karat's own when it is absent or blank.
///
/// The returned guard, if any, must live as long as the database is used; see [`EmbeddedServer`].
///
/// # Errors
/// [`PostgresError::Url`] for a URL that is none (nothing is connected here), otherwise whatever [`start`] reports.
pub async fn connect_options(
    database_url: Option<&str>,
    settings: EmbeddedSettings,
) -> Result<(PgConnectOptions, Option<EmbeddedServer>), PostgresError> {
    if let Some(url) = database_url.map(str::trim).filter(|url| !url.is_empty()) {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(PostgresError::Url { reason: "it does not begin with `postgres://`".to_owned() });
        }
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            // The parser wraps its own sentences.
            let text = error.to_string();
            PostgresError::Url { reason: text.trim_start_matches("error with configuration: ").to_owned() }
        })?;
        return Ok((options, None));
    }
    let server = start(settings).await?;
    Ok((server.connect_options(), Some(server)))
}
