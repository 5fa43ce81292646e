//! A small installation to talk to: the example application on a test database, with a clock that stands still.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use karat::asset::calendar::Calendar;
use karat::cli::{self, Application, Captured, Output, Session, Verb};
use karat::clock::{Clock, ManualClock};
use karat::engine::external::append_rows;
use karat::engine::logs::LogCollector;
use karat::store::migrate::Migrations;
use karat::testing::TestDatabase;
use sqlx::PgPool;

#[path = "../../examples/lake/assets.rs"]
#[allow(unreachable_pub)]
pub(crate) mod assets;

pub(crate) const APPLICATION: Application = Application {
    name: "lake",
    about: "Counts events",
    version: "1.0.0",
    first_day: NaiveDate::from_ymd_opt(2026, 3, 1).unwrap(),
    definitions: assets::definitions,
    migrations: assets::migrations,
    alert_channels: || Ok(Vec::new()),
    login_providers: || Ok(Vec::new()),
    pages: Some(karat::web::serve),
    demonstrate: None,
};

pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The installation. It is Friday, 20 March 2026, 11:00 in Berlin; its first day is Sunday, 1 March.
pub(crate) struct Lake {
    pub(crate) database: TestDatabase,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) application: Application,
    pub(crate) pool: PgPool,
    pub(crate) logs: LogCollector,
}

impl Lake {
    pub(crate) async fn new() -> Self {
        Self::migrated_with(&assets::migrations()).await
    }

    pub(crate) async fn migrated_with(migrations: &Migrations) -> Self {
        let database = TestDatabase::create(migrations).await.unwrap();
        let pool = database.pool().await.unwrap();
        let clock = Arc::new(ManualClock::new(instant("2026-03-20T10:00:00Z")));
        Self { database, clock, application: APPLICATION, pool, logs: LogCollector::default() }
    }

    /// Writes `people` events of one each on every day from the `from`th to the `to`th of March, at noon UTC. Writing the
    /// same again changes nothing.
    pub(crate) async fn record(&self, from: i64, to: i64, people: i64) {
        let regions = ["europe", "america", "asia"];
        let rows: Vec<assets::Event> = (from..=to)
            .flat_map(|day| (1..=people).map(move |person| (day, person)))
            .map(|(day, person)| assets::Event {
                event_id: day * 1_000 + person,
                occurred_at: instant("2026-03-01T12:00:00Z") + TimeDelta::days(day - 1),
                person,
                region: regions[usize::try_from(person).unwrap() % regions.len()].to_owned(),
            })
            .collect();
        let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: APPLICATION.first_day };
        let definitions = assets::definitions(calendar).unwrap();
        let clock: &dyn Clock = &*self.clock;
        append_rows(&self.pool, &definitions, clock, "a file", &rows).await.unwrap();
    }

    /// What the command line answers: results, then messages that are errors, then the exit code.
    pub(crate) async fn says(&self, line: &str) -> String {
        self.answers(&words(line)).await
    }

    pub(crate) async fn answers(&self, words: &[String]) -> String {
        self.answers_at(&self.database.url(), words).await
    }

    /// The same with another database.
    pub(crate) async fn answers_at(&self, url: &str, words: &[String]) -> String {
        let fixed = ["lake", "--database-url", url, "--zone", "Europe/Berlin", "--color", "never"];
        let arguments = fixed.into_iter().map(str::to_owned).chain(words.iter().cloned());
        let (options, verb) = match cli::parse::<Verb>(&self.application, arguments) {
            Ok(parsed) => parsed,
            Err(error) => return format!("{}\n[{}]", error.to_string().lines().next().unwrap(), error.exit_code()),
        };
        let captured = Captured::default();
        let output = Output::captured(&options, &captured);
        let (clock, logs) = (self.clock.clone(), self.logs.clone());
        let session = Session { output, clock, logs, ..Session::new(self.application, options) };
        let result = cli::run(&session, verb).await;
        let exit = cli::finish(&session, result);
        let mut text = captured.take_results();
        // Progress comes and goes with the machine's mood; an error is the last thing said.
        let messages = captured.take_messages();
        if let Some(error) =
            messages.match_indices("error: ").map(|(at, _)| at).find(|&at| at == 0 || messages[..at].ends_with('\n'))
        {
            text.push_str(&messages[error..]);
        }
        format!("{text}[{}]", exit.code())
    }

    /// Several commands and their answers.
    pub(crate) async fn conversation(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            text.push_str(&format!("$ lake {line}\n{}\n", self.says(line).await));
        }
        text.trim_end().to_owned()
    }
}

/// Splits as a shell does; single quotes only.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Settings that hide what differs from run to run: ids and durations.
pub(crate) fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[uuid]");
    settings.add_filter(r"\b[0-9a-f]{8}\b", "[--id--]");
    settings.add_filter(r"\b[0-9a-f]{12}\b", "[----id----]");
    settings.add_filter(r"in \d+(\.\d)? s\b", "in [time]");
    settings.add_filter(r"\d+ kB", "[size]");
    settings.add_filter(r#""requested_by": "[^"]+""#, r#""requested_by": "[user]""#);
    settings.add_filter(r"karat/0001 [a-z ]+(, karat/\d{4} [a-z ]+)*", "karat/[migrations]");
    settings.add_filter(r"(?m)[ \t]+$", "");
    settings
}
