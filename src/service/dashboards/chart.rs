//! One chart: which rows, and what is made of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::Value;

use super::Look;
use super::view::{
    AnomalyView, ByView, ChartData, ChartView, CohortView, FigureView, HourView, PointView, SharedView, TriangleView,
};
use crate::asset::dashboard::{Chart, ChartKind, Seasonal, Text};
use crate::asset::spec::{AssetSpec, ColumnSpec};
use crate::core::anomaly::anomalies;
use crate::core::partition::Ordinal;
use crate::core::time::{local_time, start_of_day};
use crate::engine::reading::{ReadError, Reading, Rows};
use crate::service::rows::{Asked, Standing, column, default_order, ordinal_of_value, rows_view};
use crate::service::{Picture, ServiceError};

/// The most points of a chart: more than the pixels of a page.
const MOST_POINTS: u32 = 2_000;

/// The most bars of a chart.
const MOST_BARS: u32 = 400;

/// So many more are read for what is usual before the first point shown.
const MOST_POINTS_BEFORE: u32 = 20_000;

/// A big number is told with the course of so many.
const NUMBERS: u32 = 60;

/// Rows of a table on a dashboard.
const TABLE_ROWS: u32 = 50;

/// Cohorts that are shown, and how far they are followed.
const MOST_COHORTS: usize = 36;
const MOST_OFFSETS: i64 = 36;

/// Rows that cohorts are made of.
const COHORT_ROWS: u32 = 10_000;

/// Values to choose from.
const MOST_VALUES: u32 = 100;

/// The longest row of days without figures that is filled up with gaps.
const MOST_GAPS: i64 = 400;

/// The column that says when a figure is of.
pub(super) fn over<'s>(chart: &Chart, spec: &'s AssetSpec) -> Option<&'s ColumnSpec> {
    let name = chart.over.as_ref().or(spec.partition_column.as_ref())?;
    // Static partitions are keys and no times.
    spec.column(name).filter(|column| column.sql_type != "text")
}

/// What may be chosen of the chart's dimension, and what is.
pub(super) async fn by(
    reading: &mut Reading,
    look: &Look<'_>,
    chart: &Chart,
    spec: &Arc<AssetSpec>,
    wanted: Option<&str>,
) -> Result<Option<ByView>, ServiceError> {
    let Some(name) = &chart.by else { return Ok(None) };
    let found = column(spec, name)?;
    let asked = asked(look, chart, spec, None)?;
    let mut values = reading.values(spec, found, &asked.filters(), MOST_VALUES).await?;
    // Rows of several values at one time are several points, unless they are averaged or listed.
    let may_be_all = matches!(chart.kind, ChartKind::Table | ChartKind::WeekdayHourHeat);
    let wanted = wanted.filter(|value| !value.is_empty() && !value.contains('\0')).map(str::to_owned);
    let value = if may_be_all { wanted } else { wanted.or_else(|| values.first().cloned()) };
    // What was chosen can be seen, whether or not there is such a row.
    if let Some(value) = value.as_ref().filter(|value| !values.contains(value)) {
        values.insert(0, value.clone());
    }
    Ok(Some(ByView { column: name.clone(), value, values, may_be_all }))
}

/// The rows behind a chart.
pub(super) fn asked(
    look: &Look<'_>,
    chart: &Chart,
    spec: &Arc<AssetSpec>,
    by: Option<&str>,
) -> Result<Asked, ServiceError> {
    let over = over(chart, spec);
    let mut names: Vec<&str> = over.iter().map(|column| column.name.as_str()).collect();
    names.extend(chart.by.as_deref());
    if let ChartKind::RetentionTriangle { cohort, offset, .. } = &chart.kind {
        names.extend([cohort.as_str(), offset.as_str()]);
    }
    names.extend(chart.series.iter().map(|series| series.column(look.choice)));
    if matches!(chart.kind, ChartKind::Table) {
        names = match chart.series.as_slice() {
            [] => spec.columns.iter().map(|column| column.name.as_str()).collect(),
            series => series.iter().map(|series| series.column(look.choice)).collect(),
        };
    }
    let mut columns: Vec<ColumnSpec> = Vec::with_capacity(names.len());
    for name in names {
        if !columns.iter().any(|column| column.name == name) {
            columns.push(column(spec, name)?.clone());
        }
    }
    let (order, descending) = over.map_or_else(|| default_order(spec), |over| (over.clone(), true));
    let mut asked = Asked {
        spec: spec.clone(),
        columns,
        partitions: None,
        days: None,
        equals: Vec::new(),
        order,
        descending,
        limit: MOST_POINTS,
        after: None,
    };
    if let Some(over) = over {
        match &chart.kind {
            // A span is one of cohorts: all that is known of them is shown.
            ChartKind::RetentionTriangle { cohort, .. } => {
                asked.within(over, None, Some(look.to));
                asked.days = Some((column(spec, cohort)?.clone(), look.from, Some(look.to)));
            }
            // What is to come is not cut off by the newest figures, unless days were asked for.
            ChartKind::Table if look.span.is_some() => asked.within(over, look.from, None),
            _ => asked.within(over, look.from, Some(look.to)),
        }
    }
    if let (Some(by), Some(value)) = (&chart.by, by) {
        asked.equals.push((column(spec, by)?.clone(), value.to_owned()));
    }
    Ok(asked)
}

/// The chart with its figures, or why it has none.
pub(super) async fn view(
    reading: &mut Reading,
    picture: &Picture,
    look: &Look<'_>,
    chart: &Chart,
    spec: &Arc<AssetSpec>,
    wanted: Option<&str>,
) -> Result<ChartView, ServiceError> {
    let standing = Standing::of(picture, spec);
    let figures = chart.series.iter().map(|series| figure(series, look.choice, spec)).collect();
    let mut view = ChartView {
        name: chart.name.clone(),
        title: chart.title.clone(),
        asset: chart.asset.clone(),
        kind: chart.kind.clone(),
        unit: chart.unit.clone(),
        definition: chart.definition.clone(),
        over: over(chart, spec).map(|column| column.name.clone()),
        figures,
        by: None,
        standing: standing.view(spec, None),
        data: None,
        is_cut: false,
        problem: None,
    };
    let read = async {
        view.by = by(reading, look, chart, spec, wanted).await?;
        let value = view.by.as_ref().and_then(|by| by.value.as_deref());
        let asked = asked(look, chart, spec, value)?;
        view.standing = standing.view(spec, asked.partitions.as_ref());
        data(reading, picture, &standing, look, chart, asked).await
    };
    match read.await {
        Ok((data, is_cut)) => {
            view.data = Some(data);
            view.is_cut = is_cut;
        }
        Err(error) => view.problem = Some(error.to_string()),
    }
    Ok(view)
}

/// What a figure is: by the chart, or by the column.
fn figure(series: &crate::asset::dashboard::Series, choice: usize, spec: &AssetSpec) -> FigureView {
    let name = series.column(choice);
    let described = spec.column(name).map(|column| column.description.as_str()).filter(|text| !text.is_empty());
    let definition = series.definition.clone().or_else(|| described.map(Text::same));
    FigureView {
        title: series.title.clone(),
        column: name.to_owned(),
        definition: definition.unwrap_or_else(|| series.title.clone()),
    }
}

/// The figures, and whether there are more.
async fn data(
    reading: &mut Reading,
    picture: &Picture,
    standing: &Standing,
    look: &Look<'_>,
    chart: &Chart,
    mut asked: Asked,
) -> Result<(ChartData, bool), ServiceError> {
    let zone = look_zone(&asked, reading);
    match &chart.kind {
        ChartKind::Table => {
            asked.limit = TABLE_ROWS;
            let rows = rows_view(reading, picture, asked).await?;
            let is_cut = rows.next_cursor.is_some();
            Ok((ChartData::Rows(Box::new(rows)), is_cut))
        }
        ChartKind::WeekdayHourHeat => {
            let figure = chart.series.first().map(|series| column(&asked.spec, series.column(look.choice)));
            let (Some(figure), order) = (figure.transpose()?, asked.order.clone()) else {
                return Ok((ChartData::Hours(Vec::new()), false));
            };
            let means = reading.hour_means(&asked.spec, &order, figure, &asked.filters()).await?;
            let hours = means.into_iter().map(|mean| HourView {
                weekday: mean.weekday,
                hour: mean.hour,
                mean: mean.mean,
                figures: mean.figures,
            });
            Ok((ChartData::Hours(hours.collect()), false))
        }
        ChartKind::RetentionTriangle { cohort, offset, highlight } => {
            asked.limit = COHORT_ROWS;
            let names = [
                cohort.as_str(),
                offset.as_str(),
                chart.series.first().map_or("", |series| series.column(look.choice)),
            ];
            let places = names.map(|name| asked.columns.iter().position(|column| column.name == name));
            let Rows { rows, next } = reading.rows(&asked.spec, &asked.query()).await?;
            let triangle = Triangle { spec: &asked.spec, standing, to: look.to, zone }.of(&rows, places, *highlight);
            Ok((ChartData::Triangle(triangle.0), next.is_some() || triangle.1))
        }
        ChartKind::Line { anomalies: Some(seasonal) } => {
            let before = look.from.and_then(|from| from.checked_sub_days(Days::new(7 * u64::from(seasonal.weeks))));
            asked.partitions = None;
            asked.days = None;
            asked.within(&asked.order.clone(), before, Some(look.to));
            asked.limit = MOST_POINTS_BEFORE;
            let (mut points, _) = points(reading, standing, look, chart, asked, zone).await?;
            mark(&mut points, *seasonal, chart.series.len(), zone);
            let shown_from = look.from.map(|from| start_of_day(from, zone));
            points.retain(|point| shown_from.is_none_or(|from| point.at >= from));
            let too_many = points.len().saturating_sub(usize::try_from(MOST_POINTS).unwrap_or(usize::MAX));
            points.drain(..too_many);
            Ok((ChartData::Points(points), too_many > 0))
        }
        kind => {
            asked.limit = match kind {
                ChartKind::BigNumber => NUMBERS,
                ChartKind::Bars => MOST_BARS,
                _ => MOST_POINTS,
            };
            let (points, is_cut) = points(reading, standing, look, chart, asked, zone).await?;
            Ok((ChartData::Points(points), is_cut && !matches!(kind, ChartKind::BigNumber)))
        }
    }
}

fn look_zone(asked: &Asked, reading: &Reading) -> chrono_tz::Tz {
    asked.spec.partitions.zone().unwrap_or_else(|| reading.zone())
}

/// The figures over time, the oldest first, with gaps where the table has no row for a partition.
async fn points(
    reading: &mut Reading,
    standing: &Standing,
    look: &Look<'_>,
    chart: &Chart,
    mut asked: Asked,
    zone: chrono_tz::Tz,
) -> Result<(Vec<PointView>, bool), ReadError> {
    let spec = asked.spec.clone();
    let wanted: Vec<Option<usize>> = chart
        .series
        .iter()
        .map(|series| asked.columns.iter().position(|column| column.name == series.column(look.choice)))
        .collect();
    let key = asked.columns.iter().position(|column| column.name == asked.order.name);
    let is_by_partition = spec.partition_column.as_ref() == Some(&asked.order.name);
    let place = match &spec.partition_column {
        Some(name) if !is_by_partition => {
            asked.columns.extend(spec.column(name).cloned());
            Some(asked.columns.len() - 1)
        }
        Some(_) => key,
        None => None,
    };
    let page = reading.rows(&spec, &asked.query()).await?;
    let mut points: Vec<PointView> = Vec::with_capacity(page.rows.len());
    let mut before: Option<Ordinal> = None;
    let has_cadence = is_by_partition && spec.partitions.as_time().is_some();
    for values in page.rows.iter().rev() {
        let value = |index: Option<usize>| index.and_then(|index| values.get(index)).cloned().unwrap_or_default();
        let Some(at) = instant(&value(key), zone) else { continue };
        let ordinal = ordinal_of_value(&spec, &value(place));
        if let (true, Some(before), Some(ordinal)) = (has_cadence, before, ordinal) {
            let gaps = before.saturating_add(1)..ordinal;
            let gaps = gaps.start..gaps.end.min(gaps.start.saturating_add(MOST_GAPS));
            points.extend(gaps.filter_map(|gap| gap_at(&spec, gap, wanted.len(), zone)));
        }
        before = ordinal;
        points.push(PointView {
            at,
            key: value(key),
            values: wanted.iter().map(|&index| value(index)).collect(),
            provisional: ordinal.is_some_and(|ordinal| standing.may_change(ordinal)),
            anomalies: Vec::new(),
        });
    }
    Ok((points, page.next.is_some()))
}

fn gap_at(spec: &AssetSpec, ordinal: Ordinal, figures: usize, zone: chrono_tz::Tz) -> Option<PointView> {
    let date = spec.partitions.date(ordinal)?;
    let (at, key) = match spec.partitions.window(ordinal) {
        Some(window) if spec.column(spec.partition_column.as_ref()?)?.sql_type != "date" => {
            (window.start, window.start.to_rfc3339())
        }
        _ => (start_of_day(date, zone), date.to_string()),
    };
    let values = vec![Value::Null; figures];
    Some(PointView { at, key: Value::String(key), values, provisional: false, anomalies: Vec::new() })
}

/// When a date or an instant is.
fn instant(value: &Value, zone: chrono_tz::Tz) -> Option<DateTime<Utc>> {
    let text = value.as_str()?;
    match text.parse::<NaiveDate>() {
        Ok(date) => Some(start_of_day(date, zone)),
        Err(_) => text.parse().ok(),
    }
}

/// Marks the values that are far from what is usual, each figure by itself.
fn mark(points: &mut [PointView], seasonal: Seasonal, figures: usize, zone: chrono_tz::Tz) {
    for figure in 0..figures {
        let (places, series): (Vec<usize>, Vec<_>) = points
            .iter()
            .enumerate()
            .filter_map(|(index, point)| {
                Some((index, (local_time(point.at, zone), point.values.get(figure)?.as_f64()?)))
            })
            .unzip();
        for found in anomalies(&series, seasonal.weeks, seasonal.threshold) {
            if let Some(point) = places.get(found.index).and_then(|&index| points.get_mut(index)) {
                point.anomalies.push(AnomalyView { figure, usual: found.usual, deviation: found.deviation });
            }
        }
    }
}

/// What a triangle is made from besides its rows.
struct Triangle<'a> {
    spec: &'a AssetSpec,
    standing: &'a Standing,
    to: NaiveDate,
    zone: chrono_tz::Tz,
}

impl Triangle<'_> {
    /// The triangle, and whether cohorts were left out.
    fn of(&self, rows: &[Vec<Value>], places: [Option<usize>; 3], highlight: u32) -> (TriangleView, bool) {
        let mut found: BTreeMap<NaiveDate, BTreeMap<i64, i64>> = BTreeMap::new();
        for row in rows {
            let [cohort, offset, active] = places.map(|place| place.and_then(|place| row.get(place)));
            let cohort = cohort.and_then(Value::as_str).and_then(|text| text.parse().ok());
            let (Some(cohort), Some(offset)) = (cohort, offset.and_then(Value::as_i64)) else { continue };
            *found.entry(cohort).or_default().entry(offset).or_default() += active.and_then(Value::as_i64).unwrap_or(0);
        }
        let is_cut = found.len() > MOST_COHORTS;
        while found.len() > MOST_COHORTS {
            found.pop_first();
        }
        let cohorts: Vec<CohortView> = found.iter().map(|(&cohort, active)| self.cohort(cohort, active)).collect();
        (TriangleView { highlight, highlighted: highlighted(&cohorts, highlight), cohorts }, is_cut)
    }

    /// Where the table has no row for a period that has been observed, nobody was there.
    fn cohort(&self, cohort: NaiveDate, found: &BTreeMap<i64, i64>) -> CohortView {
        let at = |day: NaiveDate| self.spec.partitions.ordinal_at(start_of_day(day, self.zone));
        let (first, newest) = (at(cohort), at(self.to));
        let label = first.map_or_else(|| cohort.to_string(), |first| self.spec.partitions.key(first).to_string());
        let mut view =
            CohortView { cohort, label, size: found.get(&0).copied(), active: Vec::new(), provisional: Vec::new() };
        let known = found.keys().next_back().copied().unwrap_or(0);
        let last = match (first, newest) {
            (Some(first), Some(newest)) => known.max(newest - first),
            _ => known,
        };
        for offset in 0..=last.min(MOST_OFFSETS) {
            let observed = first.map(|first| first.saturating_add(offset));
            let is_observed = observed.is_some_and(|ordinal| self.standing.materialized.contains(ordinal));
            view.active.push(found.get(&offset).copied().or(is_observed.then_some(0)));
            view.provisional.push(observed.is_some_and(|ordinal| self.standing.may_change(ordinal)));
        }
        view
    }
}

/// The figure of one offset over all cohorts of which it is known.
fn highlighted(cohorts: &[CohortView], offset: u32) -> Option<SharedView> {
    let offset = usize::try_from(offset).ok()?;
    let mut sum = SharedView { part: 0, whole: 0, share: 0.0, cohorts: 0, provisional: false };
    for cohort in cohorts {
        if let (Some(size), Some(Some(active))) = (cohort.size, cohort.active.get(offset)) {
            sum.part += active;
            sum.whole += size;
            sum.cohorts += 1;
            sum.provisional |= cohort.provisional.get(offset).copied().unwrap_or(false);
        }
    }
    sum.share = share(sum.part, sum.whole)?;
    Some(sum)
}

/// The one through the other; `None` of nothing.
#[allow(clippy::cast_precision_loss, reason = "people are fewer than 2^53")]
fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
