//! Whether a process can do its work.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Process;
use crate::core::told::Told;
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
    #[schema(value_type = Option<String>)]
    pub problem: Option<Told<HealthProblem>>,
}

/// What is wrong with a part of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthProblem {
    /// What the database, or whoever looks at its version, says.
    Said(String),
    /// Something that is not told to whoever asks.
    Untold,
    /// The worker of this process is not known.
    NotRegistered,
    /// The lease of its worker is over, since so many seconds.
    LeaseOver(i64),
    /// No process leads.
    NobodyLeads,
    /// The lease of the process that leads is over, since so many seconds.
    LeaderLeaseOver(i64),
    /// The reconciler was never activated.
    NeverRan,
    /// No activation of the reconciler succeeded; this is the newest error.
    NeverSucceeded(String),
    /// The reconciler does not succeed as often as it ought to.
    Overdue {
        /// How long ago it last did, in seconds.
        age: i64,
        /// How often it ought to, in seconds.
        interval: u64,
        /// The newest error, if there was one since.
        error: Option<String>,
    },
}

impl fmt::Display for HealthProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(text) => formatter.write_str(text),
            Self::Untold => formatter.write_str("out of order"),
            Self::NotRegistered => {
                formatter.write_str("this process is not registered: its steps, if it had any, were given to others")
            }
            Self::LeaseOver(seconds) => write!(formatter, "its lease is over since {seconds} s"),
            Self::NobodyLeads => formatter.write_str("no process leads: no reconciler runs anywhere"),
            Self::LeaderLeaseOver(seconds) => {
                write!(formatter, "the lease of the process that leads is over since {seconds} s")
            }
            Self::NeverRan => formatter.write_str("it never ran"),
            Self::NeverSucceeded(error) => write!(formatter, "it never succeeded: {error}"),
            Self::Overdue { age, interval, error } => {
                write!(formatter, "it last succeeded {age} s ago, and ought to every {interval} s")?;
                error.as_ref().map_or(Ok(()), |error| write!(formatter, ": {error}"))
            }
        }
    }
}

impl PartHealth {
    fn new(part: impl Into<String>, problem: Option<HealthProblem>) -> Self {
        Self { part: part.into(), ok: problem.is_none(), problem: problem.map(Told::from) }
    }
}

impl HealthView {
    fn new(at: DateTime<Utc>, parts: Vec<PartHealth>) -> Self {
        Self { ready: parts.iter().all(|part| part.ok), at, parts }
    }

    /// Nothing is known without the database.
    pub(super) fn without_database(at: DateTime<Utc>, reason: String) -> Self {
        Self::new(at, vec![PartHealth::new("database", Some(HealthProblem::Said(reason)))])
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
        let schema = self.schema.clone().map(HealthProblem::Said);
        let mut parts = vec![PartHealth::new("database", None), PartHealth::new("migrations", schema)];
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

    fn worker_problem(&self) -> Option<HealthProblem> {
        match self.record.lease_ends_at {
            None => Some(HealthProblem::NotRegistered),
            Some(end) if end <= self.now => Some(HealthProblem::LeaseOver((self.now - end).num_seconds())),
            Some(_) => None,
        }
    }

    fn leader_problem(&self) -> Option<HealthProblem> {
        match self.record.leader_lease_ends_at {
            None => Some(HealthProblem::NobodyLeads),
            Some(end) if end <= self.now => Some(HealthProblem::LeaderLeaseOver((self.now - end).num_seconds())),
            Some(_) => None,
        }
    }

    fn reconciler_problem(&self, name: &str, interval: Duration) -> Option<HealthProblem> {
        let found = self.record.reconcilers.iter().find(|reconciler| reconciler.name == name);
        let error = found.and_then(|reconciler| reconciler.error.clone());
        let Some(succeeded_at) = found.and_then(|reconciler| reconciler.succeeded_at) else {
            return Some(error.map_or(HealthProblem::NeverRan, HealthProblem::NeverSucceeded));
        };
        let age = self.now - succeeded_at;
        let limit = TimeDelta::from_std(interval * LATE_INTERVALS + LATE_MARGIN).unwrap_or(TimeDelta::MAX);
        (age > limit).then(|| HealthProblem::Overdue { age: age.num_seconds(), interval: interval.as_secs(), error })
    }
}
