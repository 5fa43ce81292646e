//! The timeline: what ran since yesterday, and what is due until tomorrow, as lanes.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, TimeDelta, Timelike, Utc};

use super::App;
use super::access::Viewer;
use super::page::{Page, PageResult, TimeText, rendered};
use crate::service::{LaneKind, LaneView, SpanView, TimelineView};

/// The picture's width in its own units, and where time begins in it: names stand before.
const WIDTH: f64 = 1_200.0;
const LEFT: f64 = 170.0;

/// The heights of a bar with the room around it, and of the scale above all.
const ROW: f64 = 14.0;
const SCALE: f64 = 40.0;

/// The fewest units a bar is wide: short runs are seen, too.
const SHORTEST: f64 = 4.0;

/// A lane has so many rows of bars at most; what finds no room is counted.
const ROWS: usize = 6;

/// Every so many hours there is a line.
const HOURS: i64 = 6;

/// A line across all lanes.
struct Line {
    x: f64,
    text: String,
    /// Whether a day begins there.
    is_midnight: bool,
}

struct BarOfRun {
    x: f64,
    y: f64,
    width: f64,
    class: &'static str,
    address: String,
    title: String,
}

struct Mark {
    x: f64,
    title: String,
    /// Whether its time has come.
    is_past: bool,
}

struct Lane {
    title: String,
    address: String,
    y: f64,
    height: f64,
    bars: Vec<BarOfRun>,
    marks: Vec<Mark>,
    /// Runs for which there was no room.
    hidden: usize,
    paused: bool,
}

#[derive(Template)]
#[template(path = "timeline.html")]
struct Timeline {
    page: Page,
    timeline: TimelineView,
    lanes: Vec<Lane>,
    lines: Vec<Line>,
    height: f64,
    now_x: f64,
}

impl Timeline {
    fn new(page: Page, timeline: TimelineView) -> Self {
        let scale = Scale { from: timeline.from, to: timeline.to };
        let mut y = SCALE;
        let mut lanes = Vec::with_capacity(timeline.lanes.len());
        for view in &timeline.lanes {
            let lane = lane(&page, view, scale, timeline.now, y);
            y += lane.height;
            lanes.push(lane);
        }
        let lines = lines(&page, scale);
        Self { now_x: scale.x(timeline.now), lanes, lines, height: y + 8.0, timeline, page }
    }

    fn width(&self) -> f64 {
        WIDTH
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.bars.is_empty() && lane.marks.is_empty())
    }

    fn now_text(&self) -> TimeText {
        self.page.time_offset(&self.timeline.now)
    }

    /// How long the shown days are, when one of them is shorter or longer than usual.
    fn unusual(&self) -> Option<String> {
        let hours = (self.timeline.to - self.timeline.from).num_hours();
        (hours != 72).then(|| format!("{hours} h"))
    }
}

/// From instants to places.
#[derive(Clone, Copy)]
struct Scale {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Scale {
    fn x(self, at: DateTime<Utc>) -> f64 {
        let seconds = |length: TimeDelta| f64::from(i32::try_from(length.num_seconds()).unwrap_or(i32::MAX));
        let share = seconds(at.clamp(self.from, self.to) - self.from) / seconds(self.to - self.from).max(1.0);
        // A tenth of a unit is less than anybody sees, and keeps the page small.
        ((LEFT + share * (WIDTH - LEFT)) * 10.0).round() / 10.0
    }
}

/// The hours at which local clocks show a multiple of six, whatever the length of the day.
fn lines(page: &Page, scale: Scale) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut at = scale.from;
    while at <= scale.to {
        let local = at.with_timezone(&page.zone);
        if i64::from(local.hour()) % HOURS == 0 && local.minute() == 0 {
            let is_midnight = local.hour() == 0;
            let text = if is_midnight { local.format("%Y-%m-%d") } else { local.format("%H:%M") };
            lines.push(Line { x: scale.x(at), text: text.to_string(), is_midnight });
        }
        at += TimeDelta::minutes(30);
    }
    lines
}

fn lane(page: &Page, view: &LaneView, scale: Scale, now: DateTime<Utc>, y: f64) -> Lane {
    let (title, address) = match view.kind {
        LaneKind::Schedule => (view.name.clone(), format!("/schedules/{}", view.name)),
        LaneKind::Sensor => (view.name.clone(), format!("/sensors/{}", view.name)),
        LaneKind::Automation => (page.t("Automation", "Automatik").to_owned(), "/automation".to_owned()),
        LaneKind::Backfill => (page.t("Backfills", "Backfills").to_owned(), "/backfills".to_owned()),
        LaneKind::Request => (page.t("Requests", "Anforderungen").to_owned(), "/runs".to_owned()),
    };
    // What finds no room is neither a failure nor new.
    let mut runs: Vec<&SpanView> = view.runs.iter().collect();
    runs.sort_by_key(|run| (run.state != "failed", std::cmp::Reverse(run.from)));
    let mut rows: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut bars = Vec::new();
    let mut hidden = 0;
    for run in runs {
        let x = scale.x(run.from);
        let width = ((scale.x(run.to.unwrap_or(now)) - x).max(SHORTEST) * 10.0).round() / 10.0;
        let (from, to) = (x - 1.0, x + width + 1.0);
        let is_free = |row: &Vec<(f64, f64)>| row.iter().all(|&(left, right)| to <= left || from >= right);
        let row = match rows.iter().position(is_free) {
            Some(row) => row,
            None if rows.len() < ROWS => {
                rows.push(Vec::new());
                rows.len() - 1
            }
            None => {
                hidden += 1;
                continue;
            }
        };
        if let Some(taken) = rows.get_mut(row) {
            taken.push((x, x + width));
        }
        bars.push(BarOfRun {
            x,
            y: y + 6.0 + ROW * f64::from(u32::try_from(row).unwrap_or(0)),
            width,
            class: match run.state.as_str() {
                "succeeded" => "fresh",
                "failed" => "failed",
                "canceled" => "canceled",
                _ => "running",
            },
            address: format!("/runs/{}", run.run_id),
            title: run_title(page, run, now),
        });
    }
    let past = view.past_ticks.iter().map(|tick| Mark {
        x: scale.x(tick.tick_at),
        title: format!("{} {}", page.time_offset(&tick.tick_at).text(), page.state_word(&tick.outcome)),
        is_past: true,
    });
    let coming = view.coming_ticks.iter().map(|at| Mark {
        x: scale.x(*at),
        title: page.time_offset(at).text().to_owned(),
        is_past: false,
    });
    let rows = f64::from(u32::try_from(rows.len().max(1)).unwrap_or(1));
    Lane {
        title,
        address,
        y,
        height: ROW * rows + 14.0,
        bars,
        marks: past.chain(coming).collect(),
        hidden,
        paused: view.paused,
    }
}

fn run_title(page: &Page, run: &SpanView, now: DateTime<Utc>) -> String {
    let length = page.duration_precise(run.to.unwrap_or(now) - run.from);
    let command = page.shortened(&run.command, 120);
    format!("{command}: {}, {} ({length})", page.state_word(&run.state), page.time_offset(&run.from).text())
}

async fn timeline(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    rendered(&Timeline::new(page, app.service.timeline().await?))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/timeline", get(timeline))
}
