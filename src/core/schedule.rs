//! Schedules: what is built at which instants, and which of these instants are due.
//!
//! A tick is known by its schedule and its instant. Which ticks are due follows from one stored instant per schedule,
//! the *watermark*: no tick at or before it fires. Whatever the clock does, it only grows; when somebody resumes the
//! schedule, it is the present.

use std::panic::Location;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::cron::CronExpression;
use crate::core::key::AssetKey;
use crate::core::plan::Extent;
use crate::core::selection::Selection;
use crate::core::time::{Pass, local_time, next_offset_change, pass_of, start_of_day};

/// How many ticks fire in one go; the rest is due at once again.
pub const TICKS_AT_ONCE: usize = 100;

/// How many ticks that are left out are counted; there may be more.
pub const COUNTED_MISSES: usize = 10_000;

/// How late a tick may be and still count as on time: longer than a restart takes.
pub const ON_TIME: TimeDelta = TimeDelta::minutes(5);

/// What becomes of ticks that nobody was there to fire: the server was off, or all its processes were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// All of them fire, oldest first, each for the partitions that were the latest closed at its instant.
    All,
    /// The newest of them fires.
    #[default]
    Last,
    /// None of them fires. The newest still does when it is less than [`ON_TIME`] late.
    None,
}

impl CatchUp {
    /// The word used in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Last => "last",
            Self::None => "none",
        }
    }
}

/// A schedule as it is declared: at every tick of a cron expression, build partitions of some assets.
///
/// ```
/// use karat::core::schedule::{CatchUp, Schedule};
///
/// // At 03:15 local time: yesterday's partition of all daily assets, and last month's when a month has just closed.
/// let nightly = Schedule::new("nightly", "15 3 * * *").selection("gold.* silver.*").catch_up(CatchUp::Last);
/// ```
///
/// At a tick, each selected asset has one partition to be built: the latest whose window had closed at the tick's
/// instant, unless [`partitions`](Self::partitions) says otherwise. What is there already and made of what there is now
/// is not built again, so a monthly asset is built at the first tick after its month closed. One run builds them all,
/// upstream first. A change of code alone starts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its name, by which it is kept in the state.
    pub name: String,
    /// When, as cron(8) writes it, in the zone of the calendar.
    pub expression: String,
    /// Which assets; external ones among them are passed over.
    pub selection: String,
    /// Which of their partitions.
    pub partitions: Extent,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// Whether it is switched on when it is first seen. From then on the switch is in the database.
    pub enabled_by_default: bool,
    /// What it is for, for people.
    pub description: String,
    /// The source file of the declaration, for error messages.
    pub source_file: &'static str,
}

impl Schedule {
    /// A schedule of all assets, at the ticks of a five-field cron expression in the calendar's zone. `name` is made of
    /// lower-case letters, digits, `_` and `-`.
    #[must_use]
    #[track_caller]
    pub fn new(name: impl Into<String>, expression: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            expression: expression.into(),
            selection: "*".to_owned(),
            partitions: Extent::Newest,
            catch_up: CatchUp::default(),
            enabled_by_default: true,
            description: String::new(),
            source_file: Location::caller().file(),
        }
    }

    /// Only these assets. A selection of states is refused: what is fresh is never built again anyway.
    #[must_use]
    pub fn selection(self, selection: impl Into<String>) -> Self {
        Self { selection: selection.into(), ..self }
    }

    /// These partitions at every tick, as they are written on the command line: `2026-01..`, `eu`. Those of them that
    /// had closed at the tick's instant and are not fresh are built.
    #[must_use]
    pub fn partitions(self, partitions: impl Into<String>) -> Self {
        Self { partitions: Extent::Text(partitions.into()), ..self }
    }

    /// All closed partitions at every tick: what is missing or stale anywhere in the history is built.
    #[must_use]
    pub fn all_partitions(self) -> Self {
        Self { partitions: Extent::All, ..self }
    }

    /// What becomes of missed ticks; [`CatchUp::Last`] unless said.
    #[must_use]
    pub fn catch_up(self, catch_up: CatchUp) -> Self {
        Self { catch_up, ..self }
    }

    /// Switched off until somebody resumes it.
    #[must_use]
    pub fn paused(self) -> Self {
        Self { enabled_by_default: false, ..self }
    }

    /// What it is for.
    #[must_use]
    pub fn description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }
}

/// A schedule that was found sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSpec {
    /// Its name, by which it is kept in the state.
    pub name: String,
    /// When, in the zone of the calendar.
    pub expression: CronExpression,
    /// Which assets.
    pub selection: Selection,
    /// The assets that the selection means and that Karat builds: at least one, upstream first.
    pub assets: Vec<AssetKey>,
    /// Which of their partitions.
    pub partitions: Extent,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// Whether it is switched on when it is first seen.
    pub enabled_by_default: bool,
    /// What it is for.
    pub description: String,
}

/// Ticks that never fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The first of them.
    pub first: DateTime<Utc>,
    /// The last of them.
    pub last: DateTime<Utc>,
    /// How many, counted up to [`COUNTED_MISSES`].
    pub count: usize,
}

impl Missed {
    /// How many, in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let more = if self.count == COUNTED_MISSES { "at least " } else { "" };
        let ticks = if self.count == 1 { "tick was" } else { "ticks were" };
        format!("{more}{} missed {ticks} left out", self.count)
    }
}

/// What an activation has to do about a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueTicks {
    /// Those left out; they lie before all that fire.
    pub missed: Option<Missed>,
    /// Those that fire, oldest first, at most [`TICKS_AT_ONCE`].
    pub fire: Vec<DateTime<Utc>>,
}

/// The ticks after `watermark` and up to `now`, by what is to become of them.
///
/// Nothing is due while `now` is not after the watermark: a clock that was set back fires nothing again.
#[must_use]
pub fn due_ticks(
    expression: &CronExpression,
    zone: Tz,
    watermark: DateTime<Utc>,
    now: DateTime<Utc>,
    catch_up: CatchUp,
) -> DueTicks {
    if catch_up == CatchUp::All {
        let fire = expression.ticks_between(watermark, now, zone).take(TICKS_AT_ONCE).collect();
        return DueTicks { missed: None, fire };
    }
    let Some(newest) = last_tick(expression, zone, watermark, now) else { return DueTicks::default() };
    let fires = catch_up == CatchUp::Last || now - newest < ON_TIME;
    let left_out_until = if fires { newest - TimeDelta::nanoseconds(1) } else { newest };
    let first = expression.next_after(watermark, zone).filter(|&first| first <= left_out_until);
    let missed = first.and_then(|first| {
        let last = last_tick(expression, zone, watermark, left_out_until)?;
        let count = expression.ticks_between(watermark, last, zone).take(COUNTED_MISSES).count();
        Some(Missed { first, last, count })
    });
    DueTicks { missed, fire: if fires { vec![newest] } else { Vec::new() } }
}

/// The last tick after `after` and up to `until`, without walking through all of them.
#[must_use]
pub fn last_tick(
    expression: &CronExpression,
    zone: Tz,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    last_ticks(expression, zone, after, until, 1).pop()
}

/// The last `count` ticks after `after` and up to `until`, ascending, without walking through all of them.
#[must_use]
pub fn last_ticks(
    expression: &CronExpression,
    zone: Tz,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    count: usize,
) -> Vec<DateTime<Utc>> {
    let mut span = TimeDelta::hours(1);
    loop {
        let from = until.checked_sub_signed(span).map_or(after, |from| from.max(after));
        let mut ticks: Vec<_> = expression.ticks_between(from, until, zone).collect();
        if ticks.len() >= count || from == after {
            return ticks.split_off(ticks.len().saturating_sub(count));
        }
        span = span * 8;
    }
}

/// `count` ticks about a local date, ascending, half of them before and half after the moment of that day at which the
/// clock is changed; of a day without a change, before and after its beginning.
#[must_use]
pub fn ticks_around(expression: &CronExpression, zone: Tz, date: NaiveDate, count: usize) -> Vec<DateTime<Utc>> {
    let start = start_of_day(date, zone);
    let end = date.succ_opt().map_or(start, |next| start_of_day(next, zone));
    let middle = next_offset_change(start, end, zone).unwrap_or(start) - TimeDelta::nanoseconds(1);
    let mut ticks = last_ticks(expression, zone, DateTime::<Utc>::MIN_UTC, middle, count / 2);
    ticks.extend(expression.ticks_between(middle, DateTime::<Utc>::MAX_UTC, zone).take(count - ticks.len().min(count)));
    ticks
}

/// What the zone's clock does to a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockNote {
    /// The clock jumps over the expression's time: the tick is the first instant after the jump.
    Skipped,
    /// The clock shows the tick's time twice, and this is the first time.
    FirstPass,
    /// The clock shows the tick's time twice, and this is the second time.
    SecondPass,
}

impl ClockNote {
    /// What happens, in words.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Skipped => "the clock jumps over the time itself: first instant after it",
            Self::FirstPass => "the clock shows this time twice: first pass",
            Self::SecondPass => "the clock shows this time twice: second pass",
        }
    }
}

/// What the zone's clock does to `tick` of `expression`; `None` on ordinary days.
#[must_use]
pub fn clock_note(expression: &CronExpression, tick: DateTime<Utc>, zone: Tz) -> Option<ClockNote> {
    match pass_of(tick, zone) {
        _ if !expression.matches(local_time(tick, zone)) => Some(ClockNote::Skipped),
        Pass::First => Some(ClockNote::FirstPass),
        Pass::Second => Some(ClockNote::SecondPass),
        Pass::Only => None,
    }
}
