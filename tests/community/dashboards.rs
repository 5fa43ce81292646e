//! The community's dashboards on its demonstration: alive, and saying what the tables say.

use std::sync::Arc;

use chrono::NaiveDate;
use community::demo;
use community::gold::{DailyActiveUsers, RetentionCohorts, RollingActiveUsers};
use karat::asset::dashboard::Span;
use karat::engine::Subscription;
use karat::service::{ChartData, ChartView, DashboardRequest, Picture, PictureKeeper, Service};

use crate::support::{Platform, day};

struct Looking {
    platform: Platform,
    service: Service,
    picture: Arc<Picture>,
}

impl Looking {
    async fn at_the_demonstration() -> Self {
        let platform = Platform::new(demo::ZONE, "2026-01-01", "2026-06-03T12:00:00Z").await;
        let (exit, output, errors) = platform.run(&["demo"]);
        assert_eq!(exit, 0, "{output}{errors}");
        let service = platform.service();
        let keeper = PictureKeeper::start(&service, Subscription::silent());
        let picture = keeper.up_to_date().await;
        Self { platform, service, picture }
    }

    async fn chart(&self, dashboard: &str, chart: &str, request: &DashboardRequest) -> ChartView {
        self.service.chart(&self.picture, dashboard, chart, request).await.unwrap()
    }
}

/// The days with figures, and the figures.
fn figures(chart: &ChartView) -> Vec<(NaiveDate, Vec<f64>)> {
    let Some(ChartData::Points(points)) = &chart.data else { panic!("{chart:?}") };
    let values = |values: &[serde_json::Value]| values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect();
    points.iter().map(|point| (day(point.key.as_str().unwrap()), values(&point.values))).collect()
}

#[tokio::test]
async fn the_demonstration_looks_alive_and_its_figures_are_those_of_the_tables() {
    let looking = Looking::at_the_demonstration().await;
    let names: Vec<String> = looking.service.dashboards().dashboards.into_iter().map(|view| view.name).collect();
    assert_eq!(names, ["activity", "retention"]);
    let waiting: Vec<String> = looking.service.dashboards().waiting.into_iter().map(|view| view.name).collect();
    assert_eq!(waiting, ["servers", "events", "newcomers", "analytics"]);

    let daily: Vec<DailyActiveUsers> = looking.platform.rows("day").await;
    let rolling: Vec<RollingActiveUsers> = looking.platform.rows("day").await;
    let rolling: Vec<&RollingActiveUsers> =
        rolling.iter().filter(|row| row.day <= demo::Era::FIXED.last_day()).collect();
    #[allow(clippy::cast_precision_loss)]
    let float = |number: i64| number as f64;
    let all = |surface: &str| DashboardRequest {
        span: Some(Span::All),
        choice: Some(surface.to_owned()),
        ..DashboardRequest::default()
    };
    let shown = figures(&looking.chart("activity", "active_users", &all("all")).await);
    let expected: Vec<(NaiveDate, Vec<f64>)> = rolling
        .iter()
        .map(|row| (row.day, vec![float(row.daily_users), float(row.weekly_users), float(row.monthly_users)]))
        .collect();
    assert_eq!(shown, expected);
    assert_eq!(shown.len(), 120, "up to the last day with anybody");
    // The same people are counted here and there.
    let of_both: Vec<(NaiveDate, i64)> = rolling.iter().map(|row| (row.day, row.daily_users)).collect();
    assert_eq!(of_both, daily.iter().map(|row| (row.day, row.users)).collect::<Vec<_>>());
    let voice = figures(&looking.chart("activity", "active_users", &all("voice")).await);
    let expected: Vec<f64> = rolling.iter().map(|row| float(row.monthly_voice_users)).collect();
    assert_eq!(voice.iter().map(|(_, values)| values[2]).collect::<Vec<_>>(), expected);
    let stickiness = figures(&looking.chart("activity", "stickiness", &all("all")).await);
    for ((_, values), row) in stickiness.iter().zip(&rolling) {
        assert_eq!(values[0], float(row.daily_users) / float(row.monthly_users));
    }
    assert!(stickiness.iter().skip(30).all(|(_, values)| (0.05..0.7).contains(&values[0])), "{stickiness:?}");

    let chart = looking.chart("retention", "cohorts", &DashboardRequest::default()).await;
    let Some(ChartData::Triangle(triangle)) = &chart.data else { panic!("{chart:?}") };
    let cohorts: Vec<RetentionCohorts> = looking.platform.rows("cohort_month, months_since").await;
    let shown: Vec<(NaiveDate, i64)> = triangle
        .cohorts
        .iter()
        .flat_map(|cohort| cohort.active.iter().flatten().map(|active| (cohort.cohort, *active)))
        .collect();
    assert_eq!(shown, cohorts.iter().map(|row| (row.cohort_month, row.users)).collect::<Vec<_>>());
    let figure = triangle.highlighted.unwrap();
    assert!(triangle.highlight == 3 && figure.cohorts == 1 && (0.2..0.8).contains(&figure.share), "{figure:?}");
}
