//! What requests to the API bring along: bodies, pages of lists, and conditions.

use std::fmt::Write as _;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Json, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::problem::{Problem, ProblemKind};
use crate::core::shown::shown;
use crate::web::refusal::in_words;

/// How long a page of a list is unless it is said, and at most.
const USUAL_LIMIT: u32 = 50;
pub(super) const LARGEST_LIMIT: u32 = 500;

/// A body of JSON: nothing in it that is not known, and no text that the database cannot hold.
pub(super) struct Body<T>(pub(super) T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned + Serialize,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(value) = Json::<Value>::from_request(request, state).await.map_err(refused)?;
        if has_nul(&value) {
            return Err(Problem::bad_request("The body has a text with the character NUL, which no text here has."));
        }
        let shape = |detail: String| Problem::new(ProblemKind::WrongShape, detail);
        if !value.is_object() {
            return Err(shape("The body is a JSON object.".to_owned()));
        }
        let body: T = serde_json::from_value(value.clone()).map_err(|error| shape(format!("The body: {error}.")))?;
        let known = serde_json::to_value(&body).unwrap_or_default();
        if let (Value::Object(said), Value::Object(known)) = (&value, &known)
            && let Some(stray) = said.keys().find(|name| !known.contains_key(*name))
        {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(shape(format!(
                "The body has a field `{}`, which is none of {}.",
                stray.escape_debug(),
                names.join(", ")
            )));
        }
        Ok(Self(body))
    }
}

fn refused(rejection: JsonRejection) -> Problem {
    let kind = match &rejection {
        JsonRejection::MissingJsonContentType(_) => {
            return Problem::new(
                ProblemKind::UnsupportedMediaType,
                "Send the body as `Content-Type: application/json`.",
            );
        }
        JsonRejection::JsonDataError(_) => ProblemKind::WrongShape,
        rejection if rejection.status().as_u16() == 413 => ProblemKind::TooLarge,
        _ => ProblemKind::BadRequest,
    };
    Problem::new(kind, in_words(&rejection.body_text()))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Parameters in the address.
pub(super) struct Parameters<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Parameters<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(Problem::bad_request(in_words(&rejection.body_text()))),
        }
    }
}

/// Which part of a list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// At most so many entries.
    #[serde(default = "usual_limit", deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    pub(super) limit: u32,
    /// Where to go on: `next` of the page before.
    pub(super) cursor: Option<String>,
}

const fn usual_limit() -> u32 {
    USUAL_LIMIT
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse() {
        Ok(limit @ 1..=LARGEST_LIMIT) => Ok(limit),
        _ => Err(serde::de::Error::custom(format!("limit is a number from 1 to {LARGEST_LIMIT}"))),
    }
}

/// How many of something that has no pages.
pub(super) fn at_most(limit: Option<u32>) -> Result<u32, Problem> {
    up_to(LARGEST_LIMIT, "limit", limit.unwrap_or(USUAL_LIMIT))
}

/// The number that the parameter `name` says, which is 1 to `most`.
pub(super) fn up_to(most: u32, name: &str, said: u32) -> Result<u32, Problem> {
    if (1..=most).contains(&said) {
        return Ok(said);
    }
    Err(Problem::bad_request(format!("{name} is a number from 1 to {most}.")))
}

impl Paging {
    /// What the cursor leads to; `None` at the beginning.
    pub(super) fn after<T: std::str::FromStr>(&self, list: &str) -> Result<Option<T>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let text = opened(cursor);
        let place = text.as_deref().and_then(|text| text.strip_prefix(list)?.strip_prefix(':')?.parse().ok());
        place.map(Some).ok_or_else(|| {
            Problem::bad_request(format!(
                "The cursor `{}` is none of this list. A cursor is `next` of the page before.",
                shown(cursor)
            ))
        })
    }

    /// One entry more than is asked for, which shows whether there are more.
    pub(super) const fn one_more(&self) -> u32 {
        self.limit.saturating_add(1)
    }

    /// The page of entries of which one more was read than asked for; `place` is where the page after an entry begins.
    pub(super) fn page<T, P: std::fmt::Display>(
        &self,
        list: &str,
        mut items: Vec<T>,
        place: impl Fn(&T) -> P,
    ) -> Listed<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(&place);
        self.page_before(list, items, next)
    }

    /// The page of these entries; `next` is where the page after it begins.
    pub(super) fn page_before<T, P: std::fmt::Display>(&self, list: &str, items: Vec<T>, next: Option<P>) -> Listed<T> {
        Listed { items, next: next.map(|place| sealed(&format!("{list}:{place}"))) }
    }
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Listed<T> {
    /// The entries.
    pub(super) items: Vec<T>,
    /// The cursor of the page after this one; `null` on the last.
    pub(super) next: Option<String>,
}

impl<T> Listed<T> {
    /// A list that always comes as a whole.
    pub(super) const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// A cursor: what it says is nobody's business but the list's.
fn sealed(text: &str) -> String {
    text.bytes().fold(String::with_capacity(2 * text.len()), |mut sealed, byte| {
        // Writing to a string does not fail.
        let _ = write!(sealed, "{byte:02x}");
        sealed
    })
}

fn opened(cursor: &str) -> Option<String> {
    if !cursor.len().is_multiple_of(2) || cursor.len() > 1_000 || !cursor.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..cursor.len()).step_by(2).map(|at| u8::from_str_radix(cursor.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(bytes?).ok()
}
