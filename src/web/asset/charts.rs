//! What versions say of themselves, over the partitions.

use std::collections::BTreeSet;

use crate::service::PartitionView;
use crate::web::chart::{Bar, BarChart, Caption, LineChart, Point, Series, Unit};
use crate::web::page::Page;

/// How many of the numbers that an asset noted are drawn.
const DRAWN_NUMBERS: usize = 6;

/// A chart for each number.
pub(super) struct MetadataCharts {
    pub(super) charts: Vec<MetadataChart>,
}

pub(super) struct MetadataChart {
    pub(super) title: String,
    pub(super) picture: Picture,
}

/// Lines over time; bars where partitions have no time.
pub(super) enum Picture {
    Line(LineChart),
    Bars(BarChart),
}

impl MetadataCharts {
    /// Of partitions in their order.
    pub(super) fn new(page: &Page, rows: &[PartitionView]) -> Self {
        let rows: Vec<&PartitionView> = rows.iter().filter(|row| row.version.is_some()).collect();
        let versions = || rows.iter().filter_map(|row| row.version.as_ref());
        if rows.is_empty() {
            return Self { charts: Vec::new() };
        }
        let names: BTreeSet<&String> = versions().flat_map(|version| version.numbers.keys()).collect();
        let row_count = |row: &PartitionView| row.version.as_ref().map(|version| version.row_count as f64);
        let seconds = |row: &PartitionView| row.version.as_ref().and_then(|version| version.seconds);
        let mut charts = vec![
            chart(page, "rows", page.t("Rows", "Zeilen"), Unit::Count, &rows, &row_count),
            chart(page, "seconds", page.t("How long building took", "Dauer des Bauens"), Unit::Seconds, &rows, &seconds),
        ];
        for (index, name) in names.into_iter().take(DRAWN_NUMBERS).enumerate() {
            let number = |row: &PartitionView| row.version.as_ref().and_then(|version| version.numbers.get(name).copied());
            charts.push(chart(page, &format!("number-{index}"), name, Unit::Count, &rows, &number));
        }
        Self { charts }
    }
}

fn chart(
    page: &Page,
    id: &str,
    title: &str,
    unit: Unit,
    rows: &[&PartitionView],
    value: &dyn Fn(&PartitionView) -> Option<f64>,
) -> MetadataChart {
    let caption = Caption { id, title, language: page.language };
    let is_open = |row: &PartitionView| row.version.as_ref().is_some_and(|version| version.open);
    let points: Option<Vec<Point>> = rows
        .iter()
        .map(|row| {
            Some(Point { is_provisional: is_open(row), ..Point::new(row.begins_at?, value(row)) })
        })
        .collect();
    let picture = match points {
        Some(points) => {
            let series = [Series { name: title.to_owned(), points }];
            Picture::Line(LineChart::new(&caption, &series, unit, page.zone))
        }
        None => {
            let bars: Vec<Bar> = rows
                .iter()
                .map(|row| Bar {
                    label: row.partition.to_string(),
                    values: vec![value(row)],
                    is_provisional: is_open(row),
                })
                .collect();
            Picture::Bars(BarChart::new(&caption, &[title], &bars, unit))
        }
    };
    MetadataChart { title: title.to_owned(), picture }
}
