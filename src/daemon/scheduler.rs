//! Schedules: launches what is due at each tick, exactly once.
//!
//! What has been carried out is one instant per schedule in the database, its watermark. A tick moves it, is recorded and
//! launches its run in one transaction, so a process may die anywhere and two processes may do this at once.
//!
//! # When the clock is wrong
//! A clock that jumps ahead fires what lies between at once, as after a sleep. When it is put right again, the watermark
//! stays ahead: nothing fires twice, and until the time has caught up nothing fires at all. Where that would take too
//! long, pausing and resuming the schedule begins at the present again.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::future::BoxFuture;

use super::tick::prepare_tick;
use super::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::core::schedule::{Missed, ScheduleSpec, TICKS_AT_ONCE, due_ticks};
use crate::core::time::time_text;
use crate::store::StoreError;
use crate::store::schedule::{NewTick, ScheduleRecord, TickKind, TickOutcome};
use crate::store::signal::Signal;

/// What a lost wake-up costs: that a resumed schedule, or a machine that slept, is noticed so late.
const INTERVAL: Duration = Duration::from_secs(60);

/// Fires the ticks of schedules. It keeps nothing in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduler;

/// What an activation did.
#[derive(Default)]
struct Report {
    launched: usize,
    others: usize,
    missed: usize,
    next_at: Option<DateTime<Utc>>,
}

impl Reconciler for Scheduler {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[Signal::Schedule]
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(async move {
            let now = context.now();
            let records = context.store.schedules().await?;
            let mut records: BTreeMap<String, ScheduleRecord> =
                records.into_iter().map(|record| (record.name.clone(), record)).collect();
            let mut report = Report::default();
            let mut refusal: Option<StoreError> = None;
            for schedule in context.definitions.schedules() {
                let record = records.remove(&schedule.name);
                match look(context, schedule, record, now, &mut report).await {
                    // It may concern this schedule alone: the others fire all the same.
                    Err(error) if !error.is_transient() => _ = refusal.get_or_insert(error),
                    looked => looked?,
                }
            }
            for record in records.values().filter(|record| record.retired_at.is_none()) {
                context.store.retire_schedule(&record.name, now).await?;
            }
            match refusal {
                Some(error) => Err(error.into()),
                None => Ok(Activation { report: report.sentence(), next_at: report.next_at }),
            }
        })
    }
}

impl Report {
    fn sentence(&self) -> Option<String> {
        let parts: Vec<String> =
            [(self.launched, "launched"), (self.others, "without a run"), (self.missed, "missed and left out")]
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
        (!parts.is_empty()).then(|| format!("ticks: {}", parts.join(", ")))
    }

    fn due_at(&mut self, instant: Option<DateTime<Utc>>) {
        self.next_at = [self.next_at, instant].into_iter().flatten().min();
    }
}

/// Looks at one schedule, and carries out what is due of it unless it is paused.
async fn look(
    context: &ReconcilerContext,
    schedule: &ScheduleSpec,
    record: Option<ScheduleRecord>,
    now: DateTime<Utc>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let record = as_declared(context, schedule, record, now).await?;
    if record.paused_at.is_some() {
        return Ok(());
    }
    carry_out(context, schedule, record, now, report).await
}

/// The schedule's row, which is made or brought up to date when it differs from the declaration.
async fn as_declared(
    context: &ReconcilerContext,
    schedule: &ScheduleSpec,
    record: Option<ScheduleRecord>,
    now: DateTime<Utc>,
) -> Result<ScheduleRecord, StoreError> {
    let expression = schedule.expression.to_string();
    let zone = context.definitions.calendar().zone.name();
    if let Some(record) = record {
        let is_same = record.expression == expression && record.zone == zone && record.retired_at.is_none();
        if is_same {
            return Ok(record);
        }
    } else {
        let enabled = schedule.enabled_by_default;
        context.store.register_schedule(&schedule.name, &expression, zone, enabled, now).await?;
    }
    context.store.declare_schedule(&schedule.name, &expression, zone, now).await
}

async fn carry_out(
    context: &ReconcilerContext,
    schedule: &ScheduleSpec,
    mut record: ScheduleRecord,
    now: DateTime<Utc>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let zone = context.definitions.calendar().zone;
    let due = due_ticks(&schedule.expression, zone, record.evaluated_until, now, schedule.catch_up);
    if let Some(missed) = due.missed {
        if !context.store.carry_out_tick(&record, &left_out(schedule, missed, zone, now), None).await? {
            return overtaken(report, now);
        }
        tracing::warn!(schedule = %schedule.name, first = %missed.first, last = %missed.last, "{}", missed.sentence());
        record.evaluated_until = missed.last;
        report.missed += missed.count;
    }
    let more = due.fire.len() == TICKS_AT_ONCE;
    for tick_at in due.fire {
        let tick =
            prepare_tick(&context.store, &context.definitions, schedule, TickKind::Scheduled, tick_at, now).await?;
        let recorded = tick.record(schedule, TickKind::Scheduled, tick_at, now);
        if !context.store.carry_out_tick(&record, &recorded, tick.launch()).await? {
            return overtaken(report, now);
        }
        record.evaluated_until = tick_at;
        match tick.outcome {
            TickOutcome::Launched => report.launched += 1,
            _ => report.others += 1,
        }
        tracing::info!(
            schedule = %schedule.name, %tick_at, outcome = tick.outcome.as_str(),
            message = tick.message.as_deref().unwrap_or_default(), "a tick was carried out"
        );
    }
    let next = if more { Some(now) } else { schedule.expression.next_after(record.evaluated_until.max(now), zone) };
    report.due_at(next);
    Ok(())
}

/// Somebody else carried the tick out, or switched or changed the schedule: how it stands now is read by the next
/// activation, at once.
fn overtaken(report: &mut Report, now: DateTime<Utc>) -> Result<(), StoreError> {
    report.due_at(Some(now));
    Ok(())
}

fn left_out<'a>(schedule: &'a ScheduleSpec, missed: Missed, zone: Tz, now: DateTime<Utc>) -> NewTick<'a> {
    let since = time_text(missed.first, zone);
    NewTick {
        schedule: &schedule.name,
        tick_at: missed.last,
        kind: TickKind::Scheduled,
        outcome: TickOutcome::Skipped,
        message: Some(format!("{} since {since} (catch_up = {})", missed.sentence(), schedule.catch_up.as_str())),
        recorded_at: now,
    }
}
