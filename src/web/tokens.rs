//! Tokens: what programs show instead of a password. One's own for everybody, all of them for admins.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::App;
use super::access::{Role, Viewer};
use super::failure::PageError;
use super::page::Page;
use crate::service::{NewTokenView, ServiceError, TokenView};

#[derive(Template)]
#[template(path = "tokens.html")]
struct Tokens {
    page: Page,
    tokens: Vec<TokenView>,
    /// Whose tokens can be made here: nobody's without a login.
    owner: Option<String>,
    roles: Vec<Role>,
    problem: Option<String>,
    /// The token that was just made, shown this once.
    made: Option<NewTokenView>,
}

async fn shown(
    app: &App,
    viewer: &Viewer,
    page: Page,
    problem: Option<ServiceError>,
    made: Option<NewTokenView>,
) -> Result<Response, PageError> {
    let service = viewer.service(app);
    let owner = viewer.0.account_id.map(|_| viewer.0.name.clone());
    let tokens = match (&owner, viewer.0.may(Role::Admin)) {
        (_, true) => service.tokens(None).await?,
        (Some(owner), false) => service.tokens(Some(owner)).await?,
        (None, false) => Vec::new(),
    };
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let roles = Role::ALL.into_iter().filter(|&role| viewer.0.may(role)).collect();
    let problem = problem.map(|problem| problem.to_string());
    Ok((status, Html(Tokens { page, tokens, owner, roles, problem, made }.render()?)).into_response())
}

async fn list(viewer: Viewer, State(app): State<Arc<App>>, page: Page) -> Result<Response, PageError> {
    shown(&app, &viewer, page, None, None).await
}

#[derive(Deserialize)]
struct NewToken {
    name: String,
    role: Role,
    /// In days; until it is revoked without any.
    #[serde(default)]
    days: String,
}

const DAY: Duration = Duration::from_secs(86_400);

async fn add(
    viewer: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Form(NewToken { name, role, days }): Form<NewToken>,
) -> Result<Response, PageError> {
    let valid_for = match days.trim() {
        "" => None,
        days => match days.parse::<u32>() {
            Ok(days @ 1..=3_650) => Some(DAY * days),
            _ => {
                return Err(PageError::BadRequest(
                    "a token is valid for 1 to 3650 days, or until it is revoked".to_owned(),
                ));
            }
        },
    };
    match viewer.service(&app).create_token(&viewer.0.name, &name, role, valid_for).await {
        Ok(made) => shown(&app, &viewer, page, None, Some(made)).await,
        Err(error @ (ServiceError::Input(_) | ServiceError::Refused(_))) => {
            shown(&app, &viewer, page, Some(error), None).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn revoke(viewer: Viewer, State(app): State<Arc<App>>, Path(id): Path<i64>) -> Result<Redirect, PageError> {
    viewer.service(&app).revoke_token(id).await?;
    Ok(Redirect::to("/settings/tokens"))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/settings/tokens", get(list).post(add)).route("/settings/tokens/{id}/revoke", post(revoke))
}
