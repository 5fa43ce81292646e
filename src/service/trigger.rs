//! Ticks by hand: what one would build, and carrying one out.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::{Done, Role};
use super::request::quoted;
use super::view::sets_view;
use super::{AssetPartitionsView, LaunchedView, Service, ServiceError};
use crate::core::key::AssetKey;
use crate::core::time::time_text;
use crate::core::told::Told;
use crate::core::word::{self, Word};
use crate::daemon::tick::{TickMessage, plan_tick, prepare_tick};
use crate::engine::extent::ExtentError;
use crate::store::launch::RunCause;
use crate::store::schedule::TickKind;

/// What a tick at an instant builds as things stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TickPlanView {
    /// The schedule.
    pub schedule: String,
    /// The instant.
    pub tick_at: DateTime<Utc>,
    /// `launched`, `nothing` or `failed`: what would come of it.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub outcome: Word,
    /// What would be built, upstream first.
    pub partitions: Vec<AssetPartitionsView>,
    /// What is left out and why, or why nothing is built.
    #[schema(value_type = Option<String>)]
    pub message: Option<Told<TickMessage>>,
}

/// What a manual tick came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggeredView {
    /// The schedule.
    pub schedule: String,
    /// The instant whose partitions were asked for.
    pub tick_at: DateTime<Utc>,
    /// `launched`, `nothing` or `failed`.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub outcome: Word,
    /// What is left out and why, or why nothing was launched.
    pub message: Option<String>,
    /// The run; `None` when there was nothing to build.
    pub launched: Option<LaunchedView>,
}

impl Service {
    /// What the tick of a schedule at the instant `at`, or now, builds as things stand; nothing is launched.
    ///
    /// # Errors
    /// When there is no such schedule, `at` lies ahead, or the state cannot be read.
    pub async fn plan_trigger(&self, name: &str, at: Option<DateTime<Utc>>) -> Result<TickPlanView, ServiceError> {
        let schedule = self.schedule(name)?;
        let now = self.now();
        let at = self.past(at)?;
        let plan = plan_tick(&self.store, &self.definitions, schedule, at, now).await?;
        let mut partitions = sets_view(&self.definitions, &plan.sets);
        let order: BTreeMap<&AssetKey, usize> = schedule.assets.iter().zip(0..).collect();
        partitions.sort_by_key(|view| order.get(&view.asset).copied());
        Ok(TickPlanView {
            schedule: schedule.name.clone(),
            tick_at: at,
            outcome: plan.outcome().as_str(),
            partitions,
            message: plan.message(&self.definitions, schedule).map(Told::from),
        })
    }

    /// Carries out a tick of a schedule by hand, paused or not: what the tick at the instant `at` would build, or one
    /// that came now. Scheduled ticks fire as if nothing had happened, and find fresh what this builds.
    ///
    /// # Errors
    /// When there is no such schedule, `at` lies ahead, or the state cannot be used. That it cannot be made out what to build is an
    /// outcome.
    pub async fn trigger_schedule(&self, name: &str, at: Option<DateTime<Utc>>) -> Result<TriggeredView, ServiceError> {
        self.authorize(Role::Operator)?;
        let schedule = self.known(name).await?;
        let now = self.now();
        let at = self.past(at)?;
        let mut tick = prepare_tick(&self.store, &self.definitions, schedule, TickKind::Manual, at, now).await?;
        if let Some((run, _)) = &mut tick.launch {
            run.requested_by = self.requested_by();
        }
        let recorded = tick.record(schedule, TickKind::Manual, now, now);
        let at_text = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let command = format!("schedule trigger {} --at {at_text}", quoted(&schedule.name));
        let audit = self.record_of(Done {
            action: "schedule trigger",
            target: Some(&schedule.name),
            run_id: tick.launch().map(|(run, _)| run.run_id),
            command: Some(&command),
            ..Done::default()
        });
        if !self.store.trigger_tick(&recorded, tick.launch(), audit).await? {
            return Err(ServiceError::Refused(format!(
                "schedule `{name}` was triggered at this very instant already: `schedule ls` shows its run"
            )));
        }
        let launched = tick.launch.as_ref().map(|(run, steps)| LaunchedView {
            run_id: run.run_id,
            backfill_id: None,
            cause: RunCause::Schedule.as_str(),
            steps: steps.iter().map(|asset| asset.partitions.len() as u64).sum(),
            requested_at: now,
            plan: None,
        });
        let outcome = tick.outcome.as_str();
        Ok(TriggeredView { schedule: schedule.name.clone(), tick_at: at, outcome, message: tick.message, launched })
    }

    /// The instant that is meant, now unless said; one that lies ahead is refused.
    fn past(&self, at: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, ServiceError> {
        let now = self.now();
        match at.unwrap_or(now) {
            at if at <= now => Ok(at),
            at => Err(ServiceError::Extent(ExtentError::NoPartitions(format!(
                "{} lies ahead, and what such a tick builds has not ended: choose an earlier time, or leave it out for now",
                time_text(at, self.zone())
            )))),
        }
    }
}
