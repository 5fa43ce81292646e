//! The pages and the API of Karat, asked over real sockets on a real database.
#![allow(missing_docs, clippy::unwrap_used)]

mod api;
mod charts;
mod files;
mod frame;
mod server;
#[allow(dead_code)]
#[path = "../karat/service_lake.rs"]
mod service_lake;
