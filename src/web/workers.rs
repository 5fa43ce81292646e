//! Workers and pools: what runs where, and who waits for whom.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::App;
use super::access::Viewer;
use super::page::{Page, PageResult, rendered};
use crate::service::{LoadView, WorkerState};

#[derive(Template)]
#[template(path = "workers.html")]
struct Workers {
    page: Page,
    load: LoadView,
}

impl Workers {
    /// How many workers are alive, and their slots together.
    fn alive(&self) -> (usize, i64) {
        let alive = self.load.workers.iter().filter(|load| load.worker.state != WorkerState::Dead);
        (alive.clone().count(), alive.map(|load| i64::from(load.worker.slots)).sum())
    }

    fn running(&self) -> i64 {
        self.load.workers.iter().map(|load| load.worker.running_steps).sum()
    }

    /// The slots of one worker as small squares: how many are taken, and how many are free. A long row is cut.
    fn slots(&self, load: &crate::service::WorkerLoadView) -> Vec<bool> {
        let slots = usize::try_from(load.worker.slots).unwrap_or(0).min(64);
        (0..slots).map(|slot| slot < load.running.len()).collect()
    }
}

async fn workers(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    rendered(&Workers { page, load: app.service.load().await? })
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/workers", get(workers))
}
