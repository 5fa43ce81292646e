//! What Prometheus is told: families of figures, as data.
//!
//! Assets, pools, schedules and the like are labels; partitions, runs and steps never are: the number of series follows
//! the definitions, not the history. Counters are of this process and begin with it; figures of the state are gauges and
//! the same whichever process is asked.

use chrono::{DateTime, Utc};

use super::{Process, Service, ServiceError};
use crate::core::freshness::FreshnessState;
use crate::engine::freshness::freshness_of;
use crate::engine::measure::Durations;
use crate::store::error::failed_accesses;
use crate::store::observe::Figure;

/// The figures of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFamily {
    /// Its name, without the `_total` of counters.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// The figures.
    pub samples: Vec<Sample>,
}

/// How the figures of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by size, in seconds.
    Histogram,
}

/// A figure and what it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it is of.
    pub labels: Vec<(&'static str, String)>,
    /// The figure.
    pub value: Value,
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, in the unit that the family's name ends with.
    Number(f64),
    /// Durations.
    Durations(Durations),
}

impl MetricFamily {
    fn new(kind: MetricKind, name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(MetricKind::Gauge, name, help)
    }

    fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(MetricKind::Counter, name, help)
    }

    fn with<const LABELS: usize>(mut self, labels: [(&'static str, &str); LABELS], value: f64) -> Self {
        self.add(labels, value);
        self
    }

    fn add<const LABELS: usize>(&mut self, labels: [(&'static str, &str); LABELS], value: f64) {
        let labels = labels.map(|(name, value)| (name, value.to_owned())).into();
        self.samples.push(Sample { labels, value: Value::Number(value) });
    }

    /// Whether the state could be read.
    pub(super) fn readable(readable: bool) -> Self {
        Self::gauge("karat_state_readable", "Whether the state could be read: 1, or 0 and its metrics are missing")
            .with([], if readable { 1.0 } else { 0.0 })
    }
}

/// What the process knows of itself.
pub(super) fn process_families(process: &Process, started_at: DateTime<Utc>) -> Vec<MetricFamily> {
    let counts = process.measures.counts();
    let mut attempts = MetricFamily::counter("karat_attempts", "Attempts of this process by asset and how they ended");
    for ((asset, outcome), count) in &counts.attempts {
        attempts.add([("asset", asset), ("outcome", outcome)], number(*count));
    }
    let mut durations = MetricFamily::new(
        MetricKind::Histogram,
        "karat_attempt_duration_seconds",
        "How long the attempts of this process took, by asset",
    );
    for (asset, took) in counts.durations {
        durations.samples.push(Sample { labels: vec![("asset", asset)], value: Value::Durations(took) });
    }
    let mut published =
        MetricFamily::counter("karat_published_partitions", "Partitions this process published, by asset");
    for (asset, count) in &counts.published {
        published.add([("asset", asset)], number(*count));
    }
    let mut runs = MetricFamily::counter("karat_runs_ended", "Runs this process saw end, by outcome and cause");
    for ((outcome, cause), count) in &counts.runs {
        runs.add([("outcome", outcome), ("cause", cause)], number(*count));
    }
    let lost = MetricFamily::counter(
        "karat_lost_leases",
        "Steps this process took from dead workers, or lost to others while it built them",
    )
    .with([], number(counts.lost_leases));
    let mut errors = MetricFamily::counter(
        "karat_database_errors",
        "Accesses to the state that failed: by an outage, a conflict (which is repeated), or a refusal",
    );
    for (kind, count) in failed_accesses() {
        errors.add([("kind", kind)], number(count));
    }
    let mut connections = MetricFamily::gauge("karat_connections", "Database connections of this process, by pool");
    let mut limits = MetricFamily::gauge("karat_connections_limit", "How many of them there may be");
    for (name, pool) in &process.pools {
        let (open, idle) = (f64::from(pool.size()), pool.num_idle().min(pool.size() as usize) as f64);
        connections.add([("pool", name), ("state", "used")], open - idle);
        connections.add([("pool", name), ("state", "idle")], idle);
        limits.add([("pool", name)], f64::from(pool.options().get_max_connections()));
    }
    let mut families = vec![
        MetricFamily::gauge("karat_build_info", "The program's version").with([("version", process.version)], 1.0),
        MetricFamily::gauge("process_start_time_seconds", "When this process began, in seconds since 1970")
            .with([], seconds(started_at)),
        attempts,
        durations,
        published,
        runs,
        lost,
        errors,
        connections,
        limits,
    ];
    if let Some(bytes) = resident_bytes() {
        families.push(
            MetricFamily::gauge("process_resident_memory_bytes", "Memory of this process, in bytes").with([], bytes),
        );
    }
    families
}

/// What is in the state: one statement.
pub(super) async fn state_families(service: &Service) -> Result<Vec<MetricFamily>, ServiceError> {
    let now = service.now();
    let assets = service.definitions.assets();
    let external: Vec<&str> = assets.filter(|spec| !spec.is_materializable()).map(|spec| spec.key.as_str()).collect();
    let figures = service.store.figures(&external, now).await?;
    let of = |figure: &'static str| figures.iter().filter(move |found| found.figure == figure);
    let single = |figure| of(figure).map(|found| found.value).next().unwrap_or(0.0);
    let family = |figure, name, help, labels: &[&'static str]| MetricFamily {
        samples: of(figure).map(|found| sample(found, labels)).collect(),
        ..MetricFamily::gauge(name, help)
    };
    let mut pool_use = MetricFamily::gauge("karat_pool_slots_used", "Steps that run now and count against the pool");
    let mut pool_limits = MetricFamily::gauge("karat_pool_slots", "How many steps of the pool may run at once");
    for (pool, &limit) in service.definitions.pools() {
        let used = of("pool_use").find(|found| found.first.as_ref() == Some(pool)).map_or(0.0, |found| found.value);
        pool_use.add([("pool", pool)], used);
        pool_limits.add([("pool", pool)], f64::from(limit));
    }
    Ok(vec![
        family("live_runs", "karat_runs_live", "Runs that have not ended, by cause and state", &["cause", "state"]),
        family("open_steps", "karat_steps_open", "Steps that have not ended, by asset and state", &["asset", "state"]),
        MetricFamily::gauge("karat_queue_steps", "Steps that wait for nothing but a worker")
            .with([], single("queued_steps")),
        MetricFamily::gauge("karat_queue_oldest_age_seconds", "How long the first of them has waited")
            .with([], single("oldest_queued")),
        pool_use,
        pool_limits,
        family("workers", "karat_workers", "Worker processes, by state", &["state"]),
        family("slots", "karat_worker_slots", "How many units they carry out at once, by state", &["state"]),
        family(
            "reconciler_success",
            "karat_reconciler_last_success_timestamp_seconds",
            "When the reconciler last succeeded, in seconds since 1970",
            &["reconciler"],
        ),
        family(
            "alerts",
            "karat_alerts_open",
            "Alerts that have not ended, by kind and severity",
            &["kind", "severity"],
        ),
        family("quarantined", "karat_quarantined_rows", "Late rows that wait in quarantine, by asset", &["asset"]),
        family(
            "waiting_rows",
            "karat_marks_waiting_rows",
            "Rows that landed in the external asset and that automation has not looked at",
            &["asset"],
        ),
        family("mark_lag", "karat_mark_lag_seconds", "How long the first of them has waited", &["asset"]),
        family(
            "oldest_log",
            "karat_log_oldest_timestamp_seconds",
            "The first day of which the log is kept, in seconds since 1970",
            &["log"],
        ),
    ])
}

/// What the definitions make of the state, and changes with the minute at most: freshness and ticks.
pub(super) async fn derived_families(service: &Service) -> Result<Vec<MetricFamily>, ServiceError> {
    let now = service.now();
    let mut states = MetricFamily::gauge(
        "karat_asset_freshness",
        "How the asset keeps its freshness policy: 1 for the state that holds, 0 for the others",
    );
    let mut overdue = MetricFamily::gauge(
        "karat_asset_overdue_seconds",
        "For how long the asset has broken its freshness policy; 0 when it keeps it",
    );
    let assets = service.definitions.assets();
    for (asset, kept) in freshness_of(&service.store, &service.definitions, assets, now).await? {
        let asset = asset.as_str();
        for state in [FreshnessState::Unknown, FreshnessState::Pass, FreshnessState::Warn, FreshnessState::Fail] {
            let holds = if state == kept.state { 1.0 } else { 0.0 };
            states.add([("asset", asset), ("state", state.as_str())], holds);
        }
        let late = kept.due_at.map_or(0.0, |due| (seconds(now) - seconds(due)).max(0.0));
        overdue.add([("asset", asset)], late);
    }
    let mut last = MetricFamily::gauge(
        "karat_schedule_last_tick_timestamp_seconds",
        "The instant of the schedule's newest tick, in seconds since 1970",
    );
    let mut next = MetricFamily::gauge(
        "karat_schedule_next_tick_timestamp_seconds",
        "When the schedule fires next, in seconds since 1970; missing while it is paused",
    );
    for schedule in service.schedules().await? {
        if let Some(tick) = &schedule.last_tick {
            last.add([("schedule", &schedule.schedule)], seconds(tick.tick_at));
        }
        if let Some(at) = schedule.next_tick_at {
            next.add([("schedule", &schedule.schedule)], seconds(at));
        }
    }
    Ok(vec![states, overdue, last, next])
}

fn sample(figure: &Figure, names: &[&'static str]) -> Sample {
    let values = [&figure.first, &figure.second];
    let labels = names.iter().zip(values).map(|(name, value)| (*name, value.clone().unwrap_or_default())).collect();
    Sample { labels, value: Value::Number(figure.value) }
}

/// Exact below 2⁵³.
#[allow(clippy::cast_precision_loss)]
const fn number(count: u64) -> f64 {
    count as f64
}

fn seconds(instant: DateTime<Utc>) -> f64 {
    instant.timestamp_millis() as f64 / 1_000.0
}

/// The memory of this process, where the system says it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1_024.0)
}
