//! Orchestration state in PostgreSQL: the only module with SQL about the schema `karat`.
//!
//! Every method is one statement or one transaction, takes the time as an argument and says in its documentation what
//! it promises under concurrency. Nothing here decides what should happen; the rules are in [`crate::core`], the
//! protocols in [`crate::engine`].

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgPool, Postgres};

pub mod account;
pub mod alert;
pub mod alert_delivery;
pub mod asset_list;
pub mod attempt;
pub mod audit;
pub mod backfill;
pub mod change;
pub mod claim;
pub mod cluster;
pub mod error;
pub mod failure;
pub mod freshness;
pub mod garbage;
pub mod history;
pub mod idempotency;
pub mod launch;
pub mod leadership;
pub mod log;
pub mod login;
pub mod mark;
pub mod materialization;
pub mod migrate;
pub mod observe;
pub mod operations;
pub mod overview;
pub mod quarantine;
pub mod reconciler;
pub mod run;
pub mod run_detail;
pub mod run_list;
mod run_span;
pub mod schedule;
pub mod sensor;
pub mod session;
pub mod signal;
pub mod text;
pub mod token;
pub mod trigger;
pub mod waiting;
pub mod worker;

pub use error::StoreError;

/// A connection that was used so recently may be taken for alive.
const TRUSTED: Duration = Duration::from_secs(1);

/// Options for a pool of connections to the state.
///
/// Statements about thousands of partitions look expensive to the planner and take milliseconds; compiling them, which the
/// server would do, takes a second.
#[must_use]
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        .after_connect(|connection, _| Box::pin(async move { connection.execute("set jit = off").await.map(drop) }))
}

/// The same for who repeats what fails because a connection broke: one that was used within the last second is not asked
/// first whether it still lives, since the question costs as much as a statement.
#[must_use]
pub fn trusting_pool_options() -> PgPoolOptions {
    pool_options().test_before_acquire(false).before_acquire(|connection, used| {
        Box::pin(async move {
            if used.idle_for > TRUSTED {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
}

/// Access to the orchestration state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// State in the database of this pool, which must have been migrated.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// A connection for several statements.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn connection(&self, purpose: &str) -> Result<PoolConnection<Postgres>, StoreError> {
        self.pool.acquire().await.map_err(|error| StoreError::new(purpose.to_owned(), error))
    }

    /// The connections this store uses; the engine opens its attempts on them too.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }
}
