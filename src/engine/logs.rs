//! What `tracing` emits inside an asset, kept with its step.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::core::count::counted;
use crate::store::log::LogLine;
use crate::store::text::storable;

/// The most lines that wait to be written; further ones are counted and replaced by one line for each attempt that says
/// how many.
const WAITING_LIMIT: usize = 10_000;

/// The same for the bytes of their text.
const WAITING_BYTES_LIMIT: usize = 16 * 1024 * 1024;

/// The most of one message or field that is kept, in characters.
const TEXT_LIMIT: usize = 8_192;

/// How much text the log of one run may keep, unless a collector says otherwise; further lines are counted and dropped.
pub const RUN_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// What a line takes besides its text.
const LINE_BYTES: u64 = 64;

/// A worker that wrote this part of a run's limit asks what the others wrote in the meantime.
const ACCOUNT_SHARE: u64 = 10;

/// How many runs are accounted for at once; the oldest are forgotten.
const RUNS_LIMIT: usize = 256;

/// The name of the span the engine opens around an attempt.
const STEP_SPAN: &str = "step";

/// Collects the events of steps until a worker writes them. Clones share the same lines.
#[derive(Clone)]
pub struct LogCollector {
    waiting: Arc<Mutex<Waiting>>,
    run_limit_bytes: u64,
}

impl Default for LogCollector {
    fn default() -> Self {
        Self::with_run_limit(RUN_LIMIT_BYTES)
    }
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<LogLine>,
    /// Bytes of text in `lines`.
    text_bytes: usize,
    sequence: i64,
    /// By attempt, what was dropped.
    dropped: BTreeMap<(i64, i64), Dropped>,
    /// By run, how much of its limit is used.
    runs: BTreeMap<Uuid, RunLog>,
}

struct Dropped {
    count: u64,
    /// Whether the run's log is full, rather than the lines too fast.
    full: bool,
    first: LogLine,
}

#[derive(Default)]
struct RunLog {
    /// Bytes known to be kept or waiting, whoever wrote them.
    bytes: u64,
    /// Bytes added here since the others were last accounted for.
    added: u64,
}

impl LogCollector {
    /// A collector that keeps at most `bytes` of text of each run: a run that says more says how many lines are missing.
    ///
    /// Several workers on one run may together exceed it by a tenth each.
    #[must_use]
    pub fn with_run_limit(bytes: u64) -> Self {
        Self { waiting: Arc::default(), run_limit_bytes: bytes }
    }

    /// The layer to install into the `tracing` subscriber; without it steps have no logs.
    #[must_use]
    pub fn layer(&self, clock: SharedClock) -> LogLayer {
        LogLayer { collector: self.clone(), clock }
    }

    /// Everything collected since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<LogLine> {
        let mut waiting = self.lock();
        waiting.text_bytes = 0;
        let dropped = std::mem::take(&mut waiting.dropped);
        let mut lines: Vec<LogLine> = waiting.lines.drain(..).collect();
        lines.extend(dropped.into_values().map(|Dropped { count, full, first }| {
            let lines = counted(count, "further log line");
            let message = if full {
                let limit_kilobytes = self.run_limit_bytes.div_ceil(1024);
                format!("dropped {lines}: the log of a run is kept up to {limit_kilobytes} kB")
            } else {
                format!("dropped {lines}, faster than could be kept")
            };
            LogLine {
                level: "warn".to_owned(),
                target: module_path!().to_owned(),
                message,
                fields: Value::Object(Map::new()),
                ..first
            }
        }));
        lines
    }

    /// The runs of which it should be asked how much is kept, because enough was added here.
    pub(super) fn runs_to_account(&self) -> Vec<Uuid> {
        let enough = (self.run_limit_bytes / ACCOUNT_SHARE).max(1);
        self.lock().runs.iter().filter(|(_, run)| run.added >= enough).map(|(&run_id, _)| run_id).collect()
    }

    /// Accounts for what is kept of a run's log.
    pub(super) fn account(&self, run_id: Uuid, kept_bytes: u64) {
        if let Some(run) = self.lock().runs.get_mut(&run_id) {
            run.bytes = run.bytes.max(kept_bytes);
            run.added = 0;
        }
    }

    fn push(&self, mut line: LogLine, text_bytes: usize) {
        let mut waiting = self.lock();
        waiting.sequence += 1;
        line.sequence = waiting.sequence;
        let full = line.run_id.is_some_and(|run_id| {
            let run = waiting.runs.entry(run_id).or_default();
            if run.bytes >= self.run_limit_bytes {
                return true;
            }
            let bytes = LINE_BYTES + text_bytes as u64;
            run.bytes += bytes;
            run.added += bytes;
            false
        });
        if waiting.runs.len() > RUNS_LIMIT {
            waiting.runs.pop_first();
        }
        if full || waiting.lines.len() >= WAITING_LIMIT || waiting.text_bytes >= WAITING_BYTES_LIMIT {
            let attempt = (line.step_id, line.lease_epoch);
            waiting.dropped.entry(attempt).or_insert(Dropped { count: 0, full, first: line }).count += 1;
            return;
        }
        waiting.text_bytes += text_bytes;
        waiting.lines.push_back(line);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LogCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogCollector").finish_non_exhaustive()
    }
}

/// See [`LogCollector::layer`].
pub struct LogLayer {
    collector: LogCollector,
    clock: SharedClock,
}

/// Which attempt a span belongs to.
#[derive(Clone, Copy)]
struct StepOf {
    step_id: i64,
    lease_epoch: i64,
    run_id: Option<Uuid>,
}

impl<S: Subscriber + for<'lookup> LookupSpan<'lookup>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() != STEP_SPAN || attributes.metadata().target() != "karat::step" {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let number = |name: &str| fields.values.get(name).and_then(Value::as_i64);
        if let (Some(span), Some(step_id), Some(lease_epoch)) =
            (context.span(id), number("step_id"), number("lease_epoch"))
        {
            let run_id = fields.values.get("run_id").and_then(Value::as_str).and_then(|text| text.parse().ok());
            span.extensions_mut().insert(StepOf { step_id, lease_epoch, run_id });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(scope) = context.event_scope(event) else { return };
        let Some(step) = scope.into_iter().find_map(|span| span.extensions().get::<StepOf>().copied()) else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = LogLine {
            logged_at: self.clock.now(),
            run_id: step.run_id,
            step_id: step.step_id,
            lease_epoch: step.lease_epoch,
            sequence: 0,
            level: event.metadata().level().to_string().to_ascii_lowercase(),
            target: event.metadata().target().to_owned(),
            message: fields.message,
            fields: Value::Object(fields.values),
        };
        self.collector.push(line, fields.text_bytes);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    values: Map<String, Value>,
    text_bytes: usize,
}

impl Fields {
    fn keep(&mut self, field: &Field, value: Value) {
        self.values.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity.
        self.keep(field, serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = kept(value);
        self.text_bytes += text.len();
        if field.name() == "message" {
            self.message = text;
        } else {
            self.keep(field, text.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The text as far as it is kept.
fn kept(text: &str) -> String {
    let end = text.char_indices().nth(TEXT_LIMIT).map_or(text.len(), |(end, _)| end);
    storable(&text[..end]).into_owned()
}
