//! The tests of the framework, in one binary.

#![allow(clippy::unwrap_used)]

mod compile_fail;
mod cron;
mod embedded;
mod embedded_accounts;
mod embedded_faults;
mod embedded_processes;
mod embedded_programs;
mod embedded_support;
mod graph;
mod layering;
mod mapping;
mod oracle;
mod partitions;
mod selection;
mod sql_text;
mod subset;
mod testing;
mod time;
mod verify;
