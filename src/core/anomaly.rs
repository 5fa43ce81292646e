//! Which figures of a series are far from what is usual at their weekday and hour.
//!
//! A figure is compared with those of the same weekday and hour in the weeks before it. What is usual is their median,
//! how much they usually deviate from it is the median of their distances to it (MAD), times 1.4826, which makes it the
//! standard deviation where figures are normally distributed. Both are medians, so that up to half of the past may be
//! anomalous itself without hiding or making an anomaly. A figure is one when it is further away than so many times the
//! usual deviation. Later figures never count: what has been marked stays marked, and nothing is marked afterwards.

use std::collections::HashMap;

use chrono::{Datelike, NaiveDateTime, Timelike};

/// What makes the median distance of normally distributed figures their standard deviation.
const STANDARD_DEVIATIONS: f64 = 1.4826;

/// Fewer weeks than these say nothing of what is usual.
pub const WEEKS_NEEDED: usize = 3;

/// The usual deviation is never taken for smaller than this share of what is usual: where nothing ever moved, a figure
/// just beside it is no news.
pub const SMALLEST_DEVIATION: f64 = 0.02;

/// A figure that is far from what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anomaly {
    /// The position of the figure in the series.
    pub index: usize,
    /// What is usual at that weekday and hour.
    pub usual: f64,
    /// The usual deviation from it.
    pub deviation: f64,
}

/// The anomalies among `figures`, which are in the order of time, each at a local time; compared with the same weekday
/// and hour of the `weeks` before. Of several figures in an hour each is compared with all of the hours before.
#[must_use]
pub fn anomalies(figures: &[(NaiveDateTime, f64)], weeks: u32, threshold: f64) -> Vec<Anomaly> {
    let mut slots: HashMap<(u32, u32), Vec<usize>> = HashMap::new();
    for (index, (at, _)) in figures.iter().enumerate() {
        slots.entry((at.weekday().num_days_from_monday(), at.hour())).or_default().push(index);
    }
    let mut found: Vec<Anomaly> = slots.values().flat_map(|slot| in_slot(figures, slot, weeks, threshold)).collect();
    found.sort_by_key(|anomaly| anomaly.index);
    found
}

/// The anomalies among the figures of one weekday and hour.
fn in_slot(figures: &[(NaiveDateTime, f64)], slot: &[usize], weeks: u32, threshold: f64) -> Vec<Anomaly> {
    let day = |index: usize| figures.get(index).map_or(0, |(at, _)| i64::from(at.date().num_days_from_ce()));
    let mut found = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for &index in slot {
        let Some(&(_, figure)) = figures.get(index) else { continue };
        while slot.get(begin).is_some_and(|&past| day(past) < day(index) - 7 * i64::from(weeks)) {
            begin += 1;
        }
        while slot.get(end).is_some_and(|&past| day(past) < day(index)) {
            end += 1;
        }
        let past = slot.get(begin..end).unwrap_or_default();
        let mut days: Vec<i64> = past.iter().map(|&past| day(past)).collect();
        days.dedup();
        if days.len() < WEEKS_NEEDED || !figure.is_finite() {
            continue;
        }
        let values: Vec<f64> = past
            .iter()
            .filter_map(|&past| figures.get(past))
            .map(|&(_, value)| value)
            .filter(|v| v.is_finite())
            .collect();
        let Some((usual, deviation)) = usual(values) else { continue };
        if (figure - usual).abs() > threshold * deviation {
            found.push(Anomaly { index, usual, deviation });
        }
    }
    found
}

/// The median, and the usual deviation from it.
fn usual(values: Vec<f64>) -> Option<(f64, f64)> {
    let usual = median(values.clone())?;
    let distance = median(values.into_iter().map(|value| (value - usual).abs()).collect())?;
    Some((usual, (STANDARD_DEVIATIONS * distance).max(SMALLEST_DEVIATION * usual.abs())))
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    // Halved first: the sum of two large figures may be beyond what a number holds.
    values.get(middle - 1).map(|lower| lower / 2.0 + upper / 2.0)
}
