//! The pure rules: no input or output, no `async`, no clock.

pub mod anomaly;
pub mod automation;
pub mod count;
pub mod cron;
pub mod freshness;
pub mod graph;
pub mod id;
pub mod key;
pub mod mapping;
pub mod partition;
pub mod plan;
pub mod policy;
pub mod schedule;
pub mod selection;
pub mod shown;
pub mod sql_text;
pub mod status;
pub mod stretches;
pub mod subset;
pub mod suggest;
pub mod time;
pub mod told;
pub mod version;
pub mod word;
