//! Dashboards as plain data.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;

use super::Look;
use crate::asset::dashboard::{ChartKind, Choice, Dashboard, Seasonal, Span, Text, Unit};
use crate::asset::definitions::Definitions;
use crate::core::key::AssetKey;
use crate::service::{RowsView, StandingView};

/// All dashboards.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct DashboardsView {
    /// Those with something to show, in the order of their declaration.
    pub dashboards: Vec<DashboardSummaryView>,
    /// Those of which no asset is declared: they appear when one is.
    pub waiting: Vec<DashboardSummaryView>,
}

/// A dashboard in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DashboardSummaryView {
    /// Its name, in addresses.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// What it is good for.
    pub about: Option<Text>,
    /// The titles of its charts whose assets are declared.
    pub charts: Vec<Text>,
    /// Whose rows it shows.
    pub assets: Vec<AssetKey>,
    /// Assets that it would show if they were declared.
    pub waiting_for: Vec<AssetKey>,
}

/// A dashboard with its figures.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct DashboardView {
    /// Its name, in addresses.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// What it is good for.
    pub about: Option<Text>,
    /// The span that is shown; `None` when days were asked for.
    pub span: Option<Span>,
    /// The first day that is shown; `None` is the beginning.
    pub from: Option<NaiveDate>,
    /// The last.
    pub to: NaiveDate,
    /// What the reader can choose.
    pub switch: Option<SwitchView>,
    /// The charts, in order.
    pub charts: Vec<ChartView>,
    /// Assets of further charts, which appear when they are declared.
    pub waiting_for: Vec<AssetKey>,
}

/// What the reader of a dashboard can choose, and has chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SwitchView {
    /// Its name, in addresses.
    pub name: String,
    /// What is chosen.
    pub title: Text,
    /// The choices.
    pub choices: Vec<Choice>,
    /// The name of the one that is made.
    pub chosen: String,
}

/// A chart with its figures.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ChartView {
    /// Its name, in addresses.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// Whose rows it shows.
    pub asset: AssetKey,
    /// How they are drawn.
    pub kind: ChartKind,
    /// What the figures are counted in.
    pub unit: Unit,
    /// What it shows, in a sentence.
    pub definition: Option<Text>,
    /// The column that says when figures are of.
    pub over: Option<String>,
    /// What the figures are.
    pub figures: Vec<FigureView>,
    /// The value of which alone rows are shown.
    pub by: Option<ByView>,
    /// How far the figures can be relied on.
    pub standing: StandingView,
    /// The figures; `None` when they cannot be read.
    pub data: Option<ChartData>,
    /// Whether there are more than are shown; the newest are.
    pub is_cut: bool,
    /// Why there are no figures.
    pub problem: Option<String>,
}

/// What a figure is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FigureView {
    /// What it is called.
    pub title: Text,
    /// The column it is in.
    pub column: String,
    /// What it is, in a sentence.
    pub definition: Text,
}

/// The value of which alone rows are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ByView {
    /// The column.
    pub column: String,
    /// The value; `None` is all rows.
    pub value: Option<String>,
    /// Values to choose from.
    pub values: Vec<String>,
    /// Whether all rows can be shown together.
    pub may_be_all: bool,
}

/// The figures of a chart.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChartData {
    /// Over time, the oldest first.
    Points(Vec<PointView>),
    /// Who came back.
    Triangle(TriangleView),
    /// By weekday and hour.
    Hours(Vec<HourView>),
    /// The rows themselves.
    Rows(Box<RowsView>),
}

/// The figures of a time.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PointView {
    /// When its time begins.
    pub at: DateTime<Utc>,
    /// What the column says.
    pub key: Value,
    /// The values as in the table, in the order of the figures; null where there is no row.
    pub values: Vec<Value>,
    /// Whether they may still change.
    pub provisional: bool,
    /// The values that are far from what is usual.
    pub anomalies: Vec<AnomalyView>,
}

/// A value that is far from what is usual.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AnomalyView {
    /// The position of its figure.
    pub figure: usize,
    /// What is usual at that weekday and hour.
    pub usual: f64,
    /// The usual deviation from it.
    pub deviation: f64,
}

/// Who came back.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TriangleView {
    /// By when they came, the oldest first.
    pub cohorts: Vec<CohortView>,
    /// The offset whose figure is told in large.
    pub highlight: u32,
    /// That figure over all cohorts that are so old.
    pub highlighted: Option<SharedView>,
}

/// Those who came in one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CohortView {
    /// When it began.
    pub cohort: NaiveDate,
    /// The period, as the key of a partition.
    pub label: String,
    /// How many there are.
    pub size: Option<i64>,
    /// How many of them were there so many periods later, from 0; `None` where that has not been observed.
    pub active: Vec<Option<i64>>,
    /// Which of these may still change.
    pub provisional: Vec<bool>,
}

/// A share, and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SharedView {
    /// How many.
    pub part: i64,
    /// Of how many.
    pub whole: i64,
    /// The one through the other.
    pub share: f64,
    /// How many cohorts are counted.
    pub cohorts: usize,
    /// Whether it may still change.
    pub provisional: bool,
}

/// The mean of an hour of the week.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct HourView {
    /// From Monday, which is 1.
    pub weekday: i32,
    /// From 0 to 23, in the community's zone.
    pub hour: i32,
    /// The mean.
    pub mean: f64,
    /// Of how many figures.
    pub figures: i64,
}

impl ChartView {
    /// How anomalies are found in it, if they are.
    #[must_use]
    pub const fn seasonal(&self) -> Option<Seasonal> {
        match self.kind {
            ChartKind::Line { anomalies } => anomalies,
            _ => None,
        }
    }
}

pub(super) fn summary(definitions: &Definitions, dashboard: &Dashboard) -> DashboardSummaryView {
    let mut summary = DashboardSummaryView {
        name: dashboard.name.clone(),
        title: dashboard.title.clone(),
        about: dashboard.about.clone(),
        charts: Vec::new(),
        assets: Vec::new(),
        waiting_for: Vec::new(),
    };
    for chart in &dashboard.charts {
        let is_declared = definitions.asset(&chart.asset).is_some();
        let assets = if is_declared { &mut summary.assets } else { &mut summary.waiting_for };
        if !assets.contains(&chart.asset) {
            assets.push(chart.asset.clone());
        }
        if is_declared {
            summary.charts.push(chart.title.clone());
        }
    }
    summary
}

pub(super) fn dashboard(look: &Look<'_>, charts: Vec<ChartView>, waiting_for: Vec<AssetKey>) -> DashboardView {
    let Dashboard { name, title, about, switch, .. } = look.dashboard;
    DashboardView {
        name: name.clone(),
        title: title.clone(),
        about: about.clone(),
        span: look.span,
        from: look.from,
        to: look.to,
        switch: switch.as_ref().map(|switch| SwitchView {
            name: switch.name.clone(),
            title: switch.title.clone(),
            choices: switch.choices.clone(),
            chosen: switch.choices.get(look.choice).map(|choice| choice.name.clone()).unwrap_or_default(),
        }),
        charts,
        waiting_for,
    }
}
