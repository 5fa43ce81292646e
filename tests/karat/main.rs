//! The tests of the framework, in one binary.

#![allow(clippy::unwrap_used)]

mod cron;
mod mapping;
mod oracle;
mod partition_selections;
mod partitions;
mod subset;
mod time;
