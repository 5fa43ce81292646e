//! Lines over time.

use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::axis::{NumberAxis, TimeAxis, short_date};
use super::number::Unit;
use super::table::ChartTable;
use super::{Caption, Decimal, LegendEntry, Level, Mark, Percent};
use crate::core::time::local_time;
use crate::web::language::Language;

/// The part of the picture's 240 pixels of height that the lines have.
const TOP: f64 = 18.0;
const BOTTOM: f64 = 214.0;

/// The part of the width that the lines have: beside it there is room for a series' sign.
const LEFT: f64 = 0.5;
const RIGHT: f64 = 97.5;

/// Lines are drawn in a square of this size, which is stretched.
const SQUARE: f64 = 1000.0;

/// With more instants than these, values are not told at the pointer: the page would grow with them.
const TOLD_INSTANTS: usize = 200;

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// In the order of time.
    pub points: Vec<Point>,
}

/// A value at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When. A day stands at its start ([`start_of_day`](crate::core::time::start_of_day)).
    pub at: DateTime<Utc>,
    /// The value; without one the line has a gap.
    pub value: Option<f64>,
    /// Whether it may still change: the way to it is dashed.
    pub is_provisional: bool,
    /// Whether it is to be noticed: a ring around it.
    pub is_anomaly: bool,
}

impl Point {
    /// A value that is settled and not conspicuous.
    #[must_use]
    pub const fn new(at: DateTime<Utc>, value: Option<f64>) -> Self {
        Self { at, value, is_provisional: false, is_anomaly: false }
    }

    fn value(&self) -> Option<f64> {
        self.value.filter(|value| value.is_finite())
    }
}

/// Lines over time. The number axis begins at 0, or below where there are negative values.
#[derive(Clone, Debug, Template)]
#[template(path = "chart/line.html")]
pub struct LineChart {
    id: String,
    title: String,
    description: String,
    language: Language,
    levels: Vec<Level>,
    marks: Vec<Mark>,
    lines: Vec<Line>,
    columns: Vec<Column>,
    has_provisional: bool,
    has_anomaly: bool,
    table: ChartTable,
}

impl askama::filters::HtmlSafe for LineChart {}

#[derive(Clone, Debug)]
struct Line {
    entry: LegendEntry,
    solid: String,
    dashed: String,
    /// Values with a gap on both sides.
    alone: Vec<(Percent, Decimal)>,
    anomalies: Vec<(Percent, Decimal)>,
    /// The last value, where the sign stands.
    end: Option<(Percent, Decimal)>,
}

/// A strip over the whole height that tells the values at an instant.
#[derive(Clone, Debug)]
struct Column {
    x: Percent,
    width: Percent,
    text: String,
}

impl LineChart {
    /// The lines of `series`, the first eight of which can be told apart, with dates in `zone`.
    #[must_use]
    pub fn new(caption: &Caption<'_>, series: &[Series], unit: Unit, zone: Tz) -> Self {
        let language = caption.language;
        let points = || series.iter().flat_map(|series| &series.points);
        let numbers = NumberAxis::of(points().filter_map(Point::value), unit, language);
        let with_value = points().filter(|point| point.value().is_some());
        let times = TimeAxis::of(with_value.map(|point| point.at), zone, language);
        let instants = Instants::of(series, zone, language);
        let mut chart = Self {
            id: caption.id.to_owned(),
            title: caption.title.to_owned(),
            description: description(series, unit, zone, language),
            language,
            levels: Vec::new(),
            marks: Vec::new(),
            lines: Vec::new(),
            columns: Vec::new(),
            has_provisional: points().any(|point| point.is_provisional && point.value().is_some()),
            has_anomaly: points().any(|point| point.is_anomaly && point.value().is_some()),
            table: instants.table(caption, series, unit),
        };
        let Some(times) = times else { return chart };
        chart.levels = levels(&numbers);
        chart.marks = times
            .marks
            .iter()
            .enumerate()
            .map(|(index, (at, label))| Mark::new(across(times.place(*at)), label.clone(), index))
            .collect();
        chart.lines = series
            .iter()
            .enumerate()
            .map(|(index, series)| Line::new(LegendEntry::new(index, &series.name), &series.points, &times, &numbers))
            .collect();
        if instants.at.len() <= TOLD_INSTANTS {
            chart.columns = instants.columns(&times, series, unit);
        }
        chart
    }

    /// The numbers as a table, the newest first.
    #[must_use]
    pub const fn table(&self) -> &ChartTable {
        &self.table
    }
}

impl Line {
    fn new(entry: LegendEntry, points: &[Point], times: &TimeAxis, numbers: &NumberAxis) -> Self {
        let mut line =
            Self { entry, solid: String::new(), dashed: String::new(), alone: vec![], anomalies: vec![], end: None };
        let place = |point: &Point| Some((times.place(point.at), 1.0 - numbers.place(point.value()?)));
        let in_picture = |(x, y): (f64, f64)| (Percent(across(x)), Decimal(down(y)));
        // The path that was continued last: a second move to where it stands already would be needless.
        let mut continued = None;
        for (index, point) in points.iter().enumerate() {
            let Some(at) = place(point) else { continue };
            let before = index.checked_sub(1).and_then(|before| place(&points[before]));
            let after = points.get(index + 1).and_then(place);
            if let Some(before) = before {
                let path = if point.is_provisional { &mut line.dashed } else { &mut line.solid };
                if continued != Some((index, point.is_provisional)) {
                    path.push_str(&format!("M{}", in_square(before)));
                }
                path.push_str(&format!("L{}", in_square(at)));
                continued = Some((index + 1, point.is_provisional));
            } else if after.is_none() {
                line.alone.push(in_picture(at));
            }
            if point.is_anomaly {
                line.anomalies.push(in_picture(at));
            }
            line.end = Some(in_picture(at));
        }
        line
    }
}

fn in_square((x, y): (f64, f64)) -> String {
    format!("{} {}", Decimal((x * SQUARE * 10.0).round() / 10.0), Decimal((y * SQUARE).round()))
}

fn across(share: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * share
}

fn down(share: f64) -> f64 {
    TOP + (BOTTOM - TOP) * share
}

/// How far down in the picture a value is, in pixels.
pub(super) fn height_of(numbers: &NumberAxis, value: f64) -> f64 {
    down(1.0 - numbers.place(value))
}

/// The marks of a number axis in the picture.
pub(super) fn levels(numbers: &NumberAxis) -> Vec<Level> {
    numbers
        .marks
        .iter()
        .map(|(value, label)| Level {
            y: Decimal(height_of(numbers, *value).round()),
            label: label.clone(),
            is_zero: *value == 0.0,
        })
        .collect()
}

/// The instants of all series, each once.
struct Instants {
    at: Vec<DateTime<Utc>>,
    zone: Tz,
    language: Language,
    /// Whether each is the start of a day, so that the time need not be told.
    are_days: bool,
}

impl Instants {
    fn of(series: &[Series], zone: Tz, language: Language) -> Self {
        let mut at: Vec<DateTime<Utc>> =
            series.iter().flat_map(|series| series.points.iter().map(|point| point.at)).collect();
        at.sort_unstable();
        at.dedup();
        let are_days = at.iter().all(|at| local_time(*at, zone).time() == chrono::NaiveTime::MIN);
        Self { at, zone, language, are_days }
    }

    fn text(&self, at: DateTime<Utc>) -> String {
        let local = local_time(at, self.zone);
        local.format(if self.are_days { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M" }).to_string()
    }

    fn values(&self, at: DateTime<Utc>, series: &[Series], unit: Unit) -> Vec<Option<String>> {
        let provisional = self.language.pick("provisional", "vorläufig");
        let anomaly = self.language.pick("unusual", "auffällig");
        series
            .iter()
            .map(|series| {
                let point = &series.points[series.points.binary_search_by_key(&at, |point| point.at).ok()?];
                let mut text = unit.write(point.value()?, self.language);
                for (holds, word) in [(point.is_provisional, provisional), (point.is_anomaly, anomaly)] {
                    if holds {
                        text.push_str(&format!(" ({word})"));
                    }
                }
                Some(text)
            })
            .collect()
    }

    fn columns(&self, times: &TimeAxis, series: &[Series], unit: Unit) -> Vec<Column> {
        let places: Vec<f64> = self.at.iter().map(|at| across(times.place(*at)).clamp(0.0, 100.0)).collect();
        self.at
            .iter()
            .enumerate()
            .map(|(index, at)| {
                let edge = |neighbour: Option<&f64>, otherwise: f64| {
                    neighbour.map_or(otherwise, |place| (place + places[index]) / 2.0)
                };
                let left = edge(index.checked_sub(1).and_then(|before| places.get(before)), 0.0);
                let right = edge(places.get(index + 1), 100.0);
                let values = self.values(*at, series, unit);
                let told = series.iter().zip(values).filter_map(|(series, value)| Some((&series.name, value?)));
                let mut text = self.text(*at);
                for (name, value) in told {
                    text.push_str(&format!("\n{name}: {value}"));
                }
                Column { x: Percent(left), width: Percent(right - left), text }
            })
            .collect()
    }

    fn table(&self, caption: &Caption<'_>, series: &[Series], unit: Unit) -> ChartTable {
        let heading = if self.are_days { ("Day", "Tag") } else { ("Time", "Zeit") };
        let columns = std::iter::once(self.language.pick(heading.0, heading.1).to_owned());
        let written = |value: Option<String>| value.unwrap_or_else(|| "\u{2013}".to_owned());
        ChartTable {
            summary: self.language.pick("Numbers as a table", "Zahlen als Tabelle").to_owned(),
            caption: caption.title.to_owned(),
            columns: columns.chain(series.iter().map(|series| series.name.clone())).collect(),
            rows: self
                .at
                .iter()
                .rev()
                .map(|at| (self.text(*at), self.values(*at, series, unit).into_iter().map(written).collect()))
                .collect(),
        }
    }
}

/// What the lines show, in words.
fn description(series: &[Series], unit: Unit, zone: Tz, language: Language) -> String {
    let mut sentences = Vec::new();
    for series in series {
        let values = || series.points.iter().filter_map(|point| Some((point.at, point.value()?)));
        let Some((last_at, last)) = values().next_back() else { continue };
        let low = values().map(|(_, value)| value).fold(last, f64::min);
        let high = values().map(|(_, value)| value).fold(last, f64::max);
        let write = |value| unit.write(value, language);
        let day = short_date(local_time(last_at, zone).date(), language);
        sentences.push(match language {
            Language::English => {
                format!("{}: {} to {}, at last {} ({day}).", series.name, write(low), write(high), write(last))
            }
            Language::German => {
                format!("{}: {} bis {}, zuletzt {} ({day}).", series.name, write(low), write(high), write(last))
            }
        });
    }
    if sentences.is_empty() {
        return language.pick("There are no values.", "Es gibt keine Werte.").to_owned();
    }
    sentences.join(" ")
}
