//! Karat, an asset orchestrator on one PostgreSQL.

pub mod asset;
pub mod clock;
pub mod core;
pub mod engine;
pub mod postgres;
pub mod prelude;
pub mod store;
pub mod testing;
