//! Pictures of numbers.

use askama::Template;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use karat::core::time::start_of_day;
use karat::web::chart::{
    Bar, BarChart, Caption, Gantt, GanttBar, GanttRow, HeatCell, HeatRow, HeatTable, LineChart, Point, Series,
    Sparkline, Unit,
};
use karat::web::language::Language;

fn english(id: &str) -> Caption<'_> {
    Caption { id, title: "People", language: Language::English }
}

fn day(index: i64) -> DateTime<Utc> {
    start_of_day(NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + TimeDelta::days(index), Berlin)
}

fn daily(name: &str, values: &[Option<f64>]) -> Series {
    let points = values.iter().enumerate().map(|(index, value)| Point::new(day(index as i64), *value));
    Series { name: name.to_owned(), points: points.collect() }
}

#[test]
fn gallery() {
    let wave = |index: i64, scale: f64| {
        let value = scale * (2.0 + (index as f64 / 3.5).sin() + (index as f64 / 20.0).cos());
        (!(20..25).contains(&index)).then_some(value.round())
    };
    let mut dau = daily("DAU", &(0..90).map(|index| wave(index, 40.0)).collect::<Vec<_>>());
    for point in &mut dau.points[86..] {
        point.is_provisional = true;
    }
    dau.points[50].value = Some(290.0);
    dau.points[50].is_anomaly = true;
    dau.points[22].value = Some(100.0);
    let wau = daily("WAU", &(0..90).map(|index| wave(index, 80.0)).collect::<Vec<_>>());
    let mau = daily("MAU", &(0..90).map(|index| wave(index, 310.0)).collect::<Vec<_>>());
    let lines = LineChart::new(&english("line"), &[dau, wau, mau], Unit::Count, Berlin);
    let bars: Vec<Bar> = (0..30)
        .map(|index| Bar {
            label: format!("{} Mar", index + 1),
            values: vec![wave(index, 10.0), Some((index % 7) as f64 * 4.0)],
            is_provisional: index > 27,
        })
        .collect();
    let bars = BarChart::new(&english("bars"), &["voice", "game"], &bars, Unit::Count);
    let columns: Vec<String> = (0..10).map(|index| format!("X+{index}")).collect();
    let rows: Vec<HeatRow> = (0..10)
        .map(|row| HeatRow {
            label: format!("2026-W{}", 10 + row),
            note: Some((100 + 7 * row).to_string()),
            cells: (0..10 - row)
                .map(|column| HeatCell {
                    value: Some(1.0 / (1.0 + column as f64) + 0.01 * row as f64),
                    is_provisional: column == 9 - row,
                })
                .collect(),
        })
        .collect();
    let heat = HeatTable::new(&english("heat"), "Week", &columns, &rows, Unit::Share).with_note_heading("Size");
    let mut hours = [[None; 24]; 7];
    for (day, row) in hours.iter_mut().enumerate() {
        for (hour, cell) in row.iter_mut().enumerate() {
            *cell = Some(((hour as f64 - 20.0).powi(2) / -20.0).exp() * (10.0 + day as f64 * 3.0)).map(f64::round);
        }
    }
    let week = HeatTable::week(&english("week"), &hours, Unit::Count);
    let spark = Sparkline::new("rows", &(0..30).map(|index| wave(index, 1.0)).collect::<Vec<_>>());
    let at = |seconds: i64| day(5) + TimeDelta::hours(9) + TimeDelta::seconds(seconds);
    let gantt = Gantt::new(
        &english("gantt"),
        "Steps",
        &[
            GanttRow {
                label: "silver.user_activity 2026-03-05".into(),
                link: Some("/".into()),
                bars: vec![
                    GanttBar { start: at(0), end: Some(at(40)), state: "failed", text: "attempt 1, failed".into() },
                    GanttBar { start: at(70), end: Some(at(130)), state: "fresh", text: "attempt 2".into() },
                ],
            },
            GanttRow {
                label: "gold.daily_active_users 2026-03-05".into(),
                link: None,
                bars: vec![GanttBar { start: at(131), end: None, state: "running", text: "attempt 1".into() }],
            },
            GanttRow { label: "gold.retention_cohorts".into(), link: None, bars: vec![] },
        ],
        Berlin,
        at(300),
    );
    let (line_table, bar_table) = (lines.table().render().unwrap(), bars.table().render().unwrap());
    let body: String = [lines.render(), Ok(line_table), bars.render(), Ok(bar_table), heat.render(), week.render(), spark.render(), gantt.render()]
        .into_iter()
        .map(|html| format!("<section class=card>{}</section>", html.unwrap()))
        .collect();
    for theme in ["light", "dark"] {
        std::fs::write(
            format!("/tmp/lineage/gallery-{theme}.html"),
            format!("<!doctype html><html data-theme={theme}><meta name=viewport content='width=device-width'><meta charset=utf-8><link rel=stylesheet href=/work/main/web/static/karat.css><link rel=stylesheet href=/tmp/wt/lineage/web/static/css/chart.css><main>{body}</main>"),
        )
        .unwrap();
    }
}
