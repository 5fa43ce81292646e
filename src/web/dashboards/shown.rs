//! Charts as they stand on the page: pictures, and the numbers behind them.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{BY, place};
use crate::asset::dashboard::{ChartKind, Seasonal, Span, Unit};
use crate::asset::spec::ColumnSpec;
use crate::service::{
    ByView, ChartData, ChartView, DashboardRequest, DashboardView, HourView, PointView, RowsView, SharedView,
    StandingView, TriangleView,
};
use crate::web::address::address;
use crate::web::chart::number::decimal;
use crate::web::chart::{
    self, Bar, BarChart, Caption, HeatCell, HeatRow, HeatTable, LineChart, Point, Series, Sparkline,
};
use crate::web::page::{Page, TimeText};

/// Rows of the table behind a chart; the rest is a link away.
const TABLE_ROWS: usize = 60;

/// Anomalies that are told in words.
const TOLD_ANOMALIES: usize = 8;

/// Characters of a text in a table; the rest is in what is taken away.
const CELL_CHARACTERS: usize = 120;

/// What can be chosen on the page, as links.
pub(in crate::web) struct Choices {
    pub(in crate::web) spans: Vec<Link>,
    pub(in crate::web) switch: Option<(String, Vec<Link>)>,
    /// What the form for other days keeps.
    pub(in crate::web) kept: Vec<(String, String)>,
    dashboard: String,
    parameters: Vec<(String, String)>,
}

/// A choice.
pub(in crate::web) struct Link {
    pub(in crate::web) title: String,
    pub(in crate::web) address: String,
    pub(in crate::web) is_chosen: bool,
}

/// A chart on the page.
pub(in crate::web) struct ChartShown {
    pub(in crate::web) name: String,
    pub(in crate::web) title: String,
    pub(in crate::web) asset: String,
    /// What it is counted in, when that is not clear.
    pub(in crate::web) unit: Option<String>,
    /// What it shows and what the figures are: titles, where there are several, with sentences.
    pub(in crate::web) definitions: Vec<(String, String)>,
    pub(in crate::web) by: Option<ByShown>,
    pub(in crate::web) picture: Picture,
    /// The numbers behind it.
    pub(in crate::web) table: Option<Table>,
    /// Values that are far from what is usual, in words.
    pub(in crate::web) anomalies: Option<Anomalies>,
    pub(in crate::web) standing: StandingView,
    pub(in crate::web) is_cut: bool,
    pub(in crate::web) csv: String,
    pub(in crate::web) json: String,
    pub(in crate::web) all_rows: String,
}

/// The form that chooses one value.
pub(in crate::web) struct ByShown {
    pub(in crate::web) by: ByView,
    pub(in crate::web) parameter: String,
    /// What else is chosen.
    pub(in crate::web) kept: Vec<(String, String)>,
}

/// How the figures are drawn.
pub(in crate::web) enum Picture {
    Lines(Box<LineChart>),
    Bars(Box<BarChart>),
    Heat(Box<HeatTable>, Option<Highlight>),
    Numbers(Vec<Number>),
    /// The table says it all.
    Rows,
    Problem(String),
}

/// A figure in large.
pub(in crate::web) struct Number {
    pub(in crate::web) title: String,
    pub(in crate::web) value: String,
    /// When it is of.
    pub(in crate::web) at: String,
    /// How it differs from the one before.
    pub(in crate::web) change: Option<String>,
    pub(in crate::web) is_provisional: bool,
    pub(in crate::web) course: Sparkline,
}

/// The figure of a triangle in large.
pub(in crate::web) struct Highlight {
    pub(in crate::web) title: String,
    pub(in crate::web) value: String,
    pub(in crate::web) sentence: String,
    pub(in crate::web) is_provisional: bool,
}

/// Unusual values in words.
pub(in crate::web) struct Anomalies {
    /// How they are found.
    pub(in crate::web) method: String,
    pub(in crate::web) found: Vec<String>,
    pub(in crate::web) more: usize,
}

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

pub(in crate::web) fn choices(page: &Page, dashboard: &DashboardView, request: &DashboardRequest) -> Choices {
    let time: Vec<(String, String)> = match dashboard.span {
        Some(span) => vec![("span".to_owned(), span.as_str().to_owned())],
        None => {
            let from = dashboard.from.map(|from| ("from".to_owned(), from.to_string()));
            from.into_iter().chain([("to".to_owned(), dashboard.to.to_string())]).collect()
        }
    };
    let switch: Vec<(String, String)> =
        dashboard.switch.iter().map(|switch| (switch.name.clone(), switch.chosen.clone())).collect();
    let by: Vec<(String, String)> =
        request.by.iter().map(|(chart, value)| (format!("{BY}{chart}"), value.clone())).collect();
    let kept: Vec<(String, String)> = switch.iter().chain(&by).cloned().collect();
    let link = |title: &str, is_chosen, parameters: Vec<(String, String)>| Link {
        title: title.to_owned(),
        address: place(&dashboard.name, &parameters),
        is_chosen,
    };
    let spans = Span::ALL.map(|span| {
        let chosen = [("span".to_owned(), span.as_str().to_owned())];
        let parameters = chosen.into_iter().chain(kept.iter().cloned()).collect();
        link(span_title(page, span), dashboard.span == Some(span), parameters)
    });
    let choices = dashboard.switch.as_ref().map(|switch| {
        let links = switch.choices.iter().map(|choice| {
            let chosen = [(switch.name.clone(), choice.name.clone())];
            let parameters = time.iter().cloned().chain(chosen).chain(by.iter().cloned()).collect();
            link(page.text(&choice.title), choice.name == switch.chosen, parameters)
        });
        (page.text(&switch.title).to_owned(), links.collect())
    });
    Choices {
        spans: spans.into(),
        switch: choices,
        parameters: time.into_iter().chain(kept.iter().cloned()).collect(),
        dashboard: dashboard.name.clone(),
        kept,
    }
}

fn span_title(page: &Page, span: Span) -> &'static str {
    match span {
        Span::Month => page.t("30 days", "30 Tage"),
        Span::Quarter => page.t("90 days", "90 Tage"),
        Span::Year => page.t("1 year", "1 Jahr"),
        Span::All => page.t("All", "Alles"),
    }
}

pub(in crate::web) fn charts(page: &Page, dashboard: &DashboardView, choices: &Choices) -> Vec<ChartShown> {
    dashboard.charts.iter().map(|chart| shown(page, chart, choices)).collect()
}

fn shown(page: &Page, view: &ChartView, choices: &Choices) -> ChartShown {
    let title = page.text(&view.title).to_owned();
    let figures = Figures { page, view, unit: chart_unit(&view.unit) };
    let caption = Caption { id: &view.name, title: &title, language: page.language };
    let (picture, table) = match &view.data {
        None => (Picture::Problem(view.problem.clone().unwrap_or_default()), None),
        Some(ChartData::Points(points)) if matches!(view.kind, ChartKind::BigNumber) => {
            (Picture::Numbers(figures.numbers(points)), Some(figures.table(points)))
        }
        Some(ChartData::Points(points)) if matches!(view.kind, ChartKind::Bars) => {
            (Picture::Bars(Box::new(figures.bars(&caption, points))), Some(figures.table(points)))
        }
        Some(ChartData::Points(points)) => {
            (Picture::Lines(Box::new(figures.lines(&caption, points))), Some(figures.table(points)))
        }
        Some(ChartData::Triangle(triangle)) => {
            let heat = Box::new(figures.triangle(&caption, triangle));
            let highlight = triangle.highlighted.map(|figure| figures.highlight(triangle.highlight, figure));
            (Picture::Heat(heat, highlight), Some(figures.cohorts(triangle)))
        }
        Some(ChartData::Hours(hours)) => {
            let heat = Box::new(HeatTable::week(&caption, &week(hours), figures.unit));
            (Picture::Heat(heat, None), Some(figures.hours(hours)))
        }
        Some(ChartData::Rows(rows)) => (Picture::Rows, Some(self::rows(page, rows))),
    };
    let definition = view.definition.iter().map(|definition| (String::new(), page.text(definition).to_owned()));
    let of_figures =
        view.figures.iter().filter(|figure| figure.definition != figure.title && figure.definition != view.title);
    let of_figures = of_figures.map(|figure| {
        let title = if figure.title == view.title { "" } else { page.text(&figure.title) };
        (title.to_owned(), page.text(&figure.definition).to_owned())
    });
    let file = |end: &str| {
        let parameters = choices.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        address(&format!("/dashboards/{}/{}/rows.{end}", choices.dashboard, view.name), parameters)
    };
    let anomalies = match (&view.data, view.seasonal()) {
        (Some(ChartData::Points(points)), Some(seasonal)) => Some(figures.anomalies(points, seasonal)),
        _ => None,
    };
    ChartShown {
        asset: view.asset.to_string(),
        unit: match &view.unit {
            Unit::Of(things) => Some(page.text(things).to_owned()),
            Unit::Number | Unit::Share | Unit::Seconds => None,
        },
        definitions: definition.chain(of_figures).collect(),
        by: view.by.clone().map(|by| {
            let parameter = format!("{BY}{}", view.name);
            let kept = choices.parameters.iter().filter(|(name, _)| *name != parameter).cloned().collect();
            ByShown { by, parameter, kept }
        }),
        picture,
        table,
        anomalies,
        standing: view.standing.clone(),
        is_cut: view.is_cut,
        csv: file("csv"),
        json: file("json"),
        all_rows: format!("/tables/{}", view.asset),
        name: view.name.clone(),
        title,
    }
}

fn chart_unit(unit: &Unit) -> chart::Unit {
    match unit {
        Unit::Number | Unit::Of(_) => chart::Unit::Count,
        Unit::Share => chart::Unit::Share,
        Unit::Seconds => chart::Unit::Seconds,
    }
}

/// The hours of a week; those without figures are empty.
fn week(hours: &[HourView]) -> [[Option<f64>; 24]; 7] {
    let mut week = [[None; 24]; 7];
    for hour in hours {
        let (Ok(weekday), Ok(at)) = (usize::try_from(hour.weekday - 1), usize::try_from(hour.hour)) else { continue };
        if let Some(place) = week.get_mut(weekday).and_then(|day: &mut [Option<f64>; 24]| day.get_mut(at)) {
            *place = Some(hour.mean);
        }
    }
    week
}

/// The figures of one chart, to be drawn and written.
struct Figures<'v> {
    page: &'v Page,
    view: &'v ChartView,
    unit: chart::Unit,
}

impl Figures<'_> {
    fn titles(&self) -> Vec<String> {
        self.view.figures.iter().map(|figure| self.page.text(&figure.title).to_owned()).collect()
    }

    fn lines(&self, caption: &Caption<'_>, points: &[PointView]) -> LineChart {
        let series: Vec<Series> = self
            .titles()
            .into_iter()
            .enumerate()
            .map(|(index, name)| Series {
                name,
                points: points
                    .iter()
                    .map(|point| Point {
                        at: point.at,
                        value: point.values.get(index).and_then(Value::as_f64),
                        is_provisional: point.provisional,
                        is_anomaly: point.anomalies.iter().any(|anomaly| anomaly.figure == index),
                    })
                    .collect(),
            })
            .collect();
        LineChart::new(caption, &series, self.unit, self.page.zone)
    }

    fn bars(&self, caption: &Caption<'_>, points: &[PointView]) -> BarChart {
        let titles = self.titles();
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        let bars: Vec<Bar> = points
            .iter()
            .map(|point| Bar {
                label: self.moment(point),
                values: point.values.iter().map(Value::as_f64).collect(),
                is_provisional: point.provisional,
            })
            .collect();
        BarChart::new(caption, &titles, &bars, self.unit)
    }

    /// When figures are of, as the community says it.
    fn moment(&self, point: &PointView) -> String {
        let text = point.key.as_str().unwrap_or_default();
        if text.len() == "2026-11-21".len() { text.to_owned() } else { self.clock(&point.at) }
    }

    fn clock(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.page.zone).format("%Y-%m-%d %H:%M").to_string()
    }

    fn numbers(&self, points: &[PointView]) -> Vec<Number> {
        let titles = self.titles();
        let numbers = titles.into_iter().enumerate().filter_map(|(index, title)| {
            let value = |point: &PointView| point.values.get(index).and_then(Value::as_f64);
            let mut newest_first = points.iter().rev().filter_map(|point| Some((point, value(point)?)));
            let (point, newest) = newest_first.next()?;
            let change = newest_first.next().map(|(before, old)| self.change(newest - old, &self.moment(before)));
            let course: Vec<Option<f64>> = points.iter().map(value).collect();
            let label = format!(
                "{title}: {} – {}",
                points.first().map_or_else(String::new, |first| self.moment(first)),
                self.moment(point)
            );
            Some(Number {
                value: self.unit.write(newest, self.page.language),
                at: self.moment(point),
                change,
                is_provisional: point.provisional,
                course: Sparkline::new(&label, &course),
                title,
            })
        });
        numbers.collect()
    }

    fn change(&self, difference: f64, before: &str) -> String {
        let sign = if difference > 0.0 { "+" } else { "" };
        let difference = self.unit.write(difference, self.page.language);
        match self.page.language_tag() {
            "de" => format!("{sign}{difference} gegenüber {before}"),
            _ => format!("{sign}{difference} since {before}"),
        }
    }

    fn triangle(&self, caption: &Caption<'_>, triangle: &TriangleView) -> HeatTable {
        let width = triangle.cohorts.iter().map(|cohort| cohort.active.len()).max().unwrap_or(0);
        let columns: Vec<String> = (0..width).map(offset_title).collect();
        let rows: Vec<HeatRow> = triangle
            .cohorts
            .iter()
            .map(|cohort| HeatRow {
                label: cohort.label.clone(),
                note: cohort.size.map(|size| self.page.number(size)),
                cells: cohort
                    .active
                    .iter()
                    .zip(&cohort.provisional)
                    .map(|(active, &is_provisional)| HeatCell { value: share(*active, cohort.size), is_provisional })
                    .collect(),
            })
            .collect();
        let heat = HeatTable::new(caption, self.page.t("Cohort", "Kohorte"), &columns, &rows, chart::Unit::Share);
        heat.with_note_heading(self.page.t("Size", "Größe"))
    }

    fn highlight(&self, offset: u32, figure: SharedView) -> Highlight {
        let (part, whole, cohorts) = (self.page.number(figure.part), self.page.number(figure.whole), figure.cohorts);
        Highlight {
            title: offset_title(usize::try_from(offset).unwrap_or_default()),
            value: chart::Unit::Share.write(figure.share, self.page.language),
            sentence: match self.page.language_tag() {
                "de" if cohorts == 1 => format!("{part} von {whole}, aus einer Kohorte"),
                "de" => format!("{part} von {whole}, aus {cohorts} Kohorten"),
                _ if cohorts == 1 => format!("{part} of {whole}, in one cohort"),
                _ => format!("{part} of {whole}, in {cohorts} cohorts"),
            },
            is_provisional: figure.provisional,
        }
    }

    /// The counts that the shares are made of, the newest cohort first.
    fn cohorts(&self, triangle: &TriangleView) -> Table {
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

    fn hours(&self, hours: &[HourView]) -> Table {
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

    /// The newest figures.
    fn table(&self, points: &[PointView]) -> Table {
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

    fn anomalies(&self, points: &[PointView], seasonal: Seasonal) -> Anomalies {
        let Seasonal { weeks, threshold } = seasonal;
        let (page, threshold) = (self.page, decimal(threshold, 2, self.page.language));
        let method = match page.language_tag() {
            "de" => format!(
                "Auffällig ist ein Wert, der weiter als das {threshold}-Fache der üblichen Abweichung vom Üblichen entfernt \
                 ist. Üblich ist der Median der Werte desselben Wochentags und derselben Stunde in den {weeks} Wochen davor, \
                 die übliche Abweichung ist der Median ihrer Abstände dazu (MAD) mal 1,4826. Es braucht mindestens drei \
                 Wochen; spätere Werte zählen nie."
            ),
            _ => format!(
                "A value is unusual when it is further than {threshold} times the usual deviation from what is usual. Usual \
                 is the median of the values of the same weekday and hour in the {weeks} weeks before, the usual deviation \
                 is the median of their distances to it (MAD) times 1.4826. Three weeks are needed at least; later values \
                 never count."
            ),
        };
        let mut found = Vec::new();
        for point in points.iter().rev() {
            for anomaly in &point.anomalies {
                let write = |number: f64| self.unit.write(number, page.language);
                let value = point.values.get(anomaly.figure).and_then(Value::as_f64).unwrap_or_default();
                let (value, usual, deviation) = (write(value), write(anomaly.usual), write(anomaly.deviation));
                let at = self.moment(point);
                let usually = page.t("usually", "üblich");
                found.push(format!("{at}: {value} ({usually} {usual} ± {deviation})"));
            }
        }
        let more = found.len().saturating_sub(TOLD_ANOMALIES);
        found.truncate(TOLD_ANOMALIES);
        Anomalies { method, found, more }
    }
}

fn offset_title(offset: usize) -> String {
    if offset == 0 { "X".to_owned() } else { format!("X+{offset}") }
}

#[allow(clippy::cast_precision_loss, reason = "people are fewer than 2^53")]
fn share(part: Option<i64>, whole: Option<i64>) -> Option<f64> {
    part.zip(whole).filter(|(_, whole)| *whole > 0).map(|(part, whole)| part as f64 / whole as f64)
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
pub(in crate::web) fn rows(page: &Page, rows: &RowsView) -> Table {
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
