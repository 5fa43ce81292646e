//! Sensors: listing, showing, switching and triggering them.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::exit::{Exit, Failure};
use super::output::{duration_text, one_line, short_id, shortened, table, time_text, toned};
use super::remote::Call;
use super::session::Session;
use crate::service::{ChangedSensorView, SensorDetailView, SensorView};
use crate::store::sensor::SensorChange;

/// How much of a cursor or message is shown.
const TEXT_CHARACTERS: usize = 80;

/// Arguments of `sensor`.
#[derive(Args, Clone, Debug)]
pub struct SensorArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: SensorVerb,
}

/// What can be done with sensors.
#[derive(Clone, Debug, Subcommand)]
pub enum SensorVerb {
    /// List the sensors: whether they are on, when they were evaluated, and how far they came
    Ls,
    /// Show a sensor, and what its newest evaluations came to
    Show(SensorNameArguments),
    /// Switch a sensor off until it is resumed; what it launched goes on
    Pause(SensorNameArguments),
    /// Switch a sensor on, and evaluate it at once
    Resume(SensorNameArguments),
    /// Evaluate a sensor at once instead of at its next turn
    Trigger(SensorNameArguments),
    /// Forget how far a sensor came, or say how far; requests with a run_key are not repeated
    ResetCursor(SensorCursorArguments),
}

/// A sensor.
#[derive(Args, Clone, Debug)]
pub struct SensorNameArguments {
    /// The sensor's name
    pub name: String,
}

/// Arguments of `sensor reset-cursor`.
#[derive(Args, Clone, Debug)]
pub struct SensorCursorArguments {
    /// The sensor's name
    pub name: String,
    /// The cursor to go on from; the beginning without it
    #[arg(long, value_name = "CURSOR")]
    pub to: Option<String>,
}

pub(super) async fn sensor(session: &Session, verb: &SensorVerb) -> Result<Exit, Failure> {
    let (name, change, said) = match verb {
        SensorVerb::Ls => {
            let sensors = session.list(None, async |service| service.sensors().await, Call::get(["sensors"])).await?;
            session.output.result(&sensors, |sensors| list_text(session, sensors))?;
            return Ok(Exit::Ok);
        }
        SensorVerb::Show(arguments) => {
            let there = Call::get(["sensors", &arguments.name]);
            let sensor = session.ask(async |service| service.sensor(&arguments.name).await, there).await?;
            session.output.result(&sensor, |sensor| sensor_text(session, sensor))?;
            return Ok(Exit::Ok);
        }
        SensorVerb::Pause(arguments) => (&arguments.name, SensorChange::Pause, "is paused"),
        SensorVerb::Resume(arguments) => (&arguments.name, SensorChange::Resume, "is on and evaluated next"),
        SensorVerb::Trigger(arguments) => (&arguments.name, SensorChange::Trigger, "is evaluated next"),
        SensorVerb::ResetCursor(arguments) => {
            let change = SensorChange::Cursor(arguments.to.clone());
            (&arguments.name, change, if arguments.to.is_some() { "goes on from there" } else { "begins anew" })
        }
    };
    let there = match &change {
        SensorChange::Pause => Call::post(["sensors", name, "pause"]),
        SensorChange::Resume => Call::post(["sensors", name, "resume"]),
        SensorChange::Trigger => Call::post(["sensors", name, "trigger"]),
        SensorChange::Cursor(to) => Call::post(["sensors", name, "cursor"]).body(&serde_json::json!({ "to": to })),
    };
    let changed = session.ask(async |service| service.change_sensor(name, &change).await, there).await?;
    session.output.result(&changed, |changed| changed_text(session, changed, &change, said))?;
    Ok(Exit::Ok)
}

fn list_text(session: &Session, sensors: &[SensorView]) -> String {
    if sensors.is_empty() {
        return "There are no sensors: declare one with `.sensor(…)` where the assets are registered.".to_owned();
    }
    let zone = session.calendar().zone;
    let rows = sensors.iter().map(|sensor| {
        vec![
            sensor.sensor.clone(),
            toned(sensor.state),
            duration_text(Duration::from_secs(sensor.interval_seconds)),
            sensor.evaluated_at.map_or_else(|| "never".to_owned(), |instant| time_text(instant, zone)),
            sensor.cursor.as_deref().map_or_else(|| "·".to_owned(), |cursor| shortened(&one_line(cursor), 30)),
            shortened(&one_line(&sensor.description), TEXT_CHARACTERS),
        ]
    });
    table(&["SENSOR", "STATE", "EVERY", "EVALUATED", "CURSOR", "DESCRIPTION"], &["EVERY"], rows)
}

fn sensor_text(session: &Session, view: &SensorDetailView) -> String {
    let zone = session.calendar().zone;
    let sensor = &view.sensor;
    let every = duration_text(Duration::from_secs(sensor.interval_seconds));
    let mut lines = vec![format!("{} is {}, evaluated every {every}.", sensor.sensor, toned(sensor.state))];
    if !sensor.description.is_empty() {
        lines.push(format!("  {}", one_line(&sensor.description)));
    }
    let cursor = sensor.cursor.as_deref().map_or_else(|| "at the beginning".to_owned(), one_line);
    lines.push(format!("  cursor     {}", shortened(&cursor, TEXT_CHARACTERS)));
    for (what, instant) in [
        ("evaluated", sensor.evaluated_at),
        ("failing", sensor.failing_since),
        ("paused", sensor.paused_at),
        ("next", sensor.due_at),
    ] {
        if let Some(instant) = instant {
            lines.push(format!("  {what:<10} {}", time_text(instant, zone)));
        }
    }
    if view.evaluations.is_empty() {
        lines.push(format!("\nIt was never evaluated. A process that leads does it: {}", session.command("up")));
        return lines.join("\n");
    }
    let rows = view.evaluations.iter().map(|evaluation| {
        let runs: Vec<String> = evaluation.runs.iter().map(|&run| short_id(run)).collect();
        let until = if evaluation.until == evaluation.at { "·".to_owned() } else { time_text(evaluation.until, zone) };
        let message = evaluation.message.as_deref().map(|message| shortened(&one_line(message), TEXT_CHARACTERS));
        vec![
            time_text(evaluation.at, zone),
            until,
            toned(&evaluation.outcome),
            if runs.is_empty() { "·".to_owned() } else { runs.join(" ") },
            message.unwrap_or_else(|| "·".to_owned()),
        ]
    });
    lines.push(String::new());
    lines.push(table(&["EVALUATED", "AND UNTIL", "OUTCOME", "RUNS", "WHY"], &[], rows));
    lines.join("\n")
}

fn changed_text(session: &Session, view: &ChangedSensorView, change: &SensorChange, said: &str) -> String {
    let name = &view.sensor.sensor;
    let show = session.command(&format!("sensor show {name}"));
    match (change, view.changed) {
        (SensorChange::Pause, true) => {
            format!("Sensor {name} {said}.\n  undo    {}", session.command(&format!("sensor resume {name}")))
        }
        (SensorChange::Pause, false) => format!("Sensor {name} was paused already."),
        (SensorChange::Resume, false) => format!("Sensor {name} was on already."),
        _ => format!("Sensor {name} {said}.\n  watch   {show}"),
    }
}
