//! Measures the budgets as ratios: each thing beside the least that PostgreSQL itself needs for it, on the same server,
//! in alternation. `bench/run` runs it; `bench/README.md` says how to read it.

mod backfill;
mod declarations;
mod lake;
mod launching;
mod no_op;
mod report;
mod rounds;
mod server;

use std::time::Instant;

use report::{Format, Report};
use server::Server;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let format = if arguments.iter().any(|argument| argument == "--json") { Format::Json } else { Format::Table };
    // Cargo adds `--bench`; what is left are the names of the parts to run.
    let parts: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| *wanted == part);
    let mut report = Report::new(Instant::now());
    if wanted("declarations") {
        // Before anything else has taken memory.
        declarations::measure(&mut report)?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let server = Server::start(&mut report).await?;
        if wanted("no_op") {
            no_op::measure(&server, &mut report).await?;
        }
        if wanted("launching") {
            launching::measure(&server, &mut report).await?;
        }
        if wanted("backfill") {
            backfill::measure(&server, &mut report).await?;
        }
        server.stop().await
    })?;
    report.print(format)
}
