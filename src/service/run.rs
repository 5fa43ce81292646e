//! Runs: listing, showing, steering and repeating them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::try_join;
use utoipa::ToSchema;
use uuid::Uuid;

use super::accounts::{Done, Role};
use super::backfill::ended;
use super::cause::{Because, cause_text};
use super::{ControlledView, FailureView, PartitionsView, Service, ServiceError};
use crate::core::partition::Ordinal;
use crate::core::subset::PartitionSubset;
use crate::core::told::Told;
use crate::store::run::{Control, RunRecord, StepCounts};
use crate::store::run_list::{LiveState, RunFilter};

/// A run as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// Its id.
    pub run_id: Uuid,
    /// The backfill it belongs to.
    pub backfill_id: Option<Uuid>,
    /// The run whose failures it repeats.
    pub retry_of: Option<Uuid>,
    /// Why it exists: `manual`, `backfill`, `retry`, `schedule`, `automation` or `sensor`.
    pub cause: String,
    /// The same in words, with what belongs to it: the tick, the late rows, the sensor's key.
    #[schema(value_type = String)]
    pub because: Told<Because>,
    /// The same as data, by cause.
    pub cause_detail: Option<Value>,
    /// `queued`, `running`, `paused`, `canceling`, `succeeded`, `failed` or `canceled`.
    pub state: String,
    /// What was asked for: the command line, without the program's name.
    pub command: String,
    /// Who asked for it: an account, or a user of the operating system; `None` when nobody did.
    pub requested_by: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When its last step ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its steps.
    pub steps: StepCounts,
    /// Whether `steps` is exact; of a large live run a list counts some thousand steps, and only the total is exact.
    pub all_counted: bool,
}

impl RunView {
    /// The run; times in words are those of `zone`.
    fn new(record: RunRecord, zone: Tz) -> Self {
        Self {
            because: cause_text(&record, zone),
            cause_detail: record.cause_detail.clone(),
            state: record.state().to_owned(),
            run_id: record.run_id,
            backfill_id: record.backfill_id,
            retry_of: record.retry_of,
            cause: record.cause,
            command: command_of(&record.request),
            requested_by: record.requested_by,
            requested_at: record.requested_at,
            finished_at: record.finished_at,
            all_counted: record.all_counted,
            steps: record.steps,
        }
    }
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunQuery {
    /// Only live ones.
    pub live: bool,
    /// Only those in this state, as [`RunView::state`] says it, or `live` for the first four.
    pub state: Option<String>,
    /// Only those that ended so: `succeeded`, `failed` or `canceled`.
    pub outcome: Option<String>,
    /// Only those that exist for this reason: `manual`, `backfill`, `retry`, `schedule`, `automation` or `sensor`.
    pub cause: Option<String>,
    /// Only those of this backfill.
    pub backfill_id: Option<Uuid>,
    /// Only those that build this asset, by its key or table.
    pub asset: Option<String>,
    /// Only those that build this partition of the asset.
    pub partition: Option<String>,
    /// Only those asked for at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those asked for before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only those that this account or user of an operating system asked for.
    pub requested_by: Option<String>,
    /// Only those older than this run.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

/// Some runs of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunPageView {
    /// The runs, newest first; perhaps fewer than asked for, or none, although the list goes on.
    pub runs: Vec<RunView>,
    /// What to ask for as `before` next; `None` at the end of the list.
    pub next: Option<Uuid>,
}

/// A run in detail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetailView {
    /// The run.
    #[serde(flatten)]
    pub run: RunView,
    /// Its partitions by asset and state, upstream before downstream; none of a run with more than ten thousand steps.
    pub partitions: Vec<RunPartitionsView>,
    /// The first partitions that were not built.
    pub failures: Vec<FailureView>,
    /// What happened to it, oldest first, the last hundred events.
    pub events: Vec<EventView>,
}

/// Partitions of one asset in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunPartitionsView {
    /// The asset.
    pub asset: String,
    /// The state of its steps.
    pub state: String,
    /// The partitions.
    pub partitions: PartitionsView,
}

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// When.
    pub at: DateTime<Utc>,
    /// What, such as `run_launched`.
    pub kind: String,
    /// More.
    pub detail: Value,
}

/// Which lines of a run's log.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Only of this asset, by its key or table.
    pub asset: Option<String>,
    /// Only of this partition.
    pub partition: Option<String>,
    /// The last so many.
    pub limit: u32,
}

/// A line that an asset said while it was computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLineView {
    /// When.
    pub at: DateTime<Utc>,
    /// The asset.
    pub asset: String,
    /// The partition, the first one where several were built together.
    pub partition: String,
    /// Which attempt, by its lease.
    pub attempt: i64,
    /// `error`, `warn`, `info`, …
    pub level: String,
    /// The module it came from.
    pub target: String,
    /// The text.
    pub message: String,
    /// The structured fields.
    pub fields: Value,
}

/// First and last ordinal, inclusive.
type Range = (Ordinal, Ordinal);

/// The most steps of a run whose partitions are listed.
const LISTED_STEPS: i64 = 10_000;

/// How many events a run shows.
const SHOWN_EVENTS: i64 = 100;

/// The command in a stored request; the request itself where it was stored by something else.
pub(super) fn command_of(request: &Value) -> String {
    request.get("command").and_then(Value::as_str).map_or_else(|| request.to_string(), str::to_owned)
}

fn no_run(run_id: Uuid) -> ServiceError {
    ServiceError::Id(format!("there is no run `{run_id}`: `run ls` lists them"))
}

impl Service {
    /// Steers the live ones of `runs`, and records `done` if that changed any; `none_live` says why that cannot be when none
    /// is.
    pub(super) async fn control(
        &self,
        runs: &[Uuid],
        control: Control,
        done: Done<'_>,
        none_live: impl FnOnce() -> String,
    ) -> Result<ControlledView, ServiceError> {
        let mut live = Vec::new();
        for &run_id in runs {
            if self.store.is_live(run_id).await? == Some(true) {
                live.push(run_id);
            }
        }
        if live.is_empty() {
            return Err(ServiceError::Refused(none_live()));
        }
        let changed = self.store.control_runs(&live, control, self.now(), self.record_of(done)).await?;
        if control == Control::Cancel {
            // Where nothing runs any more nobody else would end them.
            for &run_id in &live {
                self.store.finish_run(run_id, self.now()).await?;
            }
        }
        Ok(ControlledView { changed, live })
    }

    /// Runs, newest first, as many as asked for if there are so many.
    ///
    /// # Errors
    /// When the asset is unknown or the state cannot be read.
    pub async fn runs(&self, query: &RunQuery) -> Result<Vec<RunView>, ServiceError> {
        let zone = self.definitions.calendar().zone;
        let runs = self.store.runs(&self.run_filter(query)?).await?;
        Ok(runs.into_iter().map(|record| RunView::new(record, zone)).collect())
    }

    /// A page of runs, newest first. It costs the same however long the history is and whatever is asked for: where few
    /// runs fit it may have none, and goes on before [`RunPageView::next`].
    ///
    /// # Errors
    /// When the asset is unknown or the state cannot be read.
    pub async fn run_page(&self, query: &RunQuery) -> Result<RunPageView, ServiceError> {
        let zone = self.definitions.calendar().zone;
        let page = self.store.run_page(&self.run_filter(query)?).await?;
        Ok(RunPageView {
            runs: page.runs.into_iter().map(|record| RunView::new(record, zone)).collect(),
            next: page.next,
        })
    }

    fn run_filter(&self, query: &RunQuery) -> Result<RunFilter, ServiceError> {
        let asset_key = match &query.asset {
            Some(name) => Some(self.definitions.find(name)?.key.to_string()),
            None => None,
        };
        if query.partition.is_some() && asset_key.is_none() {
            return Err(ServiceError::Refused("runs of a partition are those of an asset: name it as well".to_owned()));
        }
        let live_state = match query.state.as_deref() {
            Some("queued") => Some(LiveState::Queued),
            Some("running") => Some(LiveState::Running),
            Some("paused") => Some(LiveState::Paused),
            Some("canceling") => Some(LiveState::Canceling),
            _ => None,
        };
        Ok(RunFilter {
            live: query.live || query.state.as_deref() == Some("live"),
            live_state,
            outcome: query
                .outcome
                .clone()
                .or_else(|| query.state.clone().filter(|state| live_state.is_none() && state != "live")),
            cause: query.cause.clone(),
            backfill_id: query.backfill_id,
            asset_key,
            partition_key: query.partition.clone(),
            requested_by: query.requested_by.clone(),
            since: query.since,
            until: query.until,
            before: query.before,
            limit: i64::from(query.limit),
        })
    }

    /// A run in detail.
    ///
    /// # Errors
    /// When there is none of that id, or the state cannot be read.
    pub async fn run(&self, run_id: Uuid) -> Result<RunDetailView, ServiceError> {
        let mut record = self.store.run_counting(run_id, 0).await?.ok_or_else(|| no_run(run_id))?;
        let (is_listed, is_counted) = (record.steps.total <= LISTED_STEPS, record.all_counted);
        // The steps are read once: where they are listed their states are counted in the list.
        let listed = async { Ok(if is_listed { self.store.step_ranges(run_id).await? } else { Vec::new() }) };
        let counted = async {
            Ok(if is_listed || is_counted { None } else { self.store.run(run_id).await?.map(|run| run.steps) })
        };
        let wanted = [run_id];
        let (ranges, counted, failures, events) =
            try_join!(listed, counted, self.first_failures(&wanted), self.events_of(run_id))?;
        if !is_counted {
            record.steps = counted.unwrap_or_else(|| StepCounts::of(&ranges));
            record.all_counted = true;
        }
        let run = RunView::new(record, self.definitions.calendar().zone);
        // By rank first, so that upstream stands before downstream.
        let mut sets: BTreeMap<(Option<usize>, String, String), Vec<Range>> = BTreeMap::new();
        for range in ranges {
            let rank = range.asset_key.parse().ok().and_then(|key| self.definitions.graph().rank(&key));
            sets.entry((rank, range.asset_key, range.state)).or_default().push((range.first, range.last));
        }
        let partitions = sets.into_iter().map(|((_, asset, state), ranges)| {
            let subset = PartitionSubset::from_ranges(ranges);
            let spec = asset.parse().ok().and_then(|key| self.definitions.asset(&key));
            let partitions = match spec {
                Some(spec) => PartitionsView::new(&spec.partitions, &subset),
                // An asset that is not declared any more: only numbers are left.
                None => PartitionsView {
                    count: subset.len(),
                    text: format!("{} partitions", subset.len()),
                    ranges: Vec::new(),
                },
            };
            RunPartitionsView { asset, state, partitions }
        });
        let partitions = partitions.collect();
        Ok(RunDetailView { run, partitions, failures, events })
    }

    /// What happened to a run, oldest first, the last hundred events.
    ///
    /// # Errors
    /// When there is none of that id, or the state cannot be read.
    pub async fn run_events(&self, run_id: Uuid) -> Result<Vec<EventView>, ServiceError> {
        self.require_run(run_id).await?;
        self.events_of(run_id).await
    }

    async fn events_of(&self, run_id: Uuid) -> Result<Vec<EventView>, ServiceError> {
        let events = self.store.run_events(run_id, SHOWN_EVENTS).await?.into_iter();
        let view = events.map(|event| EventView { at: event.occurred_at, kind: event.kind, detail: event.detail });
        Ok(view.collect())
    }

    /// What assets said while they were computed in a run, oldest first.
    ///
    /// # Errors
    /// When the run or asset is unknown, or the state cannot be read.
    pub async fn run_logs(&self, run_id: Uuid, query: &LogQuery) -> Result<Vec<LogLineView>, ServiceError> {
        self.require_run(run_id).await?;
        let asset = match &query.asset {
            Some(name) => Some(self.definitions.find(name)?.key.to_string()),
            None => None,
        };
        let lines =
            self.store.run_log(run_id, asset.as_deref(), query.partition.as_deref(), i64::from(query.limit)).await?;
        let view = lines.into_iter().map(|(asset, partition, line)| LogLineView {
            at: line.logged_at,
            asset,
            partition,
            attempt: line.lease_epoch,
            level: line.level,
            target: line.target,
            message: line.message,
            fields: line.fields,
        });
        Ok(view.collect())
    }

    pub(super) async fn run_record(&self, run_id: Uuid) -> Result<RunRecord, ServiceError> {
        let record = self.store.run(run_id).await?;
        record.ok_or_else(|| no_run(run_id))
    }

    /// Makes sure that there is such a run; its steps are not counted for that.
    ///
    /// # Errors
    /// When there is none, or the state cannot be read.
    pub async fn require_run(&self, run_id: Uuid) -> Result<(), ServiceError> {
        match self.store.is_live(run_id).await? {
            Some(_) => Ok(()),
            None => Err(no_run(run_id)),
        }
    }

    /// Whether a run is live; one that does not exist is not.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn is_live(&self, run_id: Uuid) -> Result<bool, ServiceError> {
        Ok(self.store.is_live(run_id).await?.unwrap_or(false))
    }

    /// Ends a run's pause; to be called as well before working it off. A run that is not paused stays as it is.
    ///
    /// # Errors
    /// When it has ended, or the state cannot be used.
    pub async fn resume_run(&self, run_id: Uuid) -> Result<ControlledView, ServiceError> {
        self.control_run(run_id, Control::Resume).await
    }

    /// Starts nothing new of the run ever, and stops what runs. What was built stays.
    ///
    /// # Errors
    /// When it has ended, or the state cannot be used.
    pub async fn cancel_run(&self, run_id: Uuid) -> Result<ControlledView, ServiceError> {
        self.control_run(run_id, Control::Cancel).await
    }

    async fn control_run(&self, run_id: Uuid, control: Control) -> Result<ControlledView, ServiceError> {
        self.authorize(Role::Operator)?;
        let record = self.run_record(run_id).await?;
        let has_ended = || format!("run {run_id} has ended already: it {}", ended(record.state()));
        let action = match control {
            Control::Pause => "run pause",
            Control::Resume => "run resume",
            Control::Cancel => "run cancel",
        };
        let (target, command) = (run_id.to_string(), format!("{action} {run_id}"));
        let done = Done {
            action,
            target: Some(&target),
            run_id: Some(run_id),
            backfill_id: record.backfill_id,
            command: Some(&command),
            ..Done::default()
        };
        self.control(&[run_id], control, done, has_ended).await
    }
}
