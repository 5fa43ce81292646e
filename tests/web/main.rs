//! The pages and the API of Karat, asked over real sockets on a real database.
#![allow(missing_docs, clippy::unwrap_used)]

mod access;
mod api;
mod backfills;
mod asset;
mod charts;
#[allow(dead_code)]
#[path = "../karat/dashboard_lake.rs"]
mod dashboard_lake;
mod dashboards;
mod files;
mod frame;
mod generated;
mod home;
mod layout;
mod lineage;
mod live;
mod login;
mod routes;
mod schedules;
mod look;
mod runs;
mod server;
mod settings;
mod timeline;
mod workers;
mod workshop;

#[allow(dead_code)]
#[path = "../karat/service_lake.rs"]
mod service_lake;
