//! The tests of the framework, in one binary.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod absences;
mod asset_error;
mod cli;
mod code_version;
mod compile_fail;
mod cron;
mod declare;
mod definitions;
mod embedded;
mod embedded_accounts;
mod embedded_faults;
mod embedded_processes;
mod embedded_programs;
mod embedded_support;
mod engine;
mod graph;
mod lake;
mod layering;
mod mapping;
mod oracle;
mod partition_selections;
mod partitions;
mod policies;
mod processes;
mod protocol;
mod rows;
mod selection;
mod service;
mod service_lake;
mod sql_text;
mod subset;
mod testing;
mod time;
mod verify;
