//! Sensors: what there is, what they came to, and steering them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::accounts::{Done, Role};
use super::request::quoted;
use super::{Service, ServiceError};
use crate::asset::sensor::Sensor;
use crate::core::suggest::did_you_mean;
use crate::core::word::{self, Word};
use crate::store::sensor::{SensorChange, SensorRecord, SensorTickRecord};
use crate::store::signal::Signal;

/// How many evaluations a sensor's details show.
const SHOWN_TICKS: i64 = 20;

/// A sensor as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SensorView {
    /// Its name.
    pub sensor: String,
    /// What it is for.
    pub description: String,
    /// How often it is evaluated, in seconds.
    pub interval_seconds: u64,
    /// `on`, `paused` or `failing`.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub state: Word,
    /// How far it came.
    pub cursor: Option<String>,
    /// When it is evaluated next, if a process that leads is there; `None` while it is paused.
    pub due_at: Option<DateTime<Utc>>,
    /// When an evaluation last took effect.
    pub evaluated_at: Option<DateTime<Utc>>,
    /// Since when its evaluations fail.
    pub failing_since: Option<DateTime<Utc>>,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
}

/// What evaluations came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvaluationView {
    /// When, the first of several equal ones that followed each other.
    pub at: DateTime<Utc>,
    /// The last of them.
    pub until: DateTime<Utc>,
    /// `requested`, `skipped` or `failed`.
    pub outcome: String,
    /// Why.
    pub message: Option<String>,
    /// The runs that were launched.
    pub runs: Vec<Uuid>,
}

impl From<SensorTickRecord> for EvaluationView {
    fn from(record: SensorTickRecord) -> Self {
        Self {
            at: record.tick_at,
            until: record.until_at,
            outcome: record.outcome,
            message: record.message,
            runs: record.run_ids,
        }
    }
}

/// A sensor with its newest evaluations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SensorDetailView {
    /// The sensor.
    #[serde(flatten)]
    pub sensor: SensorView,
    /// Newest first.
    pub evaluations: Vec<EvaluationView>,
}

/// A sensor after it was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedSensorView {
    /// The sensor as it stands now.
    #[serde(flatten)]
    pub sensor: SensorView,
    /// Whether this changed anything.
    pub changed: bool,
}

impl Service {
    /// All sensors, by name.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn sensors(&self) -> Result<Vec<SensorView>, ServiceError> {
        let records = self.sensor_records().await?;
        let sensors = self.definitions.sensors().iter();
        Ok(sensors.filter_map(|sensor| Some(sensor_view(sensor, record_of(&records, sensor)?))).collect())
    }

    /// One sensor with its newest evaluations.
    ///
    /// # Errors
    /// When there is no such sensor, or the state cannot be read.
    pub async fn sensor(&self, name: &str) -> Result<SensorDetailView, ServiceError> {
        let sensor = self.current_sensor(name).await?;
        let ticks = self.store.sensor_ticks(&sensor.sensor, SHOWN_TICKS).await?;
        Ok(SensorDetailView { sensor, evaluations: ticks.into_iter().map(EvaluationView::from).collect() })
    }

    /// Changes a sensor: off, on, due at once, or another cursor. An evaluation that is under way has no effect any more.
    ///
    /// # Errors
    /// When there is no such sensor, it is triggered while it is paused, or the state cannot be used.
    pub async fn change_sensor(&self, name: &str, change: &SensorChange) -> Result<ChangedSensorView, ServiceError> {
        self.authorize(Role::Operator)?;
        let before = self.current_sensor(name).await?;
        if *change == SensorChange::Trigger && before.paused_at.is_some() {
            return Err(ServiceError::Refused(format!(
                "sensor {name} is paused and is not evaluated: `sensor resume {name}` switches it on and evaluates it at once"
            )));
        }
        let action = match change {
            SensorChange::Pause => "sensor pause",
            SensorChange::Resume => "sensor resume",
            SensorChange::Trigger => "sensor trigger",
            SensorChange::Cursor(_) => "sensor reset-cursor",
        };
        let command = format!("{action} {}", quoted(&before.sensor));
        let audit = self.record_of(Done::on(action, &before.sensor, &command));
        let changed = self.store.change_sensor(&before.sensor, change, self.now(), audit).await?;
        // Whoever misses it looks by itself a little later.
        let _ = self.store.signal(Signal::Schedule).await;
        Ok(ChangedSensorView { sensor: self.current_sensor(name).await?, changed })
    }

    async fn current_sensor(&self, name: &str) -> Result<SensorView, ServiceError> {
        let sensors = self.definitions.sensors();
        let Some(sensor) = sensors.iter().find(|sensor| sensor.name == name) else {
            let near = did_you_mean(name, sensors.iter().map(|sensor| sensor.name.as_str()));
            let hint =
                near.map_or_else(|| "`sensor ls` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(ServiceError::Id(format!("there is no sensor `{}`: {hint}", name.escape_debug())));
        };
        let records = self.sensor_records().await?;
        match record_of(&records, sensor) {
            Some(record) => Ok(sensor_view(sensor, record)),
            None => Err(ServiceError::Refused(format!("sensor {name} was removed just now: give the command again"))),
        }
    }

    /// Makes sensors known that no process has seen yet, so that they can be steered before the first one starts.
    async fn sensor_records(&self) -> Result<Vec<SensorRecord>, ServiceError> {
        let sensors = self.definitions.sensors().iter();
        let declared: Vec<(&str, bool)> =
            sensors.map(|sensor| (sensor.name.as_str(), sensor.enabled_by_default)).collect();
        Ok(self.store.sensors(&declared, self.now()).await?)
    }
}

fn record_of<'r>(records: &'r [SensorRecord], sensor: &Sensor) -> Option<&'r SensorRecord> {
    records.iter().find(|record| record.name == sensor.name)
}

fn sensor_view(sensor: &Sensor, record: &SensorRecord) -> SensorView {
    SensorView {
        sensor: sensor.name.clone(),
        description: sensor.description.clone(),
        interval_seconds: sensor.interval.as_secs(),
        state: match (record.paused_at, record.failing_since) {
            (Some(_), _) => "paused",
            (None, Some(_)) => "failing",
            (None, None) => "on",
        },
        cursor: record.cursor.clone(),
        due_at: record.paused_at.is_none().then_some(record.due_at),
        evaluated_at: record.evaluated_at,
        failing_since: record.failing_since,
        paused_at: record.paused_at,
    }
}
