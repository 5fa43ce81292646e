//! A bar of how many partitions are in which state.

use askama::Template;

use super::page::Page;
use crate::store::run::StepCounts;

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
    let width = |count: i64| 100.0 * small(count) / small(steps.total.max(1));
    let mut x = 0.0;
    let mut segments = Vec::new();
    for (class, state, count) in parts {
        if count > 0 {
            segments.push(Segment { class, state, count, x, width: width(count) });
            x += width(count);
        }
    }
    segments
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
