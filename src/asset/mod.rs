//! How a user declares assets.

pub mod spec;
