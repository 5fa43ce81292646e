//! Keeping the picture up to date in the background.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{AssetPicture, Picture};
use crate::core::key::AssetKey;
use crate::engine::freshness::freshness_of;
use crate::engine::status::asset_statuses;
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

/// How many assets are looked at together.
const CHUNK: usize = 10;

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
        let keeping = tokio::spawn(keep(service, shared.clone(), wakeups));
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

async fn keep(service: Service, shared: Arc<Shared>, mut wakeups: Subscription) {
    loop {
        let look = shared.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let mut pause = Duration::ZERO;
        match look_at_everything(&service, &shared).await {
            Ok(()) => drop(shared.done.send_replace(look)),
            Err(error) => {
                tracing::warn!(%error, "the pages do not show the newest state");
                shared.picture.send_modify(|picture| Arc::make_mut(picture).problem = Some(error.to_string()));
                pause = AFTER_FAILURE;
            }
        }
        tokio::time::sleep(pause).await;
        let interval = if shared.is_watched() { WATCHED_INTERVAL } else { IDLE_INTERVAL };
        tokio::select! {
            () = shared.wanted.notified() => {}
            () = tokio::time::sleep(interval) => {}
            () = something(&mut wakeups) => tokio::time::sleep(DEBOUNCE).await,
        }
    }
}

async fn something(wakeups: &mut Subscription) {
    let _: Wakeup = wakeups.next().await;
}

async fn look_at_everything(service: &Service, shared: &Shared) -> Result<(), ServiceError> {
    let now = service.now();
    let keys: Vec<AssetKey> = service.definitions.graph().topological_order().to_vec();
    let mut assets = shared.picture.borrow().assets.clone();
    let loading = shared.picture.borrow().loading;
    for chunk in keys.chunks(CHUNK) {
        let statuses = asset_statuses(&service.store, &service.definitions, chunk, now).await?;
        let specs: Vec<_> = chunk.iter().filter_map(|key| service.definitions.asset(key)).collect();
        let freshness = freshness_of(&service.store, &service.definitions, specs, now).await?;
        for (key, status) in statuses {
            let picture = AssetPicture::new(status, freshness.get(&key).copied());
            if assets.get(&key).is_none_or(|known| **known != picture) {
                assets.insert(key, Arc::new(picture));
            }
        }
        if loading {
            publish(shared, now, &assets, true);
        }
    }
    publish(shared, now, &assets, false);
    Ok(())
}

fn publish(
    shared: &Shared,
    now: chrono::DateTime<chrono::Utc>,
    assets: &BTreeMap<AssetKey, Arc<AssetPicture>>,
    loading: bool,
) {
    shared.picture.send_if_modified(|picture| {
        let changed = picture.assets != *assets || picture.loading != loading || picture.problem.is_some();
        *picture = Arc::new(Picture {
            at: now,
            generation: picture.generation + u64::from(changed),
            loading,
            problem: None,
            assets: assets.clone(),
        });
        changed
    });
}
