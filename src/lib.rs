//! Karat, an asset orchestrator on one PostgreSQL.

pub mod asset;
pub mod clock;
pub mod core;
pub mod store;
