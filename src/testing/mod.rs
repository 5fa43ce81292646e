//! Helpers for tests of assets and of Karat itself: a real PostgreSQL, and a fresh database on it for every test.
//!
//! ```no_run
//! # async fn test() -> Result<(), karat::testing::TestingError> {
//! use karat::store::migrate::Migrations;
//! use karat::testing::TestDatabase;
//!
//! let database = TestDatabase::create(&Migrations::karat()).await?;
//! let pool = database.pool().await?;
//! # Ok(())
//! # }
//! ```
//!
//! All tests of a user share one server, also when each runs in a process of its own. It is started by whoever needs it
//! first, keeps nothing safe from a power failure, and ends some seconds after the last test process, however that ended.
//!
//! A [`Simulation`] is a whole installation on such a database: it runs by itself in simulated time, step by step.

mod database;
mod error;
mod server;
mod simulation;
mod watchdog;

pub use self::database::TestDatabase;
pub use self::error::TestingError;
pub use self::server::TestServer;
pub use self::simulation::{Happened, MakeReconcilers, Simulation, SimulationError};
