//! What programs ask a process: whether it lives, whether it is ready, and its metrics. The first two
//! ask nobody for a login.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::access::Viewer;
use super::{App, metrics};
use crate::service::{HealthProblem, HealthView, Origin};

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(Extension(origin): Extension<Origin>, State(app): State<Arc<App>>) -> (StatusCode, Json<HealthView>) {
    let mut health = app.observer.health().await;
    if !origin.is_local {
        // What is wrong names addresses and databases: that is told on this very machine only.
        for problem in health.parts.iter_mut().filter_map(|part| part.problem.as_mut()) {
            *problem = HealthProblem::Untold.into();
        }
    }
    (if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

async fn exposition(_: Viewer, State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match metrics::rendered(&headers, app.observer.metrics().await) {
        Ok((media_type, text)) => ([(header::CONTENT_TYPE, media_type)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(exposition))
}
