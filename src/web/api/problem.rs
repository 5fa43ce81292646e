//! What the API answers instead of a result: problems as RFC 9457 describes them.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::{ErrorKind, ServiceError};
use crate::web::failure::{Failure, PageError};
use crate::web::refusal::in_words;

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// The longest text of an answer that becomes the detail of a problem.
const LONGEST_DETAIL: usize = 8 * 1024;

/// Why a request could not be served (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "/api#nothing_found",
    "title": "Nothing found",
    "status": 404,
    "detail": "there is no asset `gold.dialy_active_users`: did you mean `gold.daily_active_users`?",
    "kind": "nothing_found"
}))]
pub(crate) struct Problem {
    /// Where the kind of problem is described.
    #[serde(rename = "type")]
    reference: String,
    /// The kind in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What is wrong here, and what to do.
    detail: String,
    /// The kind, for programs.
    kind: ProblemKind,
    #[serde(skip)]
    retry_after_seconds: Option<u16>,
}

/// What kind of problem it is. Programs decide by it what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProblemKind {
    /// The request cannot be meant: a name, a date, a range, a value. Asking again is of no use.
    BadRequest,
    /// It is not known who asks.
    LoginNeeded,
    /// Whoever asks may not do this.
    NotAllowed,
    /// There is no such thing.
    NothingFound,
    /// The method is none of those that the address has; `Allow` lists them.
    MethodNotAllowed,
    /// The request is understood and cannot be carried out as things stand. Nothing was changed.
    Refused,
    /// Everything asked for is as it should be already.
    NothingToDo,
    /// A request with this idempotency key is being carried out, or it is not known whether it was.
    InProgress,
    /// The idempotency key was used for another request.
    KeyReused,
    /// The body has too many bytes.
    TooLarge,
    /// The body is no JSON.
    UnsupportedMediaType,
    /// The body is JSON of another shape.
    WrongShape,
    /// Too many requests in too short a time; `Retry-After` says when to ask again.
    TooManyRequests,
    /// The database cannot be used. Asking again later is of use.
    Database,
    /// A defect of the program.
    Defect,
}

impl ProblemKind {
    pub(super) const ALL: [Self; 15] = [
        Self::BadRequest,
        Self::LoginNeeded,
        Self::NotAllowed,
        Self::NothingFound,
        Self::MethodNotAllowed,
        Self::Refused,
        Self::NothingToDo,
        Self::InProgress,
        Self::KeyReused,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::WrongShape,
        Self::TooManyRequests,
        Self::Database,
        Self::Defect,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::LoginNeeded => "login_needed",
            Self::NotAllowed => "not_allowed",
            Self::NothingFound => "nothing_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Refused => "refused",
            Self::NothingToDo => "nothing_to_do",
            Self::InProgress => "in_progress",
            Self::KeyReused => "key_reused",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::WrongShape => "wrong_shape",
            Self::TooManyRequests => "too_many_requests",
            Self::Database => "database",
            Self::Defect => "defect",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request cannot be meant",
            Self::LoginNeeded => "It is not known who asks",
            Self::NotAllowed => "Not allowed",
            Self::NothingFound => "Nothing found",
            Self::MethodNotAllowed => "No such method here",
            Self::Refused => "Not as things stand",
            Self::NothingToDo => "Nothing to do",
            Self::InProgress => "Being carried out",
            Self::KeyReused => "The key was used for another request",
            Self::TooLarge => "The request is too large",
            Self::UnsupportedMediaType => "The body is no JSON",
            Self::WrongShape => "The body has another shape",
            Self::TooManyRequests => "Too many requests",
            Self::Database => "The database cannot be used",
            Self::Defect => "A defect of the program",
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::LoginNeeded => StatusCode::UNAUTHORIZED,
            Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::NothingFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Refused | Self::NothingToDo | Self::InProgress => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::KeyReused | Self::WrongShape => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Database => StatusCode::SERVICE_UNAVAILABLE,
            Self::Defect => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The kind that an answer of this status is of, when nothing else says so.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::LoginNeeded,
            StatusCode::FORBIDDEN => Self::NotAllowed,
            StatusCode::NOT_FOUND => Self::NothingFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::CONFLICT => Self::Refused,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::WrongShape,
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyRequests,
            StatusCode::SERVICE_UNAVAILABLE => Self::Database,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Defect,
        }
    }

    pub(super) const fn usual_detail(self) -> &'static str {
        match self {
            Self::LoginNeeded => "Send a token of an account: `Authorization: Bearer TOKEN`.",
            Self::NotAllowed => "The role of the account does not allow this. An administrator can change it.",
            Self::NothingFound => {
                "The address leads nowhere, or what it led to is not kept any more. /api lists the addresses."
            }
            Self::MethodNotAllowed => "The header Allow lists the methods of this address.",
            Self::TooLarge => "A body has at most 60 KiB.",
            Self::UnsupportedMediaType => "Send the body as `Content-Type: application/json`.",
            _ => "",
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            reference: format!("/api#{}", kind.as_str()),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            kind,
            retry_after_seconds: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }

    pub(super) fn retry_after(self, seconds: u16) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    fn of_status(status: StatusCode, detail: String) -> Self {
        let kind = ProblemKind::of_status(status);
        let detail = if detail.is_empty() { kind.usual_detail().to_owned() } else { detail };
        // The status stays the one of the answer, whatever is usual for the kind.
        Self { status: status.as_u16(), ..Self::new(kind, detail) }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        match error.kind() {
            ErrorKind::NothingToDo => Self::new(ProblemKind::NothingToDo, error.to_string()),
            // What a page answers to it is right here too.
            _ => PageError::from(error).into(),
        }
    }
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        let Failure { status, sentence } = error.failure();
        Self::of_status(status, sentence)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A struct of texts always becomes JSON.
        let json = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], json).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Whatever went wrong on the way to a handler, or in it, is answered as a problem: refused extractors, bodies that are no
/// JSON, methods that are not there.
pub(super) async fn as_problems(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes() == MEDIA_TYPE.as_bytes());
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let detail = match parts.extensions.remove::<Failure>() {
        Some(failure) => failure.sentence,
        None => text(body).await,
    };
    let mut answer = Problem::of_status(status, detail).into_response();
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = parts.headers.remove(&name) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

async fn text(body: Body) -> String {
    let bytes = to_bytes(body, LONGEST_DETAIL).await.unwrap_or_default();
    in_words(String::from_utf8_lossy(&bytes).trim())
}
