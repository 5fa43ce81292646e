//! The API: what pages and commands can do, for programs; but for making users, passwords and tokens, and for the commands
//! `check`, `migrate` and `gc`.
//!
//! REST and JSON below `/api/v1`, described by OpenAPI at `/api/openapi.json` and for people at `/api`. Results are the
//! service's views; what goes wrong is a [`problem::Problem`].

mod accounts;
mod assets;
mod backfills;
mod data;
mod document;
mod guide;
mod idempotency;
mod input;
mod kept;
mod late;
mod launch;
mod logs;
mod problem;
mod runs;
mod schedules;
mod sensors;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use utoipa_axum::router::OpenApiRouter;

use self::problem::{Problem, ProblemKind};
use super::App;
use super::access::Caller;
use super::connection::REQUEST_BYTES;
use crate::core::shown::shown;
use crate::service::Service;

/// Where the API is.
const BASE: &str = "/api/v1";

/// The largest body: what else a request has comes on top.
const LARGEST_BODY: usize = REQUEST_BYTES - 4 * 1024;

/// What a handler answers with JSON.
type Answer<T> = Result<Json<T>, Problem>;

/// The names of the parameters in the address, by method and path.
type ParameterNames = BTreeMap<(Method, String), BTreeSet<String>>;

/// The operations and their description.
fn operations(program: &str, version: &str) -> (Router<Arc<App>>, serde_json::Value) {
    let operations = OpenApiRouter::with_openapi(document::begun(program, version))
        .merge(assets::routes())
        .merge(launch::routes())
        .merge(runs::routes())
        .merge(logs::routes())
        .merge(backfills::routes())
        .merge(schedules::routes())
        .merge(sensors::routes())
        .merge(late::routes())
        .merge(data::routes())
        .merge(system::routes())
        .merge(accounts::routes());
    let (router, document) = operations.split_for_parts();
    (router, document::completed(&document))
}

pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let (router, document) = operations(app.program, app.version);
    let names = Arc::new(document::parameter_names(&document, BASE));
    let document = Arc::new(document);
    let api = router
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(from_fn_with_state(app.clone(), idempotency::once))
        .layer(from_fn(move |request: Request, next: Next| sensible(names.clone(), request, next)))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn(problem::as_problems));
    Router::new().nest(BASE, api).merge(guide::routes(document))
}

/// A misspelt parameter would be a question that was not asked, and what is too large is not read at all.
async fn sensible(names: Arc<ParameterNames>, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let path = request.uri().path();
    if [query, path].iter().any(|text| text.contains("%00")) {
        return Problem::bad_request("The address has the character NUL, which no name here has.").into_response();
    }
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > LARGEST_BODY) {
        return Problem::new(ProblemKind::TooLarge, ProblemKind::TooLarge.usual_detail()).into_response();
    }
    let route = request.extensions().get::<axum::extract::MatchedPath>().map(|path| path.as_str().to_owned());
    let known = route.and_then(|route| names.get(&(request.method().clone(), route)));
    if let Some(known) = known {
        let mut said =
            query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
        if let Some(stray) = said.find(|name| !known.contains(*name)) {
            let shown = shown(stray);
            let list = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let there_is = if list.is_empty() { "there is none here".to_owned() } else { format!("there are {list}") };
            return Problem::bad_request(format!("There is no parameter `{shown}`: {there_is}.")).into_response();
        }
    }
    next.run(request).await
}

/// An asset is not known yet.
fn still_loading() -> Problem {
    Problem::new(ProblemKind::Database, "How this asset stands is being read for the first time.").retry_after(1)
}

/// The service in the name of whoever asks.
fn acting(app: &App, caller: Caller) -> Service {
    app.service.acting(caller)
}
