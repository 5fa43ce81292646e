//! The run-time part of time partitions.

use chrono::NaiveDate;
use chrono_tz::Tz;

/// What days, weeks and months mean in this installation: given to [`Definitions`](super::definitions::Definitions) at
/// run time, not written into assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The zone whose midnights separate days.
    pub zone: Tz,
    /// The first local day that has data: time partitions begin with the one that contains its start.
    pub first_day: NaiveDate,
}
