//! Cron expressions, and the instants at which they fire in a zone.
//!
//! The `cron` crate reads the fields; time zones are left to [`time`](crate::core::time), because what the crate makes of
//! them skips runs where the clock jumps ahead and repeats them where it is put back.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use cron::{Schedule, TimeUnitSpec};

use crate::core::time::{instant_of, local_time, next_offset_change, offset_seconds, start_of_day};

/// The first year that has no ticks: keys and dates end with 9999.
const END_YEAR: i32 = 10_000;
/// Every date that exists at all comes again within this time: 29 February on a given weekday can take 40 years.
const SEARCHED_YEARS: i32 = 60;

/// A five-field cron expression: minute, hour, day of month, month, weekday.
///
/// Fields take numbers, names (`jan`, `mon`), ranges, lists and steps; weekdays 0 and 7 are Sunday. `@yearly`, `@monthly`,
/// `@weekly`, `@daily` and `@hourly` stand for the usual expressions. When both day of month and weekday are restricted, either
/// is enough; as in cron(8), a field with a `*` in it, `*/2` included, does not count as restricted.
///
/// # Where clocks change
/// An hour field without `*` is a fixed time: it fires exactly once on each matching date, at the first valid instant
/// after it where the clock jumps over it (several such times fire as one), and at the first pass where the clock shows
/// it twice. An hour field with `*` follows elapsed time: it fires whenever the clock shows a matching time, so in both
/// passes of a repeated hour and not in one that is jumped over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronExpression {
    text: String,
    minutes: u64,
    hours: u64,
    days_of_month: u64,
    months: u64,
    /// Bit 0 is Sunday.
    weekdays: u64,
    either_day: bool,
    fixed_hour: bool,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "`{text}` has {count} fields; a cron expression has five: minute, hour, day of month, month and weekday, such as \
         `30 2 * * *`"
    )]
    FieldCount {
        /// What was given.
        text: String,
        /// How many fields it has.
        count: usize,
    },
    /// An `@` word that is none of ours.
    #[error("`{text}` is no known shortcut: there are @hourly, @daily, @weekly, @monthly and @yearly")]
    UnknownShortcut {
        /// What was given.
        text: String,
    },
    /// A field that cannot be.
    #[error(
        "`{value}` cannot be the {field} of the cron expression `{text}`: {expected}, as `n`, `a-b`, `a-b/n`, `*/n` or a list of these"
    )]
    Field {
        /// What was given.
        text: String,
        /// Which field.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What may.
        expected: &'static str,
    },
    /// No date matches.
    #[error("`{text}` never fires: none of its months has such a day")]
    NeverFires {
        /// What was given.
        text: String,
    },
}

/// The fields in order, and what they take.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "minutes run from 0 to 59"),
    ("hour", "hours run from 0 to 23"),
    ("day of month", "days run from 1 to 31"),
    ("month", "months run from 1 to 12, or from jan to dec"),
    ("weekday", "weekdays run from 0 to 7 (0 and 7 are Sunday), or from sun to sat"),
];

impl CronExpression {
    /// Reads an expression.
    ///
    /// # Errors
    /// A sentence that names the field and what it takes; also for an expression that can never fire, such as
    /// `0 0 31 2 *`.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let trimmed = text.trim();
        let expanded = match trimmed.to_ascii_lowercase().as_str() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ if trimmed.starts_with('@') => return Err(CronError::UnknownShortcut { text: text.to_owned() }),
            _ => trimmed,
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        let &[minute, hour, day_of_month, month, weekday] = fields.as_slice() else {
            return Err(CronError::FieldCount { text: text.to_owned(), count: fields.len() });
        };
        let schedule = read([minute, hour, day_of_month, month, weekday]).ok_or_else(|| field_error(text, &fields))?;
        let expression = Self {
            text: text.to_owned(),
            minutes: bits(schedule.minutes().iter()),
            hours: bits(schedule.hours().iter()),
            days_of_month: bits(schedule.days_of_month().iter()),
            months: bits(schedule.months().iter()),
            weekdays: bits(schedule.days_of_week().iter().map(|day| day - 1)),
            either_day: !day_of_month.contains('*') && !weekday.contains('*'),
            fixed_hour: !hour.contains('*'),
        };
        if expression.ever_fires() { Ok(expression) } else { Err(CronError::NeverFires { text: text.to_owned() }) }
    }

    /// The first tick after `instant`; `None` only when the calendar ends, with the year 9999.
    #[must_use]
    pub fn next_after(&self, instant: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        if self.fixed_hour { self.next_fixed(instant, zone) } else { self.next_elapsed(instant, zone) }
    }

    /// The ticks after `after` up to and including `until`, ascending, each computed when it is asked for.
    pub fn ticks_between(
        &self,
        after: DateTime<Utc>,
        until: DateTime<Utc>,
        zone: Tz,
    ) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.next_after(after, zone), move |&tick| self.next_after(tick, zone))
            .take_while(move |&tick| tick <= until)
    }

    /// Whether a clock that shows `local` shows one of its times. A tick that stands for a time the clock jumped over
    /// shows another.
    #[must_use]
    pub fn matches(&self, local: NaiveDateTime) -> bool {
        contains(self.minutes, local.minute()) && contains(self.hours, local.hour()) && self.matches_date(local.date())
    }

    /// The listed times as instants. Local time to instant is monotone, so the first that lies after `instant` is next.
    fn next_fixed(&self, instant: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut local = minute_after(local_time(instant, zone))?;
        loop {
            local = self.next_match(local)?;
            let tick = instant_of(local, zone);
            if tick > instant && !is_on_skipped_date(local, tick, zone) {
                return Some(tick);
            }
            local = minute_after(local)?;
        }
    }

    /// Between two changes of the offset, local and elapsed time run side by side; at a change the search starts anew
    /// with what the clock shows then.
    fn next_elapsed(&self, instant: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut since = instant;
        let mut local = minute_after(local_time(instant, zone))?;
        loop {
            local = self.next_match(local)?;
            let offset = TimeDelta::seconds(i64::from(offset_seconds(since, zone)));
            let tick = local.checked_sub_signed(offset)?.and_utc();
            let Some(change) = next_offset_change(since, tick, zone) else { return Some(tick) };
            since = change;
            let shown = local_time(change, zone);
            local = if shown.second() == 0 && shown.nanosecond() == 0 { shown } else { minute_after(shown)? };
        }
    }

    /// The first matching time at or after `local`, which is a full minute.
    fn next_match(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let date = local.date();
        if self.matches_date(date)
            && let Some((hour, minute)) = self.next_time(local.hour(), local.minute())
        {
            return date.and_hms_opt(hour, minute, 0);
        }
        let (hour, minute) = self.next_time(0, 0)?;
        self.next_date(date.succ_opt()?)?.and_hms_opt(hour, minute, 0)
    }

    fn next_time(&self, hour: u32, minute: u32) -> Option<(u32, u32)> {
        if let (true, Some(minute)) = (contains(self.hours, hour), next_bit(self.minutes, minute)) {
            return Some((hour, minute));
        }
        Some((next_bit(self.hours, hour + 1)?, next_bit(self.minutes, 0)?))
    }

    fn next_date(&self, from: NaiveDate) -> Option<NaiveDate> {
        let end_year = from.year().saturating_add(SEARCHED_YEARS).min(END_YEAR);
        let mut date = from;
        while date.year() < end_year {
            if !contains(self.months, date.month()) {
                date = date.with_day(1)?.checked_add_months(Months::new(1))?;
            } else if self.matches_date(date) {
                return Some(date);
            } else {
                date = date.succ_opt()?;
            }
        }
        None
    }

    fn matches_date(&self, date: NaiveDate) -> bool {
        let day_of_month = contains(self.days_of_month, date.day());
        let weekday = contains(self.weekdays, date.weekday().num_days_from_sunday());
        let day = if self.either_day { day_of_month || weekday } else { day_of_month && weekday };
        day && contains(self.months, date.month())
    }

    fn ever_fires(&self) -> bool {
        const LEAP_YEAR: i32 = 2000;
        let has_day = |month| {
            let first = NaiveDate::from_ymd_opt(LEAP_YEAR, month, 1);
            first.is_some_and(|first| {
                first
                    .iter_days()
                    .take_while(|day| day.month() == month)
                    .any(|day| contains(self.days_of_month, day.day()))
            })
        };
        self.either_day || (1..=12).any(|month| contains(self.months, month) && has_day(month))
    }
}

impl FromStr for CronExpression {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        Self::parse(text)
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

/// The five fields as the `cron` crate reads them; it wants seconds in front.
fn read(fields: [&str; 5]) -> Option<Schedule> {
    // The crate knows more than cron(8) does: `?`, and `5/15`, which cron(8) reads as `5`.
    let is_plain = |item: &str| {
        let has_span = item.split_once('/').is_none_or(|(span, _)| span == "*" || span.contains('-'));
        has_span && item.chars().all(|letter| letter.is_ascii_alphanumeric() || "*-/".contains(letter))
    };
    if !fields.into_iter().flat_map(|field| field.split(',')).all(is_plain) {
        return None;
    }
    let [minute, hour, day_of_month, month, weekday] = fields;
    let weekday = renumber_weekdays(weekday)?;
    Schedule::from_str(&format!("0 {minute} {hour} {day_of_month} {month} {weekday}")).ok()
}

/// Names the first field that cannot be read even when all others are `*`.
fn field_error(text: &str, fields: &[&str]) -> CronError {
    let alone = |index: usize, value| {
        let mut fields = ["*"; 5];
        fields[index] = value;
        read(fields)
    };
    let wrong = (0..).zip(fields).find(|&(index, value)| alone(index, value).is_none());
    let (index, value) = wrong.unwrap_or((0, &text));
    let (field, expected) = FIELDS[index];
    CronError::Field { text: text.to_owned(), field, value: (*value).to_owned(), expected }
}

/// The weekday field in the numbers of the `cron` crate, where Sunday is 1 and Saturday 7.
fn renumber_weekdays(field: &str) -> Option<String> {
    if field.starts_with('*') && !field.contains(',') {
        return Some(field.to_owned());
    }
    let mut days = Vec::new();
    for item in field.split(',') {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, step.parse().ok().filter(|step| (1..=7).contains(step))?),
            None => (item, 1),
        };
        let (first, last) = match span.split_once('-') {
            _ if span == "*" => (0, 6),
            Some((first, last)) => match (weekday_number(first)?, weekday_number(last)?) {
                // A week that ends on `sun` ends with its seventh day.
                (first, 0) if first > 0 && !last.starts_with('0') => (first, 7),
                ends => ends,
            },
            None => (weekday_number(span)?, weekday_number(span)?),
        };
        if first > last {
            return None;
        }
        days.extend((first..=last).step_by(step).map(|day| (day % 7 + 1).to_string()));
    }
    Some(days.join(","))
}

/// 0 to 7 for a digit or an English name, whole or as its first three letters.
fn weekday_number(text: &str) -> Option<u32> {
    const DIGITS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
    match DIGITS.iter().position(|&digit| digit == text) {
        Some(digit) => u32::try_from(digit).ok(),
        None => Weekday::from_str(text).ok().map(|day| day.num_days_from_sunday()),
    }
}

fn bits(values: impl Iterator<Item = u32>) -> u64 {
    values.fold(0, |bits, value| bits | 1 << value)
}

fn contains(bits: u64, value: u32) -> bool {
    bits & 1 << value != 0
}

/// The smallest value at or above `from`.
fn next_bit(bits: u64, from: u32) -> Option<u32> {
    let rest = bits & (u64::MAX << from);
    (rest != 0).then(|| rest.trailing_zeros())
}

/// The first full minute after `local`.
fn minute_after(local: NaiveDateTime) -> Option<NaiveDateTime> {
    local.with_second(0)?.with_nanosecond(0)?.checked_add_signed(TimeDelta::minutes(1))
}

/// Whether the zone has no such date as that of `local`, so that nothing is due on it.
fn is_on_skipped_date(local: NaiveDateTime, tick: DateTime<Utc>, zone: Tz) -> bool {
    let date = local.date();
    local_time(tick, zone).date() != date
        && date.succ_opt().is_some_and(|next| start_of_day(date, zone) == start_of_day(next, zone))
}
