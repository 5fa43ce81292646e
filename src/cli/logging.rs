//! Log lines: to standard error for people or machines, and into the logs of steps.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Targets, dynamic_filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::exit::{Exit, Failure};
use super::options::{LogFormat, Options};
use super::output::Output;
use crate::clock::SharedClock;
use crate::engine::logs::LogCollector;

/// Installs the subscriber of this process; a second call, as in tests, changes nothing.
pub(super) fn install(
    options: &Options,
    output: &Output,
    logs: &LogCollector,
    clock: SharedClock,
) -> Result<(), Failure> {
    let default = match (options.quiet, options.verbose) {
        (true, _) => "error",
        // What a slow statement was is the business of whoever asks for more.
        (false, 0) => "warn,sqlx=error",
        (false, 1) => "info,sqlx=warn",
        (false, 2) => "debug,sqlx=info",
        (false, _) => "trace",
    };
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let wanted = if wanted.trim().is_empty() { default } else { wanted.trim() };
    let filter = EnvFilter::builder().parse(wanted).map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("RUST_LOG is `{wanted}`, which is no log filter: {error}. Write for example `info,sqlx=warn`"),
        )
    })?;
    let writer = output.clone();
    let lines =
        tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_ansi(output.colors_messages());
    let lines = match options.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // What the database driver says of statements is nothing that the asset said.
    let said = Targets::new().with_default(LevelFilter::INFO).with_target("sqlx", LevelFilter::OFF);
    // A filter of `Targets` itself would let the subscriber conclude that some events pass every filter and need no
    // question. For these it would go by the answers to the last question on the same thread, which may have been the
    // driver's, about a statement, with no event after it.
    let asked_each_time = dynamic_filter_fn(move |metadata, _| said.would_enable(metadata.target(), metadata.level()))
        .with_max_level_hint(LevelFilter::INFO);
    let steps = logs.layer(clock).with_filter(asked_each_time);
    // Fails when there is a subscriber already, which then stays.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(steps).try_init();
    Ok(())
}
