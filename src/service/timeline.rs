//! What ran and what will: the last and the next local day as lanes.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::run::command_of;
use super::{Service, ServiceError, TickView};
use crate::core::time::start_of_day;
use crate::store::operations::RunSpan;

/// How many of the newest runs are looked at.
const RUNS: i64 = 500;

/// How many ticks of each schedule are shown, past and to come.
const PAST_TICKS: i64 = 500;
const COMING_TICKS: usize = 100;

/// What ran, and what is due.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TimelineView {
    /// The first instant of the local day before this one.
    pub from: DateTime<Utc>,
    /// The first instant after the local day after this one.
    pub to: DateTime<Utc>,
    /// Now.
    pub now: DateTime<Utc>,
    /// The lanes: schedules by name, sensors by name, automation, backfills, requests.
    pub lanes: Vec<LaneView>,
    /// Since when all runs are shown, when there were too many to show those before.
    pub complete_since: Option<DateTime<Utc>>,
}

/// What one cause launched.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LaneView {
    /// What kind of cause.
    pub kind: LaneKind,
    /// The name of the schedule or sensor; empty for the others.
    pub name: String,
    /// What ran, by when it began.
    pub runs: Vec<SpanView>,
    /// Ticks that were, by time.
    pub past_ticks: Vec<TickView>,
    /// Ticks to come, by time; at most a hundred.
    pub coming_ticks: Vec<DateTime<Utc>>,
    /// Whether nothing of it fires as things stand.
    pub paused: bool,
}

/// What launches runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaneKind {
    /// A schedule.
    Schedule,
    /// A sensor.
    Sensor,
    /// Automation.
    Automation,
    /// Backfills and their retries.
    Backfill,
    /// People, one run at a time.
    Request,
}

/// A run as a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpanView {
    /// The run.
    pub run_id: Uuid,
    /// When it was asked for.
    pub from: DateTime<Utc>,
    /// When it ended; `None` while it is live.
    pub to: Option<DateTime<Utc>>,
    /// `running`, `succeeded`, `failed` or `canceled`.
    pub state: String,
    /// What was asked for.
    pub command: String,
}

impl Service {
    /// What ran yesterday and today, and which ticks come until the end of tomorrow. At most the newest five hundred
    /// runs are looked at.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn timeline(&self) -> Result<TimelineView, ServiceError> {
        let (now, zone) = (self.now(), self.definitions.calendar().zone);
        let today = now.with_timezone(&zone).date_naive();
        let neighbour = |date: Option<NaiveDate>| date.unwrap_or(today);
        let from = start_of_day(neighbour(today.pred_opt()), zone);
        let to = start_of_day(neighbour(today.succ_opt().and_then(|next| next.succ_opt())), zone);
        let spans = self.store.newest_run_spans(RUNS).await?;
        let oldest = spans.last().map(|span| span.requested_at);
        let is_cut = i64::try_from(spans.len()).is_ok_and(|count| count >= RUNS);
        let complete_since = oldest.filter(|oldest| is_cut && *oldest > from);
        let mut lanes: BTreeMap<(LaneKind, String), LaneView> = BTreeMap::new();
        for schedule in self.schedules().await? {
            let fires = schedule.next_tick_at.is_some();
            if schedule.selection.is_none() {
                continue;
            }
            let lane = lane(&mut lanes, LaneKind::Schedule, schedule.schedule.clone());
            lane.paused = !fires;
            let spec = self.schedule(&schedule.schedule)?;
            if fires {
                lane.coming_ticks = spec.expression.ticks_between(now, to, zone).take(COMING_TICKS).collect();
            }
        }
        for sensor in self.definitions.sensors() {
            lane(&mut lanes, LaneKind::Sensor, sensor.name.clone());
        }
        for tick in self.store.ticks_since(from, PAST_TICKS).await?.into_iter().rev() {
            lane(&mut lanes, LaneKind::Schedule, tick.schedule.clone()).past_ticks.push(tick.into());
        }
        for span in spans.into_iter().rev() {
            if span.finished_at.is_some_and(|finished| finished < from) {
                continue;
            }
            let (kind, name) = lane_of(&span);
            lane(&mut lanes, kind, name).runs.push(span_view(span));
        }
        Ok(TimelineView { from, to, now, lanes: lanes.into_values().collect(), complete_since })
    }
}

fn lane(lanes: &mut BTreeMap<(LaneKind, String), LaneView>, kind: LaneKind, name: String) -> &mut LaneView {
    lanes.entry((kind, name.clone())).or_insert_with(|| LaneView {
        kind,
        name,
        runs: Vec::new(),
        past_ticks: Vec::new(),
        coming_ticks: Vec::new(),
        paused: false,
    })
}

/// Who launched the run.
fn lane_of(span: &RunSpan) -> (LaneKind, String) {
    let named = |name: &str| {
        let name = span.cause_detail.as_ref().and_then(|detail| detail.get(name)?.as_str());
        name.unwrap_or_default().to_owned()
    };
    match span.cause.as_str() {
        "schedule" => (LaneKind::Schedule, named("schedule")),
        "sensor" => (LaneKind::Sensor, named("sensor")),
        "automation" => (LaneKind::Automation, String::new()),
        "backfill" => (LaneKind::Backfill, String::new()),
        _ => (LaneKind::Request, String::new()),
    }
}

fn span_view(span: RunSpan) -> SpanView {
    SpanView {
        run_id: span.run_id,
        from: span.requested_at,
        to: span.finished_at,
        state: span.outcome.unwrap_or_else(|| "running".to_owned()),
        command: command_of(&span.request),
    }
}
