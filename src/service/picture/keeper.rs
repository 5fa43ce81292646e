//! Keeping the picture up to date in the background.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::memory::{ENDS_ASKED_AGAIN, Memory};
use super::{AssetPicture, Picture};
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::engine::readers::first_chunk;
use crate::engine::status::{partition_statuses, step_statuses};
use crate::engine::{Subscription, Wakeup};
use crate::service::{Service, ServiceError};
use crate::store::{Store, pool_options};

/// How long after a wake-up is waited for more of them.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// How often is looked without a wake-up: while somebody watches, and while nobody does.
const WATCHED_INTERVAL: Duration = Duration::from_secs(2);
const IDLE_INTERVAL: Duration = Duration::from_secs(30);

/// Whoever asked within this time still watches.
const ATTENTION: Duration = Duration::from_secs(20);

/// How long the database is left alone after it could not be read.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// After a look the database is left alone for so many times as long as it took.
const RESTS_FOR: u32 = 4;

/// How many partitions are looked at together, and how many partitions these may read.
const CHUNK: u64 = 1_000;
const CHUNK_READS: u64 = 20_000;

/// After this time what is known is shown, and news are asked for, before the rest is looked at.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// When more than this has changed since the last look, everything is looked at anew.
const CHANGES_LIMIT: usize = 50_000;

/// Keeps the picture of one process. Cheap to clone; ends with the last clone.
#[derive(Clone)]
pub struct PictureKeeper {
    shared: Arc<Shared>,
    _keeping: Arc<AbortOnDropHandle<()>>,
}

struct Shared {
    picture: watch::Sender<Arc<Picture>>,
    /// Asked for by [`PictureKeeper::up_to_date`].
    wanted: Notify,
    begun: AtomicU64,
    done: watch::Sender<u64>,
    last_asked: Mutex<Instant>,
}

impl Shared {
    fn is_watched(&self) -> bool {
        let last_asked = *self.last_asked.lock().unwrap_or_else(PoisonError::into_inner);
        self.picture.receiver_count() > 0 || last_asked.elapsed() < ATTENTION
    }

    /// Shows what is news; what is being found out anew is shown as it was until then.
    fn publish(&self, now: DateTime<Utc>, news: BTreeMap<AssetKey, Arc<AssetPicture>>, is_complete: bool) {
        self.picture.send_if_modified(|picture| {
            let differs = |(key, asset): (&AssetKey, &Arc<AssetPicture>)| picture.assets.get(key) != Some(asset);
            let loading = picture.loading && !is_complete;
            let changed = news.iter().any(differs) || loading != picture.loading || picture.problem.is_some();
            let shown = Arc::make_mut(picture);
            shown.at = now;
            if changed {
                shown.generation += 1;
                shown.loading = loading;
                shown.problem = None;
                shown.assets.extend(news);
            }
            changed
        });
    }

    fn show_problem(&self, error: &ServiceError) {
        self.picture.send_modify(|picture| {
            let shown = Arc::make_mut(picture);
            shown.generation += 1;
            shown.problem = Some(error.to_string());
        });
    }

    fn asked(&self) {
        let mut last_asked = self.last_asked.lock().unwrap_or_else(PoisonError::into_inner);
        if last_asked.elapsed() >= ATTENTION {
            self.wanted.notify_one();
        }
        *last_asked = Instant::now();
    }
}

impl PictureKeeper {
    /// Begins to look at the state of the installation, on one connection of its own. To be called within a runtime.
    #[must_use]
    pub fn start(service: &Service, wakeups: Subscription) -> Self {
        let pool = pool_options().max_connections(1).connect_lazy_with(service.connect_options.clone());
        let service = Service { store: Store::new(pool), ..service.clone() };
        let first = Picture { at: service.now(), generation: 0, loading: true, problem: None, assets: BTreeMap::new() };
        let shared = Arc::new(Shared {
            picture: watch::Sender::new(Arc::new(first)),
            wanted: Notify::new(),
            begun: AtomicU64::new(0),
            done: watch::Sender::new(0),
            last_asked: Mutex::new(Instant::now()),
        });
        let keeping = tokio::spawn(keep(Keeping { service, shared: shared.clone(), memory: None }, wakeups));
        Self { shared, _keeping: Arc::new(AbortOnDropHandle::new(keeping)) }
    }

    /// The picture as it is. Never waits.
    #[must_use]
    pub fn current(&self) -> Arc<Picture> {
        self.shared.asked();
        self.shared.picture.borrow().clone()
    }

    /// The picture with everything in it that was committed before this was called; for showing what an action came to.
    /// Waits for as long as the database takes: callers set a limit.
    pub async fn up_to_date(&self) -> Arc<Picture> {
        let mut done = self.shared.done.subscribe();
        let needed = self.shared.begun.load(Ordering::SeqCst) + 1;
        self.shared.wanted.notify_one();
        // The sender lives as long as this.
        let _ = done.wait_for(|done| *done >= needed).await;
        self.current()
    }

    /// The picture whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Picture>> {
        self.shared.asked();
        self.shared.picture.subscribe()
    }
}

/// What the task that keeps the picture has.
struct Keeping {
    service: Service,
    shared: Arc<Shared>,
    memory: Option<Memory>,
}

async fn keep(mut keeping: Keeping, mut wakeups: Subscription) {
    loop {
        let shared = keeping.shared.clone();
        let look = shared.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let began = Instant::now();
        let pause = match keeping.look().await {
            Ok(true) => {
                shared.done.send_replace(look);
                DEBOUNCE.max(began.elapsed() * RESTS_FOR)
            }
            // There is more, and there may be news.
            Ok(false) => continue,
            Err(error) => {
                tracing::warn!(%error, "the pages do not show the newest state");
                shared.show_problem(&error);
                AFTER_FAILURE
            }
        };
        let interval = if shared.is_watched() { WATCHED_INTERVAL } else { IDLE_INTERVAL };
        let interval = keeping.until_change().map_or(interval, |change| interval.min(change));
        tokio::select! {
            () = shared.wanted.notified() => {}
            () = tokio::time::sleep(interval.max(pause)) => {}
            // Whoever wakes others rarely does so once.
            () = something(&mut wakeups) => tokio::select! {
                () = shared.wanted.notified() => {}
                () = tokio::time::sleep(pause) => {}
            },
        }
    }
}

async fn something(wakeups: &mut Subscription) {
    let _: Wakeup = wakeups.next().await;
}

impl Keeping {
    /// Looks at what has changed; whether nothing is left to be looked at. After a failure the next look goes on from what
    /// was learned.
    async fn look(&mut self) -> Result<bool, ServiceError> {
        let began = Instant::now();
        let now = self.service.now();
        let memory = noted(&self.service, &mut self.memory, now).await?;
        let definitions = &self.service.definitions;
        let mut is_complete = true;
        // Upstream first, as people read.
        for key in definitions.graph().topological_order() {
            let Some(asset) = definitions.asset(key) else { continue };
            while !(memory.dirty(key).is_empty() && memory.dirty_steps(key).is_empty()) {
                if began.elapsed() > LONGEST_LOOK {
                    is_complete = false;
                    break;
                }
                look_at_some(&self.service, memory, asset, now).await?;
            }
        }
        let news = definitions
            .assets()
            .filter_map(|asset| Some((asset.key.clone(), Arc::new(memory.news(definitions, asset, now)?))))
            .collect();
        self.shared.publish(now, news, is_complete);
        Ok(is_complete)
    }

    /// When time alone changes something, by a clock that goes.
    fn until_change(&self) -> Option<Duration> {
        let next = self.memory.as_ref()?.changes_at()?;
        (next - self.service.now()).to_std().ok()
    }
}

/// What is known, with what has changed to be looked at.
async fn noted<'m>(
    service: &Service,
    known: &'m mut Option<Memory>,
    now: DateTime<Utc>,
) -> Result<&'m mut Memory, ServiceError> {
    let Service { store, definitions, .. } = service;
    // A clock that was put back opens partitions again.
    let changes = match known.as_ref().filter(|memory| memory.looked_at() <= now) {
        Some(memory) => {
            let asked = store.all_changes_since(memory.snapshot(), memory.known_end(), CHANGES_LIMIT).await?;
            Some(asked).filter(|(changes, _)| !changes.truncated)
        }
        None => None,
    };
    let (memory, live) = match (known.take(), changes) {
        (Some(mut memory), Some((changes, runs))) => {
            memory.pass_time(definitions, now);
            memory.note(definitions, changes, now);
            memory.note_runs(definitions, &runs);
            (memory, runs.live)
        }
        _ => {
            let snapshot = store.snapshot().await?;
            // Everything is looked at anyway: what the last runs that ended did, too.
            let (_, runs) = store.all_changes_since(&snapshot, i64::MIN, usize::from(ENDS_ASKED_AGAIN)).await?;
            (Memory::new(definitions, snapshot, &runs, now), runs.live)
        }
    };
    let memory = known.insert(memory);
    if !(live.is_empty() && memory.unread().is_empty()) {
        let keyed = definitions.assets().filter(|spec| spec.partitions.as_time().is_none());
        let keyed: Vec<&str> = keyed.map(|spec| spec.key.as_str()).collect();
        let steps = store.steps_of_runs(&live, &memory.known_steps(), memory.unread(), &keyed).await?;
        memory.note_steps(definitions, &live, steps);
    }
    Ok(memory)
}

async fn look_at_some(
    service: &Service,
    memory: &mut Memory,
    asset: &AssetSpec,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    let Service { store, definitions, .. } = service;
    let dirty = memory.dirty(&asset.key);
    if dirty.is_empty() {
        let chunk = memory.dirty_steps(&asset.key).first_members(CHUNK);
        let status = step_statuses(store, asset, &chunk).await?;
        memory.learn_steps(asset, &chunk, status);
        return Ok(());
    }
    let chunk = if asset.is_materializable() {
        first_chunk(definitions, asset, dirty, CHUNK, CHUNK_READS, now)
    } else {
        dirty.clone()
    };
    let status = partition_statuses(store, definitions, asset, &chunk, now).await?;
    memory.learn(asset, &chunk, status);
    Ok(())
}
