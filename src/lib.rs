//! Karat, an asset orchestrator on one PostgreSQL.

pub mod asset;
pub mod cli;
pub mod clock;
pub mod core;
pub mod engine;
pub mod postgres;
pub mod prelude;
pub mod service;
pub mod store;
pub mod testing;
