//! One's own account: the password, and where one is logged in.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::App;
use super::access::Viewer;
use super::failure::PageError;
use super::page::Page;
use crate::service::{MINIMUM_PASSWORD_CHARACTERS, Password, ServiceError, SessionView};

#[derive(Template)]
#[template(path = "own_account.html")]
struct OwnAccount {
    page: Page,
    sessions: Vec<SessionView>,
    done: String,
    problem: Option<String>,
    minimum: usize,
}

impl OwnAccount {
    fn has_account(&self) -> bool {
        self.page.caller.as_ref().is_some_and(|caller| caller.account_id.is_some())
    }
}

/// What was done, for the page that follows.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    done: String,
}

async fn shown(
    app: &App,
    viewer: &Viewer,
    page: Page,
    done: String,
    problem: Option<ServiceError>,
) -> Result<Response, PageError> {
    let sessions = viewer.service(app).own_sessions().await?;
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let problem = problem.map(|problem| problem.to_string());
    let own = OwnAccount { page, sessions, done, problem, minimum: MINIMUM_PASSWORD_CHARACTERS };
    Ok((status, Html(own.render()?)).into_response())
}

async fn account(
    viewer: Viewer,
    State(app): State<Arc<App>>,
    Query(Said { done }): Query<Said>,
    page: Page,
) -> Result<Response, PageError> {
    shown(&app, &viewer, page, done, None).await
}

#[derive(Deserialize)]
struct Passwords {
    current: String,
    password: String,
    again: String,
}

async fn passwd(
    viewer: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Form(Passwords { current, password, again }): Form<Passwords>,
) -> Result<Response, PageError> {
    let changed = async {
        if password != again {
            let differ = page.t("The two passwords differ.", "Die beiden Passwörter sind verschieden.");
            return Err(ServiceError::Input(differ.to_owned()));
        }
        let password = Password::chosen(password)?;
        viewer.service(&app).change_own_password(&Password::typed(current), &password).await
    };
    match changed.await {
        Ok(_) => Ok(Redirect::to("/settings/account?done=passwd").into_response()),
        Err(error @ (ServiceError::Input(_) | ServiceError::Refused(_))) => {
            shown(&app, &viewer, page, String::new(), Some(error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn end_others(viewer: Viewer, State(app): State<Arc<App>>) -> Result<Redirect, PageError> {
    viewer.service(&app).end_other_sessions().await?;
    Ok(Redirect::to("/settings/account?done=logout"))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/settings/account", get(account))
        .route("/settings/account/password", post(passwd))
        .route("/settings/account/logout-others", post(end_others))
}
