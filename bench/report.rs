//! The table of measurements.

use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde::Serialize;

/// How the report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
}

/// One measurement, with its budget when it has one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// The figure the budget is about.
    pub(crate) measured: f64,
    /// `×` for a ratio, else a unit.
    pub(crate) unit: &'static str,
    /// At most so much.
    pub(crate) budget: Option<f64>,
    /// `within` or `above`.
    pub(crate) verdict: Option<&'static str>,
    /// What the figure is made of.
    pub(crate) detail: String,
}

/// The rows in the order in which they were measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// The machine and server, as far as figures depend on them.
    machine: Vec<String>,
    #[serde(skip)]
    begun: Instant,
}

impl Report {
    pub(crate) fn new(begun: Instant) -> Self {
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        Self { rows: Vec::new(), machine: vec![format!("{processors} processors, load {load} at the start")], begun }
    }

    pub(crate) fn machine(&mut self, fact: String) {
        self.machine.push(fact);
    }

    /// Adds a figure, and says it at once to whoever waits.
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        budget: Option<f64>,
        detail: String,
    ) {
        let what = what.into();
        eprintln!("{:5.1} s  {what}: {measured:.2} {unit} ({detail})", self.begun.elapsed().as_secs_f64());
        let verdict = budget.map(|budget| if measured <= budget { "within" } else { "above" });
        self.rows.push(Row { what, measured, unit, budget, verdict, detail });
    }

    pub(crate) fn print(&self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Json => println!("{}", serde_json::to_string_pretty(self)?),
            Format::Table => {
                let mut table = Table::new();
                table.load_style(ASCII_MARKDOWN).set_header(["what", "measured", "budget", "verdict", "made of"]);
                for row in &self.rows {
                    table.add_row([
                        row.what.clone(),
                        format!("{:.2} {}", row.measured, row.unit),
                        row.budget.map_or_else(String::new, |budget| format!("≤ {budget} {}", row.unit)),
                        row.verdict.unwrap_or_default().to_owned(),
                        row.detail.clone(),
                    ]);
                }
                println!("{table}\n\n{}.", self.machine.join("; "));
            }
        }
        Ok(())
    }
}

/// Milliseconds for people.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let value = duration.as_secs_f64() * 1_000.0;
    if value < 100.0 { format!("{value:.1} ms") } else { format!("{value:.0} ms") }
}
