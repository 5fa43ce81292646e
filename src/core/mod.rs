//! The pure rules: no input or output, no `async`, no clock.

pub mod key;
pub mod mapping;
pub mod partition;
pub mod policy;
pub mod subset;
pub mod time;
