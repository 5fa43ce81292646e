//! The platform's tests: one file per parser and per asset.
#![allow(clippy::unwrap_used)]

mod definitions;
mod fact_game_sessions;
mod fact_voice_sessions;
mod parse_cs2_log;
mod parse_discord;
mod parse_lines;
mod parse_tables;
mod real_inputs;
mod support;
