//! The figures of a chart, drawn and told.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Anomalies, Highlight, Number};
use crate::asset::dashboard::Seasonal;
use crate::service::{ChartView, HourView, PointView, SharedView, TriangleView};
use crate::web::chart::number::decimal;
use crate::web::chart::{
    self, Bar, BarChart, Caption, HeatCell, HeatRow, HeatTable, LineChart, Point, Series, Sparkline,
};
use crate::web::page::Page;

/// Anomalies that are told in words.
const TOLD_ANOMALIES: usize = 8;

/// The figures of one chart, to be drawn and written.
pub(super) struct Figures<'v> {
    pub(super) page: &'v Page,
    pub(super) view: &'v ChartView,
    pub(super) unit: chart::Unit,
}

impl Figures<'_> {
    fn titles(&self) -> Vec<String> {
        self.view.figures.iter().map(|figure| self.page.text(&figure.title).to_owned()).collect()
    }

    pub(super) fn lines(&self, caption: &Caption<'_>, points: &[PointView]) -> LineChart {
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

    pub(super) fn bars(&self, caption: &Caption<'_>, points: &[PointView]) -> BarChart {
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
    pub(super) fn moment(&self, point: &PointView) -> String {
        let text = point.key.as_str().unwrap_or_default();
        if text.len() == "2026-11-21".len() { text.to_owned() } else { self.clock(&point.at) }
    }

    fn clock(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.page.zone).format("%Y-%m-%d %H:%M").to_string()
    }

    pub(super) fn numbers(&self, points: &[PointView]) -> Vec<Number> {
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

    pub(super) fn triangle(&self, caption: &Caption<'_>, triangle: &TriangleView) -> HeatTable {
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

    pub(super) fn highlight(&self, offset: u32, figure: SharedView) -> Highlight {
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

    pub(super) fn anomalies(&self, points: &[PointView], seasonal: Seasonal) -> Anomalies {
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

pub(super) fn offset_title(offset: usize) -> String {
    if offset == 0 { "X".to_owned() } else { format!("X+{offset}") }
}

#[allow(clippy::cast_precision_loss, reason = "people are fewer than 2^53")]
fn share(part: Option<i64>, whole: Option<i64>) -> Option<f64> {
    part.zip(whole).filter(|(_, whole)| *whole > 0).map(|(part, whole)| part as f64 / whole as f64)
}

/// The hours of a week; those without figures are empty.
pub(super) fn week(hours: &[HourView]) -> [[Option<f64>; 24]; 7] {
    let mut week = [[None; 24]; 7];
    for hour in hours {
        let (Ok(weekday), Ok(at)) = (usize::try_from(hour.weekday - 1), usize::try_from(hour.hour)) else { continue };
        if let Some(place) = week.get_mut(weekday).and_then(|day: &mut [Option<f64>; 24]| day.get_mut(at)) {
            *place = Some(hour.mean);
        }
    }
    week
}
