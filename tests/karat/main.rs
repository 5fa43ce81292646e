//! The tests of the framework.
#![allow(clippy::unwrap_used)]

mod embedded;
mod embedded_accounts;
mod embedded_faults;
mod embedded_processes;
mod embedded_programs;
mod embedded_support;
mod graph;
mod layering;
mod selection;
mod sql_text;
mod testing;
