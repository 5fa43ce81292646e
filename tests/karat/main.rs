//! Tests of the framework.

#![allow(clippy::unwrap_used)]

mod graph;
mod layering;
mod selection;
mod sql_text;
