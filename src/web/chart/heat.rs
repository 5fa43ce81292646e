//! Numbers in a table whose cells are coloured by them.

use askama::Template;

use super::Caption;
use super::number::Unit;
use crate::web::language::Language;

/// The number of colours.
const STEPS: usize = 9;

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatCell {
    /// The number; without one the cell is empty.
    pub value: Option<f64>,
    /// Whether it may still change: it is marked so.
    pub is_provisional: bool,
}

impl HeatCell {
    /// A cell with a settled number.
    #[must_use]
    pub const fn new(value: Option<f64>) -> Self {
        Self { value, is_provisional: false }
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatRow {
    /// Its heading.
    pub label: String,
    /// What stands beside the heading and is not coloured, such as the size of a cohort.
    pub note: Option<String>,
    /// Its cells; those it lacks at the end are empty, as in a triangle.
    pub cells: Vec<HeatCell>,
}

/// Numbers in a table whose cells are coloured by them, from the lowest (or 0) to the highest.
#[derive(Clone, Debug, Template)]
#[template(path = "chart/heat.html")]
pub struct HeatTable {
    id: String,
    title: String,
    language: Language,
    corner: String,
    note_heading: Option<String>,
    columns: Vec<String>,
    rows: Vec<Row>,
    /// The lowest and the highest number, as written.
    range: Option<(String, String)>,
    steps: Vec<usize>,
    has_provisional: bool,
    /// Whether the cells are so many that their numbers are told at the pointer only.
    is_dense: bool,
}

impl askama::filters::HtmlSafe for HeatTable {}

#[derive(Clone, Debug)]
struct Row {
    label: String,
    note: Option<String>,
    cells: Vec<Cell>,
}

#[derive(Clone, Debug)]
struct Cell {
    /// 0 to 8; `None` where there is no number.
    step: Option<usize>,
    text: String,
    /// What it is, in words.
    title: String,
    is_provisional: bool,
}

impl HeatTable {
    /// A table with a heading for each column, and one for the column of headings, `corner`.
    #[must_use]
    pub fn new(caption: &Caption<'_>, corner: &str, columns: &[String], rows: &[HeatRow], unit: Unit) -> Self {
        let language = caption.language;
        let numbers = || rows.iter().flat_map(|row| &row.cells).filter_map(|cell| finite(cell.value));
        let low = numbers().fold(0.0, f64::min);
        let high = numbers().fold(low, f64::max);
        let width = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0).max(columns.len());
        let cell_of = |row: &HeatRow, index: usize| {
            let cell = row.cells.get(index).cloned().unwrap_or_default();
            let Some(value) = finite(cell.value) else {
                return Cell { step: None, text: String::new(), title: String::new(), is_provisional: false };
            };
            let text = unit.write(value, language);
            let column = columns.get(index).map_or("", String::as_str);
            let mut title = format!("{}, {column}: {text}", row.label);
            if cell.is_provisional {
                title.push_str(language.pick(" (provisional)", " (vorläufig)"));
            }
            Cell { step: Some(step(value, low, high)), text, title, is_provisional: cell.is_provisional }
        };
        Self {
            id: caption.id.to_owned(),
            title: caption.title.to_owned(),
            language,
            corner: corner.to_owned(),
            note_heading: rows.iter().any(|row| row.note.is_some()).then(String::new),
            columns: columns.to_vec(),
            rows: rows
                .iter()
                .map(|row| Row {
                    label: row.label.clone(),
                    note: row.note.clone(),
                    cells: (0..width).map(|index| cell_of(row, index)).collect(),
                })
                .collect(),
            range: numbers().next().map(|_| (unit.write(low, language), unit.write(high, language))),
            steps: (0..STEPS).collect(),
            has_provisional: rows.iter().flat_map(|row| &row.cells).any(|cell| cell.is_provisional),
            is_dense: false,
        }
    }

    /// The same with a heading over the notes.
    #[must_use]
    pub fn with_note_heading(self, heading: &str) -> Self {
        Self { note_heading: self.note_heading.map(|_| heading.to_owned()), ..self }
    }

    /// The hours of a week: for each day from Monday the values of the hours 0 to 23.
    #[must_use]
    pub fn week(caption: &Caption<'_>, values: &[[Option<f64>; 24]; 7], unit: Unit) -> Self {
        let days = match caption.language {
            Language::English => ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
            Language::German => ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"],
        };
        let hours: Vec<String> = (0..24).map(|hour| format!("{hour:02}")).collect();
        let rows: Vec<HeatRow> = days
            .into_iter()
            .zip(values)
            .map(|(day, values)| HeatRow {
                label: day.to_owned(),
                note: None,
                cells: values.iter().copied().map(HeatCell::new).collect(),
            })
            .collect();
        let corner = caption.language.pick("Hour", "Stunde");
        Self { is_dense: true, ..Self::new(caption, corner, &hours, &rows, unit) }
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// Which of the colours, of equal widths, the number has. Where all numbers are the same it is the lightest.
fn step(value: f64, low: f64, high: f64) -> usize {
    if high <= low {
        return 0;
    }
    // Rounding down is meant, and the highest number belongs to the last colour.
    (((value - low) / (high - low) * STEPS as f64) as usize).min(STEPS - 1)
}
