//! The texts of partitions: `2026-10-25T02:00+01:00`, `2026-11-21`, `2026-W47`, `2026-11` and back.

use std::fmt::Write as _;

use chrono::{
    DateTime, Datelike, MappedLocalTime, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc,
};

use super::calendar_text::CalendarText;
use super::{Cadence, Ordinal, PartitionError, PartitionsDefinition, StaticPartitions, TimePartitions};
use crate::core::key::PartitionKey;
use crate::core::suggest::did_you_mean;
use crate::core::time::{instant_of, local_time, offset_seconds, start_of_day};

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

    /// Whether `text` is the [`key`](Self::key) of a partition.
    #[must_use]
    pub fn is_key(&self, ordinal: Ordinal, text: &str) -> bool {
        match self {
            Self::Time(partitions) => partitions.text(ordinal) == text,
            Self::Static(_) | Self::Unpartitioned => self.key(ordinal).as_str() == text,
        }
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
                (first, first.checked_add_months(Months::new(1))?.pred_opt()?)
            }
            (Cadence::Hourly | Cadence::Daily, CalendarText::Week(monday)) => (monday, monday + TimeDelta::days(6)),
            (Cadence::Hourly, CalendarText::Day(date)) => (date, date),
            _ => return None,
        };
        Some(match self.cadence {
            Cadence::Hourly => {
                let end = start_of_day(last.succ_opt()?, self.zone);
                (self.at(start_of_day(first, self.zone)), self.last_before(end))
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
        let instants: Vec<DateTime<Utc>> = match offset {
            Some(seconds) => vec![(local - TimeDelta::seconds(i64::from(seconds))).and_utc()],
            None => match self.zone.from_local_datetime(&local) {
                MappedLocalTime::None => vec![],
                MappedLocalTime::Single(instant) => vec![instant.to_utc()],
                MappedLocalTime::Ambiguous(first, second) => vec![first.to_utc(), second.to_utc()],
            },
        };
        let Some(&first) = instants.first() else {
            return Err(self.skipped_text(text, instant_of(local, self.zone)));
        };
        let begins_hour = |&&instant: &&DateTime<Utc>| self.window(self.at(instant)).start == instant;
        let hours: Vec<Ordinal> = instants.iter().filter(begins_hour).map(|&instant| self.at(instant)).collect();
        match hours.as_slice() {
            &[hour] => Ok(hour),
            &[first, second, ..] => Err(PartitionError::Ambiguous {
                text: text.to_owned(),
                zone: self.zone,
                first: well_formed(&self.text(first)),
                second: well_formed(&self.text(second)),
            }),
            [] => Err(PartitionError::NotAnHour {
                text: text.to_owned(),
                containing: well_formed(&self.text(self.at(first))),
            }),
        }
    }

    fn skipped_text(&self, text: &str, jump: DateTime<Utc>) -> PartitionError {
        PartitionError::Skipped { text: text.to_owned(), zone: self.zone, next: well_formed(&self.text(self.at(jump))) }
    }
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
