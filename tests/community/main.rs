//! The platform's tests: one file per parser and per asset.
#![allow(clippy::unwrap_used)]

mod account_links;
mod activity;
mod browser;
mod cli_bad_input;
mod command_line;
mod dashboards;
mod definitions;
mod demo;
mod discord_alert;
mod discord_login;
mod evidence;
mod fact_game_sessions;
mod fact_voice_sessions;
mod ingest;
mod irc_recomputation;
mod late;
mod logging;
mod parse_cs2_log;
mod parse_discord;
mod parse_lines;
mod parse_tables;
mod privacy;
mod readme;
mod real_inputs;
mod schedules;
mod simulation;
mod support;
mod up;
