//! The texts of partitions: `2026-10-25T02:00+01:00`, `2026-11-21`, `2026-W47`, `2026-11` and back.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc, Weekday};

use super::cadence::{Cadence, is_expressible};
use super::{Ordinal, PartitionError, PartitionsDefinition, StaticPartitions, TimePartitions};
use crate::core::key::PartitionKey;
use crate::core::suggest::did_you_mean;
use crate::core::time::{TimeWindow, local_time, offset_seconds, start_of_day};

impl PartitionsDefinition {
    /// The key of a partition.
    ///
    /// Total: a time partition outside the definition is named all the same; a number that no static list or
    /// unpartitioned asset has is named `unknown-N`.
    #[must_use]
    pub fn key(&self, ordinal: Ordinal) -> PartitionKey {
        let known = match self {
            Self::Time(partitions) => return well_formed(&partitions.text(ordinal)),
            Self::Unpartitioned if ordinal == 0 => Some(PartitionKey::unpartitioned()),
            Self::Unpartitioned => None,
            Self::Static(partitions) => {
                usize::try_from(ordinal).ok().and_then(|index| partitions.keys.get(index)).cloned()
            }
        };
        known.unwrap_or_else(|| well_formed(&format!("unknown-{ordinal}")))
    }

    /// The number of the partition that `key` names, begun or not.
    ///
    /// An hour may also be given in another offset, with `Z`, or without offset where that is unambiguous.
    ///
    /// # Errors
    /// A sentence for the person who wrote the key: malformed, impossible, skipped by the zone, before the start, after
    /// the end, or unknown.
    pub fn ordinal(&self, key: &PartitionKey) -> Result<Ordinal, PartitionError> {
        let text = key.as_str();
        match self {
            Self::Unpartitioned if text == PartitionKey::UNPARTITIONED => Ok(0),
            Self::Unpartitioned => Err(PartitionError::NotPartitioned { text: text.to_owned() }),
            Self::Time(partitions) => {
                match CalendarText::parse(text).and_then(|parsed| partitions.exact(text, parsed))? {
                    Some(ordinal) => partitions.within(text, ordinal),
                    None => Err(malformed(text, partitions.cadence)),
                }
            }
            Self::Static(partitions) => partitions.position(text),
        }
    }
}

impl StaticPartitions {
    pub(super) fn position(&self, text: &str) -> Result<Ordinal, PartitionError> {
        const LISTED: usize = 8;
        let known = text.parse::<PartitionKey>().ok().and_then(|key| self.positions.get(&key).copied());
        known.ok_or_else(|| {
            let hint = match did_you_mean(text, self.keys.iter().map(PartitionKey::as_str)) {
                Some(key) => format!("; did you mean `{key}`?"),
                None => {
                    let listed: Vec<&str> = self.keys.iter().take(LISTED).map(PartitionKey::as_str).collect();
                    let more = if self.keys.len() > LISTED { ", …" } else { "" };
                    format!("; the partitions are {}{more}", listed.join(", "))
                }
            };
            PartitionError::Unknown { text: text.to_owned(), hint }
        })
    }
}

impl TimePartitions {
    fn text(&self, ordinal: Ordinal) -> String {
        match self.cadence {
            Cadence::Hourly => {
                let start = self.window(ordinal).start;
                let mut text = String::with_capacity(22);
                write_local(&mut text, local_time(start, self.zone));
                write_offset(&mut text, offset_seconds(start, self.zone));
                text
            }
            Cadence::Daily => self.cadence.first_date(ordinal).to_string(),
            Cadence::Weekly => {
                let week = self.cadence.first_date(ordinal).iso_week();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Cadence::Monthly => {
                let date = self.cadence.first_date(ordinal);
                format!("{:04}-{:02}", date.year(), date.month())
            }
        }
    }

    /// The partition that a text of exactly the cadence's shape names, wherever it lies; `None` for another shape.
    pub(super) fn exact(&self, text: &str, parsed: CalendarText) -> Result<Option<Ordinal>, PartitionError> {
        Ok(Some(match (self.cadence, parsed) {
            (Cadence::Hourly, CalendarText::Hour { local, offset_seconds }) => {
                self.hour(text, local, offset_seconds)?
            }
            (Cadence::Daily, CalendarText::Day(date)) => {
                let ordinal = self.cadence.of_date(date);
                if self.window(ordinal).is_empty() {
                    return Err(self.skipped_text(text, start_of_day(date, self.zone)));
                }
                ordinal
            }
            (Cadence::Weekly, CalendarText::Week(monday)) => self.cadence.of_date(monday),
            (Cadence::Monthly, CalendarText::Month(first)) => self.cadence.of_date(first),
            _ => return Ok(None),
        }))
    }

    /// The first and last partition that a key of a coarser cadence covers, wherever they lie; `None` when the text is
    /// not coarser.
    pub(super) fn covered(&self, parsed: CalendarText) -> Option<(Ordinal, Ordinal)> {
        let (first, last) = match (self.cadence, parsed) {
            // The ISO year: the weeks whose keys begin with it.
            (Cadence::Weekly, CalendarText::Year(first)) => {
                let week_of_january_4th = |year| NaiveDate::from_ymd_opt(year, 1, 4).unwrap_or(first);
                let next = self.cadence.of_date(week_of_january_4th(first.year() + 1));
                return Some((self.cadence.of_date(week_of_january_4th(first.year())), next - 1));
            }
            (_, CalendarText::Year(first)) => (first, NaiveDate::from_ymd_opt(first.year() + 1, 1, 1)?.pred_opt()?),
            (Cadence::Hourly | Cadence::Daily | Cadence::Weekly, CalendarText::Month(first)) => {
                (first, first.checked_add_months(chrono::Months::new(1))?.pred_opt()?)
            }
            (Cadence::Hourly | Cadence::Daily, CalendarText::Week(monday)) => (monday, monday + TimeDelta::days(6)),
            (Cadence::Hourly, CalendarText::Day(date)) => (date, date),
            _ => return None,
        };
        Some(match self.cadence {
            Cadence::Hourly => {
                let day = TimeWindow {
                    start: start_of_day(first, self.zone),
                    end: start_of_day(last.succ_opt()?, self.zone),
                };
                (self.at(day.start), self.last_before(day.end))
            }
            _ => (self.cadence.of_date(first), self.cadence.of_date(last)),
        })
    }

    /// `ordinal`, if the definition reaches so far.
    pub(super) fn within(&self, text: &str, ordinal: Ordinal) -> Result<Ordinal, PartitionError> {
        if ordinal < self.first {
            Err(PartitionError::BeforeStart { text: text.to_owned(), first: well_formed(&self.text(self.first)) })
        } else if ordinal > self.last {
            Err(PartitionError::AfterEnd { text: text.to_owned(), last: well_formed(&self.text(self.last)) })
        } else {
            Ok(ordinal)
        }
    }

    fn hour(&self, text: &str, local: NaiveDateTime, offset: Option<i32>) -> Result<Ordinal, PartitionError> {
        let candidates: Vec<DateTime<Utc>> = match offset {
            Some(seconds) => vec![(local - TimeDelta::seconds(i64::from(seconds))).and_utc()],
            None => {
                let instants = self.zone.from_local_datetime(&local);
                let (earliest, latest) =
                    (instants.earliest(), instants.latest().filter(|_| instants.single().is_none()));
                earliest.into_iter().chain(latest).map(|instant| instant.to_utc()).collect()
            }
        };
        let Some(&first) = candidates.first() else {
            return Err(self.skipped_text(text, crate::core::time::instant_of(local, self.zone)));
        };
        let mut hours = candidates.iter().map(|&instant| (instant, self.at(instant)));
        let mut begins =
            hours.by_ref().filter(|&(instant, hour)| self.window(hour).start == instant).map(|(_, hour)| hour);
        match (begins.next(), begins.next()) {
            (Some(hour), None) => Ok(hour),
            (Some(hour), Some(second)) => Err(PartitionError::Ambiguous {
                text: text.to_owned(),
                zone: self.zone,
                first: well_formed(&self.text(hour)),
                second: well_formed(&self.text(second)),
            }),
            (None, _) => Err(PartitionError::NotAnHour {
                text: text.to_owned(),
                containing: well_formed(&self.text(self.at(first))),
            }),
        }
    }

    fn skipped_text(&self, text: &str, jump: DateTime<Utc>) -> PartitionError {
        PartitionError::Skipped { text: text.to_owned(), zone: self.zone, next: well_formed(&self.text(self.at(jump))) }
    }
}

/// A text that some cadence uses as a key, checked against the calendar.
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
        let impossible = |reason: String| PartitionError::Impossible { text: text.to_owned(), reason };
        let (date_text, time_text) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut parts = date_text.split('-');
        let (Some(year_text), second, third, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Ok(Self::Other);
        };
        let Some(year) = digits(year_text, 4) else { return Ok(Self::Other) };
        let first_of_month = |month: u32| {
            let first = NaiveDate::from_ymd_opt(year, month, 1).filter(|&date| is_expressible(date));
            first.ok_or_else(|| {
                impossible(if year == 0 {
                    "years begin with 0001".to_owned()
                } else {
                    format!("there is no month {month}")
                })
            })
        };
        let Some(second) = second else {
            return if time_text.is_some() { Ok(Self::Other) } else { first_of_month(1).map(Self::Year) };
        };
        if let (Some(week_text), None, None) = (second.strip_prefix('W'), third, time_text) {
            let Some(week) = digits(week_text, 2) else { return Ok(Self::Other) };
            first_of_month(1)?;
            let monday = u32::try_from(week).ok().and_then(|week| NaiveDate::from_isoywd_opt(year, week, Weekday::Mon));
            return monday.map(Self::Week).ok_or_else(|| {
                let weeks = if NaiveDate::from_isoywd_opt(year, 53, Weekday::Mon).is_some() { 53 } else { 52 };
                impossible(format!("the ISO weeks of {year} are W01 to W{weeks}"))
            });
        }
        let Some(month) = digits(second, 2).and_then(|month| u32::try_from(month).ok()) else { return Ok(Self::Other) };
        let Some(third) = third else {
            return if time_text.is_some() { Ok(Self::Other) } else { first_of_month(month).map(Self::Month) };
        };
        let Some(day) = digits(third, 2).and_then(|day| u32::try_from(day).ok()) else { return Ok(Self::Other) };
        let time = match time_text.map(parse_time) {
            None => None,
            Some(Some(time)) => Some(time),
            Some(None) => return Ok(Self::Other),
        };
        let first = first_of_month(month)?;
        let date = first
            .with_day(day)
            .ok_or_else(|| impossible(format!("{} has {} days", first.format("%B %Y"), first.num_days_in_month())))?;
        match time {
            None => Ok(Self::Day(date)),
            Some(WallTime { hour, minute, second, offset_seconds }) => date
                .and_hms_opt(hour, minute, second)
                .map(|local| Self::Hour { local, offset_seconds })
                .ok_or_else(|| impossible("times run from 00:00 to 23:59".to_owned())),
        }
    }
}

struct WallTime {
    hour: u32,
    minute: u32,
    second: u32,
    offset_seconds: Option<i32>,
}

/// `02:00`, `02:00:30`, either followed by `Z`, `+01:00` or `-00:44:30`.
fn parse_time(text: &str) -> Option<WallTime> {
    let (clock, offset_seconds) = match text.find(['Z', '+', '-']) {
        None => (text, None),
        Some(at) => {
            let (clock, offset) = text.split_at(at);
            let seconds = match offset.strip_prefix('Z') {
                Some("") => 0,
                Some(_) => return None,
                None => {
                    let (hours, minutes, seconds) = parse_clock(offset.get(1..)?)?;
                    if hours > 23 || minutes > 59 || seconds > 59 {
                        return None;
                    }
                    let seconds = i32::try_from(hours * 3600 + minutes * 60 + seconds).ok()?;
                    if offset.starts_with('-') { -seconds } else { seconds }
                }
            };
            (clock, Some(seconds))
        }
    };
    let (hour, minute, second) = parse_clock(clock)?;
    Some(WallTime { hour, minute, second, offset_seconds })
}

fn parse_clock(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(':').map(|part| digits(part, 2).and_then(|number| u32::try_from(number).ok()));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = match parts.next() {
        None => 0,
        Some(second) => second?,
    };
    parts.next().is_none().then_some((hour, minute, second))
}

/// The number that exactly `count` ASCII digits write.
fn digits(text: &str, count: usize) -> Option<i32> {
    if text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn write_local(text: &mut String, local: NaiveDateTime) {
    // Writing to a `String` cannot fail.
    let _ = write!(text, "{}T{:02}:{:02}", local.date(), local.hour(), local.minute());
    if local.second() != 0 {
        let _ = write!(text, ":{:02}", local.second());
    }
}

fn write_offset(text: &mut String, offset_seconds: i32) {
    let (sign, seconds) = if offset_seconds < 0 { ('-', -offset_seconds) } else { ('+', offset_seconds) };
    let _ = write!(text, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if seconds % 60 != 0 {
        let _ = write!(text, ":{:02}", seconds % 60);
    }
}

/// The key of a text that this module made.
pub(super) fn well_formed(text: &str) -> PartitionKey {
    text.parse().unwrap_or_else(|_| PartitionKey::unpartitioned())
}

pub(super) fn malformed(text: &str, cadence: Cadence) -> PartitionError {
    let (what, expected) = match cadence {
        Cadence::Hourly => (
            "hourly partitions",
            "an hour is written `YYYY-MM-DDThh:mm` with its offset, such as `2026-10-25T02:00+01:00`",
        ),
        Cadence::Daily => ("daily partitions", "a day is written `YYYY-MM-DD`, such as `2026-11-21`"),
        Cadence::Weekly => ("weekly partitions", "an ISO week is written `YYYY-Www`, such as `2026-W47`"),
        Cadence::Monthly => ("monthly partitions", "a month is written `YYYY-MM`, such as `2026-11`"),
    };
    PartitionError::Malformed { text: text.to_owned(), what, expected }
}
