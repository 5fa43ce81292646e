//! Dates that do not exist.

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::Ordinal;
use super::cadence::{date_of_day, day_of, hour_start};
use crate::core::subset::PartitionSubset;
use crate::core::time::{offset_seconds, start_of_day};

/// The dates from `start` on that a zone skipped when it moved to the other side of the date line.
///
/// Such a move adds nearly a day to the offset and lasts: looking every few years finds the interval, halving it finds
/// the date.
pub(super) fn days(zone: Tz, start: NaiveDate) -> PartitionSubset {
    const STEP_DAYS: usize = 4 * 365;
    const LEAST_JUMP_SECONDS: i32 = 20 * 3600;
    /// 2110-01-01; the time zone database ends with the 21st century.
    const END: Ordinal = 51_134;
    let offset = |day| offset_seconds(hour_start(24 * day, 0), zone);
    let is_skipped = |day| start_of_day(date_of_day(day), zone) == start_of_day(date_of_day(day + 1), zone);
    let mut days = Vec::new();
    let (mut from, mut before) = (day_of(start) - 2, offset(day_of(start) - 2));
    for until in (from..END).step_by(STEP_DAYS).skip(1).chain([END]) {
        let after = offset(until);
        if after - before >= LEAST_JUMP_SECONDS {
            let (mut low, mut high) = (from, until);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if offset(middle) - before >= LEAST_JUMP_SECONDS { high = middle } else { low = middle }
            }
            days.extend((low - 1..=high + 1).filter(|&day| is_skipped(day)));
        }
        (from, before) = (until, after);
    }
    PartitionSubset::from_ordinals(days)
}
