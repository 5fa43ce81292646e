//! Everything that a file declaring assets needs: `use karat::prelude::*;`.

pub use std::time::Duration;

pub use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
pub use serde_json::Value as Json;
pub use uuid::Uuid;

pub use crate::asset::builder::DefinitionsBuilder;
pub use crate::asset::calendar::Calendar;
pub use crate::asset::context::Context;
pub use crate::asset::dashboard::{Chart, Dashboard, Seasonal, Series, Span, Switch, Text};
pub use crate::asset::declare::{Asset, ExternalAsset, RustAsset, SqlAsset};
pub use crate::asset::definitions::{DefinitionErrors, Definitions};
pub use crate::asset::error::AssetError;
pub use crate::asset::mapping::{All, History, Latest, Mapped, Overlap, Window};
pub use crate::asset::partitions::{Daily, Hourly, Monthly, Static, StaticKeys, Unpartitioned, Weekly};
pub use crate::asset::read::ReadUpstream;
pub use crate::asset::sensor::{RunRequest, Sensor, SensorContext, SensorResult};
pub use crate::core::key::AssetKey;
pub use crate::core::partition::{Cadence, PartitionError, PartitionsDefinition};
pub use crate::core::policy::{
    AssetCheck, Automation, FreshnessPolicy, RetryPolicy, WaitPolicy, accepted_values, fresh, no_rows, not_null,
    references, row_count, unique,
};
pub use crate::core::schedule::{CatchUp, Schedule};
pub use crate::table;
