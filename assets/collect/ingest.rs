//! `community ingest`: files of a source into the bronze tables.

use std::fs::File;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use karat::engine::external::AppendError;

use super::Collector;
use super::batch::Writer;
use super::chat::ChatCollector;
use super::cs2::Cs2Collector;
use super::discord::DiscordCollector;
use super::file::ingest_file;
use super::links::LinksCollector;
use super::progress::Progress;
use super::report::{FileReport, IngestReport};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// Discord gateway frames, one JSON object per line
    Discord,
    /// Logs of Counter-Strike 2 and CS:GO servers
    Cs2,
    /// Chat metadata: day,hhmm,kind,nick_id,other_nick_id in UTC
    Irc,
    /// Identity links: account,account,source
    Links,
}

impl Source {
    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Cs2 => "cs2",
            Self::Irc => "irc",
            Self::Links => "links",
        }
    }
}

/// Which files to read, as what.
#[derive(Args, Clone, Debug)]
pub struct IngestArguments {
    /// What the files hold
    #[arg(value_enum)]
    pub source: Source,
    /// The files, plain or gzip-compressed, in the order of time
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The name of the game server
    #[arg(long, value_name = "NAME", default_value = "cs2", value_parser = server_name)]
    pub game_server: String,
    /// The zone of the game server's clock; the community's when left out
    #[arg(long, value_name = "ZONE", value_parser = server_zone)]
    pub server_zone: Option<Tz>,
    /// When frames without a time of their own were received, such as 2026-11-22T11:08:29Z
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub at: Option<DateTime<Utc>>,
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "no instant; write one with its zone, such as 2026-11-22T11:08:29Z".to_owned())
}

fn server_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "there is no such zone; write an IANA name such as Europe/Berlin or UTC".to_owned())
}

fn server_name(text: &str) -> Result<String, String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | ':');
    if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
        return Err("a server's name has 1 to 64 letters, digits, `_`, `-`, `.` or `:`".to_owned());
    }
    Ok(text.to_owned())
}

/// The collector for a source; `server` and `zone` matter to game logs, `at` to gateway frames.
#[must_use]
pub fn collector(source: Source, server: &str, zone: Tz, at: Option<DateTime<Utc>>) -> Box<dyn Collector> {
    match source {
        Source::Discord => Box::new(DiscordCollector::new(at)),
        Source::Cs2 => Box::new(Cs2Collector::new(server.to_owned(), zone)),
        Source::Irc => Box::new(ChatCollector::default()),
        Source::Links => Box::new(LinksCollector),
    }
}

/// Reads the files in their order. A file that cannot be read is reported, and the others are read all the same.
///
/// # Errors
/// When the database cannot be written: what was written stays, and the same command may be given again.
pub async fn ingest(
    arguments: &IngestArguments,
    writer: &Writer,
    progress: &mut dyn Progress,
) -> Result<IngestReport, AppendError> {
    let zone = arguments.server_zone.unwrap_or(writer.definitions.calendar().zone);
    let mut collector = collector(arguments.source, &arguments.game_server, zone, arguments.at);
    let mut report = IngestReport::default();
    for path in &arguments.files {
        let name = path.display().to_string();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => {
                report.files.push(FileReport::unreadable(&name, &error));
                continue;
            }
        };
        progress.file_started(&name, file.metadata().ok().map(|metadata| metadata.len()));
        let (returned, file_report) = ingest_file(writer, collector, &name, file, progress).await?;
        collector = returned;
        progress.file_finished(&file_report);
        report.files.push(file_report);
    }
    Ok(report)
}
