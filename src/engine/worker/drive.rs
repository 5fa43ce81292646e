//! The loop of a worker: look, claim, carry out, move runs on, wait.

use std::collections::{BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::pace::Pace;
use super::{Worker, WorkerError};
use crate::engine::attempt::Environment;
use crate::engine::ending::{end_defective, hand_back};
use crate::engine::execute::{Died, execute};
use crate::engine::heartbeat::{IDLE_FACTOR, Running};
use crate::engine::panics;
use crate::engine::progress::{Progress, Undefined};
use crate::engine::shutdown::Shutdown;
use crate::engine::units::Unit;
use crate::engine::wakeups::{Subscription, Wakeup};
use crate::store::signal::Signal;

/// The first and the longest wait of a worker that waits for the end of its runs.
const SHORTEST_POLL: Duration = Duration::from_millis(10);
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// How often dead workers are looked for, at most.
const TAKE_BACK_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest time between two looks that signals ask for, and between two signals of the worker's own.
const SIGNAL_DISTANCE: Duration = Duration::from_millis(25);

/// How long recording what was stopped may take while the database does not answer.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// When a worker ends, and with it which runs it works on.
pub(super) enum Until {
    /// When these runs have ended.
    RunsEnded(BTreeSet<Uuid>),
    /// When nothing can go on at the present instant; any run.
    Idle,
    /// When it is asked to; any run.
    Stopped(Shutdown),
}

/// A unit that was claimed, known as held here from that moment on: a cancellation reaches it before it is begun.
struct Held {
    unit: Unit,
    running: Running,
}

/// A unit that was carried out.
struct Ended {
    run_id: Uuid,
    elapsed: Duration,
    result: Result<(), Died>,
}

pub(super) struct Drive<'a> {
    worker: &'a Worker,
    until: Until,
    stop: &'a CancellationToken,
    wakeups: Subscription,
    environment: Environment,
    queue: VecDeque<Held>,
    slots: JoinSet<Ended>,
    pace: Pace,
    /// How many units ended.
    units: usize,
    /// Runs in which something may go on.
    movable: BTreeSet<Uuid>,
    /// Whether a claim may find something.
    may_claim: bool,
    /// Whether the last claim found as much as was wanted, and more is waiting.
    was_claim_full: bool,
    /// Whether the last claim that found something found a range.
    expects_ranges: bool,
    next_look: Instant,
    last_look: Option<Instant>,
    last_take_back: Option<Instant>,
    poll: Duration,
    /// What others want to know.
    news: Vec<Signal>,
    last_news: Option<Instant>,
    /// Whether this machine's clock was too far from the database's at the last look.
    clocks_differ: bool,
}

impl<'a> Drive<'a> {
    pub(super) fn new(worker: &'a Worker, until: Until, stop: &'a CancellationToken, wakeups: Subscription) -> Self {
        Self {
            worker,
            until,
            stop,
            wakeups,
            environment: Environment { give_up: CancellationToken::new(), ..worker.environment.clone() },
            queue: VecDeque::new(),
            slots: JoinSet::new(),
            pace: Pace::default(),
            units: 0,
            movable: BTreeSet::new(),
            may_claim: false,
            was_claim_full: false,
            expects_ranges: true,
            next_look: Instant::now(),
            last_look: None,
            last_take_back: None,
            poll: SHORTEST_POLL,
            news: Vec::new(),
            last_news: None,
            clocks_differ: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<usize, WorkerError> {
        loop {
            let round = self.round().await;
            if self.stop.is_cancelled() && !matches!(round, Err(WorkerError::Died)) {
                return self.end_early().await;
            }
            if round? {
                self.tell_news().await;
                return Ok(self.units);
            }
        }
    }

    /// Everything that can be done now, and then a wait; true when there is nothing to wait for.
    async fn round(&mut self) -> Result<bool, WorkerError> {
        if self.next_look <= Instant::now() {
            self.look().await?;
        }
        if self.can_claim() {
            self.claim().await?;
        }
        if self.has_room() && !self.may_claim && !self.movable.is_empty() {
            self.may_claim = self.move_runs_on().await?;
        }
        while self.slots.len() < self.worker.settings.slots
            && let Some(held) = self.queue.pop_front()
        {
            self.start(held);
        }
        if self.can_claim() {
            return Ok(false);
        }
        let at_rest = self.queue.is_empty() && self.slots.is_empty();
        match &self.until {
            Until::RunsEnded(live) if at_rest && live.is_empty() => return Ok(true),
            Until::Idle if at_rest => return Ok(true),
            _ => {}
        }
        if self.news_are_due() {
            self.tell_news().await;
        }
        self.wait().await?;
        Ok(false)
    }

    const fn runs(&self) -> Option<&BTreeSet<Uuid>> {
        match &self.until {
            Until::RunsEnded(live) => Some(live),
            Until::Idle | Until::Stopped(_) => None,
        }
    }

    fn listed_runs(&self) -> Option<Vec<Uuid>> {
        self.runs().map(|runs| runs.iter().copied().collect())
    }

    fn has_room(&self) -> bool {
        self.queue.len() < self.worker.settings.slots
    }

    /// Whether claiming makes sense and is allowed.
    fn can_claim(&self) -> bool {
        self.may_claim && self.has_room() && !self.clocks_differ
    }

    async fn look(&mut self) -> Result<(), WorkerError> {
        let now = Instant::now();
        self.last_look = Some(now);
        self.next_look = now + self.look_interval();
        if let Some(difference) = self.worker.clocks_differ().await {
            // Leases of others would look expired here, or what was claimed here would look expired to them.
            if !std::mem::replace(&mut self.clocks_differ, true) {
                let difference_seconds = difference.num_seconds();
                tracing::error!("{}. Nothing is begun until then", WorkerError::ClocksDiffer { difference_seconds });
            }
            return Ok(());
        }
        self.clocks_differ = false;
        self.worker.prepare(self.stop).await?;
        let earliest = self.last_take_back.map_or(now, |last| last + TAKE_BACK_INTERVAL);
        let take_back = earliest <= now;
        if take_back {
            self.last_take_back = Some(now);
        } else {
            // What asked for this look may have been a death.
            self.next_look = self.next_look.min(earliest);
        }
        let runs = self.listed_runs();
        let mut look = self.worker.look(runs.as_deref(), take_back, self.stop).await?;
        if look.unknown || look.dead {
            if look.unknown {
                self.worker.give_back_unknown(self.stop).await?;
            }
            if look.dead {
                self.worker.take_back(self.stop).await?;
            }
            self.tell(Signal::Work);
            look = self.worker.look(runs.as_deref(), false, self.stop).await?;
        }
        if let Some(claimable_at) = look.claimable_at {
            match (claimable_at - self.environment.clock.now()).to_std() {
                Ok(wait) if !wait.is_zero() => self.next_look = self.next_look.min(Instant::now() + wait),
                _ => self.may_claim = true,
            }
        }
        match &self.until {
            // A run that somebody else ended is not live any more.
            Until::RunsEnded(live) => self.movable.clone_from(live),
            Until::Idle | Until::Stopped(_) => self.movable.extend(look.movable),
        }
        Ok(())
    }

    fn look_interval(&mut self) -> Duration {
        match &self.until {
            Until::Stopped(_) if self.slots.is_empty() => self.worker.settings.heartbeat * IDLE_FACTOR,
            Until::Stopped(_) => self.worker.settings.heartbeat,
            // The end of what runs here is seen by itself; what others do may be seen a little later.
            Until::RunsEnded(_) | Until::Idle if !self.slots.is_empty() => LONGEST_POLL,
            Until::RunsEnded(_) | Until::Idle => {
                let poll = self.poll;
                self.poll = (poll * 2).min(LONGEST_POLL);
                poll
            }
        }
    }

    async fn claim(&mut self) -> Result<(), WorkerError> {
        let slots = self.worker.settings.slots;
        let wanted = slots - self.slots.len().min(slots) + self.pace.ahead(slots);
        let wanted = wanted.saturating_sub(self.queue.len()).max(1);
        let runs = self.listed_runs();
        let (claimed, is_more) = self.worker.claim(runs.as_deref(), wanted, self.expects_ranges, self.stop).await?;
        if !claimed.is_empty() {
            self.expects_ranges = claimed.iter().any(|unit| unit.len() > 1);
        }
        self.was_claim_full = is_more && claimed.len() >= wanted;
        self.may_claim = self.was_claim_full;
        for unit in claimed {
            self.queue.push_back(Held { running: self.worker.running.hold(&unit), unit });
            self.poll = SHORTEST_POLL;
        }
        Ok(())
    }

    /// True when steps became ready.
    async fn move_runs_on(&mut self) -> Result<bool, WorkerError> {
        // Another program on this database may know what this one does not.
        let undefined = if self.runs().is_some() { Undefined::Blocked } else { Undefined::LeftToOthers };
        let mut moved = false;
        for run_id in std::mem::take(&mut self.movable) {
            match self.worker.move_run_on(run_id, undefined, self.stop).await? {
                Progress::Moved => {
                    moved = true;
                    self.tell(Signal::Work);
                }
                Progress::Waiting => {}
                Progress::Ended => {
                    if let Until::RunsEnded(live) = &mut self.until {
                        live.remove(&run_id);
                    }
                    self.tell(Signal::Published);
                }
            }
        }
        Ok(moved)
    }

    fn start(&mut self, held: Held) {
        let environment = self.environment.clone();
        let logs = self.worker.logs.clone();
        self.slots.spawn(async move {
            let began = Instant::now();
            let started_at = environment.clock.now();
            let Held { unit, running } = held;
            let claimed = unit.clone();
            let executed = AssertUnwindSafe(execute(&environment, &logs, unit, running.signal())).catch_unwind().await;
            let result = match executed {
                Ok(result) => result,
                // Assets' panics are caught where they happen.
                Err(panic) => {
                    end_defective(&environment, &claimed, started_at, panics::text(panic.as_ref()).to_owned()).await;
                    Ok(())
                }
            };
            Ended { run_id: claimed.run_id(), elapsed: began.elapsed(), result }
        });
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), WorkerError> {
        if self.was_claim_full {
            self.may_claim = true;
        } else {
            // Little is left, if anything: a look costs less than a claim that finds nothing.
            self.next_look = Instant::now();
        }
        self.poll = SHORTEST_POLL;
        match ended {
            Ok(Ended { run_id, elapsed, result: Ok(()) }) => {
                self.units += 1;
                self.pace.observe(elapsed);
                self.movable.insert(run_id);
                self.tell(Signal::Published);
                Ok(())
            }
            Ok(Ended { result: Err(Died), .. }) => Err(WorkerError::Died),
            // What it held is not known as held any more, and is given back at the next look.
            Err(error) => {
                tracing::error!(%error, "an attempt ended by a defect of Karat");
                Ok(())
            }
        }
    }

    async fn wait(&mut self) -> Result<(), WorkerError> {
        let mut until = self.next_look;
        if !self.news.is_empty() {
            until = until.min(Instant::now() + SIGNAL_DISTANCE);
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            Some(ended) = self.slots.join_next(), if !self.slots.is_empty() => {
                self.ended(ended)?;
                // Take everything that ended in the meantime before looking for more.
                while let Some(ended) = self.slots.try_join_next() {
                    self.ended(ended)?;
                }
            }
            wakeup = self.wakeups.next() => self.woken(wakeup).await?,
            () = tokio::time::sleep_until(until.into()) => {}
        }
        Ok(())
    }

    async fn woken(&mut self, wakeup: Wakeup) -> Result<(), WorkerError> {
        if wakeup.concerns(&[Signal::Cancel]) {
            self.worker.stop_canceled(self.stop).await?;
        }
        if wakeup.concerns(&[Signal::Work, Signal::Cancel, Signal::Published]) && self.has_room() {
            let earliest = self.last_look.map_or_else(Instant::now, |last| last + SIGNAL_DISTANCE);
            self.next_look = self.next_look.min(earliest);
        }
        Ok(())
    }

    fn tell(&mut self, signal: Signal) {
        if !self.news.contains(&signal) {
            self.news.push(signal);
        }
    }

    fn news_are_due(&self) -> bool {
        !self.news.is_empty() && self.last_news.is_none_or(|last| last.elapsed() >= SIGNAL_DISTANCE)
    }

    async fn tell_news(&mut self) {
        let news = std::mem::take(&mut self.news);
        if news.is_empty() {
            return;
        }
        self.last_news = Some(Instant::now());
        // Who misses it looks by itself.
        if let Err(error) = self.environment.store.signals(&news).await {
            tracing::debug!(%error, "a wake-up could not be sent");
        }
    }

    /// Begins nothing more and ends what was begun: at a shutdown when it finishes within the limit, else at once.
    async fn end_early(mut self) -> Result<usize, WorkerError> {
        let (limit, aborted) = match &self.until {
            Until::Stopped(shutdown) => (shutdown.limit(), shutdown.aborted().clone()),
            Until::RunsEnded(_) | Until::Idle => (Duration::ZERO, self.stop.clone()),
        };
        let give_up = self.environment.give_up.clone();
        let out_of_patience = async {
            out_of_time(limit, &aborted).await;
            tokio::time::sleep(STOP_PATIENCE).await;
            give_up.cancel();
            tokio::time::sleep(STOP_PATIENCE).await;
        };
        tokio::select! {
            biased;
            result = self.finish(limit, &aborted) => match result {
                // The database does not answer: what is left expires with the worker's lease.
                Err(WorkerError::Store(error)) if error.is_transient() => {
                    tracing::warn!(%error, "the database does not answer; what was not recorded is taken back later");
                }
                result => result?,
            },
            () = out_of_patience => {}
        }
        self.slots.shutdown().await;
        Ok(self.units)
    }

    async fn finish(&mut self, limit: Duration, aborted: &CancellationToken) -> Result<(), WorkerError> {
        let give_up = self.environment.give_up.clone();
        let until = out_of_time(limit, aborted);
        tokio::pin!(until);
        for held in std::mem::take(&mut self.queue) {
            hand_back(&self.environment, &held.unit).await;
        }
        if !self.slots.is_empty() && !limit.is_zero() {
            self.worker.note_stopping(&give_up).await;
        }
        loop {
            tokio::select! {
                biased;
                ended = self.slots.join_next() => match ended {
                    Some(ended) => self.ended(ended)?,
                    None => break,
                },
                () = &mut until => break,
            }
        }
        self.worker.running.hand_back_all();
        while let Some(ended) = self.slots.join_next().await {
            self.ended(ended)?;
        }
        // Not the business of others alone: there may be none for a while.
        for run_id in std::mem::take(&mut self.movable) {
            self.worker.move_run_on(run_id, Undefined::LeftToOthers, &give_up).await?;
        }
        self.tell(Signal::Work);
        self.tell_news().await;
        Ok(())
    }
}

/// Until what runs is not waited for any more.
async fn out_of_time(limit: Duration, aborted: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(limit) => {}
        () = aborted.cancelled() => {}
    }
}
