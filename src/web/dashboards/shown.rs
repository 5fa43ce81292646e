//! Charts as they stand on the page: pictures, and the numbers behind them.

mod figures;
mod table;

use self::figures::{Figures, week};
pub(in crate::web) use self::table::{Cell, Table, rows_of};
use super::{BY, place};
use crate::asset::dashboard::{ChartKind, Span, Unit};
use crate::service::{ByView, ChartData, ChartView, DashboardRequest, DashboardView, StandingView};
use crate::web::address::address;
use crate::web::chart::{self, BarChart, Caption, HeatTable, LineChart, Sparkline};
use crate::web::page::Page;

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
        Some(ChartData::Rows(rows)) => (Picture::Rows, Some(figures.rows(rows))),
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
