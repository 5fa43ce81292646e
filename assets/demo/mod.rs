//! A demonstration community: invented, and the same on every machine and at every time.
//!
//! A few hundred people found a community on 1 February 2026 in Berlin; newcomers follow, and stay, fade or leave. They
//! write, talk and play on three game servers, more on weekends, through the change to summer time on 29 March, until
//! 31 May: 120 days. The bot is restarted now and then, and is once away for an evening hour.
//!
//! What they do is written down as the files that a bot, three servers and an administrator would have left, and those
//! go through the same parsers and writers as anybody's: [`files`] is all there is to the demonstration.

mod days;
mod frames;
mod logs;
mod people;
mod random;
mod summary;

pub use summary::summary;

use std::io::Cursor;

use chrono::NaiveDate;
use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use karat::engine::external::AppendError;
use sqlx::PgPool;

use crate::collect::batch::Writer;
use crate::collect::file::ingest_file;
use crate::collect::ingest::{Source, collector};
use crate::collect::progress::Progress;
use crate::collect::report::IngestReport;

/// How many local days there are.
pub const DAYS: u32 = 120;

/// The zone in which these people live, and in which their game servers log.
pub const ZONE: Tz = Berlin;

const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2026, 2, 1) {
    Some(day) => day,
    None => NaiveDate::MIN,
};

/// The last local day: 31 May 2026.
#[must_use]
pub fn last_day() -> NaiveDate {
    day(DAYS - 1)
}

fn day(number: u32) -> NaiveDate {
    FIRST_DAY + chrono::Days::new(u64::from(number))
}

/// One file that the community left behind.
#[derive(Clone, Debug)]
pub struct DemoFile {
    /// What it would be called.
    pub name: String,
    /// What it holds.
    pub source: Source,
    /// The game server whose log it is; empty for other files.
    pub server: &'static str,
    /// The file.
    pub content: Vec<u8>,
}

/// All files, in the order in which they are to be read: links, the gateway's frames, the logs of three game servers.
#[must_use]
pub fn files() -> Vec<DemoFile> {
    let people = people::people();
    let life = days::life(&people);
    let mut files = vec![DemoFile {
        name: "links.csv".to_owned(),
        source: Source::Links,
        server: "",
        content: people::links(&people).into_bytes(),
    }];
    files.push(DemoFile {
        name: "gateway.jsonl".to_owned(),
        source: Source::Discord,
        server: "",
        content: frames::frames(&people, &life.guild).into_bytes(),
    });
    for (server, visits) in people::SERVERS.iter().zip(&life.visits) {
        files.push(DemoFile {
            name: format!("{server}.log"),
            source: Source::Cs2,
            server,
            content: logs::log(&people, visits).into_bytes(),
        });
    }
    files
}

/// Reads all files into the bronze tables, as `community ingest` would.
///
/// # Errors
/// When the database cannot be written; it may be repeated then.
pub async fn ingest(writer: &Writer, progress: &mut dyn Progress) -> Result<IngestReport, AppendError> {
    let mut report = IngestReport::default();
    for file in files() {
        progress.file_started(&file.name, u64::try_from(file.content.len()).ok());
        let collector = collector(file.source, file.server, ZONE, None);
        let (_, file_report) = ingest_file(writer, collector, &file.name, Cursor::new(file.content), progress).await?;
        progress.file_finished(&file_report);
        report.files.push(file_report);
    }
    Ok(report)
}

/// Whether the database holds a community other than this one, and not yet this one: invented people would be mixed
/// with real ones.
///
/// # Errors
/// When the bronze tables cannot be read.
pub async fn would_mix(pool: &PgPool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select not exists (select from bronze.discord_messages where guild_id = $1)
            and (exists (select from bronze.discord_messages)
                or exists (select from bronze.discord_voice_states)
                or exists (select from bronze.discord_members)
                or exists (select from bronze.game_log_events)
                or exists (select from bronze.chat_messages)
                or exists (select from bronze.identity_links))",
    )
    .bind(i64::try_from(frames::GUILD).unwrap_or(i64::MAX))
    .fetch_one(pool)
    .await
}
