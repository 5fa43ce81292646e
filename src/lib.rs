//! Karat, an asset orchestrator on one PostgreSQL.

pub mod clock;
pub mod core;
pub mod store;
