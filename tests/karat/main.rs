//! Tests of the framework.

#![allow(clippy::unwrap_used)]

mod code_version;
mod compile_fail;
mod declare;
mod definitions;
