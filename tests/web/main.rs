//! The pages and the API of Karat, asked over real sockets on a real database.
#![allow(missing_docs, clippy::unwrap_used)]

mod access;
mod api;
mod asset;
mod backfills;
mod beginning;
mod charts;
#[allow(dead_code)]
#[path = "../karat/dashboard_lake.rs"]
mod dashboard_lake;
mod dashboards;
mod files;
mod frame;
mod generated;
mod german;
mod home;
mod hostile;
mod html;
mod layout;
mod lineage;
mod live;
mod login;
mod look;
mod routes;
mod runs;
mod schedules;
mod server;
mod settings;
mod states;
mod timeline;
mod unwell;
mod workers;
mod workshop;

#[allow(dead_code)]
#[path = "../karat/service_lake.rs"]
mod service_lake;
