//! Daily active users and retention over a chat log, computed a second time straight from the file: with hash maps and
//! chrono, and without a line of the platform's SQL.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use community::collect::ingest::Source;
use community::gold::{DailyActiveUsers, RetentionCohorts};
use community::silver::{AccountLinks, UserActivity};
use karat::asset::declare::Asset;

use crate::real_inputs;
use crate::support::{Platform, Random};

/// Users by day, and users by observed month and cohort month.
type Figures = (BTreeMap<NaiveDate, i64>, BTreeMap<(NaiveDate, NaiveDate), i64>);

/// The figures, from the text of the file alone.
fn recomputed(csv: &str, zone: Tz) -> Figures {
    let mut leaders: HashMap<&str, &str> = HashMap::new();
    fn leader<'a>(leaders: &HashMap<&'a str, &'a str>, mut nick: &'a str) -> &'a str {
        while let Some(&next) = leaders.get(nick) {
            nick = next;
        }
        nick
    }
    let records = || csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    for record in records().filter(|record| record[2] == "rename") {
        let (left, right) = (leader(&leaders, record[3]), leader(&leaders, record[4]));
        if left != right {
            leaders.insert(right, left);
        }
    }
    let mut days: BTreeMap<NaiveDate, BTreeSet<&str>> = BTreeMap::new();
    for record in records().filter(|record| record[2] == "message") {
        let time = NaiveDateTime::parse_from_str(&format!("{} {}", record[0], record[1]), "%Y-%m-%d %H:%M").unwrap();
        let local = time.and_utc().with_timezone(&zone).date_naive();
        days.entry(local).or_default().insert(leader(&leaders, record[3]));
    }
    let month = |day: &NaiveDate| day.with_day(1).unwrap();
    let mut cohorts: HashMap<&str, NaiveDate> = HashMap::new();
    let mut months: BTreeMap<NaiveDate, BTreeSet<&str>> = BTreeMap::new();
    for (day, people) in &days {
        months.entry(month(day)).or_default().extend(people);
        for person in people {
            cohorts.entry(person).or_insert(month(day));
        }
    }
    let mut retention = BTreeMap::new();
    for (observed, people) in &months {
        for person in people {
            *retention.entry((*observed, cohorts[person])).or_insert(0) += 1;
        }
    }
    (days.into_iter().map(|(day, people)| (day, i64::try_from(people.len()).unwrap())).collect(), retention)
}

/// The figures, by way of the platform.
async fn built(csv: &str, zone: Tz) -> Figures {
    let days: BTreeSet<&str> = csv.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let (first, last) = (days.first().unwrap(), days.last().unwrap());
    let now = format!("{last}T23:59:59Z");
    let platform = Platform::new(zone, first, &now).await;
    let report = platform.ingest(Source::Irc, csv).await;
    assert_eq!((report.bad_lines, report.error), (0, None));
    let now: DateTime<Utc> = now.parse().unwrap();
    let plan = [AccountLinks::KEY, UserActivity::KEY, DailyActiveUsers::KEY, RetentionCohorts::KEY]
        .into_iter()
        .map(|key| {
            let existing = platform.definitions.asset(&key).unwrap().partitions.existing(now);
            (key, existing)
        })
        .collect();
    platform.build_plan(plan, false).await;
    let daily: Vec<DailyActiveUsers> = platform.rows("day").await;
    for row in &daily {
        assert_eq!((row.users, row.voice_users, row.game_users), (row.chat_users, 0, 0), "{row:?}");
    }
    let cohorts: Vec<RetentionCohorts> = platform.rows("month").await;
    for row in &cohorts {
        let months = (row.month.year() - row.cohort_month.year()) * 12 + i32::try_from(row.month.month()).unwrap()
            - i32::try_from(row.cohort_month.month()).unwrap();
        assert_eq!(row.months_since, months, "{row:?}");
    }
    (
        daily.into_iter().map(|row| (row.day, row.users)).collect(),
        cohorts.into_iter().map(|row| ((row.month, row.cohort_month), row.users)).collect(),
    )
}

async fn assert_equal(csv: &str, zone: Tz) {
    let (daily, retention) = built(csv, zone).await;
    let (expected_daily, expected_retention) = recomputed(csv, zone);
    assert!(!expected_daily.is_empty() && !expected_retention.is_empty());
    assert_eq!(daily, expected_daily, "{zone}");
    assert_eq!(retention, expected_retention, "{zone}");
}

/// A made-up log of a few months around the change to summer time, with renames.
fn made_up() -> String {
    let mut random = Random::new(2_026);
    let mut csv = "day,hhmm,kind,nick_id,other_nick_id\n".to_owned();
    let first: NaiveDate = "2026-01-20".parse().unwrap();
    for (number, day) in (0_u64..).zip(first.iter_days().take(110)) {
        for _ in 0..random.below(30) {
            // Nicks come and go: each day draws from a stretch of them that moves on.
            let nick = number / 2 + random.below(60);
            csv += &match random.below(25) {
                0 => format!("{day},,rename,{nick},{}\n", number / 2 + random.below(60)),
                _ => format!("{day},{:02}:{:02},message,{nick},\n", random.below(24), random.below(60)),
            };
        }
    }
    csv
}

#[tokio::test]
async fn a_made_up_log_in_utc_and_berlin_days() {
    let csv = made_up();
    let (utc, berlin) = (recomputed(&csv, Tz::UTC), recomputed(&csv, Berlin));
    assert_ne!(utc.0, berlin.0, "the log must tell the zones apart");
    assert_equal(&csv, Tz::UTC).await;
    assert_equal(&csv, Berlin).await;
}

fn captured() -> Option<String> {
    let file = std::fs::File::open(real_inputs::folder()?.join("chat/ubuntu_irc_metadata.csv.gz")).unwrap();
    let mut csv = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut csv).unwrap();
    Some(csv)
}

#[tokio::test]
async fn the_captured_log_in_utc_days() {
    let Some(csv) = captured() else { return };
    assert_equal(&csv, Tz::UTC).await;
}

#[tokio::test]
async fn the_captured_log_in_berlin_days() {
    let Some(csv) = captured() else { return };
    assert_equal(&csv, Berlin).await;
}
