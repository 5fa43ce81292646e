//! Sensors: functions that look at something outside and request runs.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::PgPool;

use super::error::AssetError;
use crate::core::plan::Extent;

/// How long an evaluation may take unless the sensor says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

type Evaluate = dyn Fn(SensorContext) -> BoxFuture<'static, Result<SensorResult, AssetError>> + Send + Sync;

/// A function that is called again and again, remembers how far it came in a cursor, and requests runs or says why not.
///
/// One evaluation takes effect as a whole: its runs, its cursor and its record are written in one transaction, or none of
/// them is and it is evaluated again with the cursor it had. A function may therefore be called twice with the same
/// cursor, and of two calls at most one counts.
#[derive(Clone)]
pub struct Sensor {
    pub(crate) name: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) enabled_by_default: bool,
    pub(crate) description: String,
    pub(crate) evaluate: Arc<Evaluate>,
}

impl Sensor {
    /// A sensor that calls `evaluate` every `interval`, a second at least. The name is made of lower-case letters,
    /// digits, `_` and `-`, and begins with a letter.
    pub fn new<F, E>(name: &str, interval: Duration, evaluate: E) -> Self
    where
        E: Fn(SensorContext) -> F + Send + Sync + 'static,
        F: Future<Output = Result<SensorResult, AssetError>> + Send + 'static,
    {
        Self {
            name: name.to_owned(),
            interval,
            timeout: DEFAULT_TIMEOUT,
            enabled_by_default: true,
            description: String::new(),
            evaluate: Arc::new(move |context| Box::pin(evaluate(context))),
        }
    }

    /// The longest an evaluation may take; a minute unless said. What takes longer is dropped and counts as failed.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Switched off until somebody resumes it.
    #[must_use]
    pub const fn off(mut self) -> Self {
        self.enabled_by_default = false;
        self
    }

    /// What it is for, in a line.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with the declaration, and what to do about it.
    pub(super) fn problem(&self) -> Option<(String, &'static str)> {
        if !super::schedules::is_name(&self.name) {
            return Some((
                "its name cannot be".to_owned(),
                "begin with a lower-case letter and go on with lower-case letters, digits, `_` and `-`, 63 at most",
            ));
        }
        if self.interval < Duration::from_secs(1) {
            return Some((format!("its interval is {:?}", self.interval), "give it a second at least"));
        }
        self.timeout.is_zero().then(|| ("its timeout is zero".to_owned(), "give it time to answer"))
    }
}

impl fmt::Debug for Sensor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sensor")
            .field("name", &self.name)
            .field("interval", &self.interval)
            .field("enabled_by_default", &self.enabled_by_default)
            .finish_non_exhaustive()
    }
}

/// What an evaluation has at hand.
#[derive(Clone, Debug)]
pub struct SensorContext {
    /// How far the evaluation before came; `None` the first time and after the cursor was reset.
    pub cursor: Option<String>,
    /// The present instant.
    pub now: DateTime<Utc>,
    /// When the last evaluation before this one took effect.
    pub last_evaluated_at: Option<DateTime<Utc>>,
    /// Connections to the installation's database, shared with the process: take one at a time, and give it back.
    pub pool: PgPool,
}

/// What an evaluation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensorResult {
    pub(crate) requests: Vec<RunRequest>,
    pub(crate) reason: Option<String>,
    pub(crate) cursor: Option<String>,
}

impl SensorResult {
    /// These runs are requested; all of them are launched, or none is.
    #[must_use]
    pub fn requests(requests: Vec<RunRequest>) -> Self {
        Self { requests, ..Self::default() }
    }

    /// Nothing is requested, because of `reason`.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }

    /// The next evaluation goes on from `cursor`; without this, from where this one did.
    #[must_use]
    pub fn with_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

/// A run that a sensor requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRequest {
    pub(crate) selection: String,
    pub(crate) partitions: Extent,
    pub(crate) run_key: Option<String>,
}

impl RunRequest {
    /// The newest ended partition of each selected asset; external assets in the selection are left out.
    #[must_use]
    pub fn new(selection: &str) -> Self {
        Self { selection: selection.to_owned(), partitions: Extent::Newest, run_key: None }
    }

    /// These partitions instead, as on the command line: `2026-05-01`, `2026-01..2026-03`.
    #[must_use]
    pub fn partitions(mut self, partitions: &str) -> Self {
        self.partitions = Extent::Text(partitions.to_owned());
        self
    }

    /// Once and never again: a request whose key this sensor has used before is left out.
    #[must_use]
    pub fn run_key(mut self, run_key: impl Into<String>) -> Self {
        self.run_key = Some(run_key.into());
        self
    }
}
