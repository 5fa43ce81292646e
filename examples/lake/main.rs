//! A whole application in two files: `cargo run --example lake -- --help`.
//!
//! It counts events by day, by week, by region, and as a whole. `lake record` writes some events; `lake backfill '*'
//! --missing` counts them. Without `DATABASE_URL` it runs its own private PostgreSQL.

// Its row structs are public because tables are, although nobody outside sees them.
#[allow(unreachable_pub)]
mod assets;

use std::process::ExitCode;

use chrono::{NaiveDate, TimeDelta};
use karat::cli::{self, Application, Exit};
use karat::clock::Clock;
use karat::engine::external::append_rows;

#[derive(clap::Subcommand)]
enum Verb {
    /// Write events of the last days, the same ones each time
    Record {
        /// How many days back
        #[arg(long, default_value_t = 20)]
        days: u32,
    },
    #[command(flatten)]
    Karat(cli::Verb),
}

fn main() -> ExitCode {
    let application = Application {
        name: "lake",
        about: "Counts events: an example of an application built with Karat",
        version: env!("CARGO_PKG_VERSION"),
        first_day: NaiveDate::from_ymd_opt(2026, 3, 1).unwrap_or_default(),
        definitions: assets::definitions,
        migrations: assets::migrations,
        alert_channels: || Ok(Vec::new()),
        login_providers: || Ok(Vec::new()),
        pages: Some(karat::web::serve),
        demonstrate: None,
    };
    cli::main(application, async |session, verb: Verb| match verb {
        Verb::Karat(verb) => cli::run(session, verb).await,
        Verb::Record { days } => {
            session
                .connected(async |connected| {
                    let today = session.clock.now().date_naive().and_hms_opt(12, 0, 0).unwrap_or_default().and_utc();
                    let regions = ["europe", "america", "asia"];
                    let rows: Vec<assets::Event> = (1..=i64::from(days))
                        .flat_map(|day| (0..day % 7 + 1).map(move |person| (day, person)))
                        .map(|(day, person)| {
                            let occurred_at = today - TimeDelta::days(day);
                            let event_id = occurred_at.timestamp() / 86_400 * 100 + person;
                            let region = regions[usize::try_from(person).unwrap_or(0) % regions.len()].to_owned();
                            assets::Event { event_id, occurred_at, person, region }
                        })
                        .collect();
                    let definitions = connected.service.definitions();
                    let clock: &dyn Clock = &*session.clock;
                    let appended = append_rows(&connected.pool, definitions, clock, "lake record", &rows).await?;
                    session.output.text(&format!(
                        "{} events are new, {} were there.\n  next    {}",
                        appended.inserted,
                        appended.duplicates,
                        session.command("backfill '*' --missing")
                    ))?;
                    Ok(Exit::Ok)
                })
                .await
        }
    })
}
