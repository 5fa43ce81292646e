//! Tests of the framework.

#![allow(clippy::unwrap_used)]

mod compile_fail;
