//! Years, months, weeks, days and hours as texts, checked against the calendar.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Weekday};

use super::PartitionError;
use super::cadence::is_expressible;

/// A text that some cadence uses as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CalendarText {
    /// `2026`, by its first day.
    Year(NaiveDate),
    /// `2026-11`, by its first day.
    Month(NaiveDate),
    /// `2026-W47`, by its Monday.
    Week(NaiveDate),
    /// `2026-11-21`.
    Day(NaiveDate),
    /// `2026-10-25T02:00`, perhaps with seconds, perhaps with an offset.
    Hour { local: NaiveDateTime, offset_seconds: Option<i32> },
    /// Nothing of this kind.
    Other,
}

impl CalendarText {
    /// # Errors
    /// When the text has one of the shapes but names nothing that exists.
    pub(super) fn parse(text: &str) -> Result<Self, PartitionError> {
        let checked = match Shape::of(text) {
            None => Ok(Self::Other),
            Some(Shape::Year(year)) => first_of_month(year, 1).map(Self::Year),
            Some(Shape::Month(year, month)) => first_of_month(year, month).map(Self::Month),
            Some(Shape::Week(year, week)) => monday(year, week).map(Self::Week),
            Some(Shape::Day(year, month, day)) => date(year, month, day).map(Self::Day),
            Some(Shape::Hour(year, month, day, time)) => date(year, month, day).and_then(|date| {
                let local = date.and_hms_opt(time.hour, time.minute, time.second);
                let local = local.ok_or_else(|| "times run from 00:00 to 23:59".to_owned())?;
                Ok(Self::Hour { local, offset_seconds: time.offset_seconds })
            }),
        };
        checked.map_err(|reason| PartitionError::Impossible { text: text.to_owned(), reason })
    }
}

fn first_of_month(year: i32, month: u32) -> Result<NaiveDate, String> {
    if year == 0 {
        return Err("years begin with 0001".to_owned());
    }
    let first = NaiveDate::from_ymd_opt(year, month, 1).filter(|&date| is_expressible(date));
    first.ok_or_else(|| format!("there is no month {month}"))
}

fn date(year: i32, month: u32, day: u32) -> Result<NaiveDate, String> {
    let first = first_of_month(year, month)?;
    NaiveDate::from_ymd_opt(year, month, day)
        .ok_or_else(|| format!("{} has {} days", first.format("%B %Y"), first.num_days_in_month()))
}

fn monday(year: i32, week: u32) -> Result<NaiveDate, String> {
    first_of_month(year, 1)?;
    NaiveDate::from_isoywd_opt(year, week, Weekday::Mon).ok_or_else(|| {
        let weeks = if NaiveDate::from_isoywd_opt(year, 53, Weekday::Mon).is_some() { 53 } else { 52 };
        format!("the ISO weeks of {year} are W01 to W{weeks}")
    })
}

/// The numbers in a text, whatever their values.
enum Shape {
    Year(i32),
    Month(i32, u32),
    Week(i32, u32),
    Day(i32, u32, u32),
    Hour(i32, u32, u32, WallTime),
}

impl Shape {
    fn of(text: &str) -> Option<Self> {
        if let Some((date, time)) = text.split_once('T') {
            return match Self::of(date)? {
                Self::Day(year, month, day) => Some(Self::Hour(year, month, day, WallTime::of(time)?)),
                _ => None,
            };
        }
        let mut parts = text.split('-');
        let year = i32::try_from(digits(parts.next()?, 4)?).ok()?;
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Some(Self::Year(year)),
            (Some(part), None, _) => match part.strip_prefix('W') {
                Some(week) => Some(Self::Week(year, digits(week, 2)?)),
                None => Some(Self::Month(year, digits(part, 2)?)),
            },
            (Some(month), Some(day), None) => Some(Self::Day(year, digits(month, 2)?, digits(day, 2)?)),
            _ => None,
        }
    }
}

/// `02:00`, `02:00:30`, either alone or followed by `Z`, `+01:00` or `-00:44:30`.
struct WallTime {
    hour: u32,
    minute: u32,
    second: u32,
    offset_seconds: Option<i32>,
}

impl WallTime {
    fn of(text: &str) -> Option<Self> {
        let (clock, offset) = text.split_at(text.find(['Z', '+', '-']).unwrap_or(text.len()));
        let offset_seconds = match offset {
            "" => None,
            "Z" => Some(0),
            _ => {
                let (hours, minutes, seconds) = clock_numbers(offset.get(1..)?)?;
                let in_range = hours < 24 && minutes < 60 && seconds < 60 && !offset.starts_with('Z');
                let seconds = i32::try_from(hours * 3600 + minutes * 60 + seconds).ok().filter(|_| in_range)?;
                Some(if offset.starts_with('-') { -seconds } else { seconds })
            }
        };
        let (hour, minute, second) = clock_numbers(clock)?;
        Some(Self { hour, minute, second, offset_seconds })
    }
}

/// `02:00` or `02:00:30`.
fn clock_numbers(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| digits(second, 2))?;
    parts.next().is_none().then_some((hour, minute, second))
}

/// The number that exactly `count` ASCII digits write.
fn digits(text: &str, count: usize) -> Option<u32> {
    if text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
