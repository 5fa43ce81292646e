//! How everything stands, as text that is the same in every run of a test.

use std::fmt::Write;

use chrono::{DateTime, Timelike, Utc};
use chrono_tz::Tz;

use super::{Simulation, SimulationError};
use crate::asset::spec::AssetKind;
use crate::core::count::counted;
use crate::service::{AssetStatusView, PartitionsView, RunQuery, RunView};

/// The most of anything in a list: more than a text for people to compare should have. The newest are shown.
const SHOWN: u32 = 200;

impl Simulation {
    /// How everything stands: each asset's partitions by state with the reasons, rows in quarantine, the last tick of
    /// each schedule, alerts that last, and all runs with their cause and outcome. Runs are numbered in the order in which they were first heard of; times are in the calendar's zone, with the offset.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn status_text(&self) -> Result<String, SimulationError> {
        let zone = self.service.definitions().calendar().zone;
        let mut text = format!("{}\n", time_text(self.now(), zone));
        for asset in self.service.status(None).await?.assets {
            asset_text(&mut text, &asset);
        }
        for row in self.service.quarantine(None, None, SHOWN).await? {
            let partition = row.partition.as_ref().map_or("no partition", |partition| partition.as_str());
            // Writing to a text does not fail.
            let _ = writeln!(text, "quarantine {} {partition}: {}", row.asset, row.reason);
        }
        for schedule in self.service.schedules().await? {
            let tick = schedule.last_tick.map_or_else(
                || "no tick yet".to_owned(),
                |tick| format!("last tick {} {}", time_text(tick.tick_at, zone), tick.outcome),
            );
            let _ = writeln!(text, "schedule {} {}, {tick}", schedule.schedule, schedule.state.as_str());
        }
        for alert in self.service.alerts(true, None, SHOWN).await? {
            let _ = writeln!(text, "alert {} since {}", alert.title, time_text(alert.opened_at, zone));
        }
        let mut runs = self.service.runs(&RunQuery { limit: SHOWN, ..RunQuery::default() }).await?;
        runs.reverse();
        for run in &runs {
            self.run_text(&mut text, run).await?;
        }
        Ok(self.without_ids(&text))
    }

    async fn run_text(&self, text: &mut String, run: &RunView) -> Result<(), SimulationError> {
        let zone = self.service.definitions().calendar().zone;
        let number = self.number(run.run_id);
        // Writing to a text does not fail.
        let _ = write!(text, "run {number} {} {} {}", time_text(run.requested_at, zone), run.cause, run.state);
        if let Some(finished_at) = run.finished_at.filter(|finished_at| *finished_at != run.requested_at) {
            let _ = write!(text, " {}", time_text(finished_at, zone));
        }
        text.push('\n');
        let detail = self.service.run(run.run_id).await?;
        for part in &detail.partitions {
            let _ = writeln!(text, "  {} {} {}", part.asset, keys(&part.partitions), part.state);
        }
        Ok(())
    }
}

fn asset_text(text: &mut String, asset: &AssetStatusView) {
    let mut lines: Vec<String> = Vec::new();
    if asset.kind == AssetKind::External {
        if !asset.materialized.is_empty() {
            lines.push(format!("{} landed in {}", counted(asset.row_count, "row"), keys(&asset.materialized)));
        }
    } else {
        let states = [
            ("fresh", &asset.fresh),
            ("open", &asset.open),
            ("missing", &asset.missing),
            ("queued", &asset.queued),
            ("running", &asset.running),
        ];
        lines.extend(
            states
                .into_iter()
                .filter(|(_, partitions)| !partitions.is_empty())
                .map(|(state, partitions)| format!("{state} {}", keys(partitions))),
        );
        lines.extend(
            asset
                .stale_reasons
                .iter()
                .map(|stale| format!("stale {}: {}", keys(&stale.partitions), stale.reason.sentence)),
        );
        lines.extend(asset.failed_reasons.iter().map(|failed| {
            let reason = failed.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
            format!("{} {}{reason}", failed.state, keys(&failed.partitions))
        }));
    }
    if lines.is_empty() {
        lines.push("empty".to_owned());
    }
    for (index, line) in lines.iter().enumerate() {
        let name = if index == 0 { asset.asset.as_str() } else { "" };
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name:<24} {line}");
    }
}

/// The set in words, without the count.
fn keys(partitions: &PartitionsView) -> &str {
    partitions.text.rsplit_once(" (").map_or(partitions.text.as_str(), |(keys, _)| keys)
}

/// The instant in the zone, with the offset; without seconds where they are none.
pub(super) fn time_text(at: DateTime<Utc>, zone: Tz) -> String {
    let format = if at.second() == 0 && at.nanosecond() == 0 { "%Y-%m-%d %H:%M%:z" } else { "%Y-%m-%d %H:%M:%S%:z" };
    at.with_timezone(&zone).format(format).to_string()
}
