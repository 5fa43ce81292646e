//! What programs ask a process: whether it lives, whether it is ready, and its metrics. Without a login.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::{App, metrics};
use crate::service::HealthView;

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, Json<HealthView>) {
    let health = app.observer.health().await;
    (if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

async fn exposition(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match metrics::rendered(&headers, app.observer.metrics().await) {
        Ok((media_type, text)) => ([(header::CONTENT_TYPE, media_type)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(exposition))
}
