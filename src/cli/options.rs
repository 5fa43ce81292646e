//! The options that every command takes.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::{ArgAction, Args, ValueEnum};

use super::alert::SecretText;
use super::exit::{Exit, Failure};
use crate::core::suggest::did_you_mean;

const HEADING: &str = "Options for every command";

/// The zone of an installation that names none.
const DEFAULT_ZONE: Tz = Tz::Europe__Berlin;

/// The options that every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = HEADING)]
pub struct Options {
    /// The PostgreSQL database to use, postgres://USER:PASSWORD@HOST:PORT/DATABASE; without it, a private server
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<DatabaseUrl>,
    /// Ask the server of an installation elsewhere instead of a database: https://HOST:PORT
    #[arg(long, value_name = "URL", env = "KARAT_SERVER", global = true)]
    pub server: Option<String>,
    /// The token of an account there; better in KARAT_TOKEN or a file, where no list of processes shows it
    #[arg(long, value_name = "TOKEN", env = "KARAT_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<SecretText>,
    /// The file that holds the token
    #[arg(long, value_name = "FILE", env = "KARAT_TOKEN_FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// Send the token also where nothing is encrypted
    #[arg(long, global = true)]
    pub insecure: bool,
    /// The zone whose midnights separate days
    #[arg(long, value_name = "ZONE", env = "KARAT_ZONE", default_value = DEFAULT_ZONE.name(), value_parser = zone, global = true)]
    pub zone: Tz,
    /// The first local day that has data, YYYY-MM-DD: partitions begin with it
    #[arg(long, value_name = "DATE", env = "KARAT_FIRST_DAY", value_parser = first_day, global = true)]
    pub first_day: Option<FirstDay>,
    /// Write results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log more: -v, -vv, -vvv. RUST_LOG says more precisely what
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// The form of log lines: text or json
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text, hide_possible_values = true, global = true)]
    pub log_format: LogFormat,
    /// When to use colors: auto, always or never
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto, hide_possible_values = true, global = true)]
    pub color: Color,
}

impl Options {
    /// The token to show to a server: that on the command line or in the environment, or that in the file.
    pub(super) fn token(&self) -> Result<Option<String>, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let text = match (&self.token, &self.token_file) {
            (Some(token), _) => token.secret().to_owned(),
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
                usage(format!("--token-file names {}, which cannot be read: {error}", path.display()))
            })?,
            (None, None) => return Ok(None),
        };
        let text = text.trim();
        // It does not repeat the text, which is a secret.
        match text.is_empty() || text.chars().any(|character| !character.is_ascii_graphic()) {
            true if text.is_empty() => Ok(None),
            true => Err(usage("the token has characters that no token has".to_owned())),
            false => Ok(Some(text.to_owned())),
        }
    }

    /// The options that say which calendar is meant, as far as the environment does not say the same: to be put after a
    /// hint, with a leading blank. A database's URL may hold a password and is not repeated.
    pub(super) fn repeated(&self) -> String {
        let missing = |variable: &str, value: &str| std::env::var(variable).map_or(true, |text| text.trim() != value);
        let mut words = String::new();
        if let Some(server) = &self.server {
            // The calendar is the server's.
            if missing("KARAT_SERVER", server.trim()) {
                words.push_str(&format!(" --server {}", server.trim()));
            }
            return words;
        }
        if self.zone != DEFAULT_ZONE && missing("KARAT_ZONE", self.zone.name()) {
            words.push_str(" --zone ");
            words.push_str(self.zone.name());
        }
        if let Some(FirstDay(Some(day))) = self.first_day
            && missing("KARAT_FIRST_DAY", &day.to_string())
        {
            words.push_str(&format!(" --first-day {day}"));
        }
        words
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Whether to use colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where the database is. It may hold a password, so it does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL itself, to connect with and not to print.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseUrl(…)")
    }
}

/// The first day with data; `None` when the variable is there and blank, which means the application's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstDay(pub Option<NaiveDate>);

fn first_day(text: &str) -> Result<FirstDay, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(FirstDay(None));
    }
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(date) => Ok(FirstDay(Some(date))),
        Err(_) => Err("no date of the calendar; write YYYY-MM-DD, such as 2026-01-31".to_owned()),
    }
}

fn zone(text: &str) -> Result<Tz, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(DEFAULT_ZONE);
    }
    text.parse().map_err(|_| match did_you_mean(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())) {
        Some(near) => format!("there is no such zone; did you mean `{near}`?"),
        None => "there is no such zone; write an IANA name such as Europe/Berlin or UTC".to_owned(),
    })
}
