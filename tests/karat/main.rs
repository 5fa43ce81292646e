//! Tests of the framework.

#![allow(clippy::unwrap_used)]

mod asset_error;
mod code_version;
mod compile_fail;
mod declare;
mod definitions;
mod embedded;
mod embedded_accounts;
mod embedded_faults;
mod embedded_processes;
mod embedded_programs;
mod embedded_support;
mod graph;
mod layering;
mod rows;
mod selection;
mod sql_text;
mod testing;
