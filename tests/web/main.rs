//! The pages and the API of Karat, asked over real sockets on a real database.
#![allow(missing_docs, clippy::unwrap_used)]

mod backfills;
mod charts;
mod files;
mod frame;
mod schedules;
mod server;
mod settings;
mod timeline;
mod workers;
mod workshop;

#[allow(dead_code)]
#[path = "../karat/service_lake.rs"]
mod service_lake;
