//! The numbers behind a chart, and the rows of a table.

use serde_json::Value;

use super::figures::{Figures, offset_title};
use crate::asset::spec::ColumnSpec;
use crate::service::{HourView, PointView, RowsView, TriangleView};
use crate::web::page::{Page, TimeText};

/// Rows of the table behind a chart; the rest is a link away.
const TABLE_ROWS: usize = 60;

/// Characters of a text in a table; the rest is in what is taken away.
const CELL_CHARACTERS: usize = 120;

/// A table of values.
pub(in crate::web) struct Table {
    pub(in crate::web) columns: Vec<Heading>,
    pub(in crate::web) rows: Vec<Row>,
    /// How many rows there are besides.
    pub(in crate::web) more: usize,
}

/// What stands above a column.
pub(in crate::web) struct Heading {
    pub(in crate::web) title: String,
    pub(in crate::web) description: String,
    pub(in crate::web) is_number: bool,
}

/// A row of a table.
pub(in crate::web) struct Row {
    pub(in crate::web) cells: Vec<Cell>,
    pub(in crate::web) is_provisional: bool,
}

/// A value in a table.
pub(in crate::web) enum Cell {
    Text {
        text: String,
        /// The value as it is in the table, when it is written in another way.
        exact: Option<String>,
        is_number: bool,
    },
    Time(TimeText),
}

impl Figures<'_> {
    /// The counts that the shares are made of, the newest cohort first.
    pub(super) fn cohorts(&self, triangle: &TriangleView) -> Table {
        let width = triangle.cohorts.iter().map(|cohort| cohort.active.len()).max().unwrap_or(0);
        let first = Heading::text(self.page.t("Cohort", "Kohorte"), "");
        let rows = triangle.cohorts.iter().rev().map(|cohort| Row {
            is_provisional: cohort.provisional.contains(&true),
            cells: std::iter::once(Cell::text(cohort.label.clone()))
                .chain((0..width).map(|offset| match cohort.active.get(offset) {
                    Some(Some(active)) => Cell::number(self.page.number(*active), None),
                    _ => Cell::number(String::new(), None),
                }))
                .collect(),
        });
        Table {
            columns: std::iter::once(first)
                .chain((0..width).map(|offset| Heading::number(&offset_title(offset), "")))
                .collect(),
            rows: rows.collect(),
            more: 0,
        }
    }

    pub(super) fn hours(&self, hours: &[HourView]) -> Table {
        const DAYS: [(&str, &str); 7] = [
            ("Monday", "Montag"),
            ("Tuesday", "Dienstag"),
            ("Wednesday", "Mittwoch"),
            ("Thursday", "Donnerstag"),
            ("Friday", "Freitag"),
            ("Saturday", "Samstag"),
            ("Sunday", "Sonntag"),
        ];
        let day = |weekday: i32| {
            let day = usize::try_from(weekday - 1).ok().and_then(|index| DAYS.get(index));
            day.map_or("", |(english, german)| self.page.t(english, german))
        };
        let rows = hours.iter().map(|hour| Row {
            is_provisional: false,
            cells: vec![
                Cell::text(day(hour.weekday).to_owned()),
                Cell::text(format!("{:02}:00", hour.hour)),
                Cell::number(self.unit.write(hour.mean, self.page.language), Some(hour.mean.to_string())),
                Cell::number(self.page.number(hour.figures), None),
            ],
        });
        Table {
            columns: vec![
                Heading::text(self.page.t("Weekday", "Wochentag"), ""),
                Heading::text(self.page.t("Hour", "Stunde"), ""),
                Heading::number(self.page.t("Mean", "Mittel"), ""),
                Heading::number(self.page.t("Of figures", "Aus Werten"), ""),
            ],
            rows: rows.collect(),
            more: 0,
        }
    }

    /// The rows with the titles of the declaration, if it has any.
    pub(super) fn rows(&self, rows: &RowsView) -> Table {
        let mut table = rows_of(self.page, rows);
        if self.view.figures.len() == table.columns.len() {
            for (heading, figure) in table.columns.iter_mut().zip(&self.view.figures) {
                self.page.text(&figure.title).clone_into(&mut heading.title);
                self.page.text(&figure.definition).clone_into(&mut heading.description);
            }
        }
        table
    }

    /// The newest figures.
    pub(super) fn table(&self, points: &[PointView]) -> Table {
        let figures = self.view.figures.iter();
        let headings = figures.map(|figure| Heading::number(self.page.text(&figure.title), &figure.column));
        let when = Heading::text(self.page.t("When", "Wann"), self.view.over.as_deref().unwrap_or_default());
        let told = || points.iter().rev().filter(|point| point.values.iter().any(|value| !value.is_null()));
        Table {
            columns: std::iter::once(when).chain(headings).collect(),
            rows: told()
                .take(TABLE_ROWS)
                .map(|point| Row {
                    is_provisional: point.provisional,
                    cells: std::iter::once(Cell::text(self.moment(point)))
                        .chain(point.values.iter().map(|value| self.cell(value)))
                        .collect(),
                })
                .collect(),
            more: told().count().saturating_sub(TABLE_ROWS),
        }
    }

    fn cell(&self, value: &Value) -> Cell {
        match value.as_f64() {
            Some(number) => {
                let text = self.unit.write(number, self.page.language);
                Cell::number(text, Some(value.to_string()))
            }
            None => Cell::number(String::new(), None),
        }
    }
}

impl Heading {
    fn text(title: &str, description: &str) -> Self {
        Self { title: title.to_owned(), description: description.to_owned(), is_number: false }
    }

    fn number(title: &str, description: &str) -> Self {
        Self { is_number: true, ..Self::text(title, description) }
    }

    pub(in crate::web) fn of(column: &ColumnSpec) -> Self {
        let is_number = matches!(column.sql_type, "smallint" | "integer" | "bigint" | "real" | "double precision");
        Self { is_number, ..Self::text(&column.name, &column.description) }
    }
}

impl Cell {
    fn text(text: String) -> Self {
        Self::Text { text, exact: None, is_number: false }
    }

    fn number(text: String, exact: Option<String>) -> Self {
        let exact = exact.filter(|exact| *exact != text);
        Self::Text { text, exact, is_number: true }
    }

    /// A value of a table as it is, texts cut.
    pub(in crate::web) fn value(page: &Page, column: &ColumnSpec, value: &Value) -> Self {
        match value {
            Value::Null => Self::text(String::new()),
            Value::Number(number) => Self::Text { text: number.to_string(), exact: None, is_number: true },
            Value::String(text) if column.sql_type == "timestamp with time zone" => match text.parse() {
                Ok(instant) => Self::Time(page.time_seconds(&instant)),
                Err(_) => Self::text(text.clone()),
            },
            Value::String(text) => Self::cut(text),
            other => Self::cut(&other.to_string()),
        }
    }

    fn cut(text: &str) -> Self {
        let mut letters = text.chars();
        let mut cut: String = letters.by_ref().take(CELL_CHARACTERS).collect();
        if letters.next().is_some() {
            cut.push('…');
        }
        Self::text(cut)
    }
}

/// Rows as they are.
pub(in crate::web) fn rows_of(page: &Page, rows: &RowsView) -> Table {
    Table {
        columns: rows.columns.iter().map(Heading::of).collect(),
        rows: rows
            .rows
            .iter()
            .map(|row| Row {
                is_provisional: row.provisional,
                cells: rows
                    .columns
                    .iter()
                    .zip(&row.values)
                    .map(|(column, value)| Cell::value(page, column, value))
                    .collect(),
            })
            .collect(),
        more: 0,
    }
}
