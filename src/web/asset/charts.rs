//! What versions say of themselves, over the partitions.

use chrono::{DateTime, Utc};

use crate::asset::spec::AssetSpec;
use crate::core::key::PartitionKey;
use crate::service::{SeriesPointView, SeriesView};
use crate::web::chart::{Bar, BarChart, Caption, LineChart, Point, Series, Unit};
use crate::web::page::Page;

/// A chart for each figure.
pub(super) struct MetadataCharts {
    pub(super) charts: Vec<MetadataChart>,
}

pub(super) struct MetadataChart {
    pub(super) title: String,
    pub(super) drawing: Drawing,
}

/// Lines over time; bars where partitions have no time.
pub(super) enum Drawing {
    Line(LineChart),
    Bars(BarChart),
}

impl MetadataCharts {
    pub(super) fn new(page: &Page, spec: &AssetSpec, series: &[SeriesView]) -> Self {
        let with_points = series.iter().enumerate().filter(|(_, series)| !series.points.is_empty());
        Self { charts: with_points.map(|(index, series)| chart(page, spec, index, series)).collect() }
    }
}

fn chart(page: &Page, spec: &AssetSpec, index: usize, series: &SeriesView) -> MetadataChart {
    let (title, unit) = match series.figure.as_str() {
        "rows" => (page.t("Rows", "Zeilen"), Unit::Count),
        "seconds" => (page.t("How long building took", "Dauer des Bauens"), Unit::Seconds),
        noted => (noted, Unit::Count),
    };
    let id = format!("figure-{index}");
    let caption = Caption { id: &id, title, language: page.language };
    let begins_at = |key: &PartitionKey| -> Option<DateTime<Utc>> {
        Some(spec.partitions.window(spec.partitions.ordinal(key).ok()?)?.start)
    };
    let instants: Option<Vec<DateTime<Utc>>> = series.points.iter().map(|point| begins_at(&point.first)).collect();
    let drawing = match instants {
        Some(instants) => {
            let line = |name: &str, value: &dyn Fn(&SeriesPointView) -> f64| Series {
                name: name.to_owned(),
                points: series
                    .points
                    .iter()
                    .zip(&instants)
                    .map(|(point, at)| Point::new(*at, Some(value(point))))
                    .collect(),
            };
            let mut lines = vec![line(page.t("average", "Mittel"), &|point| point.average)];
            if series.points.iter().any(|point| point.partitions > 1) {
                lines.push(line(page.t("least", "kleinster Wert"), &|point| point.least));
                lines.push(line(page.t("most", "größter Wert"), &|point| point.most));
            }
            Drawing::Line(LineChart::new(&caption, &lines, unit, page.zone))
        }
        None => {
            let bars: Vec<Bar> = series
                .points
                .iter()
                .map(|point| Bar {
                    label: point.first.to_string(),
                    values: vec![Some(point.average)],
                    is_provisional: false,
                })
                .collect();
            Drawing::Bars(BarChart::new(&caption, &[title], &bars, unit))
        }
    };
    MetadataChart { title: title.to_owned(), drawing }
}
