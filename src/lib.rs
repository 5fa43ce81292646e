//! Karat, an asset orchestrator on one PostgreSQL.

pub mod core;
