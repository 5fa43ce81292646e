//! Workers: the processes on this database, and this process' own.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Service, ServiceError};
use crate::daemon::{Daemon, Reconciler, ReconcilerContext};
use crate::engine::Wakeups;
use crate::store::worker::WorkerRecord;

/// How a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It carries out steps.
    Running,
    /// It waits for steps.
    Idle,
    /// It was asked to end, and finishes what it began.
    Stopping,
    /// It showed no sign of life for a lease, or no connection of it is left; what it held is taken back.
    Dead,
}

impl WorkerState {
    /// The word used in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Stopping => "stopping",
            Self::Dead => "dead",
        }
    }
}

/// A process that carries out steps, or runs reconcilers, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerView {
    /// Its id.
    pub worker_id: Uuid,
    /// The machine it runs on.
    pub host: String,
    /// Its process there.
    pub process_id: i32,
    /// How it stands.
    pub state: WorkerState,
    /// How many units it carries out at once; 0 for one that only runs reconcilers.
    pub slots: i32,
    /// How many steps it holds. A unit may have many.
    pub running_steps: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub last_seen_at: DateTime<Utc>,
    /// Since when it ends.
    pub stopping_at: Option<DateTime<Utc>>,
    /// Whether its reconcilers are the ones that run.
    pub leads: bool,
}

impl WorkerView {
    fn new(record: WorkerRecord, now: DateTime<Utc>) -> Self {
        let state = if record.expires_at < now || !record.connected {
            WorkerState::Dead
        } else if record.stopping_at.is_some() {
            WorkerState::Stopping
        } else if record.running > 0 {
            WorkerState::Running
        } else {
            WorkerState::Idle
        };
        Self {
            worker_id: record.worker_id,
            host: record.host,
            process_id: record.process_id,
            state,
            slots: record.slots,
            running_steps: record.running,
            started_at: record.started_at,
            last_seen_at: record.heartbeat_at,
            stopping_at: record.stopping_at,
            leads: record.leads,
        }
    }
}

impl Service {
    /// The workers on this database, the oldest first.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, ServiceError> {
        let now = self.now();
        Ok(self.store.workers().await?.into_iter().map(|record| WorkerView::new(record, now)).collect())
    }

    /// The reconcilers of this process, which run while its worker `worker_id` leads. They share this service's
    /// connections.
    #[must_use]
    pub fn daemon(&self, worker_id: Uuid, wakeups: Wakeups, reconcilers: Vec<Box<dyn Reconciler>>) -> Daemon {
        let context = ReconcilerContext {
            store: self.store.clone(),
            definitions: self.definitions.clone(),
            clock: self.clock.clone(),
        };
        Daemon::new(context, worker_id, wakeups, reconcilers)
    }
}
