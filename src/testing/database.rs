//! A database for one test.

use std::fmt::Write;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use super::error::TestingError;
use super::server::{TestServer, drop_database};
use crate::store::migrate::Migrations;
use crate::store::{pool_options, trusting_pool_options};

/// Enough for a test that runs several workers; all tests together have 400.
pub(super) const POOL_CONNECTIONS: u32 = 16;

/// A database of its own for a test, on the shared server. Dropping it ends all connections to it and removes it.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    /// Of the server; the database is still to be named.
    server: PgConnectOptions,
}

impl TestDatabase {
    /// A database on the [shared server](TestServer::shared) that has these migrations and nothing else.
    ///
    /// # Errors
    /// When there is no server or the migrations fail; see [`TestingError`].
    pub async fn create(migrations: &Migrations) -> Result<Self, TestingError> {
        TestServer::shared().await?.create_database(migrations).await
    }

    pub(super) const fn new(name: String, server: PgConnectOptions) -> Self {
        Self { name, server }
    }

    /// The name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect to it from this process.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    /// How another process connects to it: the value of `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        let mut socket = String::new();
        for byte in self.server.get_socket().map(|path| path.as_os_str().as_encoded_bytes()).unwrap_or_default() {
            if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
                socket.push(char::from(*byte));
            } else {
                // Writing to a text does not fail.
                let _ = write!(socket, "%{byte:02X}");
            }
        }
        let (user, port) = (self.server.get_username(), self.server.get_port());
        format!("postgres://{user}@localhost:{port}/{}?host={socket}&sslmode=disable", self.name)
    }

    /// A pool of up to 16 connections to it, made when they are needed.
    ///
    /// # Errors
    /// When the first connection cannot be made.
    pub async fn pool(&self) -> Result<PgPool, TestingError> {
        self.connect(pool_options().max_connections(POOL_CONNECTIONS)).await
    }

    /// At most so many connections for whom nobody cuts one: they are taken for alive without being asked.
    pub(super) async fn trusting_pool(&self, connections: u32) -> Result<PgPool, TestingError> {
        self.connect(trusting_pool_options().max_connections(connections)).await
    }

    async fn connect(&self, options: PgPoolOptions) -> Result<PgPool, TestingError> {
        options.connect_with(self.connect_options()).await.map_err(TestingError::database("connect"))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let server = self.server.clone();
        let name = self.name.clone();
        // A test's own runtime cannot be waited for here. What is not dropped now goes when the server starts next.
        let dropping = std::thread::spawn(move || -> Result<(), String> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(async {
                let mut connection = PgConnection::connect_with(&server).await.map_err(|error| error.to_string())?;
                drop_database(&mut connection, &name).await.map_err(|error| error.to_string())
            })
        });
        if let Ok(Err(error)) = dropping.join() {
            tracing::warn!(name = self.name, error, "a test database was left behind");
        }
    }
}
