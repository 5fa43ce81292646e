//! A second opinion on time zones: the `jiff` crate, with a time zone database of its own.
//!
//! The two databases are of different years and disagree in places: where a country has since changed its rules, and
//! where history was corrected. Those stretches of time are found by comparing offsets, and nothing else is left out.

use std::collections::HashSet;
use std::sync::{LazyLock, OnceLock};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use karat::core::time::offset_seconds;

pub(crate) const DAY: i64 = 86_400;
/// 1970-01-01T00:00Z and 2100-01-01T00:00Z.
pub(crate) const SPAN: (i64, i64) = (0, 4_102_444_800);

pub(crate) struct Zone {
    pub(crate) tz: Tz,
    jiff: TimeZone,
    /// When the offset changes, according to jiff.
    transitions: Vec<i64>,
    /// Half-open stretches in which the databases disagree.
    differences: OnceLock<Vec<(i64, i64)>>,
}

static ZONES: LazyLock<Vec<Zone>> = LazyLock::new(|| TZ_VARIANTS.into_iter().map(Zone::new).collect());

/// Every zone there is.
pub(crate) fn zones() -> &'static [Zone] {
    &ZONES
}

/// One zone for each history in both databases: many zones are other names of one another, and that their instants are the
/// same is for the tests of time to say, which look at every zone.
pub(crate) fn distinct_zones() -> Vec<&'static Zone> {
    let mut histories = HashSet::new();
    let history = |zone: &Zone| {
        let seconds = zone.transitions.iter().flat_map(|&jump| [jump - 1, jump]).chain([SPAN.0, SPAN.1]);
        let offsets = seconds.map(|second| (second, zone.offset(second), offset_seconds(instant(second), zone.tz)));
        offsets.collect::<Vec<_>>()
    };
    zones().iter().filter(|zone| histories.insert(history(zone))).collect()
}

/// How the comparisons went: what was compared and what had to be left out.
#[derive(Default)]
pub(crate) struct Tally {
    compared: u64,
    left_out: u64,
}

impl Tally {
    /// Counts a comparison; true when it can be made.
    pub(crate) fn comparable(&mut self, comparable: bool) -> bool {
        if comparable {
            self.compared += 1
        } else {
            self.left_out += 1
        }
        comparable
    }

    /// Prints the counts; fails when so much was left out that the test means little.
    pub(crate) fn report(&self, what: &str) {
        println!("{what}: {} compared, {} left out where the databases disagree", self.compared, self.left_out);
        assert!(self.compared > 10_000, "{what}: only {} were compared", self.compared);
        assert!(self.left_out * 20 < self.compared, "{what}: {} of {} left out", self.left_out, self.compared);
    }
}

impl Zone {
    /// What jiff knows of a zone.
    pub(crate) fn new(tz: Tz) -> Self {
        let jiff = TimeZone::get(tz.name()).unwrap();
        let begin = Timestamp::from_second(SPAN.0 - 400 * DAY).unwrap();
        let transitions: Vec<i64> = jiff
            .following(begin)
            .map(|transition| transition.timestamp().as_second())
            .take_while(|&second| second < SPAN.1 + 400 * DAY)
            .collect();
        Self { tz, jiff, transitions, differences: OnceLock::new() }
    }

    fn differs(&self, second: i64) -> bool {
        self.offset(second) != offset_seconds(instant(second), self.tz)
    }

    fn differences(&self) -> &[(i64, i64)] {
        self.differences.get_or_init(|| self.find_differences())
    }

    fn find_differences(&self) -> Vec<(i64, i64)> {
        let grid = (SPAN.0 - 400 * DAY..SPAN.1 + 400 * DAY).step_by(25 * DAY as usize);
        let around = self.transitions.iter().flat_map(|&second| [second - 1, second]);
        let mut seconds: Vec<i64> = grid.chain(around).collect();
        seconds.sort_unstable();
        let mut differences: Vec<(i64, i64)> = Vec::new();
        let mut begun = self.differs(seconds[0]).then_some(i64::MIN);
        for pair in seconds.windows(2) {
            let (before, after) = (self.differs(pair[0]), self.differs(pair[1]));
            if before == after {
                continue;
            }
            let (mut low, mut high) = (pair[0], pair[1]);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if self.differs(middle) == before { low = middle } else { high = middle }
            }
            match begun.take() {
                None => begun = Some(high),
                Some(begin) => differences.push((begin, high)),
            }
        }
        differences.extend(begun.map(|begin| (begin, i64::MAX)));
        differences
    }

    /// Whether the databases agree from `first` to `last`.
    pub(crate) fn agrees(&self, first: i64, last: i64) -> bool {
        !self.differences().iter().any(|&(begin, end)| begin <= last && first < end)
    }

    /// How many stretches of disagreement there are from 1970 to 2100.
    pub(crate) fn difference_count(&self) -> usize {
        self.differences().iter().filter(|&&(begin, end)| begin < SPAN.1 && SPAN.0 < end).count()
    }

    /// Seconds ahead of UTC.
    pub(crate) fn offset(&self, second: i64) -> i32 {
        self.jiff.to_offset(Timestamp::from_second(second).unwrap()).seconds()
    }

    /// What the clock on the wall shows.
    pub(crate) fn local(&self, second: i64) -> NaiveDateTime {
        instant(second + i64::from(self.offset(second))).naive_utc()
    }

    /// The first instant at which the clock shows `local` or has jumped over it.
    ///
    /// By definition, from jiff's offsets: its own search for local times sees a fold in America/Godthab at 23:00 on
    /// 2023-10-28, where the offset stays as it is.
    pub(crate) fn instant_of(&self, local: NaiveDateTime) -> i64 {
        let shown = local.and_utc().timestamp();
        let first = self.transitions.partition_point(|&jump| jump < shown - 2 * DAY);
        let mut begin = shown - 2 * DAY;
        for &end in self.transitions[first..].iter().chain([&i64::MAX]) {
            let shows = begin.max(shown - i64::from(self.offset(begin)));
            if shows < end {
                return shows;
            }
            begin = end;
        }
        unreachable!("the last stretch has no end")
    }

    /// The first instant of a date.
    pub(crate) fn start_of_day(&self, date: NaiveDate) -> i64 {
        self.instant_of(date.and_time(NaiveTime::MIN))
    }

    /// The jumps from 1970 to 2100.
    pub(crate) fn jumps(&self) -> impl Iterator<Item = i64> + '_ {
        self.transitions.iter().copied().filter(|jump| (SPAN.0..SPAN.1).contains(jump))
    }

    /// Whether the databases agree for two days around a local time.
    pub(crate) fn agrees_around(&self, local: NaiveDateTime) -> bool {
        let second = local.and_utc().timestamp();
        self.agrees(second - 2 * DAY, second + 2 * DAY)
    }
}

pub(crate) fn instant(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

/// `2026-03-29`
pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// `2026-03-29 02:30`
pub(crate) fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
}

/// `2026-03-28T23:00Z`
pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").unwrap().and_utc()
}
