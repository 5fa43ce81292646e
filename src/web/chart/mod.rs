//! Pictures of numbers: data in, SVG or a coloured table out. Nothing here knows where the numbers come from.
//!
//! Every picture is an askama template that writes itself into another one: `{{ chart }}`, without a filter. Colours are
//! classes only (`/static/css/chart.css`), sizes follow the width of the page, and nothing needs a script.
//!
//! | picture | made by |
//! |---|---|
//! | lines over time | [`LineChart::new`]`(`[`Caption`]`, &[`[`Series`]`], `[`Unit`]`, zone)` |
//! | bars, several series stacked | [`BarChart::new`]`(`[`Caption`]`, &[series name], &[`[`Bar`]`], `[`Unit`]`)` |
//! | heat map with numbers, such as a retention triangle | [`HeatTable::new`]`(`[`Caption`]`, corner, &[column], &[`[`HeatRow`]`], `[`Unit`]`)` |
//! | heat map of hours by weekdays | [`HeatTable::week`]`(`[`Caption`]`, &[[value; 24]; 7], `[`Unit`]`)` |
//! | a line as small as a word | [`Sparkline::new`]`(label, &[value])` |
//! | bars over time, such as the attempts of a run | [`Gantt::new`]`(`[`Caption`]`, heading, &[`[`GanttRow`]`], zone, now)` |
//!
//! The numbers of a line or bar chart as a table, folded: [`LineChart::table`], [`BarChart::table`]. Heat maps and Gantt
//! charts are tables themselves. A value that is not there is `None`: a gap, an empty cell.

pub mod axis;
mod bars;
mod gantt;
mod heat;
mod line;
pub mod number;
mod spark;
mod table;

use std::fmt;

pub use self::bars::{Bar, BarChart};
pub use self::gantt::{Gantt, GanttBar, GanttRow};
pub use self::heat::{HeatCell, HeatRow, HeatTable};
pub use self::line::{LineChart, Point, Series};
pub use self::number::Unit;
pub use self::spark::Sparkline;
pub use self::table::ChartTable;
use crate::web::language::Language;

/// What a picture is called and in which language it speaks.
#[derive(Clone, Debug)]
pub struct Caption<'a> {
    /// Its id in the page: a letter, then letters, digits, `-` and `_`.
    pub id: &'a str,
    /// Its name: what the numbers are.
    pub title: &'a str,
    /// Of numbers, dates, and the words that a picture adds itself.
    pub language: Language,
}

/// The signs of the series, beside their colours.
const SIGNS: [&str; 8] = ["●", "■", "▲", "◆", "○", "□", "△", "◇"];

/// A series in a legend and in the classes of a picture: `series-1` to `series-8`, then from the start again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LegendEntry {
    name: String,
    number: usize,
    sign: &'static str,
}

impl LegendEntry {
    fn new(index: usize, name: &str) -> Self {
        let place = index % SIGNS.len();
        Self { name: name.to_owned(), number: place + 1, sign: SIGNS[place] }
    }
}

/// A mark of a horizontal axis.
#[derive(Clone, Debug, PartialEq)]
struct Mark {
    x: Percent,
    label: String,
    /// `start`, `middle` or `end`: at the edges a label leans inwards.
    anchor: &'static str,
    /// Whether it is left out where there is little room.
    is_minor: bool,
}

impl Mark {
    fn new(x: f64, label: String, index: usize) -> Self {
        let anchor = match x {
            ..4.0 => "start",
            96.0.. => "end",
            _ => "middle",
        };
        Self { x: Percent(x), label, anchor, is_minor: index % 2 == 1 }
    }
}

/// A mark of a vertical axis, in pixels from above.
#[derive(Clone, Debug, PartialEq)]
struct Level {
    y: Decimal,
    label: String,
    is_zero: bool,
}

/// A share of the width, written as `12.5%`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", Decimal(self.0))
    }
}

/// A coordinate, with at most two decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decimal(pub(super) f64);

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding 0 makes 0 of -0.
        write!(formatter, "{}", (self.0 * 100.0).round() / 100.0 + 0.0)
    }
}

impl askama::filters::HtmlSafe for Percent {}
impl askama::filters::HtmlSafe for Decimal {}
