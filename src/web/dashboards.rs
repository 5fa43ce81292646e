//! Dashboards, as they are declared beside the assets.

pub(super) mod shown;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use chrono::NaiveDate;

use self::shown::{Cell, ChartShown, Choices, Picture, charts, choices};
use super::App;
use super::access::Viewer;
use super::address::address;
use super::download::{Format, download};
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use crate::asset::dashboard::{Span, Text};
use crate::service::{DashboardRequest, DashboardView, DashboardsView, PartitionsView};

/// The parameters of an address, in order.
type Parameters = Vec<(String, String)>;

/// What comes before a chart's name in a parameter that says of which value it shows the rows.
const BY: &str = "by.";

#[derive(Template)]
#[template(path = "dashboards.html")]
struct List {
    page: Page,
    list: DashboardsView,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct One {
    page: Page,
    dashboard: DashboardView,
    choices: Choices,
    charts: Vec<ChartShown>,
}

async fn list(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    rendered(&List { page, list: app.service.dashboards() })
}

async fn one(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(parameters): Query<Parameters>,
    page: Page,
) -> PageResult {
    let request = request(&app, &name, &parameters)?;
    let dashboard = app.service.dashboard(&app.picture.current(), &name, &request).await?;
    let choices = choices(&page, &dashboard, &request);
    let charts = charts(&page, &dashboard, &choices);
    rendered(&One { page, dashboard, choices, charts })
}

async fn rows(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path((name, chart, file)): Path<(String, String, String)>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, PageError> {
    let format = Format::of(&file)?;
    let request = request(&app, &name, &parameters)?;
    let (columns, rows) = app.service.chart_rows(&name, &chart, &request).await?;
    download(format, &format!("{name}.{chart}"), columns, rows).await
}

/// What the parameters of an address ask for; those that mean nothing are overlooked.
fn request(app: &App, dashboard: &str, parameters: &[(String, String)]) -> Result<DashboardRequest, PageError> {
    let declared = app.service.definitions().dashboards().iter().find(|declared| declared.name == dashboard);
    let switch = declared.and_then(|declared| declared.switch.as_ref()).map(|switch| switch.name.as_str());
    let mut request = DashboardRequest::default();
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        match name.as_str() {
            "span" => request.span = Some(span(value)?),
            "from" => request.from = Some(day(value)?),
            "to" => request.to = Some(day(value)?),
            name if switch == Some(name) => request.choice = Some(value.clone()),
            name => {
                if let Some(chart) = name.strip_prefix(BY) {
                    request.by.push((chart.to_owned(), value.clone()));
                }
            }
        }
    }
    Ok(request)
}

fn span(name: &str) -> Result<Span, PageError> {
    let names = || Span::ALL.map(Span::as_str).join(", ");
    let found = Span::ALL.into_iter().find(|span| span.as_str() == name);
    found.ok_or_else(|| PageError::BadRequest(format!("`{name}` is no time to show: there are {}", names())))
}

fn day(text: &str) -> Result<NaiveDate, PageError> {
    text.parse().map_err(|_| PageError::BadRequest(format!("`{text}` is no day: write it as 2026-11-21")))
}

impl Page {
    /// A declared text in the page's language.
    pub(crate) fn text<'t>(&self, text: &'t Text) -> &'t str {
        self.t(&text.en, &text.de)
    }

    /// The first partitions of a set, and how many more there are.
    pub(crate) fn ranges(&self, partitions: &PartitionsView) -> String {
        const TOLD: usize = 3;
        let told = partitions.ranges.iter().take(TOLD).map(|range| match range.count {
            1 => range.first.to_string(),
            _ => format!("{} – {}", range.first, range.last),
        });
        let mut text = told.collect::<Vec<_>>().join(", ");
        let more: u64 = partitions.ranges.iter().skip(TOLD).map(|range| range.count).sum();
        if more > 0 {
            text.push_str(&format!(", {} {}", self.t("and more:", "und weitere:"), self.number(more)));
        }
        text
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/dashboards", get(list))
        .route("/dashboards/{dashboard}", get(one))
        .route("/dashboards/{dashboard}/{chart}/{file}", get(rows))
}

/// Where a dashboard is, with what was chosen.
fn place(dashboard: &str, parameters: &[(String, String)]) -> String {
    let parameters = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    address(&format!("/dashboards/{dashboard}"), parameters)
}
