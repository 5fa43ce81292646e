//! The things that keep a partition waiting, and what is said of each.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::core::id::short_id;
use crate::core::key::AssetKey;
use crate::core::partition::Described;
use crate::core::time::time_text;
use crate::core::told::Told;
use crate::store::waiting::COUNTED_BEFORE;

/// One thing that keeps a partition waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObstacleView {
    /// What kind of thing.
    pub kind: ObstacleKind,
    /// In words.
    #[schema(value_type = String)]
    pub sentence: Told<Obstacle>,
    /// The command that removes it, if one does.
    pub command: Option<String>,
}

/// What keeps a partition waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObstacleKind {
    /// Something it reads failed, or was kept from running by something that did.
    FailedUpstream,
    /// Its run was asked to stop.
    Canceling,
    /// Its run is paused.
    Paused,
    /// Other steps of its run come first: it reads what they build.
    Inputs,
    /// It failed and is tried again at a later time.
    Delay,
    /// Another run builds the same partition.
    SamePartition,
    /// Its pool is full.
    PoolFull,
    /// So many steps of its run are running as may.
    RunLimit,
    /// No worker is alive.
    NoWorker,
    /// The workers are busy.
    Busy,
    /// Other steps are before it.
    Queued,
}

/// The same with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Something it reads failed.
    FailedUpstream {
        /// What failed.
        asset: AssetKey,
        /// Its partition.
        partition: String,
        /// In which run.
        run_id: Uuid,
        /// Why, if that is known.
        reason: Option<String>,
    },
    /// Its run was asked to stop.
    Canceling {
        /// The run.
        run_id: Uuid,
    },
    /// Its run is paused.
    Paused {
        /// The run.
        run_id: Uuid,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// Its run builds first what it reads.
    Inputs {
        /// The run.
        run_id: Uuid,
        /// What that builds first.
        waits: Vec<(AssetKey, Described)>,
    },
    /// It failed and is tried again.
    Delay {
        /// When at the earliest.
        at: DateTime<Utc>,
    },
    /// Another run builds the same partition.
    SamePartition {
        /// That run.
        run_id: Uuid,
        /// Since when.
        since: Option<DateTime<Utc>>,
    },
    /// Its pool is full.
    PoolFull {
        /// The pool.
        pool: String,
        /// How many steps it takes at once.
        limit: u32,
        /// Steps that hold it.
        holders: Vec<PoolHolder>,
        /// How many more do.
        more: usize,
    },
    /// So many steps of its run are running as may.
    RunLimit {
        /// The run.
        run_id: Uuid,
        /// How many may.
        limit: i32,
        /// How many are.
        running: i64,
    },
    /// No worker is alive.
    NoWorker {
        /// Its run, which can be worked on by hand.
        run_id: Uuid,
    },
    /// The workers are busy.
    Busy {
        /// How many slots they have.
        slots: i64,
        /// How many they are.
        workers: i64,
    },
    /// Other steps are before it.
    Queued {
        /// How many, counted up to a limit.
        steps: i64,
        /// Whether there may be more.
        or_more: bool,
    },
}

/// A step that holds a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolHolder {
    /// The asset.
    pub asset: String,
    /// The partition.
    pub partition: String,
    /// The run.
    pub run_id: Uuid,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

impl ObstacleView {
    /// The obstacle; times in words are those of `zone`.
    pub(super) fn new(obstacle: Obstacle, zone: Tz) -> Self {
        Self {
            kind: obstacle.kind(),
            command: obstacle.command(),
            sentence: Told::new(obstacle.sentence(zone), obstacle),
        }
    }
}

impl Obstacle {
    /// Other steps come before it: `before`, counted up to a limit.
    pub(super) fn queued(before: i64) -> Self {
        Self::Queued { steps: before.min(COUNTED_BEFORE), or_more: before >= COUNTED_BEFORE }
    }

    const fn kind(&self) -> ObstacleKind {
        match self {
            Self::FailedUpstream { .. } => ObstacleKind::FailedUpstream,
            Self::Canceling { .. } => ObstacleKind::Canceling,
            Self::Paused { .. } => ObstacleKind::Paused,
            Self::Inputs { .. } => ObstacleKind::Inputs,
            Self::Delay { .. } => ObstacleKind::Delay,
            Self::SamePartition { .. } => ObstacleKind::SamePartition,
            Self::PoolFull { .. } => ObstacleKind::PoolFull,
            Self::RunLimit { .. } => ObstacleKind::RunLimit,
            Self::NoWorker { .. } => ObstacleKind::NoWorker,
            Self::Busy { .. } => ObstacleKind::Busy,
            Self::Queued { .. } => ObstacleKind::Queued,
        }
    }

    fn command(&self) -> Option<String> {
        match self {
            Self::FailedUpstream { asset, partition, .. } => Some(format!("why {asset} {partition}")),
            Self::Paused { run_id, .. } | Self::NoWorker { run_id } => {
                Some(format!("run resume {}", short_id(*run_id)))
            }
            _ => None,
        }
    }

    fn sentence(&self, zone: Tz) -> String {
        let since = |since: &Option<DateTime<Utc>>| {
            since.map_or_else(String::new, |at| format!(" since {}", time_text(at, zone)))
        };
        match self {
            Self::FailedUpstream { asset, partition, run_id, reason } => {
                let reason = reason.as_deref().unwrap_or("no reason is known");
                format!("{asset} {partition} failed in run {}: {reason}", short_id(*run_id))
            }
            Self::Canceling { run_id } => {
                format!("Its run {} was asked to stop: nothing of it begins any more.", short_id(*run_id))
            }
            Self::Paused { run_id, since } => {
                format!("Its run {} is paused since {}.", short_id(*run_id), time_text(*since, zone))
            }
            Self::Inputs { run_id, waits } => {
                let waits: Vec<String> = waits.iter().map(|(key, partitions)| format!("{key} {partitions}")).collect();
                format!("It waits for what run {} builds first: {}.", short_id(*run_id), waits.join("; "))
            }
            Self::Delay { at } => format!("It is tried again at {}.", time_text(*at, zone)),
            Self::SamePartition { run_id, since: at } => {
                format!("Run {} builds the same partition{}.", short_id(*run_id), since(at))
            }
            Self::PoolFull { pool, limit, holders, more } => {
                let told = holders.iter().map(|PoolHolder { asset, partition, run_id, since: at }| {
                    format!("{asset} {partition} (run {}{})", short_id(*run_id), since(at))
                });
                let told = told.collect::<Vec<_>>().join(", ");
                let rest = if *more == 0 { String::new() } else { format!(" and {more} more") };
                let held = holders.len() + more;
                format!("The pool {pool} is full, {held} of {limit} at once: it is held by {told}{rest}.")
            }
            Self::RunLimit { run_id, limit, running } => {
                let run = short_id(*run_id);
                let are = if *running == 1 { "is" } else { "are" };
                format!("Its run {run} carries out at most {limit} at once, and {running} {are} running.")
            }
            Self::NoWorker { .. } => {
                "No worker is alive: start one with `up` or `worker`, or work on the run from here.".to_owned()
            }
            Self::Busy { slots, workers: 1 } => format!("All {slots} slots of the worker are taken."),
            Self::Busy { slots, workers } => format!("All {slots} slots of the {workers} workers are taken."),
            Self::Queued { steps: 1, or_more: false } => "1 other step comes before it.".to_owned(),
            Self::Queued { steps, or_more } => {
                let or_more = if *or_more { " or more" } else { "" };
                format!("{steps}{or_more} other steps come before it.")
            }
        }
    }
}
