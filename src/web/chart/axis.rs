//! Axes: where the marks are and what is written at them.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use super::number::{Unit, round_step};
use crate::core::time::{instant_of, local_time, start_of_day};
use crate::web::language::Language;

/// Intervals of a number axis, about.
const INTERVALS: f64 = 4.0;

/// Marks of a time axis, at most. Every second of them is left out where there is little room.
const TIME_MARKS: usize = 8;

/// A number axis from below.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NumberAxis {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Values with their text, upwards; the first is `low` and the last `high`.
    pub(super) marks: Vec<(f64, String)>,
}

impl NumberAxis {
    /// An axis from 0, or from below where there are negative values, that has room for all the values.
    pub(super) fn of(values: impl Iterator<Item = f64>, unit: Unit, language: Language) -> Self {
        let (mut low, mut high, mut is_whole) = (0.0_f64, 0.0_f64, true);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
            is_whole &= value.fract() == 0.0;
        }
        if low == high {
            high = 1.0;
        }
        let mut step = unit.step((high - low) / INTERVALS);
        if is_whole && unit == Unit::Count {
            step = step.max(1.0).ceil();
        }
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        // At most twice the intervals aimed at: a step is not below a fourth of the range.
        let count = (last - first).round() as u32;
        let marks = (0..=count)
            .map(|index| (first + f64::from(index)) * step)
            .map(|value| (value, unit.short(value, language)))
            .collect();
        Self { low: first * step, high: last * step, marks }
    }

    /// Where the value is: 0 below, 1 above.
    pub(super) fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// A time axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeAxis {
    start: DateTime<Utc>,
    seconds: f64,
    pub(super) marks: Vec<(DateTime<Utc>, String)>,
}

impl TimeAxis {
    /// The axis from the first of the instants to the last, marked at round local times; `None` without an instant.
    pub(super) fn of(instants: impl Iterator<Item = DateTime<Utc>>, zone: Tz, language: Language) -> Option<Self> {
        let (mut start, mut end) = instants.fold(None, |range: Option<(DateTime<Utc>, DateTime<Utc>)>, instant| {
            let (start, end) = range.unwrap_or((instant, instant));
            Some((start.min(instant), end.max(instant)))
        })?;
        if start == end {
            (start, end) = (start - TimeDelta::hours(12), end + TimeDelta::hours(12));
        }
        let seconds = (end - start).as_seconds_f64();
        Some(Self { start, seconds, marks: time_marks(start, end, zone, language) })
    }

    /// Where the instant is: 0 at the start, 1 at the end.
    pub(super) fn place(&self, instant: DateTime<Utc>) -> f64 {
        (instant - self.start).as_seconds_f64() / self.seconds
    }
}

/// Steps between marks.
#[derive(Clone, Copy)]
enum Step {
    Minutes(i64),
    Hours(u32),
    Days(u64),
    /// From Monday to Monday.
    Weeks(u64),
    Months(u32),
}

const STEPS: [Step; 19] = [
    Step::Minutes(1),
    Step::Minutes(2),
    Step::Minutes(5),
    Step::Minutes(10),
    Step::Minutes(30),
    Step::Hours(1),
    Step::Hours(2),
    Step::Hours(3),
    Step::Hours(6),
    Step::Hours(12),
    Step::Days(1),
    Step::Days(2),
    Step::Weeks(1),
    Step::Weeks(2),
    Step::Months(1),
    Step::Months(2),
    Step::Months(3),
    Step::Months(6),
    Step::Months(12),
];

impl Step {
    fn approximate(self) -> TimeDelta {
        match self {
            Self::Minutes(minutes) => TimeDelta::minutes(minutes),
            Self::Hours(hours) => TimeDelta::hours(i64::from(hours)),
            Self::Days(days) => TimeDelta::days(days.cast_signed()),
            Self::Weeks(weeks) => TimeDelta::weeks(weeks.cast_signed()),
            Self::Months(months) => TimeDelta::days(30 * i64::from(months)),
        }
    }

    /// The round times from `start` to `end`, with one before them.
    fn times(self, start: DateTime<Utc>, end: DateTime<Utc>, zone: Tz) -> Vec<DateTime<Utc>> {
        let local = local_time(start, zone);
        let day = local.date();
        let first_of_month = |date: NaiveDate| date.with_day(1).unwrap_or(date);
        let dates = |first: NaiveDate, next: &dyn Fn(NaiveDate) -> Option<NaiveDate>| {
            let dates = std::iter::successors(Some(first), |date| next(*date)).map(|date| start_of_day(date, zone));
            dates.take_while(|at| *at <= end).collect()
        };
        match self {
            Self::Minutes(minutes) => {
                let past = i64::from(local.minute()) % minutes * 60 + i64::from(local.second());
                let first = start - TimeDelta::seconds(past) - TimeDelta::nanoseconds(i64::from(local.nanosecond()));
                std::iter::successors(Some(first), |at| at.checked_add_signed(TimeDelta::minutes(minutes)))
                    .take_while(|at| *at <= end)
                    .collect()
            }
            // By what the clock shows, so that a day of 23 or 25 hours keeps its round hours.
            Self::Hours(hours) => {
                let first = day.and_hms_opt(local.hour() / hours * hours, 0, 0).unwrap_or(local);
                std::iter::successors(Some(first), |at| at.checked_add_signed(TimeDelta::hours(i64::from(hours))))
                    .map(|at| instant_of(at, zone))
                    .take_while(|at| *at <= end)
                    .collect()
            }
            Self::Days(days) => dates(day, &|date| date.checked_add_days(Days::new(days))),
            Self::Weeks(weeks) => {
                let monday = day - Days::new(u64::from(day.weekday().num_days_from_monday()));
                dates(monday, &|date| date.checked_add_days(Days::new(7 * weeks)))
            }
            Self::Months(months) => {
                let into_step = if months >= 12 {
                    u32::try_from(day.year().rem_euclid((months / 12).cast_signed())).unwrap_or(0) * 12 + day.month0()
                } else {
                    day.month0() % months
                };
                let first = first_of_month(day).checked_sub_months(Months::new(into_step)).unwrap_or(day);
                dates(first, &|date| date.checked_add_months(Months::new(months)))
            }
        }
    }

    fn label(self, at: DateTime<Utc>, zone: Tz, language: Language) -> String {
        let local = local_time(at, zone);
        match self {
            Self::Minutes(_) | Self::Hours(_) if local.hour() != 0 || local.minute() != 0 => {
                local.format("%H:%M").to_string()
            }
            Self::Minutes(_) | Self::Hours(_) | Self::Days(_) | Self::Weeks(_) => short_date(local.date(), language),
            Self::Months(_) if local.month() == 1 => local.year().to_string(),
            Self::Months(_) => month(local.date(), language).to_owned(),
        }
    }
}

fn time_marks(start: DateTime<Utc>, end: DateTime<Utc>, zone: Tz, language: Language) -> Vec<(DateTime<Utc>, String)> {
    let span = end - start;
    let fits = |step: &Step| span.num_seconds() / step.approximate().num_seconds().max(1) < TIME_MARKS as i64;
    let step = STEPS.into_iter().find(fits).unwrap_or_else(|| {
        let years = span.num_days() as f64 / 365.0 / (TIME_MARKS - 1) as f64;
        // Whole and positive, and far below what the type holds: all of time is some 500,000 years.
        Step::Months(12 * round_step(years).ceil() as u32)
    });
    let times = step.times(start, end, zone).into_iter().filter(|at| *at >= start);
    let mut marks: Vec<(DateTime<Utc>, String)> = times.map(|at| (at, step.label(at, zone, language))).collect();
    marks.dedup_by(|left, right| left.0 == right.0);
    marks
}

/// A date without its year: `21 Nov`, `21. Nov.`.
#[must_use]
pub fn short_date(date: NaiveDate, language: Language) -> String {
    match language {
        Language::English => format!("{} {}", date.day(), month(date, language)),
        Language::German => format!("{}. {}", date.day(), month(date, language)),
    }
}

fn month(date: NaiveDate, language: Language) -> &'static str {
    const ENGLISH: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const GERMAN: [&str; 12] = ["Jan", "Feb", "März", "Apr", "Mai", "Juni", "Juli", "Aug", "Sept", "Okt", "Nov", "Dez"];
    let names = match language {
        Language::English => ENGLISH,
        Language::German => GERMAN,
    };
    names[date.month0() as usize]
}
