//! Measures the budgets as ratios: each thing beside the least that PostgreSQL itself needs for it, on the same server,
//! in alternation. `bench/run` runs it; `bench/README.md` says how to read it.

mod backfill;
mod declarations;
mod first_row;
mod growth;
mod idle;
mod lake;
mod launching;
mod no_op;
mod processor;
mod report;
mod rounds;
mod scale;
mod server;

use std::time::Instant;

use anyhow::{Context, bail};
use report::{Format, Report};
use server::Server;

/// What was asked for on the command line.
#[derive(Debug, Default)]
pub(crate) struct Options {
    format: Format,
    /// Whether to show what the server did in each part, as its extension `pg_stat_statements` counts it.
    pub(crate) statements: bool,
    /// `--setting name=value`: settings of the server besides the usual ones.
    pub(crate) server_settings: Vec<(String, String)>,
    parts: Vec<String>,
    /// How long an idle process is watched.
    minutes: u64,
    /// How much of the large installation is made, in percent of its partitions.
    percent: u32,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self { minutes: 10, percent: 100, ..Self::default() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo adds this one.
                "--bench" => {}
                "--json" => options.format = Format::Json,
                "--statements" => options.statements = true,
                "--minutes" => {
                    options.minutes =
                        arguments.next().unwrap_or_default().parse().context("--minutes wants a number")?
                }
                "--percent" => {
                    options.percent =
                        arguments.next().unwrap_or_default().parse().context("--percent wants a number")?
                }
                "--setting" => {
                    let setting = arguments.next().unwrap_or_default();
                    let (name, value) = setting.split_once('=').context("--setting wants name=value")?;
                    options.server_settings.push((name.to_owned(), value.to_owned()));
                }
                part if PARTS.contains(&part) => options.parts.push(argument),
                other => bail!("{other} is neither an option nor one of the parts {}", PARTS.join(", ")),
            }
        }
        Ok(options)
    }
}

const PARTS: [&str; 9] =
    ["declarations", "no_op", "launching", "first_row", "backfill", "growth", "idle", "scale", "load"];

fn main() -> anyhow::Result<()> {
    // The server of pages that the part `scale` starts.
    if let [_, verb, url, now] = std::env::args().collect::<Vec<_>>().as_slice()
        && verb == "serve"
    {
        return tokio::runtime::Runtime::new()?.block_on(scale::serve(url, now));
    }
    let options = Options::parse(std::env::args().skip(1))?;
    let wanted = |part: &str| options.parts.is_empty() || options.parts.iter().any(|wanted| wanted == part);
    let mut report = Report::new(Instant::now());
    if wanted("declarations") {
        // Before anything else has taken memory.
        declarations::measure(&mut report)?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let server = Server::start(&mut report, &options).await?;
        if wanted("no_op") {
            no_op::measure(&server, &mut report).await?;
            if options.statements {
                server.print_statements().await?;
            }
        }
        if wanted("launching") {
            launching::measure(&server, &mut report).await?;
            if options.statements {
                server.print_statements().await?;
            }
        }
        if wanted("first_row") {
            first_row::measure(&server, &mut report).await?;
        }
        if wanted("backfill") {
            backfill::measure(&server, &mut report).await?;
            if options.statements {
                server.print_statements().await?;
            }
        }
        if wanted("growth") {
            growth::measure(&server, &mut report).await?;
        }
        // Takes ten minutes and needs another program: only when asked for.
        if options.parts.iter().any(|part| part == "idle") {
            idle::measure(&server, &mut report, options.minutes).await?;
        }
        // So do these two.
        for part in ["scale", "load"] {
            if options.parts.iter().any(|wanted| wanted == part) {
                scale::measure(&server, &mut report, options.percent, part == "load").await?;
            }
        }
        server.stop().await
    })?;
    report.print(options.format)
}
