//! The pure rules: no input or output, no `async`, no clock.

pub mod key;
pub mod policy;
