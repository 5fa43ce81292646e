//! Tests of the framework.

#![allow(clippy::unwrap_used)]

mod compile_fail;
//! The tests of the framework, in one binary.

#![allow(clippy::unwrap_used)]

mod cron;
mod mapping;
mod oracle;
mod partitions;
mod subset;
mod time;
