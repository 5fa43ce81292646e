//! The first page: is everything fine?

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::App;
use super::access::Viewer;
use super::page::{Page, PageResult, rendered};
use crate::service::{HealthView, StatusView};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    health: HealthView,
    status: StatusView,
}

async fn home(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    let definitions = app.service.definitions();
    let status = app.picture.current().status(definitions, definitions.assets());
    rendered(&Home { page, health: app.observer.health().await, status })
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/", get(home))
}
