//! How a user declares assets.

pub mod calendar;
pub mod code_version;
pub mod compute;
pub mod definitions;
pub mod error;
mod problems;
pub mod rows;
pub mod spec;
pub mod statement;
mod validate;
