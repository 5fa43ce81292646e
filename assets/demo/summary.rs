//! What the gold tables say of the demonstration, as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{Days, NaiveDate};
use karat::prelude::Asset;
use sqlx::PgPool;

use super::Era;
use crate::gold::{DailyActiveUsers, RetentionCohorts};

/// The last two weeks of daily active users and the retention triangle.
///
/// # Errors
/// When the gold tables cannot be read.
pub async fn summary(pool: &PgPool, era: Era) -> Result<String, sqlx::Error> {
    let last = era.last_day();
    let days: Vec<DailyActiveUsers> =
        sqlx::query_as("select * from gold.daily_active_users where day > $1 and day <= $2 order by day")
            .bind(last - Days::new(14))
            .bind(last)
            .fetch_all(pool)
            .await?;
    let cohorts: Vec<RetentionCohorts> =
        sqlx::query_as("select * from gold.retention_cohorts where month <= $1 order by cohort_month, month")
            .bind(last)
            .fetch_all(pool)
            .await?;
    Ok(format!("{}\n{}", daily(&days), triangle(&cohorts)))
}

fn daily(days: &[DailyActiveUsers]) -> String {
    let mut text = format!("{}, the last two weeks\n", DailyActiveUsers::KEY);
    // Writing to a text does not fail.
    let _ = writeln!(text, "  {:<14} {:>6} {:>6} {:>6} {:>6}", "day", "users", "voice", "chat", "game");
    for day in days {
        let _ = writeln!(
            text,
            "  {:<14} {:>6} {:>6} {:>6} {:>6}",
            day.day.format("%Y-%m-%d %a").to_string(),
            day.users,
            day.voice_users,
            day.chat_users,
            day.game_users,
        );
    }
    text
}

fn triangle(cohorts: &[RetentionCohorts]) -> String {
    let mut rows: BTreeMap<NaiveDate, BTreeMap<i32, i64>> = BTreeMap::new();
    for cohort in cohorts {
        rows.entry(cohort.cohort_month).or_default().insert(cohort.months_since, cohort.users);
    }
    let months = cohorts.iter().map(|cohort| cohort.months_since).max().unwrap_or(0);
    let mut text = format!("{}, of the people first active in a month\n", RetentionCohorts::KEY);
    let _ = write!(text, "  {:<14} {:>6}", "first active", "people");
    for month in 1..=months {
        let _ = write!(text, " {:>9}", format!("+{month}"));
    }
    text.push('\n');
    for (cohort_month, users) in rows {
        let size = users.get(&0).copied().unwrap_or(0);
        let _ = write!(text, "  {:<14} {size:>6}", cohort_month.format("%Y-%m").to_string());
        for month in 1..=months {
            let share = users.get(&month).map_or_else(String::new, |&users| {
                let percent = if size == 0 { 0 } else { (users * 100 + size / 2) / size };
                format!("{users} {percent:>3} %")
            });
            let _ = write!(text, " {share:>9}");
        }
        text.push('\n');
    }
    text
}
