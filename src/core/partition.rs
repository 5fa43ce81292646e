//! Partitions: keys, windows and numbers of hours, days, weeks and months in a zone, all by arithmetic.
//!
//! A partition is known by its [`Ordinal`], its [`PartitionKey`] or, for time partitions, its [`TimeWindow`];
//! [`PartitionsDefinition`] turns each into the others without ever listing partitions.

mod cadence;
mod calendar_text;
mod described;
mod error;
mod keys;
mod selection;
mod skipped;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Serialize, Serializer};

pub use self::cadence::Cadence;
pub use self::described::Described;
pub use self::error::PartitionError;
use crate::core::key::PartitionKey;
use crate::core::subset::PartitionSubset;
use crate::core::time::{TimeWindow, local_time, offset_seconds, start_of_day};

/// The number of a partition, independent of where its definition starts, so that stored numbers outlive a changed
/// start.
///
/// | partitions | number |
/// |---|---|
/// | hourly | whole elapsed hours since 1970-01-01T00:00Z; hours begin on a full local hour at the definition's start |
/// | daily | days since 1970-01-01; a date that the zone skipped has a number but is no partition |
/// | weekly | ISO weeks since the one that began on 1969-12-29 |
/// | monthly | months since 1970-01 |
/// | static | position in the list |
/// | unpartitioned | 0 |
pub type Ordinal = i64;

/// Which partitions an asset is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PartitionsDefinition {
    /// One partition with the key `all`.
    Unpartitioned,
    /// Hours, days, weeks or months of a zone.
    Time(TimePartitions),
    /// A fixed list of keys.
    Static(StaticPartitions),
}

/// Hours, days, weeks or months in a zone, from a start on and perhaps up to an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimePartitions {
    cadence: Cadence,
    zone: Tz,
    start: NaiveDate,
    end: Option<NaiveDate>,
    #[serde(skip)]
    first: Ordinal,
    /// `Ordinal::MAX` without an end.
    #[serde(skip)]
    last: Ordinal,
    /// How many seconds after the full hour in UTC hours begin; 0 for the other cadences.
    #[serde(skip)]
    hour_shift_seconds: i64,
    /// The days that the zone skipped; empty for the other cadences.
    #[serde(skip)]
    skipped: PartitionSubset,
}

/// A fixed list of keys, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticPartitions {
    keys: Arc<[PartitionKey]>,
    positions: Arc<HashMap<PartitionKey, Ordinal>>,
}

impl Serialize for StaticPartitions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Keys<'a> {
            keys: &'a [PartitionKey],
        }
        Keys { keys: &self.keys }.serialize(serializer)
    }
}

impl StaticPartitions {
    /// The keys, in order.
    #[must_use]
    pub fn keys(&self) -> &[PartitionKey] {
        &self.keys
    }
}

impl TimePartitions {
    /// How long a partition lasts.
    #[must_use]
    pub const fn cadence(&self) -> Cadence {
        self.cadence
    }

    /// Whose calendar it is.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// The local day that the first partition contains the beginning of.
    #[must_use]
    pub const fn start(&self) -> NaiveDate {
        self.start
    }

    /// The local day from whose beginning on no further partition begins.
    #[must_use]
    pub const fn end(&self) -> Option<NaiveDate> {
        self.end
    }

    fn new(cadence: Cadence, zone: Tz, start: NaiveDate, end: Option<NaiveDate>) -> Result<Self, PartitionError> {
        if let Some(date) = [Some(start), end].into_iter().flatten().find(|&date| !cadence::is_expressible(date)) {
            return Err(PartitionError::OutOfRange { date });
        }
        let starts_at = start_of_day(start, zone);
        let hourly = cadence == Cadence::Hourly;
        let mut partitions = Self {
            cadence,
            zone,
            start,
            end,
            first: 0,
            last: Ordinal::MAX,
            hour_shift_seconds: if hourly { cadence::hour_shift(offset_seconds(starts_at, zone)) } else { 0 },
            skipped: if cadence == Cadence::Daily { skipped::days(zone, start) } else { PartitionSubset::empty() },
        };
        partitions.first = partitions.at(starts_at);
        if let Some(end) = end {
            let ends_at = start_of_day(end, zone);
            if ends_at <= starts_at {
                return Err(PartitionError::EndBeforeStart { start, end });
            }
            partitions.last = partitions.last_before(ends_at);
        }
        Ok(partitions)
    }

    /// The window that has this number, whether or not the definition reaches so far; empty for a skipped day and
    /// outside the years 0001 to 9999.
    pub(crate) fn window(&self, ordinal: Ordinal) -> TimeWindow {
        let start_of = |ordinal| match self.cadence {
            Cadence::Hourly => cadence::hour_start(ordinal, self.hour_shift_seconds),
            _ => start_of_day(self.cadence.first_date(ordinal), self.zone),
        };
        TimeWindow { start: start_of(ordinal), end: start_of(ordinal.saturating_add(1)) }
    }

    /// The number of the window that contains `instant`, whether or not the definition reaches so far.
    pub(crate) fn at(&self, instant: DateTime<Utc>) -> Ordinal {
        let instant = cadence::clamp_instant(instant);
        if self.cadence == Cadence::Hourly {
            return cadence::hour_of(instant, self.hour_shift_seconds);
        }
        let mut date = local_time(instant, self.zone).date();
        // The date on the wall is the answer, unless the clock was put back over midnight: then yesterday's date shows
        // again although today has begun.
        while let Some(next) = date.succ_opt().filter(|&next| start_of_day(next, self.zone) <= instant) {
            date = next;
        }
        self.cadence.of_date(date)
    }

    /// The partitions that end after `after` and begin before `before`.
    pub(crate) fn between(&self, after: DateTime<Utc>, before: DateTime<Utc>) -> PartitionSubset {
        self.range(self.at(after), self.last_before(before))
    }

    /// The number of the last window that begins before `instant`.
    pub(crate) fn last_before(&self, instant: DateTime<Utc>) -> Ordinal {
        self.at(cadence::clamp_instant(instant) - TimeDelta::nanoseconds(1))
    }

    /// The partitions of the definition with numbers from `first` to `last`.
    pub(crate) fn range(&self, first: Ordinal, last: Ordinal) -> PartitionSubset {
        let range = PartitionSubset::from_range(first.max(self.first), last.min(self.last));
        if self.skipped.is_empty() { range } else { range.difference(&self.skipped) }
    }

    fn date(&self, ordinal: Ordinal) -> NaiveDate {
        match self.cadence {
            Cadence::Hourly => local_time(self.window(ordinal).start, self.zone).date(),
            _ => self.cadence.first_date(ordinal),
        }
    }
}

impl PartitionsDefinition {
    /// Hours, days, weeks or months of `zone`.
    ///
    /// The first partition is the one that contains the beginning of the local day `start`; the last is the last one
    /// that begins before the local day `end` does. Without an end there is always a next one.
    ///
    /// # Errors
    /// When the end is not after the start, or a date is outside the years 0001 to 9999.
    pub fn time(cadence: Cadence, zone: Tz, start: NaiveDate, end: Option<NaiveDate>) -> Result<Self, PartitionError> {
        TimePartitions::new(cadence, zone, start, end).map(Self::Time)
    }

    /// One partition for each of `keys`, numbered in this order.
    ///
    /// # Errors
    /// When there is no key, one is not well-formed, or one is listed twice.
    pub fn fixed<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Result<Self, PartitionError> {
        let keys: Vec<PartitionKey> = keys.into_iter().map(|key| key.into().parse()).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(PartitionError::NoKeys);
        }
        let mut positions = HashMap::with_capacity(keys.len());
        for (position, key) in (0..).zip(&keys) {
            if positions.insert(key.clone(), position).is_some() {
                return Err(PartitionError::DuplicateKey { key: key.clone() });
            }
        }
        Ok(Self::Static(StaticPartitions { keys: keys.into(), positions: Arc::new(positions) }))
    }

    /// The time partitions, if it is made of such.
    #[must_use]
    pub const fn as_time(&self) -> Option<&TimePartitions> {
        match self {
            Self::Time(partitions) => Some(partitions),
            _ => None,
        }
    }

    /// The keys of static partitions, in order.
    #[must_use]
    pub fn static_keys(&self) -> Option<&[PartitionKey]> {
        match self {
            Self::Static(partitions) => Some(&partitions.keys),
            _ => None,
        }
    }

    /// The cadence of time partitions.
    #[must_use]
    pub fn cadence(&self) -> Option<Cadence> {
        self.as_time().map(TimePartitions::cadence)
    }

    /// The zone of time partitions.
    #[must_use]
    pub fn zone(&self) -> Option<Tz> {
        self.as_time().map(TimePartitions::zone)
    }

    /// The word used in listings: `unpartitioned`, `static`, or the cadence.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unpartitioned => "unpartitioned",
            Self::Time(partitions) => partitions.cadence.as_str(),
            Self::Static(_) => "static",
        }
    }

    /// The first partition, begun or not.
    #[must_use]
    pub const fn first(&self) -> Ordinal {
        match self {
            Self::Time(partitions) => partitions.first,
            _ => 0,
        }
    }

    /// The last partition there will ever be; `None` without an end.
    #[must_use]
    pub fn last(&self) -> Option<Ordinal> {
        match self {
            Self::Unpartitioned => Some(0),
            Self::Time(partitions) => partitions.end.map(|_| partitions.last),
            Self::Static(partitions) => Some(position(partitions.keys.len().saturating_sub(1))),
        }
    }

    /// Whether the definition has a partition of this number, begun or not.
    #[must_use]
    pub fn contains(&self, ordinal: Ordinal) -> bool {
        !self.range(ordinal, ordinal).is_empty()
    }

    /// The window of a partition; `None` for partitions that are not made of time.
    ///
    /// By arithmetic alone: also defined before the start and after the end. The window of a skipped day is empty.
    #[must_use]
    pub fn window(&self, ordinal: Ordinal) -> Option<TimeWindow> {
        self.as_time().map(|partitions| partitions.window(ordinal))
    }

    /// The first local date of a partition (an hour's date is that of its beginning); `None` for partitions that are
    /// not made of time.
    #[must_use]
    pub fn date(&self, ordinal: Ordinal) -> Option<NaiveDate> {
        self.as_time().map(|partitions| partitions.date(ordinal))
    }

    /// The partition that contains `instant`: `None` before the start and after the end, and for static partitions,
    /// which no instant belongs to; 0 for an unpartitioned asset.
    #[must_use]
    pub fn ordinal_at(&self, instant: DateTime<Utc>) -> Option<Ordinal> {
        match self {
            Self::Unpartitioned => Some(0),
            Self::Time(partitions) => {
                Some(partitions.at(instant)).filter(|ordinal| (partitions.first..=partitions.last).contains(ordinal))
            }
            Self::Static(_) => None,
        }
    }

    /// The partitions with numbers from `first` to `last`, both included, that the definition has, begun or not.
    #[must_use]
    pub fn range(&self, first: Ordinal, last: Ordinal) -> PartitionSubset {
        match self {
            Self::Time(partitions) => partitions.range(first, last),
            _ => PartitionSubset::from_range(first.max(0), last.min(self.last().unwrap_or(0))),
        }
    }

    /// The partitions of `subset` that the definition has, begun or not.
    #[must_use]
    pub fn restrict(&self, subset: &PartitionSubset) -> PartitionSubset {
        match self {
            Self::Time(partitions) if partitions.skipped.is_empty() => subset.clip(partitions.first, partitions.last),
            _ => subset.intersection(&self.range(Ordinal::MIN, Ordinal::MAX)),
        }
    }

    /// The partitions that have begun at `now`, the one that is still running included.
    #[must_use]
    pub fn existing(&self, now: DateTime<Utc>) -> PartitionSubset {
        match self {
            Self::Time(partitions) => partitions.range(Ordinal::MIN, partitions.at(now)),
            _ => self.range(Ordinal::MIN, Ordinal::MAX),
        }
    }

    /// The partitions whose window has ended at `now`; all of them where there are no windows.
    #[must_use]
    pub fn closed(&self, now: DateTime<Utc>) -> PartitionSubset {
        match self {
            Self::Time(partitions) => partitions.range(Ordinal::MIN, partitions.at(now).saturating_sub(1)),
            _ => self.range(Ordinal::MIN, Ordinal::MAX),
        }
    }

    /// When the next partition closes after `now`; `None` when none ever will.
    #[must_use]
    pub fn next_close(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let partitions = self.as_time()?;
        let open = partitions.at(now).max(partitions.first);
        (open <= partitions.last).then(|| partitions.window(open).end)
    }

    /// The partitions that have an instant in common with `window`, begun or not: for an unpartitioned asset its one
    /// partition, for static partitions none.
    #[must_use]
    pub fn overlapping(&self, window: TimeWindow) -> PartitionSubset {
        match self {
            _ if window.is_empty() => PartitionSubset::empty(),
            Self::Unpartitioned => PartitionSubset::single(0),
            Self::Time(partitions) => partitions.between(window.start, window.end),
            Self::Static(_) => PartitionSubset::empty(),
        }
    }

    /// A text that changes exactly when the windows or keys of partitions change their meaning: kind, cadence, zone
    /// and static keys, but neither start nor end.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Unpartitioned => "unpartitioned".to_owned(),
            Self::Time(partitions) => {
                let mut text = format!("time {} {}", partitions.cadence.as_str(), partitions.zone);
                if partitions.hour_shift_seconds != 0 {
                    // Infallible: a `String` takes everything.
                    let _ = write!(text, " {}", partitions.hour_shift_seconds);
                }
                text
            }
            Self::Static(partitions) => {
                let keys: Vec<&str> = partitions.keys.iter().map(PartitionKey::as_str).collect();
                format!("static {}", keys.join(","))
            }
        }
    }
}

/// A position in a list as an ordinal.
fn position(index: usize) -> Ordinal {
    Ordinal::try_from(index).unwrap_or(Ordinal::MAX)
}
