//! How a user declares assets.
//!
//! The traits are generic only at the edge: [`definitions::Definitions`] lowers each declaration to the plain
//! [`spec::AssetSpec`], and everything above works on that.

mod assets;
pub mod builder;
pub mod calendar;
mod catalog;
pub mod circle;
pub mod code_version;
pub mod column;
pub mod compute;
pub mod context;
pub mod dashboard;
mod dashboards;
pub mod declare;
pub mod definitions;
pub mod error;
pub mod mapping;
pub mod partitions;
mod problems;
pub mod read;
pub mod rows;
mod schedules;
mod select;
pub mod sensor;
mod sentence;
pub mod spec;
pub mod statement;
pub mod table;
pub mod upstream;
mod validate;

/// What the code that `table!` writes needs, wherever it is written.
#[doc(hidden)]
pub mod private {
    pub use sqlx;
}
