//! Schedules: listing, looking ahead, switching and triggering them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use clap::{Args, Subcommand};

use super::exit::{Exit, Failure};
use super::foreground::Work;
use super::launch::carry_out;
use super::output::{counted, grouped, short_id, table, time_text, toned};
use super::remote::Call;
use super::session::Session;
use super::verb::ModeArguments;
use crate::core::time::instant_of;
use crate::service::{
    ClockChange, ScheduleState, ScheduleView, SwitchedView, TickPlanView, TriggeredView, UpcomingView,
};

/// Arguments of `schedule`.
#[derive(Args, Clone, Debug)]
pub struct ScheduleArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: ScheduleVerb,
}

/// What can be done with schedules.
#[derive(Clone, Debug, Subcommand)]
pub enum ScheduleVerb {
    /// List the schedules: whether they are on, their last tick and their next one
    Ls,
    /// Show when schedules fire next, or about a date, with offsets from UTC
    Next(ScheduleNextArguments),
    /// Switch a schedule off until it is resumed; what it launched goes on
    Pause(ScheduleNameArguments),
    /// Switch a schedule on; what fell into its pause never fires
    Resume(ScheduleNameArguments),
    /// Carry out a tick now, whether the schedule is on or not
    Trigger(ScheduleTriggerArguments),
}

/// A schedule.
#[derive(Args, Clone, Debug)]
pub struct ScheduleNameArguments {
    /// The schedule's name
    pub name: String,
}

/// Arguments of `schedule next`.
#[derive(Args, Clone, Debug)]
pub struct ScheduleNextArguments {
    /// The schedule's name; all schedules without any
    pub name: Option<String>,
    /// About this local date instead of from now on, such as a day on which the clock is changed
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub around: Option<NaiveDate>,
    /// How many ticks; with --around, of each schedule
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub count: u16,
}

/// Arguments of `schedule trigger`.
#[derive(Args, Clone, Debug)]
pub struct ScheduleTriggerArguments {
    /// The schedule's name
    pub name: String,
    /// Build what the tick at this time would: 2026-03-01T03:15 on local clocks, or with an offset, 2026-03-01T02:15Z
    #[arg(long, value_name = "TIME", value_parser = point)]
    pub at: Option<Point>,
    /// Where and whether it is carried out.
    #[command(flatten)]
    pub mode: ModeArguments,
}

/// A point in time as a person writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Written with its offset from UTC.
    Instant(DateTime<Utc>),
    /// Written as clocks in the calendar's zone show it.
    Local(NaiveDateTime),
}

impl Point {
    fn instant(self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Local(local) => instant_of(local, zone),
        }
    }
}

fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| "no date of the calendar; write YYYY-MM-DD, such as 2026-10-25".to_owned())
}

fn point(text: &str) -> Result<Point, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(Point::Instant(instant.to_utc()));
    }
    let minutes = text.strip_suffix('Z').and_then(|text| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok());
    if let Some(minutes) = minutes {
        return Ok(Point::Instant(minutes.and_utc()));
    }
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"].iter();
    local
        .filter_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .next()
        .or_else(|| date(text).ok().map(|date| date.and_time(NaiveTime::MIN)))
        .map(Point::Local)
        .ok_or_else(|| "no point in time; write 2026-03-01T03:15, or with an offset 2026-03-01T02:15:00Z".to_owned())
}

pub(super) async fn schedule(session: &Session, verb: &ScheduleVerb) -> Result<Exit, Failure> {
    match verb {
        ScheduleVerb::Ls => {
            let there = Call::get(["schedules"]);
            let schedules = session.list(None, async |service| service.schedules().await, there).await?;
            session.output.result(&schedules, |schedules| list_text(session, schedules))?;
        }
        ScheduleVerb::Next(arguments) => {
            let (name, around, count) = (arguments.name.as_deref(), arguments.around, usize::from(arguments.count));
            let there = Call::get(["ticks"]).with("schedule", name).with("around", around).with("count", Some(count));
            let upcoming =
                session.ask(async |service| service.upcoming_ticks(name, around, count).await, there).await?;
            session.output.result(&upcoming, |upcoming| upcoming_text(session, upcoming))?;
        }
        ScheduleVerb::Pause(arguments) => {
            let there = Call::post(["schedules", &arguments.name, "pause"]);
            let switched = session.ask(async |service| service.pause_schedule(&arguments.name).await, there).await?;
            session.output.result(&switched, |switched| switched_text(session, switched))?;
        }
        ScheduleVerb::Resume(arguments) => {
            let there = Call::post(["schedules", &arguments.name, "resume"]);
            let switched = session.ask(async |service| service.resume_schedule(&arguments.name).await, there).await?;
            session.output.result(&switched, |switched| switched_text(session, switched))?;
        }
        ScheduleVerb::Trigger(arguments) => return trigger(session, arguments).await,
    }
    Ok(Exit::Ok)
}

const NONE_DECLARED: &str = "There are no schedules: declare one with `.schedule(…)` where the assets are registered.";

fn list_text(session: &Session, schedules: &[ScheduleView]) -> String {
    if schedules.is_empty() {
        return NONE_DECLARED.to_owned();
    }
    let zone = session.calendar().zone;
    let time = |instant: Option<DateTime<Utc>>| instant.map_or_else(String::new, |instant| time_text(instant, zone));
    let rows = schedules.iter().map(|schedule| {
        let last = schedule.last_tick.as_ref();
        vec![
            schedule.schedule.clone(),
            schedule.expression.clone(),
            schedule.selection.clone().unwrap_or_default(),
            toned(schedule.state.as_str()),
            last.map_or_else(|| "none".to_owned(), |tick| time_text(tick.tick_at, zone)),
            last.map_or_else(String::new, |tick| {
                let by_hand = if tick.kind == "manual" { ", by hand" } else { "" };
                format!("{}{by_hand}", toned(&tick.outcome))
            }),
            time(schedule.next_tick_at),
        ]
    });
    let mut text = table(&["SCHEDULE", "CRON", "SELECTION", "STATE", "LAST TICK", "OUTCOME", "NEXT TICK"], &[], rows);
    for schedule in schedules {
        let mut lines = Vec::new();
        if !schedule.description.is_empty() {
            lines.push(schedule.description.clone());
        }
        if let Some(tick) = &schedule.last_tick {
            lines.extend(tick.message.clone());
            lines.extend(tick.run_id.map(|run| session.command(&format!("run show {}", short_id(run)))));
        }
        if schedule.state == ScheduleState::Paused {
            lines.push(session.command(&format!("schedule resume {}", schedule.schedule)));
        }
        if !lines.is_empty() {
            text.push_str(&format!("\n\n{}\n  {}", schedule.schedule, lines.join("\n  ")));
        }
    }
    text
}

fn upcoming_text(session: &Session, upcoming: &UpcomingView) -> String {
    if upcoming.ticks.is_empty() {
        return format!("No schedule is on. To see them all: {}", session.command("schedule ls"));
    }
    let zone = session.calendar().zone;
    let rows = upcoming.ticks.iter().map(|tick| {
        let mut notes = Vec::new();
        if tick.paused {
            notes.push("paused");
        }
        notes.extend(tick.clock.map(|clock| clock.sentence()));
        vec![time_text(tick.tick_at, zone), tick.schedule.clone(), notes.join("; ")]
    });
    let mut text = table(&["TICK", "SCHEDULE", "NOTE"], &[], rows);
    if !upcoming.clock_changes.is_empty() {
        text.push('\n');
    }
    for change in &upcoming.clock_changes {
        text.push_str(&change_text(change, &upcoming.zone, zone));
    }
    text
}

fn change_text(change: &ClockChange, name: &str, zone: Tz) -> String {
    let seconds = change.offset_seconds_after - change.offset_seconds_before;
    let (way, by) = (if seconds < 0 { "back" } else { "ahead" }, seconds.unsigned_abs());
    let by = if by % 3_600 == 0 { format!("{} h", by / 3_600) } else { format!("{} min", by / 60) };
    format!("\nClocks in {name} are put {way} by {by}, to {}.", time_text(change.at, zone))
}

fn switched_text(session: &Session, switched: &SwitchedView) -> String {
    let (schedule, zone) = (&switched.schedule, session.calendar().zone);
    let already = if switched.changed { "" } else { " already" };
    match (schedule.paused_at, schedule.next_tick_at) {
        (Some(since), _) => format!(
            "Schedule {} is paused{already}, since {}.\n  undo    {}",
            schedule.schedule,
            time_text(since, zone),
            session.command(&format!("schedule resume {}", schedule.schedule))
        ),
        (None, next) => format!(
            "Schedule {} is on{already}; its next tick is {}.\n  undo    {}",
            schedule.schedule,
            next.map_or_else(|| "never".to_owned(), |next| format!("at {}", time_text(next, zone))),
            session.command(&format!("schedule pause {}", schedule.schedule))
        ),
    }
}

async fn trigger(session: &Session, arguments: &ScheduleTriggerArguments) -> Result<Exit, Failure> {
    let zone = session.calendar().zone;
    let at = arguments.at.map(|at| at.instant(zone));
    let name = arguments.name.as_str();
    session
        .instance(async |instance| {
            if arguments.mode.dry_run {
                let there = Call::get(["schedules", name, "plan"]).with("at", at.map(|at| at.to_rfc3339()));
                let plan = instance.ask(async |service| service.plan_trigger(name, at).await, there).await?;
                session.output.result(&plan, |plan| plan_text(session, plan))?;
                return Ok(if plan.outcome == "failed" { Exit::Failure } else { Exit::Ok });
            }
            let there = Call::post(["schedules", name, "trigger"]).body(&serde_json::json!({ "at": at }));
            let triggered = instance.ask(async |service| service.trigger_schedule(name, at).await, there).await?;
            let message = triggered.message.as_deref();
            match &triggered.launched {
                None if triggered.outcome == "failed" => {
                    Err(Failure::new(Exit::Failure, message.unwrap_or("nothing could be launched")))
                }
                Some(launched) if !arguments.mode.detach => {
                    match message.map(sentence) {
                        Some(message) if session.output.is_json() => session.output.message(&message),
                        Some(message) => session.output.text(&message)?,
                        None => {}
                    }
                    carry_out(session, instance, launched, None, false).await
                }
                _ => {
                    session.output.result(&triggered, |triggered| triggered_text(session, triggered))?;
                    Ok(Exit::Ok)
                }
            }
        })
        .await
}

fn triggered_text(session: &Session, triggered: &TriggeredView) -> String {
    let mut lines: Vec<String> = triggered.message.as_deref().map(sentence).into_iter().collect();
    if let Some(launched) = &triggered.launched {
        let work = Work::of(launched.backfill_id, launched.run_id);
        lines.push(format!("Launched {}: {}.", work.name(), counted(launched.steps, "partition")));
        for (what, words) in [("watch  ", work.show()), ("undo   ", work.cancel()), ("work on", work.resume())] {
            lines.push(format!("  {what} {}", session.command(&words)));
        }
    }
    lines.join("\n")
}

fn plan_text(session: &Session, plan: &TickPlanView) -> String {
    let zone = session.calendar().zone;
    let mut text = format!("The tick of {} at {} ", plan.schedule, time_text(plan.tick_at, zone));
    if plan.partitions.is_empty() {
        text.push_str("builds nothing.");
    } else {
        text.push_str("builds what is not fresh of these at its turn:\n\n");
        let rows = plan
            .partitions
            .iter()
            .map(|set| vec![set.asset.to_string(), grouped(set.partitions.count), set.partitions.text.clone()]);
        text.push_str(&table(&["ASSET", "COUNT", "PARTITIONS"], &["COUNT"], rows));
    }
    if let Some(message) = &plan.message {
        text.push_str(&format!("\n\n{}", sentence(message)));
    }
    text
}

/// A message as a sentence of its own.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
