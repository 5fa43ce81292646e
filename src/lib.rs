//! Karat, an asset orchestrator on one PostgreSQL.

pub mod core;
pub mod postgres;
