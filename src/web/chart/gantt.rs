//! Bars over time, row by row.

use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::axis::TimeAxis;
use super::number::Unit;
use super::{Caption, Mark, Percent};
use crate::core::time::local_time;
use crate::web::language::Language;

/// The shortest a bar is drawn, in percent of the width: it must be seen.
const SHORTEST: f64 = 0.4;

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct GanttRow {
    /// Its name.
    pub label: String,
    /// Where the name leads, if anywhere.
    pub link: Option<String>,
    /// Its bars, in the order of time.
    pub bars: Vec<GanttBar>,
}

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub struct GanttBar {
    /// Where it begins.
    pub start: DateTime<Utc>,
    /// Where it ends; without an end it lasts until now.
    pub end: Option<DateTime<Utc>>,
    /// The word of its class `state-WORD`: `failed`, `running`, `fresh`, ….
    pub state: &'static str,
    /// What it is, in words: `attempt 2, failed`.
    pub text: String,
}

/// Bars over time, row by row: a table with a heading, the bars, and how long they take together.
#[derive(Clone, Debug, Template)]
#[template(path = "chart/gantt.html")]
pub struct Gantt {
    id: String,
    title: String,
    language: Language,
    heading: String,
    marks: Vec<Mark>,
    rows: Vec<Row>,
}

impl askama::filters::HtmlSafe for Gantt {}

#[derive(Clone, Debug)]
struct Row {
    label: String,
    link: Option<String>,
    bars: Vec<DrawnBar>,
    /// How long the bars take together.
    duration: String,
    /// The bars in words.
    description: String,
}

#[derive(Clone, Debug)]
struct DrawnBar {
    x: Percent,
    width: Percent,
    state: &'static str,
    text: String,
}

impl Gantt {
    /// The bars of `rows` over the time from the first start to the last end, or to `now` if a bar has none. `heading` is
    /// what the rows are, in the plural.
    #[must_use]
    pub fn new(caption: &Caption<'_>, heading: &str, rows: &[GanttRow], zone: Tz, now: DateTime<Utc>) -> Self {
        let language = caption.language;
        let bars = rows.iter().flat_map(|row| &row.bars);
        let instants = bars.flat_map(|bar| [bar.start, bar.end.unwrap_or(now.max(bar.start))]);
        let times = TimeAxis::of(instants, zone, language);
        let marks = times.iter().flat_map(|times| {
            let marks = times.marks.iter().enumerate();
            marks.map(|(index, (at, label))| Mark::new(times.place(*at) * 100.0, label.clone(), index))
        });
        Self {
            id: caption.id.to_owned(),
            title: caption.title.to_owned(),
            language,
            heading: heading.to_owned(),
            marks: marks.collect(),
            rows: rows
                .iter()
                .map(|row| {
                    let drawn = row.bars.iter().filter_map(|bar| drawn(bar, times.as_ref()?, zone, now, language));
                    let bars: Vec<DrawnBar> = drawn.collect();
                    let seconds = row.bars.iter().map(|bar| seconds(bar, now)).sum();
                    Row {
                        label: row.label.clone(),
                        link: row.link.clone(),
                        description: bars.iter().map(|bar| bar.text.as_str()).collect::<Vec<_>>().join("; "),
                        duration: if bars.is_empty() { String::new() } else { Unit::Seconds.write(seconds, language) },
                        bars,
                    }
                })
                .collect(),
        }
    }
}

fn seconds(bar: &GanttBar, now: DateTime<Utc>) -> f64 {
    (bar.end.unwrap_or(now) - bar.start).as_seconds_f64().max(0.0)
}

fn drawn(bar: &GanttBar, times: &TimeAxis, zone: Tz, now: DateTime<Utc>, language: Language) -> Option<DrawnBar> {
    let end = bar.end.unwrap_or(now).max(bar.start);
    let width = ((times.place(end) - times.place(bar.start)) * 100.0).max(SHORTEST);
    let clock = |at| local_time(at, zone).format("%H:%M:%S").to_string();
    let until = bar.end.map_or_else(|| language.pick("now", "jetzt").to_owned(), clock);
    Some(DrawnBar {
        // The shortest bar at the very end is not outside.
        x: Percent((times.place(bar.start) * 100.0).min(100.0 - width).max(0.0)),
        width: Percent(width),
        state: bar.state,
        text: format!(
            "{}, {}\u{2013}{until}, {}",
            bar.text,
            clock(bar.start),
            Unit::Seconds.write(seconds(bar, now), language)
        ),
    })
}
