//! What answers: the program and its calendar.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Service;

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// The program's name, as it is called on the command line.
    pub program: String,
    /// Its version.
    pub version: String,
    /// The zone whose midnights separate days.
    #[schema(value_type = String, example = "Europe/Berlin")]
    pub zone: Tz,
    /// The first local day that has data.
    pub first_day: NaiveDate,
    /// The present instant by its clock.
    pub now: DateTime<Utc>,
}

impl Service {
    /// What answers, as the `program` in this `version`.
    #[must_use]
    pub fn instance(&self, program: &str, version: &str) -> InstanceView {
        let calendar = self.definitions.calendar();
        InstanceView {
            program: program.to_owned(),
            version: version.to_owned(),
            zone: calendar.zone,
            first_day: calendar.first_day,
            now: self.now(),
        }
    }
}
