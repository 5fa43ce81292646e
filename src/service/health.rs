//! Whether a process can do its work.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Process;
use crate::store::observe::HealthRecord;

/// A reconciler may be late by this many of its intervals, and by this much more, before it counts as stuck: an
/// activation takes its time, and after a process died another has to notice.
const LATE_INTERVALS: u32 = 2;
const LATE_MARGIN: Duration = Duration::from_secs(30);

/// Whether a process can do its work, part by part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// Whether all parts are in order.
    pub ready: bool,
    /// When this was so.
    pub at: DateTime<Utc>,
    /// The parts that concern this process, in the order in which they rest on one another.
    pub parts: Vec<PartHealth>,
}

/// One thing a process needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartHealth {
    /// `database`, `migrations`, `worker`, `leader`, or `reconciler NAME`.
    pub part: String,
    /// Whether it is in order.
    pub ok: bool,
    /// What is wrong, and what to do.
    pub problem: Option<String>,
}

impl PartHealth {
    fn new(part: impl Into<String>, problem: Option<String>) -> Self {
        Self { part: part.into(), ok: problem.is_none(), problem }
    }
}

impl HealthView {
    fn new(at: DateTime<Utc>, parts: Vec<PartHealth>) -> Self {
        Self { ready: parts.iter().all(|part| part.ok), at, parts }
    }

    /// Nothing is known without the database.
    pub(super) fn without_database(at: DateTime<Utc>, reason: String) -> Self {
        Self::new(at, vec![PartHealth::new("database", Some(reason))])
    }
}

/// What health is judged by.
pub(super) struct Judged<'a> {
    pub(super) process: &'a Process,
    pub(super) record: &'a HealthRecord,
    /// What is wrong with the database's version.
    pub(super) schema: Option<String>,
    pub(super) now: DateTime<Utc>,
}

impl Judged<'_> {
    pub(super) fn health(self) -> HealthView {
        let mut parts = vec![PartHealth::new("database", None), PartHealth::new("migrations", self.schema.clone())];
        if self.process.worker_id.is_some() {
            parts.push(PartHealth::new("worker", self.worker_problem()));
        }
        if !self.process.reconcilers.is_empty() {
            parts.push(PartHealth::new("leader", self.leader_problem()));
        }
        for &(name, interval) in &self.process.reconcilers {
            parts.push(PartHealth::new(format!("reconciler {name}"), self.reconciler_problem(name, interval)));
        }
        HealthView::new(self.now, parts)
    }

    fn worker_problem(&self) -> Option<String> {
        match self.record.lease_ends_at {
            None => Some("this process is not registered: its steps, if it had any, were given to others".to_owned()),
            Some(end) if end <= self.now => {
                Some(format!("its lease is over since {} s", (self.now - end).num_seconds()))
            }
            Some(_) => None,
        }
    }

    fn leader_problem(&self) -> Option<String> {
        match self.record.leader_lease_ends_at {
            None => Some("no process leads: no reconciler runs anywhere".to_owned()),
            Some(end) if end <= self.now => {
                Some(format!("the lease of the process that leads is over since {} s", (self.now - end).num_seconds()))
            }
            Some(_) => None,
        }
    }

    fn reconciler_problem(&self, name: &str, interval: Duration) -> Option<String> {
        let found = self.record.reconcilers.iter().find(|reconciler| reconciler.name == name);
        let Some(succeeded_at) = found.and_then(|reconciler| reconciler.succeeded_at) else {
            return Some(match found.and_then(|reconciler| reconciler.error.as_deref()) {
                Some(error) => format!("it never succeeded: {error}"),
                None => "it never ran".to_owned(),
            });
        };
        let age = self.now - succeeded_at;
        let limit = TimeDelta::from_std(interval * LATE_INTERVALS + LATE_MARGIN).unwrap_or(TimeDelta::MAX);
        (age > limit).then(|| {
            let last =
                format!("it last succeeded {} s ago, and ought to every {} s", age.num_seconds(), interval.as_secs());
            match found.and_then(|reconciler| reconciler.error.as_deref()) {
                Some(error) => format!("{last}: {error}"),
                None => last,
            }
        })
    }
}
