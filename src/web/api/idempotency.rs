//! `Idempotency-Key`: a request that changes something is carried out once however often it is sent.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::LARGEST_BODY;
use super::problem::{Problem, ProblemKind};
use crate::service::{Once, RecordedAnswer, RequestKey};
use crate::web::App;
use crate::web::identity::Asked;

/// The header with the key.
pub(super) const HEADER: &str = "idempotency-key";

/// Says that an answer was given before.
pub(super) const REPLAYED: &str = "idempotency-replayed";

/// The longest key, in characters.
pub(super) const LONGEST_KEY: usize = 200;

/// The largest answer that is remembered; launching everything there is comes to far less.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// When to ask again about what is being carried out.
const ASK_AGAIN_SECONDS: u16 = 1;

/// Carries a request with a key out if it is the first one, and otherwise gives the answer that was given.
pub(super) async fn once(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let Some(value) = request.headers().get(HEADER) else { return next.run(request).await };
    // Who may not ask at all claims no key.
    let Some(caller) = request.extensions().get::<Asked>().and_then(Asked::caller) else {
        return next.run(request).await;
    };
    // Keys are one's own in a role: what an admin was answered is not told to a token of less.
    let caller = format!("{} {} {}", caller.name, caller.role, caller.via.as_str());
    let key = match key(value) {
        Ok(key) => RequestKey { caller, key },
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, LARGEST_BODY).await else {
        return Problem::new(ProblemKind::TooLarge, ProblemKind::TooLarge.usual_detail()).into_response();
    };
    let address = parts.uri.path_and_query().map_or("", |address| address.as_str());
    match app.service.once(&key, &[address.as_bytes(), &bytes]).await {
        Err(error) => Problem::from(error).into_response(),
        Ok(Once::OtherRequest) => Problem::new(
            ProblemKind::KeyReused,
            "This key was sent with another address or body within the last day. Each request has a key of its own.",
        )
        .into_response(),
        Ok(Once::InProgress) => Problem::new(
            ProblemKind::InProgress,
            "A request with this key is being carried out. If this stays so, the process died over it and it is not known \
             whether it was: look, and send it with another key if it was not.",
        )
        .retry_after(ASK_AGAIN_SECONDS)
        .into_response(),
        Ok(Once::Answered(answer)) => replayed(answer),
        Ok(Once::First) => {
            // By itself: a client that goes away does not leave a request half carried out.
            let request = Request::from_parts(parts, Body::from(bytes));
            let carried_out = tokio::spawn(carry_out(app, key, request, next));
            carried_out.await.unwrap_or_else(|_| {
                Problem::new(ProblemKind::Defect, "The request ended by a defect of the program.").into_response()
            })
        }
    }
}

async fn carry_out(app: Arc<App>, key: RequestKey, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, LARGEST_ANSWER).await else {
        return Problem::new(ProblemKind::Defect, "The answer is too large to be remembered.").into_response();
    };
    let remembered = match (status, std::str::from_utf8(&bytes)) {
        // It is not known what was done: the key stays taken.
        (status, _) if status.is_server_error() => Ok(()),
        // Nothing was done, and another role or a little patience would change the answer.
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS, _) | (_, Err(_)) => {
            app.service.forget(&key).await
        }
        (status, Ok(text)) => {
            let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let answer = RecordedAnswer {
                status: status.as_u16(),
                media_type: media_type.map(str::to_owned),
                text: text.to_owned(),
            };
            app.service.answered(&key, &answer).await
        }
    };
    if let Err(error) = remembered {
        tracing::warn!(%error, "the answer to a request with an idempotency key could not be remembered");
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn key(value: &HeaderValue) -> Result<String, Problem> {
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > LONGEST_KEY || text.contains(|character: char| character.is_control()) {
        return Err(Problem::bad_request(format!(
            "Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID."
        )));
    }
    Ok(text.to_owned())
}

fn replayed(answer: RecordedAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Bytes::from(answer.text)).into_response();
    let media_type = answer.media_type.and_then(|media_type| HeaderValue::from_str(&media_type).ok());
    if let Some(media_type) = media_type {
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
