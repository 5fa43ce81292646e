//! What happened in a step or several, for a test to compare.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::picture::time_text;
use crate::core::count::counted;

/// What happened, in order. As text it is one line for each report of a reconciler and for each time the worker did
/// something, under the instants at which they happened; a step in which nothing happened leaves no trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    zone: Tz,
    now: DateTime<Utc>,
    /// When, who, what.
    lines: Vec<(DateTime<Utc>, &'static str, String)>,
    units: usize,
}

impl Happened {
    pub(super) const fn new(now: DateTime<Utc>, zone: Tz) -> Self {
        Self { zone, now, lines: Vec::new(), units: 0 }
    }

    pub(super) fn reported(&mut self, name: &'static str, report: String) {
        self.lines.push((self.now, name, report));
    }

    pub(super) fn worked(&mut self, units: usize) {
        if units > 0 {
            self.units += units;
            self.lines.push((self.now, "worker", format!("carried out {}", counted(units, "unit"))));
        }
    }

    pub(super) fn append(&mut self, later: Self) {
        self.now = later.now;
        self.units += later.units;
        self.lines.extend(later.lines);
    }

    /// Whether nothing happened at all.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many units of work the worker carried out: partitions, or ranges of them built by one statement.
    #[must_use]
    pub const fn units(&self) -> usize {
        self.units
    }

    /// The reports, in order: when, by which reconciler, and what it said. The worker is named `worker`.
    pub fn reports(&self) -> impl Iterator<Item = (DateTime<Utc>, &'static str, &str)> {
        self.lines.iter().map(|(at, name, report)| (*at, *name, report.as_str()))
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(formatter, "nothing happened until {}", time_text(self.now, self.zone));
        }
        let mut shown = None;
        for (at, name, report) in &self.lines {
            if shown.replace(*at) != Some(*at) {
                writeln!(formatter, "{}", time_text(*at, self.zone))?;
            }
            writeln!(formatter, "  {name:<12} {report}")?;
        }
        Ok(())
    }
}
