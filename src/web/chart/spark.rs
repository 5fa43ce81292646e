//! A line as small as a word.

use askama::Template;

use super::Decimal;

/// The square that the line is drawn in and that is stretched; a margin keeps the line whole.
const SIZE: f64 = 100.0;
const MARGIN: f64 = 8.0;

/// A line as small as a word, without axes: from the lowest value to the highest.
#[derive(Clone, Debug, Template)]
#[template(path = "chart/spark.html")]
pub struct Sparkline {
    label: String,
    path: String,
}

impl askama::filters::HtmlSafe for Sparkline {}

impl Sparkline {
    /// The line through these values, which have equal distances. The label says what a reader would see.
    #[must_use]
    pub fn new(label: &str, values: &[Option<f64>]) -> Self {
        let finite = |value: &Option<f64>| value.filter(|value| value.is_finite());
        let present = || values.iter().filter_map(finite);
        let low = present().fold(f64::INFINITY, f64::min);
        let range = present().fold(f64::NEG_INFINITY, f64::max) - low;
        let mut path = String::new();
        let mut command = 'M';
        for (index, value) in values.iter().enumerate() {
            let Some(value) = finite(value) else {
                command = 'M';
                continue;
            };
            let x = if values.len() > 1 { index as f64 / (values.len() - 1) as f64 } else { 0.5 };
            let y = if range > 0.0 { 1.0 - (value - low) / range } else { 0.5 };
            let y = MARGIN + y * (SIZE - 2.0 * MARGIN);
            path.push_str(&format!("{command}{} {}", Decimal(x * SIZE), Decimal(y.round())));
            let is_alone = command == 'M' && values.get(index + 1).is_none_or(|next| finite(next).is_none());
            if is_alone {
                // With round ends, a line of no length is a dot.
                path.push_str("h0");
            }
            command = 'L';
        }
        Self { label: label.to_owned(), path }
    }
}
