//! Answers that clients may keep: each has a tag, and who shows the tag of the present one is spared it.

use std::sync::LazyLock;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use super::problem::Problem;

/// Generations begin with the process.
static PROCESS: LazyLock<String> = LazyLock::new(|| Uuid::new_v4().simple().to_string());

/// To be asked about every time, and shown to nobody else.
const KEPT: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The answer, or only that it has not changed. What depends on the declarations alone has no generation.
pub(super) async fn unless_known<T: Serialize>(
    headers: &HeaderMap,
    generation: Option<u64>,
    answer: impl AsyncFnOnce() -> Result<T, Problem>,
) -> Result<Response, Problem> {
    let tag = match generation {
        Some(generation) => format!("W/\"{}-{generation}\"", *PROCESS),
        None => format!("W/\"{}\"", *PROCESS),
    };
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|line| line.split(',')).any(|one| one.trim() == tag || one.trim() == "*");
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Json(answer().await?).into_response(),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, KEPT);
    Ok(response)
}
