//! The janitor: keeps the state from growing without end.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use super::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::core::count::counted;
use crate::engine::WorkerSettings;
use crate::engine::marks::file_marks;
use crate::store::StoreError;
use crate::store::garbage::{Cutoffs, Removable, Retention};
use crate::store::signal::Signal;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// A process that has just begun has better things to do.
const FIRST: TimeDelta = TimeDelta::minutes(1);

/// How often history is looked through: that reads tables from end to end, for what is kept for months.
const HISTORY_INTERVAL: TimeDelta = TimeDelta::days(1);

/// The most batches removed by one activation; what is left waits for the next, a moment later.
const BATCHES: usize = 20;

/// Marks that are younger stay as they were made: merging is exact for snapshots that the database knows of, not for the one
/// that a reconciler remembers from its last look.
const MARKS_KEPT_APART: TimeDelta = TimeDelta::hours(1);

/// The pause before that, in which others come in.
const BREATH: TimeDelta = TimeDelta::seconds(1);

/// Keeps the state small: makes the tables of the coming days, drops those of days long gone, merges marks, removes history
/// that nobody asks for any more, and takes back what dead workers hold when no worker is left to do it.
///
/// Data are never touched, nor what is current.
#[derive(Debug)]
pub struct Janitor {
    retention: Retention,
    first_at: Option<DateTime<Utc>>,
    /// When history was last looked through to its end.
    history_at: Option<DateTime<Utc>>,
}

impl Janitor {
    /// One that keeps things as long as `retention` says.
    #[must_use]
    pub const fn new(retention: Retention) -> Self {
        Self { retention, first_at: None, history_at: None }
    }

    async fn look(&mut self, context: &ReconcilerContext) -> Result<Activation, StoreError> {
        let now = context.now();
        let store = &context.store;
        let mut done = Vec::new();
        store.ensure_log_partitions(now.date_naive()).await?;
        if !store.has_live_worker(now).await? {
            let limit = i64::from(WorkerSettings::default().lost_attempts_limit);
            let lost = store.take_back_lost_steps(None, limit, now).await?;
            note(&mut done, lost.len() as u64, "lost step");
        }
        if self.first_at.is_none() {
            // Whoever has just begun may have a backlog: the rest comes a little later.
            self.first_at = Some(now + FIRST);
        }
        if self.first_at.is_some_and(|first| now < first) {
            return Ok(Activation { report: report(&done), next_at: self.first_at });
        }
        let cutoffs = self.retention.cutoffs(now);
        let mut dropped = 0;
        for table in store.expired_day_tables(&cutoffs).await? {
            // One that is busy is met again in an hour.
            dropped += u64::from(store.drop_day_table(&table).await?);
        }
        note(&mut done, dropped, "day table");
        note(&mut done, store.remove_stray_rows(&cutoffs).await?, "stray log row");
        note(&mut done, merge_marks(context).await?, "mark");
        let mut next_at = None;
        if self.history_at.is_none_or(|last| now < last || now - last >= HISTORY_INTERVAL) {
            if remove_history(context, &cutoffs, &mut done).await? {
                self.history_at = Some(now);
            } else {
                next_at = Some(now + BREATH);
            }
        }
        Ok(Activation { report: report(&done), next_at })
    }
}

impl Reconciler for Janitor {
    fn name(&self) -> &'static str {
        "janitor"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[]
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(async move { Ok(self.look(context).await?) })
    }
}

/// Files marks under their partitions, merges those that nothing tells apart, and returns how many rows that saved.
async fn merge_marks(context: &ReconcilerContext) -> Result<u64, StoreError> {
    let ReconcilerContext { store, definitions, .. } = context;
    file_marks(store, definitions).await?;
    let before = context.now() - MARKS_KEPT_APART;
    let mut saved = 0;
    let repeated = store.assets_with_repeated_marks(before).await?;
    for asset in definitions.assets().filter(|asset| !asset.is_materializable()) {
        if !repeated.iter().any(|key| key == asset.key.as_str()) {
            continue;
        }
        let readers: Vec<&str> = (definitions.assets())
            .filter(|reader| reader.upstreams.iter().any(|upstream| upstream.key == asset.key))
            .map(|reader| reader.key.as_str())
            .collect();
        saved += store.compact_marks(asset.key.as_str(), &readers, before).await?;
    }
    Ok(saved)
}

/// Removes history until none is left that is old enough, or until it has been enough for once; true when none is left.
async fn remove_history(
    context: &ReconcilerContext,
    cutoffs: &Cutoffs,
    done: &mut Vec<String>,
) -> Result<bool, StoreError> {
    let mut batches = 0;
    for removable in Removable::ALL {
        let mut removed = 0;
        loop {
            let batch = context.store.remove_batch(removable, cutoffs).await?;
            removed += batch;
            batches += 1;
            if batch == 0 || batches >= BATCHES {
                break;
            }
        }
        note(done, removed, removable.noun());
        if batches >= BATCHES {
            return Ok(false);
        }
    }
    Ok(true)
}

fn note(done: &mut Vec<String>, count: u64, what: &str) {
    if count > 0 {
        done.push(counted(count, what));
    }
}

fn report(done: &[String]) -> Option<String> {
    (!done.is_empty()).then(|| format!("cleared {}", done.join(", ")))
}
