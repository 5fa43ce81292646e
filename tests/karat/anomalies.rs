//! Which figures are far from what is usual: by example, and what holds of all series.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use karat::core::anomaly::{WEEKS_NEEDED, anomalies};
use proptest::prelude::*;

fn hour(number: i64) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2026, 1, 5).unwrap().and_hms_opt(0, 0, 0).unwrap() + TimeDelta::hours(number)
}

/// One figure for each week, on Mondays at midnight.
fn weekly(values: &[f64]) -> Vec<(NaiveDateTime, f64)> {
    values.iter().enumerate().map(|(week, &value)| (hour(168 * week as i64), value)).collect()
}

fn indexes(figures: &[(NaiveDateTime, f64)], weeks: u32, threshold: f64) -> Vec<usize> {
    anomalies(figures, weeks, threshold).iter().map(|anomaly| anomaly.index).collect()
}

#[test]
fn a_figure_is_compared_with_its_weekday_and_hour() {
    // Nights have about 10, evenings about 200: what is usual in the evening is not usual at night.
    let mut figures: Vec<_> = (0..6 * 168)
        .map(|number| {
            (hour(number), if number % 24 >= 18 { 200.0 + (number % 7) as f64 } else { 10.0 + (number % 3) as f64 })
        })
        .collect();
    assert_eq!(indexes(&figures, 8, 5.0), [] as [usize; 0]);
    let night = 5 * 168 + 3;
    figures[night].1 = 200.0;
    let evening = 5 * 168 + 20;
    figures[evening].1 = 10.0;
    assert_eq!(indexes(&figures, 8, 5.0), [night, evening]);
}

#[test]
fn usual_is_the_median_and_the_deviation_is_the_scaled_median_distance() {
    let found = anomalies(&weekly(&[100.0, 110.0, 90.0, 120.0, 80.0, 300.0]), 8, 5.0);
    let [anomaly] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((anomaly.index, anomaly.usual), (5, 100.0));
    assert!((anomaly.deviation - 14.826).abs() < 1e-9, "{anomaly:?}");
    // 174.13 is the last that is not further away than five times that.
    assert_eq!(indexes(&weekly(&[100.0, 110.0, 90.0, 120.0, 80.0, 174.0]), 8, 5.0), [] as [usize; 0]);
    assert_eq!(indexes(&weekly(&[100.0, 110.0, 90.0, 120.0, 80.0, 174.2]), 8, 5.0), [5]);
}

#[test]
fn weeks_further_back_do_not_count() {
    let values = [1_000.0, 1_000.0, 1_000.0, 100.0, 100.0, 100.0, 1_000.0];
    assert_eq!(indexes(&weekly(&values), 3, 5.0), [3, 4, 6], "of the three weeks before");
    assert_eq!(indexes(&weekly(&values), 8, 5.0), [3, 4, 5]);
}

fn series() -> impl Strategy<Value = Vec<(NaiveDateTime, f64)>> {
    prop::collection::vec((1_i64..200, -1e6..1e6), 0..200).prop_map(|steps| {
        let mut at = 0;
        steps
            .into_iter()
            .map(|(step, value)| {
                at += step;
                (hour(at), value)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_future_never_counts(figures in series(), cut in 0_usize..200) {
        let cut = cut.min(figures.len());
        let all: Vec<_> = anomalies(&figures, 8, 3.0).into_iter().filter(|anomaly| anomaly.index < cut).collect();
        prop_assert_eq!(anomalies(&figures[..cut], 8, 3.0), all);
    }

    #[test]
    fn a_higher_threshold_marks_less(figures in series()) {
        let strict = indexes(&figures, 8, 6.0);
        let loose = indexes(&figures, 8, 3.0);
        prop_assert!(strict.iter().all(|index| loose.contains(index)));
    }

    #[test]
    fn the_unit_does_not_matter(figures in series(), power in -8_i32..8) {
        // Powers of two, by which numbers are multiplied without rounding.
        let scaled: Vec<_> = figures.iter().map(|&(at, value)| (at, value * 2_f64.powi(power))).collect();
        prop_assert_eq!(indexes(&scaled, 8, 4.0), indexes(&figures, 8, 4.0));
    }

    #[test]
    fn what_never_moves_is_never_unusual(value in -1e6..1e6, weeks in 0_usize..60) {
        prop_assert_eq!(indexes(&weekly(&vec![value; weeks]), 8, 5.0), Vec::<usize>::new());
    }

    #[test]
    fn without_enough_weeks_nothing_is_unusual(values in prop::collection::vec(-1e9..1e9, 0..=WEEKS_NEEDED)) {
        prop_assert_eq!(indexes(&weekly(&values), 8, 1.0), Vec::<usize>::new());
    }

    /// A minority of wild figures in the past neither hides an outlier nor makes one of an ordinary figure.
    #[test]
    fn outliers_in_the_past_do_no_harm(
        ordinary in prop::collection::vec(95.0..105.0, 5..8),
        wild in prop::collection::vec(prop_oneof![-1e9..-1e6, 1e6..1e9], 0..3),
        today in 97.0..103.0,
    ) {
        let mut past: Vec<f64> = wild.into_iter().chain(ordinary).collect();
        let last = past.len();
        past.push(today);
        prop_assert!(!indexes(&weekly(&past), 12, 8.0).contains(&last));
        past[last] = 1_000.0;
        prop_assert!(indexes(&weekly(&past), 12, 8.0).contains(&last));
    }
}
