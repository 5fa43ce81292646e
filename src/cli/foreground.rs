//! Carrying out runs in this process, in sight of a person: progress, interruption, and the summary.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::instance::Instance;
use super::interruptions::Interruptions;
use super::output::{counted, duration_text, grouped, one_line, shortened};
use super::remote::{Call, Remote};
use super::session::{Connected, Session};
use crate::engine::WorkerSettings;
use crate::service::{LaunchedView, ProgressView, Service, ServiceError, SummaryView};

/// How often a bar is redrawn, at most.
const BAR_INTERVAL: Duration = Duration::from_millis(250);

/// The shortest and the longest time between two lines where there is no bar.
const SHORTEST_LINE_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Looking at the progress takes at most this share of the time: one part in so many.
const LOOK_SHARE: u32 = 20;

/// How long the summary waits for a database that is away, and how often it looks.
const SUMMARY_LIMIT: Duration = Duration::from_secs(30);
const SUMMARY_WAIT: Duration = Duration::from_millis(250);

/// How often is looked how far workers elsewhere are, and how many runs are looked at together.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
const WATCHED_RUNS: usize = 50;

/// How much of a reason the summary shows.
const REASON_CHARACTERS: usize = 300;

/// What is carried out, by the name a person knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) thing: &'static str,
    pub(super) id: String,
}

impl Work {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.thing, self.id)
    }

    pub(super) fn show(&self) -> String {
        format!("{} show {}", self.thing, self.id)
    }

    pub(super) fn cancel(&self) -> String {
        format!("{} cancel {}", self.thing, self.id)
    }

    pub(super) fn resume(&self) -> String {
        format!("{} resume {}", self.thing, self.id)
    }

    pub(super) fn retry(&self) -> String {
        format!("{} retry {}", self.thing, self.id)
    }
}

/// Carries out `runs`, which are one backfill when `backfill_id` is given, in this process until they end or the
/// person interrupts; shows progress on standard error, and prints a summary.
///
/// The exit is [`Exit::Ok`] when everything was built, else [`Exit::Failure`].
///
/// # Errors
/// When the database cannot be used, or its clock differs from this machine's.
pub async fn work_off(
    session: &Session,
    connected: &Connected,
    backfill_id: Option<Uuid>,
    runs: &[Uuid],
    concurrency: Option<u32>,
) -> Result<Exit, Failure> {
    let Some(&first) = runs.first() else { return Ok(Exit::Ok) };
    let work = Work::of(backfill_id, first);
    let finished = work_off_here(session, connected, &work, runs, concurrency).await?;
    finished.print(session, &work, None)
}

/// How work in the foreground ended.
pub(super) struct Finished {
    summary: SummaryView,
    elapsed: Duration,
    /// Whether workers elsewhere carry out what is left.
    goes_on: bool,
}

impl Finished {
    /// Prints the summary; as JSON together with what was launched, if something was.
    pub(super) fn print(
        &self,
        session: &Session,
        work: &Work,
        launched: Option<&LaunchedView>,
    ) -> Result<Exit, Failure> {
        #[derive(Serialize)]
        struct Result<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            launched: Option<&'a LaunchedView>,
            summary: &'a SummaryView,
        }
        let result = Result { launched, summary: &self.summary };
        session.output.result(&result, |_| summary_text(session, self, work))?;
        Ok(if self.summary.is_success() { Exit::Ok } else { Exit::Failure })
    }
}

/// Carries out `runs` in this process, or watches how workers elsewhere do.
pub(super) async fn work_off_as(
    session: &Session,
    instance: &Instance,
    work: &Work,
    runs: &[Uuid],
    concurrency: Option<u32>,
) -> Result<Finished, Failure> {
    match instance {
        Instance::Here(connected) => work_off_here(session, connected, work, runs, concurrency).await,
        Instance::There(remote) => watch(session, remote, work, runs).await,
    }
}

/// Shows progress until the runs have ended, or the person has seen enough.
async fn watch(session: &Session, remote: &Remote, work: &Work, runs: &[Uuid]) -> Result<Finished, Failure> {
    let began = Instant::now();
    let mut interruptions = Interruptions::listen()?;
    let mut display = Display::new(session, began);
    let ids: Vec<String> = runs.iter().take(WATCHED_RUNS).map(Uuid::to_string).collect();
    let call = Call::get(["progress"]).with("runs", Some(ids.join(",")));
    let summary: SummaryView = loop {
        let summary: SummaryView = remote.call(&call).await?;
        display.show(&summary.progress, work);
        if summary.progress.live_runs == 0 {
            break summary;
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
            () = interruptions.next() => break summary,
        }
    };
    display.end();
    let goes_on = summary.progress.live_runs > 0;
    Ok(Finished { summary, elapsed: began.elapsed(), goes_on })
}

async fn work_off_here(
    session: &Session,
    connected: &Connected,
    work: &Work,
    runs: &[Uuid],
    concurrency: Option<u32>,
) -> Result<Finished, Failure> {
    let began = Instant::now();
    let service = &connected.service;
    let mut settings = WorkerSettings::default();
    if let Some(concurrency) = concurrency {
        settings.slots = usize::try_from(concurrency).unwrap_or(settings.slots);
    }
    let stop = CancellationToken::new();
    let mut interruptions = Interruptions::listen()?;
    let worker = service.worker(session.logs.clone(), settings);
    let mut carried_out = tokio::spawn({
        let (runs, stop) = (runs.to_vec(), stop.clone());
        async move { worker.work_off(&runs, &stop).await }
    });
    let mut display = Display::new(session, began);
    let mut interrupted = false;
    let mut wait = Duration::ZERO;
    let result = loop {
        tokio::select! {
            biased;
            ended = &mut carried_out => break ended,
            () = interruptions.next() => {
                if interrupted {
                    // The private server and the leases look after themselves.
                    std::process::exit(Exit::Failure.code().into());
                }
                interrupted = true;
                stop.cancel();
                session.output.message("Stopping: what is being built is given back. Interrupt again to leave at once.");
            }
            () = tokio::time::sleep(wait) => {
                let look = Instant::now();
                // A database that is away for a moment is the worker's business: the display just stands still.
                if let Ok(progress) = service.progress(runs).await {
                    display.show(&progress, work);
                }
                wait = display.interval().max(look.elapsed() * LOOK_SHARE);
            }
        }
    };
    display.end();
    match result {
        Ok(result) => result?,
        Err(error) => {
            return Err(Failure::new(Exit::Failure, format!("the worker ended by a defect of Karat: {error}")));
        }
    }
    let elapsed = began.elapsed();
    tokio::select! {
        summary = summary(&connected.service, runs) => Ok(Finished { summary: summary?, elapsed, goes_on: false }),
        () = interruptions.next() => std::process::exit(Exit::Failure.code().into()),
    }
}

/// How the runs ended, read through a restart of the database: it must not make finished work look failed.
async fn summary(service: &Service, runs: &[Uuid]) -> Result<SummaryView, ServiceError> {
    let began = Instant::now();
    loop {
        match service.summary(runs).await {
            Err(ServiceError::Store(error)) if error.is_transient() && began.elapsed() < SUMMARY_LIMIT => {
                tokio::time::sleep(SUMMARY_WAIT).await;
            }
            result => return result,
        }
    }
}

fn summary_text(session: &Session, finished: &Finished, work: &Work) -> String {
    let Finished { summary, elapsed, goes_on } = finished;
    let steps = &summary.progress.steps;
    let name = work.name();
    let name = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    let outcome = match (summary.progress.live_runs, steps.failed + steps.blocked, steps.canceled) {
        (1.., _, _) if *goes_on => "goes on elsewhere",
        (1.., _, _) => "stopped before its end",
        (0, 1.., _) => "failed",
        (0, _, 1..) => "was canceled",
        _ => "succeeded",
    };
    let mut parts = vec![format!("{} built", grouped(number(steps.succeeded)))];
    for (count, what) in [
        (steps.skipped, "fresh already"),
        (steps.failed, "failed"),
        (steps.blocked, "blocked"),
        (steps.canceled, "canceled"),
        (steps.pending + steps.ready + steps.running, "left"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", grouped(number(count))));
        }
    }
    let mut text = format!(
        "{name} {outcome}: {} of {} in {}.",
        parts.join(", "),
        counted(steps.total, "partition"),
        duration_text(*elapsed)
    );
    for failure in &summary.failures {
        let reason = failure.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", one_line(reason)));
        text.push_str(&format!(
            "\n  {} {} {}{}",
            failure.asset,
            failure.partition,
            failure.state,
            shortened(&reason, REASON_CHARACTERS)
        ));
    }
    let named = summary.failures.len() as u64;
    let unnamed = number(steps.failed + steps.blocked).saturating_sub(named);
    if unnamed > 0 {
        text.push_str(&format!("\n  and {} more", grouped(unnamed)));
    }
    let mut hints = Vec::new();
    if summary.progress.live_runs > 0 {
        hints.push(if *goes_on { ("watch", work.show()) } else { ("go on", work.resume()) });
        hints.push(("undo", work.cancel()));
    } else if !summary.failures.is_empty() {
        hints.push(("details", work.show()));
        hints.push(("retry", work.retry()));
    }
    for (what, command) in hints {
        text.push_str(&format!("\n  {what:<7} {}", session.command(&command)));
    }
    text
}

/// Counts come from the database as signed numbers and are never negative.
pub(super) fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// What a person sees while it works: a bar on a terminal, else a line now and then.
struct Display {
    session: Session,
    bar: Option<ProgressBar>,
    began: Instant,
    done_before: Option<i64>,
    last_line: Option<Instant>,
    last_state: Option<(usize, usize, bool)>,
    last_done: i64,
}

impl Display {
    fn new(session: &Session, began: Instant) -> Self {
        let bar = session.output.is_watched().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        session.output.set_bar(bar.clone());
        Self {
            session: session.clone(),
            bar,
            began,
            done_before: None,
            last_line: None,
            last_state: None,
            last_done: 0,
        }
    }

    fn interval(&self) -> Duration {
        if self.bar.is_some() { BAR_INTERVAL } else { SHORTEST_LINE_INTERVAL }
    }

    fn show(&mut self, progress: &ProgressView, work: &Work) {
        let done = progress.steps.finished();
        let done_before = *self.done_before.get_or_insert(done);
        let left = self.time_left(progress, done - done_before);
        let text = progress_text(progress, left);
        if let Some(bar) = &self.bar {
            bar.set_length(number(progress.steps.total));
            bar.set_position(number(done));
            bar.set_message(text);
            return;
        }
        let state = (progress.paused_runs, progress.canceling_runs, progress.steps.failed > 0);
        let changed = self.last_state.replace(state) != Some(state);
        // Lines become rarer the longer it takes, so that a log of hours can be read.
        let interval = (self.began.elapsed() / 10).clamp(SHORTEST_LINE_INTERVAL, LONGEST_LINE_INTERVAL);
        let due = self.last_line.is_none_or(|last| last.elapsed() >= interval) && done != self.last_done;
        if changed || due {
            self.last_line = Some(Instant::now());
            self.last_done = done;
            self.session.output.message(&format!("{}: {text}", work.name()));
        }
    }

    /// At the pace so far; `None` before there is one.
    fn time_left(&self, progress: &ProgressView, done_here: i64) -> Option<Duration> {
        let left = progress.steps.total - progress.steps.finished();
        let (left, done_here) = (u32::try_from(left).ok()?, u32::try_from(done_here).ok()?);
        let elapsed = self.began.elapsed();
        if left == 0 || done_here == 0 || elapsed < SHORTEST_LINE_INTERVAL {
            return None;
        }
        Some(elapsed.mul_f64(f64::from(left) / f64::from(done_here)))
    }

    fn end(&mut self) {
        self.session.output.set_bar(None);
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn progress_text(progress: &ProgressView, left: Option<Duration>) -> String {
    let steps = &progress.steps;
    let done = number(steps.finished());
    let total = number(steps.total);
    let percent = (done * 100).checked_div(total).unwrap_or(100);
    let mut parts = vec![format!("{}/{} partitions ({percent} %)", grouped(done), grouped(total))];
    for (count, what) in [
        (steps.running, "running"),
        (steps.skipped, "fresh already"),
        (steps.failed, "failed"),
        (steps.blocked, "blocked"),
        (steps.canceled, "canceled"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", grouped(number(count))));
        }
    }
    if progress.canceling_runs > 0 {
        parts.push("canceling".to_owned());
    } else if progress.paused_runs > 0 {
        parts.push("paused".to_owned());
    } else if let Some(left) = left {
        parts.push(format!("about {} left", duration_text(left.max(Duration::from_secs(1)))));
    }
    parts.join(", ")
}
