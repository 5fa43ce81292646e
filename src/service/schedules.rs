//! Schedules: what there is, when they fire, and steering them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::accounts::{Done, Role};
use super::request::quoted;
use super::{Extent, Service, ServiceError};
use crate::core::key::AssetKey;
use crate::core::schedule::{ClockNote, ScheduleSpec, clock_note, ticks_around};
use crate::core::shown::shown;
use crate::core::suggest::did_you_mean;
use crate::core::time::{next_offset_change, offset_seconds};
use crate::core::word::{self, Word};
use crate::store::schedule::{ScheduleRecord, TickRecord};
use crate::store::signal::Signal;

/// Whether a schedule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    /// It does.
    On,
    /// It is switched off.
    Paused,
    /// It is not declared any more.
    Retired,
}

impl ScheduleState {
    /// The word used in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Paused => "paused",
            Self::Retired => "retired",
        }
    }
}

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleView {
    /// Its name.
    pub schedule: String,
    /// Its cron expression.
    pub expression: String,
    /// The zone in which the expression is read.
    pub zone: String,
    /// Whether it fires.
    pub state: ScheduleState,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// What it is for.
    pub description: String,
    /// Its selection; `None` for a retired one.
    pub selection: Option<String>,
    /// The assets that means, upstream first.
    pub assets: Vec<AssetKey>,
    /// Which of their partitions; `None` for a retired one.
    pub partitions: Option<Extent>,
    /// What becomes of missed ticks: `all`, `last` or `none`; `None` for a retired one.
    #[serde(deserialize_with = "word::read_some")]
    #[schema(value_type = Option<String>)]
    pub catch_up: Option<Word>,
    /// Its newest tick.
    pub last_tick: Option<TickView>,
    /// When it fires next, if it is on.
    pub next_tick_at: Option<DateTime<Utc>>,
}

/// A tick that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TickView {
    /// Its instant.
    pub tick_at: DateTime<Utc>,
    /// `scheduled` or `manual`.
    pub kind: String,
    /// `launched`, `nothing`, `skipped` or `failed`.
    pub outcome: String,
    /// Its run.
    pub run_id: Option<Uuid>,
    /// What was left out and why, or why nothing was launched.
    pub message: Option<String>,
    /// When it was carried out.
    pub recorded_at: DateTime<Utc>,
}

/// Where in the ticks of a schedule that were: a tick by hand may be at the instant of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickPlace {
    /// The instant of the tick.
    pub at: DateTime<Utc>,
    /// `scheduled` or `manual`.
    pub kind: String,
}

impl TickView {
    /// Where the ticks before this one begin.
    #[must_use]
    pub fn place(&self) -> TickPlace {
        TickPlace { at: self.tick_at, kind: self.kind.clone() }
    }
}

impl fmt::Display for TickPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.at.to_rfc3339(), self.kind)
    }
}

impl FromStr for TickPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, kind) = text.rsplit_once('/').ok_or(())?;
        if !matches!(kind, "scheduled" | "manual") {
            return Err(());
        }
        Ok(Self { at: at.parse().map_err(|_| ())?, kind: kind.to_owned() })
    }
}

/// Ticks to come, or about a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpcomingView {
    /// The zone in which the expressions are read.
    pub zone: String,
    /// The ticks, ascending.
    pub ticks: Vec<UpcomingTick>,
    /// The changes of the clock between the first and the last of them.
    pub clock_changes: Vec<ClockChange>,
}

/// A tick to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpcomingTick {
    /// Its schedule.
    pub schedule: String,
    /// Its instant.
    pub tick_at: DateTime<Utc>,
    /// The same as clocks in the zone show it, with the offset from UTC.
    pub local: String,
    /// What the zone's clock does to it.
    pub clock: Option<ClockNote>,
    /// Whether it does not fire as things stand, because its schedule is paused.
    pub paused: bool,
}

/// A moment at which clocks in a zone are changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockChange {
    /// The first instant with the other offset.
    pub at: DateTime<Utc>,
    /// How many seconds local time was ahead of UTC before.
    pub offset_seconds_before: i32,
    /// How many it is from then on.
    pub offset_seconds_after: i32,
}

/// What a switch of a schedule did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwitchedView {
    /// Whether it was in the other position.
    pub changed: bool,
    /// The schedule as it stands.
    #[serde(flatten)]
    pub schedule: ScheduleView,
}

impl Service {
    /// All schedules by name: those declared, and after them those that only the state remembers.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn schedules(&self) -> Result<Vec<ScheduleView>, ServiceError> {
        let mut records: BTreeMap<String, ScheduleRecord> =
            self.store.schedules().await?.into_iter().map(|record| (record.name.clone(), record)).collect();
        let mut ticks: BTreeMap<String, TickRecord> =
            self.store.newest_ticks().await?.into_iter().map(|tick| (tick.schedule.clone(), tick)).collect();
        let mut views: Vec<ScheduleView> = Vec::new();
        for schedule in self.definitions.schedules() {
            let record = records.remove(&schedule.name);
            views.push(self.declared_view(schedule, record.as_ref(), ticks.remove(&schedule.name)));
        }
        views.extend(records.into_values().map(|record| retired_view(&record, ticks.remove(&record.name))));
        Ok(views)
    }

    fn declared_view(
        &self,
        schedule: &ScheduleSpec,
        record: Option<&ScheduleRecord>,
        tick: Option<TickRecord>,
    ) -> ScheduleView {
        let (now, zone) = (self.now(), self.definitions.calendar().zone);
        let paused_at = record.and_then(|record| record.paused_at);
        let is_on = is_on(schedule, record);
        let watermark = record.map_or(now, |record| record.evaluated_until);
        ScheduleView {
            schedule: schedule.name.clone(),
            expression: schedule.expression.to_string(),
            zone: zone.name().to_owned(),
            state: if is_on { ScheduleState::On } else { ScheduleState::Paused },
            paused_at,
            description: schedule.description.clone(),
            selection: Some(schedule.selection.to_string()),
            assets: schedule.assets.clone(),
            partitions: Some(schedule.partitions.clone()),
            catch_up: Some(schedule.catch_up.as_str()),
            last_tick: tick.map(TickView::from),
            next_tick_at: is_on.then(|| schedule.expression.next_after(now.max(watermark), zone)).flatten(),
        }
    }

    /// One schedule.
    ///
    /// # Errors
    /// When there is no such schedule, or the state cannot be read.
    pub async fn schedule_named(&self, name: &str) -> Result<ScheduleView, ServiceError> {
        let found = self.schedules().await?.into_iter().find(|view| view.schedule == name.trim());
        found.ok_or_else(|| unknown(name, self.definitions.schedules()))
    }

    /// The ticks of a schedule that were, newest first: at most `limit`, after that place.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn ticks(
        &self,
        name: &str,
        after: Option<&TickPlace>,
        limit: u32,
    ) -> Result<Vec<TickView>, ServiceError> {
        let after = after.map(|place| (place.at, place.kind.as_str()));
        Ok(self.store.ticks(name, after, i64::from(limit)).await?.into_iter().map(TickView::from).collect())
    }

    /// The local date on which clocks in the calendar's zone are changed next, within the next thirteen months.
    #[must_use]
    pub fn next_clock_change(&self) -> Option<NaiveDate> {
        let (now, zone) = (self.now(), self.definitions.calendar().zone);
        let change = next_offset_change(now, now + TimeDelta::days(396), zone)?;
        Some(change.with_timezone(&zone).date_naive())
    }

    /// The next `count` ticks of a schedule, or of all together that are on; about a date instead of from now on when
    /// `around` is given, half of them before and half after the change of the clock on that day or its beginning, and
    /// `count` of each schedule.
    ///
    /// # Errors
    /// When there is no such schedule, or the state cannot be read.
    pub async fn upcoming_ticks(
        &self,
        name: Option<&str>,
        around: Option<NaiveDate>,
        count: usize,
    ) -> Result<UpcomingView, ServiceError> {
        let (now, zone) = (self.now(), self.definitions.calendar().zone);
        let records: BTreeMap<String, ScheduleRecord> =
            self.store.schedules().await?.into_iter().map(|record| (record.name.clone(), record)).collect();
        let mut ticks = Vec::new();
        let chosen = match name {
            Some(name) => std::slice::from_ref(self.schedule(name)?),
            None => self.definitions.schedules(),
        };
        for schedule in chosen {
            let record = records.get(&schedule.name);
            let paused = !is_on(schedule, record);
            if paused && name.is_none() {
                continue;
            }
            let since = record.map_or(now, |record| record.evaluated_until.max(now));
            let instants = match around {
                Some(date) => ticks_around(&schedule.expression, zone, date, count),
                None => schedule.expression.ticks_between(since, DateTime::<Utc>::MAX_UTC, zone).take(count).collect(),
            };
            ticks.extend(instants.into_iter().map(|tick_at| UpcomingTick {
                schedule: schedule.name.clone(),
                tick_at,
                local: tick_at.with_timezone(&zone).to_rfc3339(),
                clock: clock_note(&schedule.expression, tick_at, zone),
                paused,
            }));
        }
        ticks.sort_by(|left, right| (left.tick_at, &left.schedule).cmp(&(right.tick_at, &right.schedule)));
        if around.is_none() {
            ticks.truncate(count);
        }
        let clock_changes = clock_changes(&ticks, zone);
        Ok(UpcomingView { zone: zone.name().to_owned(), ticks, clock_changes })
    }

    /// Switches a schedule off: none of its ticks fires until it is resumed. What it launched goes on.
    ///
    /// # Errors
    /// When there is no such schedule, or the state cannot be used.
    pub async fn pause_schedule(&self, name: &str) -> Result<SwitchedView, ServiceError> {
        self.authorize(Role::Operator)?;
        let schedule = self.known(name).await?;
        let command = format!("schedule pause {}", quoted(&schedule.name));
        let audit = self.record_of(Done::on("schedule pause", &schedule.name, &command));
        let changed = self.store.pause_schedule(&schedule.name, self.now(), audit).await?;
        self.switched(&schedule.name, changed).await
    }

    /// Switches a schedule on. Ticks that fell into the pause never fire.
    ///
    /// # Errors
    /// When there is no such schedule, or the state cannot be used.
    pub async fn resume_schedule(&self, name: &str) -> Result<SwitchedView, ServiceError> {
        self.authorize(Role::Operator)?;
        let schedule = self.known(name).await?;
        let command = format!("schedule resume {}", quoted(&schedule.name));
        let audit = self.record_of(Done::on("schedule resume", &schedule.name, &command));
        let changed = self.store.resume_schedule(&schedule.name, self.now(), audit).await?;
        self.switched(&schedule.name, changed).await
    }

    /// The declared schedule, which the state knows from now on.
    pub(super) async fn known(&self, name: &str) -> Result<&ScheduleSpec, ServiceError> {
        let schedule = self.schedule(name)?;
        let (expression, zone) = (schedule.expression.to_string(), self.definitions.calendar().zone.name());
        let enabled = schedule.enabled_by_default;
        self.store.register_schedule(&schedule.name, &expression, zone, enabled, self.now()).await?;
        Ok(schedule)
    }

    async fn switched(&self, name: &str, changed: bool) -> Result<SwitchedView, ServiceError> {
        // Whoever misses it looks by itself a little later.
        let _ = self.store.signal(Signal::Schedule).await;
        let schedule = self.schedules().await?.into_iter().find(|view| view.schedule == name);
        let schedule = schedule.ok_or_else(|| unknown(name, &[]))?;
        Ok(SwitchedView { changed, schedule })
    }

    pub(super) fn schedule(&self, name: &str) -> Result<&ScheduleSpec, ServiceError> {
        let schedules = self.definitions.schedules();
        schedules.iter().find(|schedule| schedule.name == name.trim()).ok_or_else(|| unknown(name, schedules))
    }
}

/// Whether the switch is on; of one that nobody has seen yet, whether it will be.
fn is_on(schedule: &ScheduleSpec, record: Option<&ScheduleRecord>) -> bool {
    record.map_or(schedule.enabled_by_default, |record| record.paused_at.is_none())
}

/// The changes of the clock between the first and the last tick; no more of them than ticks.
fn clock_changes(ticks: &[UpcomingTick], zone: Tz) -> Vec<ClockChange> {
    let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else { return Vec::new() };
    let next = |since: DateTime<Utc>| {
        next_offset_change(since, last.tick_at, zone).map(|at| ClockChange {
            at,
            offset_seconds_before: offset_seconds(since, zone),
            offset_seconds_after: offset_seconds(at, zone),
        })
    };
    std::iter::successors(next(first.tick_at), |change| next(change.at)).take(ticks.len()).collect()
}

fn unknown(name: &str, schedules: &[ScheduleSpec]) -> ServiceError {
    let shown = shown(name);
    let hint = match did_you_mean(name, schedules.iter().map(|schedule| schedule.name.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`schedule ls` lists those there are".to_owned(),
    };
    ServiceError::Id(format!("there is no schedule `{shown}`: {hint}"))
}

fn retired_view(record: &ScheduleRecord, tick: Option<TickRecord>) -> ScheduleView {
    ScheduleView {
        schedule: record.name.clone(),
        expression: record.expression.clone(),
        zone: record.zone.clone(),
        state: ScheduleState::Retired,
        paused_at: record.paused_at,
        description: String::new(),
        selection: None,
        assets: Vec::new(),
        partitions: None,
        catch_up: None,
        last_tick: tick.map(TickView::from),
        next_tick_at: None,
    }
}

impl From<TickRecord> for TickView {
    fn from(tick: TickRecord) -> Self {
        Self {
            tick_at: tick.tick_at,
            kind: tick.kind,
            outcome: tick.outcome,
            run_id: tick.run_id,
            message: tick.message,
            recorded_at: tick.recorded_at,
        }
    }
}
