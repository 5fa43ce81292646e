//! Schedules and sensors: what launches runs by itself, when it does, and its switches.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum_extra::extract::Query;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;

use super::App;
use super::access::{Operator, Viewer};
use super::address::address;
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use super::parts::Action;
use crate::core::schedule::ClockNote;
use crate::core::shown::shown;
use crate::core::time::instant_of;
use crate::service::{
    ClockChange, Extent, ScheduleState, ScheduleView, SensorDetailView, SensorView, TickPlace, TickPlanView, TickView,
    UpcomingView,
};
use crate::store::sensor::SensorChange;

/// How many ticks to come are listed, of all schedules and of one.
const COMING: usize = 8;

/// How many ticks about a change of the clock are shown.
const ABOUT_A_CHANGE: usize = 6;

/// How many ticks that were a page lists.
const PAST: u32 = 25;

#[derive(Template)]
#[template(path = "schedules.html")]
struct Schedules {
    page: Page,
    schedules: Vec<ScheduleView>,
    upcoming: UpcomingView,
}

async fn list(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    let schedules = app.service.schedules().await?;
    let upcoming = app.service.upcoming_ticks(None, None, COMING).await?;
    rendered(&Schedules { page, schedules, upcoming })
}

#[derive(Template)]
#[template(path = "schedules/one.html")]
struct One {
    page: Page,
    schedule: ScheduleView,
    upcoming: UpcomingView,
    /// The ticks about the next change of the clock, where there is one.
    change: Option<UpcomingView>,
    ticks: Vec<TickView>,
    /// Where the older ones are.
    older: Option<String>,
    is_first: bool,
}

#[derive(Deserialize)]
struct History {
    /// Where the newer ones end.
    before: Option<String>,
}

async fn one(
    _: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(name): Path<String>,
    Query(history): Query<History>,
) -> PageResult {
    let service = &app.service;
    let schedule = service.schedule_named(&name).await?;
    let is_declared = schedule.selection.is_some();
    let (upcoming, change) = if is_declared {
        let upcoming = service.upcoming_ticks(Some(&name), None, COMING).await?;
        let change = match service.next_clock_change() {
            Some(date) => Some(service.upcoming_ticks(Some(&name), Some(date), ABOUT_A_CHANGE).await?),
            None => None,
        };
        (upcoming, change)
    } else {
        (UpcomingView { zone: schedule.zone.clone(), ticks: Vec::new(), clock_changes: Vec::new() }, None)
    };
    let before: Option<TickPlace> = match &history.before {
        Some(text) => {
            let refused = || PageError::BadRequest(format!("`{}` is no place among ticks", page.shortened(text, 80)));
            Some(text.parse().map_err(|()| refused())?)
        }
        None => None,
    };
    let mut ticks = service.ticks(&schedule.schedule, before.as_ref(), PAST + 1).await?;
    let shown = usize::try_from(PAST).unwrap_or(usize::MAX);
    let last = if ticks.len() > shown { ticks.get(shown - 1).map(TickView::place) } else { None };
    let path = format!("/schedules/{}", schedule.schedule);
    let older = last.map(|last| address(&path, [("before", last.to_string().as_str())]));
    ticks.truncate(shown);
    rendered(&One { page, schedule, upcoming, change, ticks, older, is_first: before.is_none() })
}

impl One {
    fn actions(&self) -> Vec<Action<'_>> {
        let (page, name) = (&self.page, &self.schedule.schedule);
        let switch = |verb: &str, title| {
            Action::new(page, format!("/schedules/{name}/{verb}"), title, &format!("schedule {verb} {name}"))
        };
        match self.schedule.state {
            ScheduleState::On => vec![switch("pause", page.t("Switch off", "Ausschalten"))],
            ScheduleState::Paused => vec![switch("resume", page.t("Switch on", "Einschalten")).primary()],
            ScheduleState::Retired => Vec::new(),
        }
    }
}

impl Page {
    /// Which partitions a tick builds, in words.
    fn extent<'a>(&self, extent: &'a Extent) -> &'a str
    where
        Self: 'a,
    {
        match extent {
            Extent::Newest => match self.language_tag() {
                "de" => "die neueste, die beim Tick zu Ende war",
                _ => "the newest that had ended at the tick",
            },
            Extent::All => match self.language_tag() {
                "de" => "alle, die beim Tick zu Ende waren",
                _ => "all that had ended at the tick",
            },
            Extent::Text(text) => text,
        }
    }

    /// What becomes of missed ticks, in words.
    fn catch_up(&self, policy: &str) -> &'static str {
        match policy {
            "all" => self.t(
                "All missed ticks fire, oldest first, each for the partitions that were the newest then.",
                "Alle verpassten Ticks werden ausgelöst, die ältesten zuerst, jeder für die Partitionen, die damals die neuesten waren.",
            ),
            "last" => self.t(
                "Of several missed ticks the newest fires; the others are noted as left out.",
                "Von mehreren verpassten Ticks wird der neueste ausgelöst; die anderen werden als ausgelassen vermerkt.",
            ),
            _ => self.t(
                "Missed ticks never fire; only one that is a moment late does.",
                "Verpasste Ticks werden nie ausgelöst; nur einer, der einen Moment zu spät ist.",
            ),
        }
    }

    /// What the clock does to a tick, in words.
    fn clock_note(&self, note: &ClockNote) -> &'static str {
        match note {
            ClockNote::Skipped => self.t(
                "the clock jumps over the time itself: first instant after it",
                "die Uhr überspringt diese Zeit: erster Augenblick danach",
            ),
            ClockNote::FirstPass => {
                self.t("the clock shows this time twice: first pass", "die Uhr zeigt diese Zeit zweimal: erstes Mal")
            }
            ClockNote::SecondPass => {
                self.t("the clock shows this time twice: second pass", "die Uhr zeigt diese Zeit zweimal: zweites Mal")
            }
        }
    }

    /// A change of the clock: `+02:00 → +01:00`.
    fn offsets(&self, change: &ClockChange) -> String {
        let text = |seconds: i32| {
            let sign = if seconds < 0 { '\u{2212}' } else { '+' };
            let minutes = seconds.unsigned_abs() / 60;
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        };
        format!("{} → {}", text(change.offset_seconds_before), text(change.offset_seconds_after))
    }
}

async fn pause(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Redirect, PageError> {
    let switched = operator.service(&app).pause_schedule(&name).await?;
    Ok(back(&switched.schedule.schedule, if switched.changed { "switched-off" } else { "unchanged" }))
}

async fn resume(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Redirect, PageError> {
    let switched = operator.service(&app).resume_schedule(&name).await?;
    Ok(back(&switched.schedule.schedule, if switched.changed { "switched-on" } else { "unchanged" }))
}

fn back(name: &str, done: &str) -> Redirect {
    Redirect::to(&format!("/schedules/{name}?done={done}"))
}

/// At which time a tick is to be carried out by hand.
#[derive(Default, Deserialize)]
#[serde(default)]
struct At {
    at: String,
}

impl At {
    /// The instant; `None` is now. Without an offset it is a time of the community's clocks.
    fn instant(&self, page: &Page) -> Result<Option<DateTime<Utc>>, PageError> {
        let text = self.at.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return Ok(Some(instant.to_utc()));
        }
        let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
        let local = local.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let shown = shown(text);
        local.map(|local| Some(instant_of(local, page.zone))).ok_or_else(|| {
            PageError::BadRequest(format!("`{shown}` is no time: write it as 2026-03-01T03:15, or with an offset"))
        })
    }
}

#[derive(Template)]
#[template(path = "schedules/trigger.html")]
struct Trigger {
    page: Page,
    at: String,
    plan: TickPlanView,
}

impl Trigger {
    fn action(&self) -> Action<'_> {
        let (page, name) = (&self.page, &self.plan.schedule);
        let at = if self.at.is_empty() { String::new() } else { format!(" --at {}", self.at.replace(' ', "T")) };
        let command = format!("schedule trigger {name}{at} --detach");
        let title = page.t("Trigger the tick", "Tick auslösen");
        Action::new(page, format!("/schedules/{name}/trigger"), title, &command).primary().with("at", self.at.clone())
    }
}

async fn plan(
    _: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(name): Path<String>,
    Query(at): Query<At>,
) -> PageResult {
    let plan = app.service.plan_trigger(&name, at.instant(&page)?).await?;
    rendered(&Trigger { page, at: at.at.trim().to_owned(), plan })
}

async fn trigger(
    operator: Operator,
    State(app): State<Arc<App>>,
    page: Page,
    Path(name): Path<String>,
    Form(at): Form<At>,
) -> Result<Redirect, PageError> {
    let triggered = operator.service(&app).trigger_schedule(&name, at.instant(&page)?).await?;
    Ok(back(
        &triggered.schedule,
        match triggered.outcome {
            "launched" => "launched",
            "nothing" => "nothing",
            _ => "tick-failed",
        },
    ))
}

#[derive(Template)]
#[template(path = "sensors.html")]
struct Sensors {
    page: Page,
    sensors: Vec<SensorView>,
}

async fn sensors(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    rendered(&Sensors { page, sensors: app.service.sensors().await? })
}

#[derive(Template)]
#[template(path = "sensors/one.html")]
struct OneSensor {
    page: Page,
    sensor: SensorDetailView,
}

impl OneSensor {
    fn actions(&self) -> Vec<Action<'_>> {
        let (page, name) = (&self.page, &self.sensor.sensor.sensor);
        let action = |verb: &str, title| {
            Action::new(page, format!("/sensors/{name}/{verb}"), title, &format!("sensor {verb} {name}"))
        };
        if self.sensor.sensor.paused_at.is_some() {
            return vec![action("resume", page.t("Switch on", "Einschalten")).primary()];
        }
        vec![
            action("trigger", page.t("Evaluate now", "Jetzt auswerten")).primary(),
            action("pause", page.t("Switch off", "Ausschalten")),
        ]
    }
}

async fn one_sensor(_: Viewer, State(app): State<Arc<App>>, page: Page, Path(name): Path<String>) -> PageResult {
    let sensor = app.service.sensor(&name).await?;
    rendered(&OneSensor { page, sensor })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CursorForm {
    cursor: String,
}

async fn change_sensor(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path((name, verb)): Path<(String, String)>,
    Form(form): Form<CursorForm>,
) -> Result<Redirect, PageError> {
    let (change, done) = match verb.as_str() {
        "pause" => (SensorChange::Pause, "switched-off"),
        "resume" => (SensorChange::Resume, "sensor-on"),
        "trigger" => (SensorChange::Trigger, "evaluated"),
        "cursor" => {
            let cursor = form.cursor.trim();
            (SensorChange::Cursor((!cursor.is_empty()).then(|| cursor.to_owned())), "cursor")
        }
        _ => return Err(PageError::NothingHere),
    };
    let changed = operator.service(&app).change_sensor(&name, &change).await?;
    let done = if changed.changed { done } else { "unchanged" };
    Ok(Redirect::to(&format!("/sensors/{}?done={done}", changed.sensor.sensor)))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/schedules", get(list))
        .route("/schedules/{name}", get(one))
        .route("/schedules/{name}/pause", post(pause))
        .route("/schedules/{name}/resume", post(resume))
        .route("/schedules/{name}/trigger", get(plan).post(trigger))
        .route("/sensors", get(sensors))
        .route("/sensors/{name}", get(one_sensor))
        .route("/sensors/{name}/{verb}", post(change_sensor))
}
