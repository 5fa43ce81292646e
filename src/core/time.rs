//! The one place where local time becomes instants, and instants become local time.
//!
//! Every conversion follows from one rule: a local time stands for the *first instant at which a clock on the wall
//! shows it or something later*. Where the clock jumps over the time (a gap) that is the first valid instant after the
//! jump; where it shows the time twice (a fold) it is the first occurrence. The rule is monotone, later local times
//! never mean earlier instants, so windows made with it tile time in every zone.

use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The instant of a local time: in a gap the first valid instant after it, in a fold the first occurrence.
///
/// Total: a time at the very edge of what can be represented is taken as UTC.
#[must_use]
pub fn instant_of(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    if let Some(instant) = zone.from_local_datetime(&local).earliest() {
        return instant.to_utc();
    }
    // The gap begins, on the clock of the offset before it, at the very instant of the jump.
    GapInfo::new(&local, &zone)
        .and_then(|gap| gap.begin)
        .and_then(|(begin, offset)| begin.checked_sub_offset(offset.fix()))
        .unwrap_or(local)
        .and_utc()
}

/// The first instant of a local date; for a date that the zone skipped altogether, the first instant of the next one.
#[must_use]
pub fn start_of_day(date: NaiveDate, zone: Tz) -> DateTime<Utc> {
    instant_of(date.and_time(NaiveTime::MIN), zone)
}

/// What a clock on the wall shows at `instant`.
#[must_use]
pub fn local_time(instant: DateTime<Utc>, zone: Tz) -> NaiveDateTime {
    let utc = instant.naive_utc();
    utc.checked_add_offset(zone.offset_from_utc_datetime(&utc).fix()).unwrap_or(utc)
}

/// An instant as clocks in `zone` show it, with the offset. All sentences and tables for people have this form.
#[must_use]
pub fn time_text(instant: DateTime<Utc>, zone: Tz) -> String {
    instant.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// Whether clocks on the wall show the time of `instant` twice, and which of the two it is.
#[must_use]
pub fn pass_of(instant: DateTime<Utc>, zone: Tz) -> Pass {
    match zone.from_local_datetime(&local_time(instant, zone)) {
        MappedLocalTime::Ambiguous(first, _) if first == instant => Pass::First,
        MappedLocalTime::Ambiguous(..) => Pass::Second,
        _ => Pass::Only,
    }
}

/// Which occurrence of a local time an instant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Clocks show that time once.
    Only,
    /// They will be put back and show it again.
    First,
    /// They were put back and show it again.
    Second,
}

/// How many seconds local time is ahead of UTC at `instant`; negative west of Greenwich.
#[must_use]
pub fn offset_seconds(instant: DateTime<Utc>, zone: Tz) -> i32 {
    zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc()
}

/// The first instant after `after` and up to `until` at which local time jumps; `None` when the zone keeps its offset.
///
/// Looks once a day: of two jumps within a day that undo each other neither is seen. No zone has made such since 1970.
#[must_use]
pub fn next_offset_change(after: DateTime<Utc>, until: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    let offset = offset_seconds(after, zone);
    let mut unchanged = after;
    while unchanged < until {
        let probe = unchanged.checked_add_signed(TimeDelta::days(1)).map_or(until, |day_later| day_later.min(until));
        if offset_seconds(probe, zone) != offset {
            return Some(first_with_other_offset(unchanged, probe, zone));
        }
        unchanged = probe;
    }
    None
}

/// The full second in `(unchanged, changed]` at which the offset stops being that of `unchanged`.
fn first_with_other_offset(unchanged: DateTime<Utc>, changed: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let offset = offset_seconds(unchanged, zone);
    let (mut low, mut high) = (unchanged.timestamp(), changed.timestamp());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let same = DateTime::from_timestamp(middle, 0).is_some_and(|instant| offset_seconds(instant, zone) == offset);
        if same { low = middle } else { high = middle }
    }
    DateTime::from_timestamp(high, 0).unwrap_or(changed)
}

/// A span of time that includes its start and excludes its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct TimeWindow {
    /// The first instant in it.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

impl TimeWindow {
    /// Whether `instant` lies in it.
    #[must_use]
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }

    /// Whether some instant lies in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start.max(other.start) < self.end.min(other.end)
    }

    /// Whether no instant lies in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// The elapsed time from start to end; a local day can have 23, 24 or 25 hours.
    #[must_use]
    pub fn duration(&self) -> TimeDelta {
        self.end - self.start
    }
}
