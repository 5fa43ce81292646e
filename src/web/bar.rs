//! A bar of how many partitions are in which state.

use askama::Template;

use super::page::Page;
use crate::store::run::StepCounts;

/// The narrowest a part is, of a hundred.
const SEEN: f64 = 1.2;

/// A part of a bar: how many partitions are in a state.
pub(super) struct Segment {
    pub(super) class: &'static str,
    pub(super) state: &'static str,
    pub(super) count: i64,
    pub(super) x: f64,
    pub(super) width: f64,
}

/// The partitions of something by state, as parts of a bar a hundred wide.
pub(super) fn segments(steps: &StepCounts) -> Vec<Segment> {
    let parts = [
        ("fresh", "succeeded", steps.succeeded),
        ("skipped", "skipped", steps.skipped),
        ("running", "running", steps.running),
        ("failed", "failed", steps.failed),
        ("blocked", "blocked", steps.blocked),
        ("canceled", "canceled", steps.canceled),
        ("open", "queued", steps.pending + steps.ready),
    ];
    // However few they are, they are seen.
    let share = |count: i64| if count > 0 { (100.0 * small(count) / small(steps.total.max(1))).max(SEEN) } else { 0.0 };
    let whole: f64 = parts.iter().map(|&(_, _, count)| share(count)).sum();
    let mut x = 0.0;
    let mut segments = Vec::new();
    for (class, state, count) in parts.into_iter().filter(|&(_, _, count)| count > 0) {
        let width = hundredths(share(count) * 100.0 / whole);
        segments.push(Segment { class, state, count, x: hundredths(x), width });
        x += width;
    }
    segments
}

/// More digits than anybody sees would only make the page larger.
fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn small(count: i64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The partitions of something by state, as a bar.
#[derive(Template)]
#[template(path = "operations/bar.html")]
pub(crate) struct Bar<'a> {
    page: &'a Page,
    parts: Vec<Segment>,
}

// It is rendered, and so escaped, by its own template.
impl askama::filters::HtmlSafe for Bar<'_> {}

impl Page {
    /// The partitions of something by state, as a bar.
    pub(crate) fn bar(&self, steps: &StepCounts) -> Bar<'_> {
        Bar { page: self, parts: segments(steps) }
    }
}
