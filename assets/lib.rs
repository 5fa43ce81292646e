//! A data platform for gaming communities, built with Karat.

pub mod account;
pub mod parse;
