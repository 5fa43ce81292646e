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

use crate::look::shot_of;

const HOSTILE: &str = "<script>alert(1)</script>\"'&";

fn caption(language: Language) -> Caption<'static> {
    Caption { id: "people", title: "People & days", language }
}

fn english() -> Caption<'static> {
    caption(Language::English)
}

fn day(index: i64) -> DateTime<Utc> {
    start_of_day(NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + TimeDelta::days(index), Berlin)
}

fn daily(name: &str, values: &[Option<f64>]) -> Series {
    let points = values.iter().enumerate().map(|(index, value)| Point::new(day(index as i64), *value));
    Series { name: name.to_owned(), points: points.collect() }
}

/// What stands between `before` and `after`, each time.
fn all_between<'a>(html: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    html.split(before).skip(1).map(|rest| rest.split(after).next().unwrap()).collect()
}

#[test]
fn a_line_has_gaps_a_dashed_end_and_rings() {
    let mut people =
        daily("DAU", &[Some(10.0), Some(20.0), None, Some(40.0), None, Some(15.0), Some(25.0), Some(30.0)]);
    people.points[1].is_anomaly = true;
    people.points[7].is_provisional = true;
    let html = LineChart::new(&english(), &[people], Unit::Count, Berlin).render().unwrap();
    shot_of("chart_line", &html);
}

#[test]
fn the_same_numbers_are_told_as_a_table_the_newest_first() {
    let mut people = daily("DAU", &[Some(1234.5), None, Some(3.0)]);
    people.points[2].is_provisional = true;
    let german = LineChart::new(&caption(Language::German), &[people], Unit::Count, Berlin);
    insta::assert_snapshot!(german.table().render().unwrap(), @r#"
        <details class="chart-table">
        <summary>Zahlen als Tabelle</summary>
        <div class="scroll" tabindex="0" role="region" aria-label="People &#38; days">
        <table class="list">
        <caption class="visually-hidden">People &#38; days</caption>
        <thead><tr><th scope="col">Tag</th><th scope="col">DAU</th></tr></thead>
        <tbody>
        <tr><th scope="row">2026-03-03</th><td class="number">3 (vorläufig)</td></tr>
        <tr><th scope="row">2026-03-02</th><td class="number">–</td></tr>
        <tr><th scope="row">2026-03-01</th><td class="number">1 234,5</td></tr>
        </tbody>
        </table>
        </div>
        </details>
    "#);
}

#[test]
fn an_axis_has_round_numbers_with_room_for_all_values() {
    let levels = |values: &[f64], unit: Unit| {
        let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
        let html = LineChart::new(&english(), &[daily("", &values)], unit, Berlin).render().unwrap();
        let levels = all_between(&html, "class=\"chart-label\" ", "</text>").into_iter();
        levels.map(|level| level.split('>').next_back().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    insta::assert_snapshot!(levels(&[3.0, 97.0], Unit::Count), @"0 25 50 75 100");
    insta::assert_snapshot!(levels(&[1.0, 2.0], Unit::Count), @"0 1 2");
    insta::assert_snapshot!(levels(&[0.1, 0.23], Unit::Count), @"0 0.1 0.2 0.3");
    insta::assert_snapshot!(levels(&[0.0, 0.0], Unit::Count), @"0 1");
    insta::assert_snapshot!(levels(&[-7.0, 12.0], Unit::Count), @"−10 −5 0 5 10 15");
    insta::assert_snapshot!(levels(&[0.0, 1_234_567.0], Unit::Count), @"0 500k 1M 1.5M");
    insta::assert_snapshot!(levels(&[0.034, 0.4], Unit::Share), @"0 % 10 % 20 % 30 % 40 %");
    insta::assert_snapshot!(levels(&[100.0, 7000.0], Unit::Seconds), @"0 s 30 min 1 h 1 h 30 min 2 h");
    insta::assert_snapshot!(levels(&[100.0, 7_000_000.0], Unit::Bytes), @"0 B 2 MB 4 MB 6 MB 8 MB");
}

#[test]
fn dates_are_local_and_round() {
    let marks = |start: DateTime<Utc>, length: TimeDelta| {
        let points = vec![Point::new(start, Some(1.0)), Point::new(start + length, Some(2.0))];
        let series = Series { name: String::new(), points };
        let html = LineChart::new(&english(), &[series], Unit::Count, Berlin).render().unwrap();
        let marks = all_between(&html, "class=\"chart-mark", "</text>").into_iter();
        marks.map(|mark| mark.split('>').next_back().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
    };
    insta::assert_snapshot!(marks(day(0), TimeDelta::minutes(9)), @"1 Mar, 00:02, 00:04, 00:06, 00:08");
    insta::assert_snapshot!(marks(day(0) + TimeDelta::minutes(50), TimeDelta::hours(5)), @"01:00, 02:00, 03:00, 04:00, 05:00");
    // The clock is put forward at two in the morning of the 29th.
    insta::assert_snapshot!(marks(day(28), TimeDelta::hours(20)), @"29 Mar, 03:00, 06:00, 09:00, 12:00, 15:00, 18:00, 21:00");
    insta::assert_snapshot!(marks(day(26), TimeDelta::days(5)), @"27 Mar, 28 Mar, 29 Mar, 30 Mar, 31 Mar, 1 Apr");
    insta::assert_snapshot!(marks(day(3), TimeDelta::days(40)), @"9 Mar, 16 Mar, 23 Mar, 30 Mar, 6 Apr, 13 Apr");
    insta::assert_snapshot!(marks(day(3), TimeDelta::days(365)), @"May, Jul, Sep, Nov, 2027, Mar");
    insta::assert_snapshot!(marks(day(3), TimeDelta::days(3650)), @"2028, 2030, 2032, 2034, 2036");
    let year_one = start_of_day(NaiveDate::from_ymd_opt(1, 1, 1).unwrap(), Berlin);
    insta::assert_snapshot!(marks(year_one, TimeDelta::days(3_650_000)), @"2000, 4000, 6000, 8000");
}

#[test]
fn a_picture_without_values_says_so() {
    for series in [vec![], vec![daily("DAU", &[])], vec![daily("DAU", &[None, Some(f64::NAN)])]] {
        let html = LineChart::new(&english(), &series, Unit::Count, Berlin).render().unwrap();
        assert!(html.contains("There is nothing to draw yet.") && !html.contains("<svg"), "{html}");
    }
    let bars = BarChart::new(&caption(Language::German), &["DAU"], &[], Unit::Count).render().unwrap();
    assert!(bars.contains("Es gibt noch nichts zu zeichnen."), "{bars}");
    let heat = HeatTable::new(&english(), "Week", &[], &[], Unit::Share).render().unwrap();
    assert!(heat.contains("There is nothing to show yet."), "{heat}");
    let gantt = Gantt::new(&english(), "Steps", &[], Berlin, day(0)).render().unwrap();
    assert!(gantt.contains("Nothing has begun yet."), "{gantt}");
    insta::assert_snapshot!(Sparkline::new("rows", &[]).render().unwrap(), @r#"<svg class="chart-spark" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="rows"><title>rows</title><path vector-effect="non-scaling-stroke" d=""/></svg>"#);
}

#[test]
fn one_value_alone_is_a_dot() {
    let html = LineChart::new(&english(), &[daily("DAU", &[Some(3.0)])], Unit::Count, Berlin).render().unwrap();
    assert_eq!(all_between(&html, "<circle class=\"chart-alone", "/>"), [" series-1\" cx=\"49%\" cy=\"18\" r=\"2.5\""]);
    insta::assert_snapshot!(Sparkline::new("rows", &[None, Some(3.0), None]).render().unwrap(), @r#"<svg class="chart-spark" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="rows"><title>rows</title><path vector-effect="non-scaling-stroke" d="M50 50h0"/></svg>"#);
}

#[test]
fn stacked_bars_grow_up_and_down_from_zero() {
    let bars = [
        Bar { label: "Mon".into(), values: vec![Some(10.0), Some(5.0)], is_provisional: false },
        Bar { label: "Tue".into(), values: vec![Some(-5.0), None], is_provisional: false },
        Bar { label: "Wed".into(), values: vec![Some(20.0), Some(20.0)], is_provisional: true },
    ];
    let chart = BarChart::new(&english(), &["joined", "came back"], &bars, Unit::Count);
    shot_of("chart_bars", &chart.render().unwrap());
    insta::assert_snapshot!(chart.table().render().unwrap(), @r#"
        <details class="chart-table">
        <summary>Numbers as a table</summary>
        <div class="scroll" tabindex="0" role="region" aria-label="People &#38; days">
        <table class="list">
        <caption class="visually-hidden">People &#38; days</caption>
        <thead><tr><th scope="col"></th><th scope="col">joined</th><th scope="col">came back</th></tr></thead>
        <tbody>
        <tr><th scope="row">Mon</th><td class="number">10</td><td class="number">5</td></tr>
        <tr><th scope="row">Tue</th><td class="number">−5</td><td class="number">–</td></tr>
        <tr><th scope="row">Wed (provisional)</th><td class="number">20</td><td class="number">20</td></tr>
        </tbody>
        </table>
        </div>
        </details>
    "#);
}

#[test]
fn a_triangle_has_nine_colours_and_its_numbers() {
    let row = |label: &str, shares: &[f64]| HeatRow {
        label: label.into(),
        note: Some("40".into()),
        cells: shares.iter().map(|share| HeatCell::new(Some(*share))).collect(),
    };
    let mut rows = [row("2026-W10", &[1.0, 0.5, 0.25]), row("2026-W11", &[0.9, 0.0]), row("2026-W12", &[0.8])];
    rows[2].cells[0].is_provisional = true;
    let columns = ["X+0", "X+1", "X+2"].map(str::to_owned);
    let table = HeatTable::new(&english(), "Week", &columns, &rows, Unit::Share).with_note_heading("Size");
    shot_of("chart_heat", &table.render().unwrap());
}

#[test]
fn a_week_has_all_hours() {
    let mut values = [[None; 24]; 7];
    values[6][23] = Some(4.0);
    values[0][0] = Some(1.0);
    let html = HeatTable::week(&caption(Language::German), &values, Unit::Count).render().unwrap();
    assert_eq!(html.matches("<td").count(), 7 * 24);
    assert!(html.contains("<td class=\"heat-8\" title=\"So, 23: 4\">4</td>"), "{html}");
    assert!(html.contains("<td class=\"heat-2\" title=\"Mo, 00: 1\">1</td>"), "{html}");
}

#[test]
fn attempts_are_bars_over_time() {
    let at = |seconds: i64| day(5) + TimeDelta::hours(9) + TimeDelta::seconds(seconds);
    let bar = |start, end: Option<i64>, state, text: &str| GanttBar {
        start: at(start),
        end: end.map(at),
        state,
        text: text.into(),
    };
    let rows = [
        GanttRow {
            label: "lake.daily 2026-03-05".into(),
            link: Some("/assets/lake.daily".into()),
            bars: vec![bar(0, Some(40), "failed", "attempt 1"), bar(70, Some(130), "fresh", "attempt 2")],
        },
        GanttRow { label: "lake.monthly".into(), link: None, bars: vec![bar(299, None, "running", "attempt 1")] },
        GanttRow { label: "lake.idle".into(), link: None, bars: vec![] },
    ];
    shot_of("chart_gantt", &Gantt::new(&english(), "Steps", &rows, Berlin, at(300)).render().unwrap());
}

#[test]
fn hostile_text_is_text() {
    let caption = Caption { id: "people", title: HOSTILE, language: Language::English };
    let lines = LineChart::new(
        &caption,
        &[daily(HOSTILE, &[Some(1.0), Some(2.0)]), daily("b", &[Some(1.0)])],
        Unit::Count,
        Berlin,
    );
    let bar = Bar { label: HOSTILE.into(), values: vec![Some(1.0), None], is_provisional: true };
    let bars = BarChart::new(&caption, &[HOSTILE, "b"], &[bar], Unit::Count);
    let row = HeatRow { label: HOSTILE.into(), note: Some(HOSTILE.into()), cells: vec![HeatCell::new(Some(1.0))] };
    let heat = HeatTable::new(&caption, HOSTILE, &[HOSTILE.into()], &[row], Unit::Count).with_note_heading(HOSTILE);
    let bar = GanttBar { start: day(0), end: None, state: "failed", text: HOSTILE.into() };
    let row = GanttRow { label: HOSTILE.into(), link: Some(HOSTILE.into()), bars: vec![bar] };
    let gantt = Gantt::new(&caption, HOSTILE, &[row], Berlin, day(1));
    for html in [
        lines.render().unwrap(),
        lines.table().render().unwrap(),
        bars.render().unwrap(),
        bars.table().render().unwrap(),
        heat.render().unwrap(),
        Sparkline::new(HOSTILE, &[Some(1.0)]).render().unwrap(),
        gantt.render().unwrap(),
    ] {
        assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;"), "{html}");
        assert!(!html.contains("<script") && !html.contains(" style="), "{html}");
    }
}

#[test]
fn many_points_are_drawn_and_not_told_one_by_one() {
    let values: Vec<Option<f64>> = (0..1000).map(|index| Some(f64::from(index % 37))).collect();
    let html = LineChart::new(&english(), &[daily("a", &values)], Unit::Count, Berlin).render().unwrap();
    assert!(!html.contains("chart-column") && html.len() < 20_000, "{}", html.len());
}
