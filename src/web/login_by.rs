//! Logging in by somebody else who knows people: there with a secret, back with a code.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use super::App;
use super::failure::PageError;
use super::identity::{attempt, attempt_cookie, no_attempt, session_cookie};
use super::login::refused;
use super::page::Page;
use crate::service::{LoginAttempt, LoginError, LoginProvider, Origin};

/// The provider of this name.
fn provider<'a>(app: &'a App, name: &str) -> Result<&'a dyn LoginProvider, PageError> {
    app.providers.iter().find(|provider| provider.name() == name).map(|found| &**found).ok_or(PageError::NothingHere)
}

async fn leave(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let provider = provider(&app, &name)?;
    if !app.service.has_accounts().await? {
        return Err(PageError::Elsewhere);
    }
    let attempt = LoginAttempt::begin();
    let cookies = attempt_cookie(&app, &headers, &attempt).await?;
    Ok((cookies, Redirect::to(&provider.authorize_url(&attempt))).into_response())
}

/// What a provider sends people back with.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
}

async fn come_back(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Extension(origin): Extension<Origin>,
    Query(Answer { code, state }): Query<Answer>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, PageError> {
    let provider = provider(&app, &name)?;
    let begun = attempt(&app, &headers).await?.filter(|attempt| attempt.state() == state);
    // Somebody else's login, one that took too long, or one that was broken off there: it begins again.
    let (Some(begun), false) = (begun, code.is_empty()) else { return Ok(Redirect::to("/login").into_response()) };
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    match app.service.login_by(provider, &code, &begun, origin, user_agent).await {
        Ok(logged_in) => {
            let cookies = session_cookie(&app, &headers, &logged_in).await?.add(no_attempt(&headers));
            Ok((cookies, Redirect::to("/")).into_response())
        }
        Err(LoginError::Service(error)) => Err(error.into()),
        Err(problem) => refused(&app, page, "/".to_owned(), String::new(), problem),
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/login/with/{provider}", get(leave)).route("/login/from/{provider}", get(come_back))
}
