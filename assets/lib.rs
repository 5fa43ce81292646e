//! A data platform for gaming communities, built with Karat.

pub mod account;
pub mod bronze;
pub mod collect;
pub mod command_line;
pub mod dashboards;
pub mod definitions;
pub mod demo;
pub mod discord_alert;
pub mod discord_login;
pub mod gold;
pub mod parse;
pub mod silver;
