//! Bars side by side.

use askama::Template;

use super::axis::NumberAxis;
use super::line::{height_of, levels};
use super::number::Unit;
use super::table::ChartTable;
use super::{Caption, Decimal, LegendEntry, Level, Mark, Percent};
use crate::web::language::Language;

/// Labels under the bars, at most. Every second of them is left out where there is little room.
const LABELS: usize = 8;

/// Where the bars begin, in percent of the width: beside them stand the numbers.
const LEFT: f64 = 4.0;

/// Share of its place that a bar fills.
const FILL: f64 = 0.8;

/// A bar, or a stack of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What stands under it.
    pub label: String,
    /// One value for each series. Negative values go down from 0.
    pub values: Vec<Option<f64>>,
    /// Whether it may still change: it is hatched.
    pub is_provisional: bool,
}

/// Bars side by side; the values of several series are stacked.
#[derive(Clone, Debug, Template)]
#[template(path = "chart/bars.html")]
pub struct BarChart {
    id: String,
    title: String,
    description: String,
    language: Language,
    levels: Vec<Level>,
    marks: Vec<Mark>,
    entries: Vec<LegendEntry>,
    stacks: Vec<Stack>,
    has_provisional: bool,
    table: ChartTable,
}

impl askama::filters::HtmlSafe for BarChart {}

#[derive(Clone, Debug)]
struct Stack {
    x: Percent,
    width: Percent,
    text: String,
    is_provisional: bool,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    series: usize,
    y: Decimal,
    height: Decimal,
}

impl BarChart {
    /// A bar, or a stack of one piece for each series, for each of `bars`. The title of a single series is the caption's.
    #[must_use]
    pub fn new(caption: &Caption<'_>, series: &[&str], bars: &[Bar], unit: Unit) -> Self {
        let language = caption.language;
        let sums = bars.iter().flat_map(|bar| {
            let sum = |is_above: bool| {
                values(bar).filter(move |(_, value)| (*value >= 0.0) == is_above).map(|(_, value)| value)
            };
            [sum(true).sum::<f64>(), sum(false).sum::<f64>()]
        });
        let numbers = NumberAxis::of(sums, unit, language);
        let entries: Vec<LegendEntry> =
            series.iter().enumerate().map(|(index, name)| LegendEntry::new(index, name)).collect();
        let place = (100.0 - LEFT) / bars.len().max(1) as f64;
        let left = |index: usize| LEFT + index as f64 * place;
        let every = bars.len().div_ceil(LABELS).max(1);
        let marks = bars.iter().enumerate().step_by(every).enumerate();
        let written = |value: Option<f64>| match value.filter(|value| value.is_finite()) {
            Some(value) => unit.write(value, language),
            None => "\u{2013}".to_owned(),
        };
        let provisional = language.pick("provisional", "vorläufig");
        let named = |bar: &Bar| match bar.is_provisional {
            true => format!("{} ({provisional})", bar.label),
            false => bar.label.clone(),
        };
        let rows: Vec<(String, Vec<String>)> = bars
            .iter()
            .map(|bar| {
                let values = (0..series.len()).map(|index| written(bar.values.get(index).copied().flatten()));
                (named(bar), values.collect())
            })
            .collect();
        Self {
            id: caption.id.to_owned(),
            title: caption.title.to_owned(),
            description: description(bars, unit, language),
            language,
            levels: levels(&numbers),
            marks: marks
                .map(|(number, (index, bar))| Mark::new(left(index) + place / 2.0, bar.label.clone(), number))
                .collect(),
            stacks: bars
                .iter()
                .zip(&rows)
                .enumerate()
                .map(|(index, (bar, (label, values)))| Stack {
                    x: Percent(left(index) + place * (1.0 - FILL) / 2.0),
                    width: Percent(place * FILL),
                    text: text(label, series, values),
                    is_provisional: bar.is_provisional,
                    pieces: pieces(bar, &entries, &numbers),
                })
                .collect(),
            has_provisional: bars.iter().any(|bar| bar.is_provisional),
            entries,
            table: ChartTable {
                summary: language.pick("Numbers as a table", "Zahlen als Tabelle").to_owned(),
                caption: caption.title.to_owned(),
                columns: std::iter::once(String::new()).chain(series.iter().map(|name| (*name).to_owned())).collect(),
                rows,
            },
        }
    }

    /// The numbers as a table, in the order of the bars.
    #[must_use]
    pub const fn table(&self) -> &ChartTable {
        &self.table
    }
}

fn values(bar: &Bar) -> impl Iterator<Item = (usize, f64)> + '_ {
    let values = bar.values.iter().enumerate();
    values.filter_map(|(index, value)| Some((index, value.filter(|value| value.is_finite())?)))
}

/// The pieces of a stack: those above 0 upwards, those below it downwards.
fn pieces(bar: &Bar, entries: &[LegendEntry], numbers: &NumberAxis) -> Vec<Piece> {
    let (mut above, mut below) = (0.0, 0.0);
    values(bar)
        .filter_map(|(index, value)| {
            let series = entries.get(index)?.number;
            let base: &mut f64 = if value < 0.0 { &mut below } else { &mut above };
            let (from, to) = (*base, *base + value);
            *base = to;
            let (top, bottom) = (height_of(numbers, from.max(to)), height_of(numbers, from.min(to)));
            Some(Piece { series, y: Decimal(top), height: Decimal(bottom - top) })
        })
        .collect()
}

fn text(label: &str, series: &[&str], values: &[String]) -> String {
    let mut text = label.to_owned();
    for (name, value) in series.iter().zip(values) {
        text.push_str(&format!("\n{name}: {value}"));
    }
    text
}

/// What the bars show, in words.
fn description(bars: &[Bar], unit: Unit, language: Language) -> String {
    let sums = bars.iter().filter(|bar| values(bar).next().is_some());
    let sums: Vec<(&Bar, f64)> = sums.map(|bar| (bar, values(bar).map(|(_, value)| value).sum())).collect();
    let lowest = sums.iter().min_by(|left, right| left.1.total_cmp(&right.1));
    let highest = sums.iter().max_by(|left, right| left.1.total_cmp(&right.1));
    let (Some(lowest), Some(highest)) = (lowest, highest) else {
        return language.pick("There are no values.", "Es gibt keine Werte.").to_owned();
    };
    let named = |(bar, sum): &(&Bar, f64)| format!("{} ({})", unit.write(*sum, language), bar.label);
    match language {
        Language::English => {
            format!("{} bars, the lowest {}, the highest {}.", bars.len(), named(lowest), named(highest))
        }
        Language::German => {
            format!("{} Balken, der niedrigste {}, der höchste {}.", bars.len(), named(lowest), named(highest))
        }
    }
}
