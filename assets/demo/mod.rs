//! A demonstration community: invented, and the same on every machine.
//!
//! A few hundred people found a community in Berlin; newcomers follow, and stay, fade or leave. They write, talk and play
//! on three game servers, more on weekends, for 120 days: those from 1 February to 31 May 2026, or those before the day
//! on which one looks ([`Era`]). The bot is restarted now and then, and is once away for an evening hour. [`live`] lets
//! it go on while somebody looks.
//!
//! What they do is written down as the files that a bot, three servers and an administrator would have left, and those
//! go through the same parsers and writers as anybody's: [`files`] is all there is to the demonstration.

mod days;
mod frames;
mod live;
mod logs;
mod people;
mod random;
mod summary;

pub use live::live;
pub use summary::summary;

use std::collections::BTreeMap;
use std::io::Cursor;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use karat::core::time::instant_of;
use karat::engine::external::AppendError;
use sqlx::PgPool;

use crate::account::AccountId;
use crate::bronze::DiscordMessages;
use crate::collect::batch::{Batch, Writer};
use crate::collect::file::ingest_file;
use crate::collect::ingest::{Source, collector};
use crate::collect::progress::Progress;
use crate::collect::report::IngestReport;

/// How many local days there are.
pub const DAYS: u32 = 120;

/// The zone in which these people live, and in which their game servers log.
pub const ZONE: Tz = Berlin;

/// The id of the one message whose length is negative: an import went wrong, and a check finds it.
const WRONG_MESSAGE: i64 = 390_000_000_000_000_900;

/// When all this happens. Whatever the first day, the same people live through the same number of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    first_day: NaiveDate,
}

impl Era {
    /// From 1 February to 31 May 2026, through the change to summer time.
    pub const FIXED: Self = Self {
        first_day: match NaiveDate::from_ymd_opt(2026, 2, 1) {
            Some(day) => day,
            None => NaiveDate::MIN,
        },
    };

    /// The days that end with the one before `today`.
    #[must_use]
    pub fn before(today: NaiveDate) -> Self {
        Self { first_day: today - Days::new(u64::from(DAYS)) }
    }

    /// The era of the demonstration in that database; `None` when there is none.
    ///
    /// # Errors
    /// When the bronze tables cannot be read.
    pub async fn found(pool: &PgPool) -> Result<Option<Self>, sqlx::Error> {
        let first: Option<DateTime<Utc>> = sqlx::query_scalar(
            "select min(at) from bronze.discord_connection
             where exists (select from bronze.discord_connection where guild_id = $1)",
        )
        .bind(guild())
        .fetch_one(pool)
        .await?;
        Ok(first.map(|first| Self { first_day: first.with_timezone(&ZONE).date_naive() }))
    }

    /// The last local day.
    #[must_use]
    pub fn last_day(self) -> NaiveDate {
        self.day(DAYS - 1)
    }

    fn day(self, number: u32) -> NaiveDate {
        self.first_day + Days::new(u64::from(number))
    }
}

fn guild() -> i64 {
    i64::try_from(frames::GUILD).unwrap_or(i64::MAX)
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

/// All files, in the order in which they are to be read: the gateway's frames, the logs of three game servers, links.
#[must_use]
pub fn files(era: Era) -> Vec<DemoFile> {
    let people = people::people();
    let life = days::life(&people, era);
    let mut files = vec![DemoFile {
        name: "gateway.jsonl".to_owned(),
        source: Source::Discord,
        server: "",
        content: frames::frames(&people, &life.guild, era).into_bytes(),
    }];
    for (server, visits) in people::SERVERS.iter().zip(&life.visits) {
        files.push(DemoFile {
            name: format!("{server}.log"),
            source: Source::Cs2,
            server,
            content: logs::log(&people, visits, era).into_bytes(),
        });
    }
    files.push(DemoFile {
        name: "links.csv".to_owned(),
        source: Source::Links,
        server: "",
        content: people::links(&people).into_bytes(),
    });
    files
}

/// Reads all files into the bronze tables, as `community ingest` would.
///
/// # Errors
/// When the database cannot be written; it may be repeated then.
pub async fn ingest(writer: &Writer, era: Era, progress: &mut dyn Progress) -> Result<IngestReport, AppendError> {
    let mut report = IngestReport::default();
    for file in files(era) {
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
        "select not exists (select from bronze.discord_connection where guild_id = $1)
            and (exists (select from bronze.discord_messages)
                or exists (select from bronze.discord_voice_states)
                or exists (select from bronze.discord_members)
                or exists (select from bronze.game_log_events)
                or exists (select from bronze.chat_messages)
                or exists (select from bronze.identity_links))",
    )
    .bind(guild())
    .fetch_one(pool)
    .await
}

/// Writes down one message that cannot be, on the day before the era's last: a check finds it, and what reads that day
/// waits until [`live`] has put it right.
///
/// # Errors
/// When the database cannot be written.
pub async fn go_wrong(writer: &Writer, era: Era) -> Result<(), AppendError> {
    let noon = instant_of(era.day(DAYS - 2).and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default()), ZONE);
    let author = people::people().into_iter().find_map(|person| person.discord).unwrap_or_default();
    let message = DiscordMessages {
        account_id: AccountId::discord(author).into_string(),
        at: noon,
        message_id: WRONG_MESSAGE,
        guild_id: guild(),
        channel_id: guild(),
        characters: -1_000_000,
        bot: false,
    };
    let batch = Batch { messages: vec![message], ..Batch::default() };
    writer.write(&batch, &mut BTreeMap::new()).await
}

/// Takes the message that cannot be back; whether it was there.
async fn put_right(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query("delete from bronze.discord_messages where message_id = $1")
        .bind(WRONG_MESSAGE)
        .execute(pool)
        .await?;
    Ok(deleted.rows_affected() > 0)
}
