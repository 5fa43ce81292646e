//! The command line of the platform: Karat's verbs, and the ways data gets in.

use chrono::NaiveDate;
use clap::Subcommand;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use karat::cli::{self, Application, Connected, Exit, Failure, Session};
use karat::service::{ErrorKind, Extent, LaunchKind, PartitionState, Request};

use crate::collect::batch::Writer;
use crate::collect::ingest::{IngestArguments, ingest};
use crate::collect::progress::{Bar, Progress, Silent};
use crate::{definitions, demo, discord_alert, discord_login};

/// What can be asked of the platform.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a demonstration community of a few hundred invented people, build everything, and show the result
    Demo,
    /// Read files: Discord frames, game server logs, chat metadata, identity links
    ///
    /// Whatever was read before is recognized, so any file may be given again. Lines that cannot be read are counted
    /// and named by number, and stop nothing. The exit code is 1 when a file could not be read to its end.
    Ingest(IngestArguments),
    /// Karat's own verbs.
    #[command(flatten)]
    Karat(cli::Verb),
}

/// The platform as a program.
#[must_use]
pub fn application() -> Application {
    Application {
        name: "community",
        about: "A data platform for gaming communities",
        version: env!("CARGO_PKG_VERSION"),
        first_day: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default(),
        definitions: definitions::definitions,
        migrations: definitions::migrations,
        alert_channels: discord_alert::channels,
        login_providers: discord_login::providers,
        pages: Some(karat::web::serve),
        demonstrate: Some(|session, connected| prepare_demonstration(session, connected).boxed()),
    }
}

/// Does what the verb says.
///
/// # Errors
/// What keeps it from being done, with the exit code.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Karat(verb) => cli::run(session, verb).await,
        Verb::Ingest(arguments) => {
            session.connected(async |connected| ingest_files(session, connected, &arguments).await).await
        }
        Verb::Demo => session.connected(async |connected| demonstrate(session, connected).await).await,
    }
}

async fn ingest_files(session: &Session, connected: &Connected, arguments: &IngestArguments) -> Result<Exit, Failure> {
    let writer = writer(session, connected, arguments.source.as_str());
    let report = ingest(arguments, &writer, &mut *progress(session)).await?;
    session.output.result(&report, |report| {
        let next = session.command("backfill '*' --missing --stale");
        if report.inserted() == 0 { report.to_string() } else { format!("{report}  next    {next}") }
    })?;
    Ok(if report.is_complete() { Exit::Ok } else { Exit::Failure })
}

async fn demonstrate(session: &Session, connected: &Connected) -> Result<Exit, Failure> {
    let era = write_down(session, connected, demo::Era::FIXED, false).await?;
    let exit = match connected.service.launch(&whatever_is_to_be_built(), LaunchKind::Backfill).await {
        Ok(launched) => cli::work_off(session, connected, launched.backfill_id, &[launched.run_id], None).await?,
        Err(error) if error.kind() == ErrorKind::NothingToDo => {
            session.output.message("Everything is built already.");
            Exit::Ok
        }
        Err(error) => return Err(error.into()),
    };
    let summary = demo::summary(&connected.pool, era).await?;
    let commands = ["ls", "status", "plan gold.retention_cohorts 2026-02..2026-05 --upstream", "ingest --help"];
    let next: String = commands.iter().map(|words| format!("\n  {}", session.command(words))).collect();
    session.output.text(&format!("\n{summary}\nWhere to look next:{next}"))?;
    Ok(exit)
}

/// Sees to it that the database holds the demonstration, that of `era` unless it has one, and nothing else. A new one gets
/// a mistake in it when that is wanted.
async fn write_down(
    session: &Session,
    connected: &Connected,
    era: demo::Era,
    with_mistake: bool,
) -> Result<demo::Era, Failure> {
    if demo::would_mix(&connected.pool).await? {
        return Err(Failure::new(
            Exit::Failure,
            "this database already holds a community, and invented people would be mixed with its own. Give the \
             demonstration another database with --database-url, or another data folder with KARAT_DATA",
        ));
    }
    let found = demo::Era::found(&connected.pool).await?;
    let era = found.unwrap_or(era);
    let writer = writer(session, connected, "demo");
    session.output.message("Writing down 120 days of a community that does not exist.");
    let report = demo::ingest(&writer, era, &mut *progress(session)).await?;
    session.output.message(report.to_string().trim_end());
    if with_mistake && found.is_none() {
        demo::go_wrong(&writer, era).await?;
    }
    Ok(era)
}

fn whatever_is_to_be_built() -> Request {
    Request { states: [PartitionState::Missing, PartitionState::Stale].into(), ..Request::new("*", Extent::All) }
}

/// The community until yesterday for `up --demo`: what is to be built is launched for the worker of the process, and the
/// community lives on while that runs.
async fn prepare_demonstration(session: &Session, connected: &Connected) -> Result<BoxFuture<'static, ()>, Failure> {
    let today = session.clock.now().with_timezone(&demo::ZONE).date_naive();
    let era = write_down(session, connected, demo::Era::before(today), true).await?;
    match connected.service.launch(&whatever_is_to_be_built(), LaunchKind::Backfill).await {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NothingToDo => {}
        Err(error) => return Err(error.into()),
    }
    Ok(demo::live(writer(session, connected, "demo"), era).boxed())
}

fn writer(session: &Session, connected: &Connected, name: &str) -> Writer {
    Writer {
        pool: connected.pool.clone(),
        definitions: connected.service.definitions().clone(),
        clock: session.clock.clone(),
        name: name.to_owned(),
    }
}

fn progress(session: &Session) -> Box<dyn Progress> {
    if session.options.quiet { Box::new(Silent) } else { Box::new(Bar::default()) }
}
