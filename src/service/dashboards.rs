//! Declared dashboards with their figures, as they are in the tables.

mod chart;
mod view;

use chrono::{Days, NaiveDate};

pub use self::view::{
    AnomalyView, ByView, ChartData, ChartView, CohortView, DashboardSummaryView, DashboardView, DashboardsView,
    FigureView, HourView, PointView, SharedView, SwitchView, TriangleView,
};
use super::rows::Asked;
use super::{Picture, Service, ServiceError};
use crate::asset::dashboard::{Chart, Dashboard, Span};
use crate::asset::spec::ColumnSpec;
use crate::core::shown::shown;
use crate::core::suggest::did_you_mean;
use crate::core::time::start_of_day;
use crate::engine::reading::Reading;
use crate::store::StoreError;

/// What of a dashboard is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DashboardRequest {
    /// The time that ends with the newest figures; the dashboard's own when it is `None`.
    pub span: Option<Span>,
    /// The first local day, instead of a span.
    pub from: Option<NaiveDate>,
    /// The last local day, instead of a span.
    pub to: Option<NaiveDate>,
    /// The choice of the dashboard's switch; the first when it is `None`.
    pub choice: Option<String>,
    /// Charts and the value of which alone they show the rows.
    pub by: Vec<(String, String)>,
}

/// A request whose choices were found.
struct Look<'d> {
    dashboard: &'d Dashboard,
    span: Option<Span>,
    from: Option<NaiveDate>,
    to: NaiveDate,
    choice: usize,
}

impl Service {
    /// The dashboards that have something to show, and what else is declared.
    #[must_use]
    pub fn dashboards(&self) -> DashboardsView {
        let all = self.definitions.dashboards().iter().map(|dashboard| view::summary(&self.definitions, dashboard));
        let (dashboards, waiting) = all.partition(|summary| !summary.assets.is_empty());
        DashboardsView { dashboards, waiting }
    }

    /// A dashboard with its figures, and what the picture says of how far they can be relied on. A chart that cannot be
    /// read says why; the others are read in one look at the tables.
    ///
    /// # Errors
    /// When there is no such dashboard, choice or time, or the database does not answer.
    pub async fn dashboard(
        &self,
        picture: &Picture,
        name: &str,
        request: &DashboardRequest,
    ) -> Result<DashboardView, ServiceError> {
        let dashboard = self.declared_dashboard(name)?;
        let mut reading = Some(self.reading().await?);
        let look = self.look(&mut reading, dashboard, request).await?;
        let mut charts = Vec::new();
        let mut waiting_for = Vec::new();
        for chart in &dashboard.charts {
            let Some(spec) = self.definitions.asset(&chart.asset) else {
                waiting_for.push(chart.asset.clone());
                continue;
            };
            let by = request.by.iter().find(|(name, _)| *name == chart.name).map(|(_, value)| value.as_str());
            let mut whole = match reading.take() {
                Some(reading) => reading,
                None => self.reading().await?,
            };
            let view = chart::view(&mut whole, picture, &look, chart, spec, by).await?;
            // A statement that failed has ended the reading.
            reading = view.problem.is_none().then_some(whole);
            charts.push(view);
        }
        waiting_for.dedup();
        Ok(view::dashboard(&look, charts, waiting_for))
    }

    /// One chart of a dashboard, as [`Self::dashboard`].
    ///
    /// # Errors
    /// As [`Self::dashboard`], and when it has no such chart.
    pub async fn chart(
        &self,
        picture: &Picture,
        dashboard: &str,
        chart: &str,
        request: &DashboardRequest,
    ) -> Result<ChartView, ServiceError> {
        let dashboard = self.declared_dashboard(dashboard)?;
        let chart = declared_chart(dashboard, chart)?;
        let spec = self.spec_of(chart)?;
        let mut reading = Some(self.reading().await?);
        let look = self.look(&mut reading, dashboard, request).await?;
        let mut whole = match reading {
            Some(reading) => reading,
            None => self.reading().await?,
        };
        let by = request.by.iter().find(|(name, _)| *name == chart.name).map(|(_, value)| value.as_str());
        chart::view(&mut whole, picture, &look, chart, spec, by).await
    }

    /// The rows behind a chart, all of the time that is looked at: the columns, and the rows page by page.
    ///
    /// # Errors
    /// As [`Self::chart`].
    pub async fn chart_rows(
        &self,
        dashboard: &str,
        chart: &str,
        request: &DashboardRequest,
    ) -> Result<(Vec<ColumnSpec>, super::rows::RowStream), ServiceError> {
        let dashboard = self.declared_dashboard(dashboard)?;
        let chart = declared_chart(dashboard, chart)?;
        let spec = self.spec_of(chart)?;
        let mut reading = Some(self.reading().await?);
        let look = self.look(&mut reading, dashboard, request).await?;
        let by = request.by.iter().find(|(name, _)| *name == chart.name).map(|(_, value)| value.as_str());
        let by = match reading {
            Some(mut reading) => chart::by(&mut reading, &look, chart, spec, by).await?.and_then(|by| by.value),
            None => by.map(str::to_owned),
        };
        let asked: Asked = chart::asked(&look, chart, spec, by.as_deref())?;
        Ok((asked.columns.clone(), self.stream(asked)))
    }

    async fn reading(&self) -> Result<Reading, StoreError> {
        Reading::begin(&self.store, self.zone()).await
    }

    fn spec_of(&self, chart: &Chart) -> Result<&std::sync::Arc<crate::asset::spec::AssetSpec>, ServiceError> {
        self.definitions.asset(&chart.asset).ok_or_else(|| {
            ServiceError::Id(format!("chart `{}` shows {}, which is not declared", chart.name, chart.asset))
        })
    }

    fn declared_dashboard(&self, name: &str) -> Result<&Dashboard, ServiceError> {
        let dashboards = self.definitions.dashboards();
        dashboards.iter().find(|dashboard| dashboard.name == name).ok_or_else(|| {
            let names = dashboards.iter().map(|dashboard| dashboard.name.as_str());
            ServiceError::Id(unknown("dashboard", name, names))
        })
    }

    /// Finds the choices of a request; a span ends with the newest figures of the first chart.
    async fn look<'d>(
        &self,
        reading: &mut Option<Reading>,
        dashboard: &'d Dashboard,
        request: &DashboardRequest,
    ) -> Result<Look<'d>, ServiceError> {
        let choice = match (&request.choice, &dashboard.switch) {
            (None, _) => 0,
            (Some(choice), Some(switch)) => {
                switch.choices.iter().position(|known| known.name == *choice).ok_or_else(|| {
                    ServiceError::Input(unknown(
                        "choice",
                        choice,
                        switch.choices.iter().map(|known| known.name.as_str()),
                    ))
                })?
            }
            (Some(choice), None) => return Err(ServiceError::Input(unknown("choice", choice, std::iter::empty()))),
        };
        if let (Some(from), Some(to)) = (request.from, request.to)
            && from > to
        {
            return Err(ServiceError::Input(format!("{from} is after {to}: exchange the days")));
        }
        if request.from.is_some() || request.to.is_some() {
            let to = request.to.unwrap_or_else(|| self.today());
            return Ok(Look { dashboard, span: None, from: request.from, to, choice });
        }
        let span = request.span.unwrap_or(dashboard.span);
        let to = self.newest_day(reading, dashboard).await.unwrap_or_else(|| self.today());
        let from = span.days().and_then(|days| to.checked_sub_days(Days::new(days.saturating_sub(1))));
        Ok(Look { dashboard, span: Some(span), from, to, choice })
    }

    /// The newest day with figures in the first chart, not beyond today. When it cannot be read it is not known: the chart
    /// says why.
    async fn newest_day(&self, reading: &mut Option<Reading>, dashboard: &Dashboard) -> Option<NaiveDate> {
        let first = dashboard.charts.iter().find_map(|chart| Some((chart, self.definitions.asset(&chart.asset)?)));
        let (chart, spec) = first?;
        let column = chart::over(chart, spec)?;
        let mut whole = reading.take()?;
        let newest = whole.newest_day(spec, column).await.ok()?;
        *reading = Some(whole);
        let newest = newest?;
        // A month is told by its first day, and its figures are of all of it.
        let end = spec.partitions.as_time().filter(|_| spec.partition_column.as_ref() == Some(&column.name)).and_then(
            |time| {
                let ordinal = spec.partitions.ordinal_at(start_of_day(newest, time.zone()))?;
                spec.partitions.date(ordinal.checked_add(1)?)?.pred_opt()
            },
        );
        Some(end.unwrap_or(newest).max(newest).min(self.today()))
    }

    fn today(&self) -> NaiveDate {
        self.now().with_timezone(&self.zone()).date_naive()
    }
}

fn declared_chart<'d>(dashboard: &'d Dashboard, name: &str) -> Result<&'d Chart, ServiceError> {
    dashboard.charts.iter().find(|chart| chart.name == name).ok_or_else(|| {
        let names = dashboard.charts.iter().map(|chart| chart.name.as_str());
        ServiceError::Id(unknown("chart", name, names))
    })
}

fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let shown = shown(name);
    match did_you_mean(name, known) {
        Some(near) => format!("there is no {what} `{shown}`: did you mean `{near}`?"),
        None => format!("there is no {what} `{shown}`"),
    }
}
