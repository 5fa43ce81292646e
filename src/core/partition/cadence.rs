//! Calendar arithmetic: which numbers days, weeks, months and hours have.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::core::partition::Ordinal;

/// The number of 1970-01-01 counted from the day before 0001-01-01, as chrono counts.
const EPOCH_DAY_OF_ERA: i64 = 719_163;
/// The ordinal of the day 0001-01-01, the first that a four-digit year can name.
const FIRST_DAY: Ordinal = 1 - EPOCH_DAY_OF_ERA;
/// The ordinal of the day 10000-01-01, the first that it cannot.
const END_DAY: Ordinal = 2_932_897;
const FIRST_MONTH: Ordinal = (1 - 1970) * 12;
const END_MONTH: Ordinal = (10_000 - 1970) * 12;
const HOUR_SECONDS: i64 = 3600;

/// How long a time partition lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cadence {
    /// One hour of elapsed time.
    Hourly,
    /// One local calendar day.
    Daily,
    /// One ISO week, Monday to Sunday, of local days.
    Weekly,
    /// One calendar month of local days.
    Monthly,
}

impl Cadence {
    /// The word used in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// The partition that a local date falls into; for hours, which dates do not number, the one that begins the day
    /// in UTC.
    pub(super) fn of_date(self, date: NaiveDate) -> Ordinal {
        let day = day_of(date);
        match self {
            Self::Hourly => day * 24,
            Self::Daily => day,
            // 1970-01-01 was a Thursday: week 0 began three days earlier.
            Self::Weekly => (day + 3).div_euclid(7),
            Self::Monthly => (i64::from(date.year()) - 1970) * 12 + i64::from(date.month0()),
        }
    }

    /// The first local date of a partition (for hours: the date in UTC), kept within the years 0001 to 9999 and the
    /// day after.
    pub(super) fn first_date(self, ordinal: Ordinal) -> NaiveDate {
        match self {
            Self::Hourly => date_of_day(ordinal.div_euclid(24)),
            Self::Daily => date_of_day(ordinal),
            Self::Weekly => date_of_day(ordinal.saturating_mul(7).saturating_sub(3)),
            Self::Monthly => {
                let month = ordinal.clamp(FIRST_MONTH, END_MONTH);
                let year = i32::try_from(1970 + month.div_euclid(12)).unwrap_or(i32::MAX);
                let month_of_year = u32::try_from(month.rem_euclid(12) + 1).unwrap_or(1);
                NaiveDate::from_ymd_opt(year, month_of_year, 1).unwrap_or(NaiveDate::MAX)
            }
        }
    }
}

/// Days since 1970-01-01.
pub(super) fn day_of(date: NaiveDate) -> Ordinal {
    i64::from(date.num_days_from_ce()) - EPOCH_DAY_OF_ERA
}

/// The date so many days after 1970-01-01, kept within the years 0001 to 9999 and the day after.
pub(super) fn date_of_day(day: Ordinal) -> NaiveDate {
    let day_of_era = day.clamp(FIRST_DAY, END_DAY) + EPOCH_DAY_OF_ERA;
    i32::try_from(day_of_era).ok().and_then(NaiveDate::from_num_days_from_ce_opt).unwrap_or(NaiveDate::MAX)
}

/// The instant at which an hour begins, with hours that begin `shift_seconds` after the full hour in UTC.
pub(super) fn hour_start(hour: Ordinal, shift_seconds: i64) -> DateTime<Utc> {
    let hour = hour.clamp(FIRST_DAY * 24, END_DAY * 24);
    DateTime::UNIX_EPOCH + TimeDelta::seconds(hour * HOUR_SECONDS + shift_seconds)
}

/// The hour that contains an instant.
pub(super) fn hour_of(instant: DateTime<Utc>, shift_seconds: i64) -> Ordinal {
    (instant.timestamp() - shift_seconds).div_euclid(HOUR_SECONDS)
}

/// How many seconds after the full hour in UTC a full local hour begins.
pub(super) fn hour_shift(offset_seconds: i32) -> i64 {
    (-i64::from(offset_seconds)).rem_euclid(HOUR_SECONDS)
}

/// `instant`, kept within the years 0001 to 9999.
pub(super) fn clamp_instant(instant: DateTime<Utc>) -> DateTime<Utc> {
    let last = hour_start(END_DAY * 24, 0) - TimeDelta::nanoseconds(1);
    instant.clamp(hour_start(FIRST_DAY * 24, 0), last)
}

/// Whether keys can express the date.
pub(super) fn is_expressible(date: NaiveDate) -> bool {
    (FIRST_DAY..END_DAY).contains(&day_of(date))
}
