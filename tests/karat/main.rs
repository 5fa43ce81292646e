//! Tests of the framework.

#![allow(clippy::unwrap_used)]

mod graph;
mod selection;
mod sql_text;
