//! What a process answers over HTTP: whether it lives, whether it is ready, and its metrics.
//!
//! Handlers ask [`crate::service`] and render what it returns. Nothing here needs a login or changes anything.

mod connection;
mod metrics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::BoxFuture;

use self::connection::Bounded;
use crate::service::{HealthView, Observer, PagesContext};

/// How long an answer may take to be made.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long requests that are being answered have when the server is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Serves until it is told to stop; then requests that are being answered have five seconds.
///
/// 64 connections are served at once, a request has 16 KiB and 20 seconds, and an answer is given within ten.
///
/// # Errors
/// When the listener breaks.
pub fn serve(context: PagesContext) -> BoxFuture<'static, std::io::Result<()>> {
    Box::pin(async move {
        let PagesContext { service, process, login: _, listener, stop } = context;
        let observer = Arc::new(Observer::new(&service, process));
        let routes = Router::new()
            .route("/", get(index))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .fallback(nothing_here)
            .layer(from_fn(within_limits))
            .with_state(observer);
        let server = axum::serve(Bounded::new(listener), routes).with_graceful_shutdown(stop.clone().cancelled_owned());
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        tokio::select! {
            result = server => result,
            () = patience => Ok(()),
        }
    })
}

/// Every answer comes in time, is not kept by anybody, and is taken for what it says it is.
async fn within_limits(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(ANSWER_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer could be made in time\n").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn index() -> &'static str {
    "Karat is running: /healthz says that it lives, /readyz whether it is ready for work, /metrics is for Prometheus.\n"
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(observer): State<Arc<Observer>>) -> (StatusCode, Json<HealthView>) {
    let health = observer.health().await;
    (if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

async fn metrics(State(observer): State<Arc<Observer>>, headers: HeaderMap) -> Response {
    match metrics::rendered(&headers, observer.metrics().await) {
        Ok((media_type, text)) => ([(header::CONTENT_TYPE, media_type)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn nothing_here() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, "there is nothing here: see / for what there is\n")
}
