//! What Karat keeps in a table for each day. A day is counted once, when it is over: nothing is added to it any more.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgPool};

/// Logs are kept for a month: so many days there may be, with those in which nobody looked after them, today and tomorrow.
const DAYS: usize = 38;

/// So many rows of each may be kept.
const ROWS: [(&str, i64); 4] = [("attempt", 6_000), ("event", 2_000), ("log_line", 1_000), ("tick", 100)];

/// How many rows each table of a day that is over has, by its name.
#[derive(Default)]
pub(super) struct DayTables {
    rows: BTreeMap<String, i64>,
}

impl DayTables {
    /// None of what lies in days has more of them, or more rows in all, than it may; and next to nothing lies in none.
    pub(super) async fn are_bounded(&mut self, pool: &PgPool, now: DateTime<Utc>) {
        let names: Vec<String> = sqlx::query_scalar(
            "select child.relname::text from pg_inherits i join pg_class child on child.oid = i.inhrelid
             join pg_class parent on parent.oid = i.inhparent
             where parent.relnamespace = 'karat'::regnamespace and parent.relkind = 'p' order by 1",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        self.rows.retain(|name, _| names.contains(name));
        // A clock that is put back by hours may still add to yesterday.
        let yesterday = now.date_naive() - Days::new(1);
        let is_over = |name: &&String| day(name).is_none_or(|day| day < yesterday);
        let counted: Vec<&String> =
            names.iter().filter(is_over).filter(|name| !self.rows.contains_key(*name) || day(name).is_none()).collect();
        let counts: Vec<String> = counted.iter().map(|name| format!("(select count(*) from karat.{name})")).collect();
        let statement = AssertSqlSafe(format!("select array[{}]", counts.join(", ")));
        let rows: Vec<i64> = sqlx::query_scalar(statement).fetch_one(pool).await.unwrap();
        self.rows.extend(counted.into_iter().cloned().zip(rows));
        for (log, most) in ROWS {
            let days = names.iter().filter(|name| day(name).is_some() && log_of(name) == log).count();
            assert!((2..=DAYS).contains(&days), "{days} days of {log} are kept at {now}");
            let rows: i64 = self.rows.iter().filter(|(name, _)| log_of(name) == log).map(|(_, rows)| rows).sum();
            assert!(rows <= most, "{rows} rows of {log} are kept at {now}");
        }
    }
}

/// The log that a table belongs to: `attempt` of `attempt_20270301` and of `attempt_default`.
fn log_of(name: &str) -> &str {
    name.rsplit_once('_').unwrap().0
}

/// The day of a table; `None` of the one for what lies in no day.
fn day(name: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(name.rsplit_once('_').unwrap().1, "%Y%m%d").ok()
}
