//! Users: who may do what. For admins.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::App;
use super::access::{Admin, Role};
use super::failure::PageError;
use super::page::Page;
use crate::service::{AccountView, MINIMUM_PASSWORD_CHARACTERS, Password, ServiceError};

#[derive(Template)]
#[template(path = "users.html")]
struct Users {
    page: Page,
    accounts: Vec<AccountView>,
    said: Said,
    problem: Option<String>,
    /// The name and the password that was made for it, shown this once.
    made: Option<(String, Password)>,
    minimum: usize,
}

impl Users {
    fn roles(&self) -> [Role; 3] {
        Role::ALL
    }

    fn is_own(&self, account: &AccountView) -> bool {
        self.page.caller.as_ref().is_some_and(|caller| caller.account_id.is_some() && caller.name == account.name)
    }
}

/// What was done, for the page that follows.
#[derive(Clone, Default, Deserialize)]
struct Said {
    #[serde(default)]
    done: String,
    #[serde(default)]
    name: String,
}

impl Said {
    /// In words; nothing for what is none of these.
    fn sentence(&self, page: &Page) -> Option<&'static str> {
        Some(match self.done.as_str() {
            "add" => page.t("has been made.", "ist angelegt."),
            "passwd" => page.t(
                "has another password; the sessions ended.",
                "hat ein anderes Passwort; die Sitzungen sind beendet.",
            ),
            "role" => page.t("has another role.", "hat eine andere Rolle."),
            "disable" => page.t("may do nothing any more.", "darf nichts mehr."),
            "enable" => page.t("may log in again.", "darf sich wieder anmelden."),
            "logout" => page.t("is logged out everywhere.", "ist überall abgemeldet."),
            _ => return None,
        })
    }
}

async fn shown(
    app: &App,
    admin: &Admin,
    page: Page,
    said: Said,
    problem: Option<ServiceError>,
    made: Option<(String, Password)>,
) -> Result<Response, PageError> {
    let accounts = admin.service(app).list_accounts().await?;
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let problem = problem.map(|problem| problem.to_string());
    let users = Users { page, accounts, said, problem, made, minimum: MINIMUM_PASSWORD_CHARACTERS };
    Ok((status, Html(users.render()?)).into_response())
}

/// The page after something was done, or the same page with why it was not.
async fn after(
    app: &App,
    admin: &Admin,
    page: Page,
    done: &'static str,
    result: Result<String, ServiceError>,
) -> Result<Response, PageError> {
    match result {
        Ok(name) => Ok(Redirect::to(&format!("/settings/users?done={done}&name={name}")).into_response()),
        Err(error @ (ServiceError::Store(_) | ServiceError::Forbidden(_) | ServiceError::Id(_))) => Err(error.into()),
        Err(error) => shown(app, admin, page, Said::default(), Some(error), None).await,
    }
}

async fn list(
    admin: Admin,
    State(app): State<Arc<App>>,
    Query(said): Query<Said>,
    page: Page,
) -> Result<Response, PageError> {
    shown(&app, &admin, page, said, None, None).await
}

#[derive(Deserialize)]
struct NewUser {
    name: String,
    role: Role,
    /// One is made when it is blank.
    #[serde(default)]
    password: String,
}

async fn add(
    admin: Admin,
    State(app): State<Arc<App>>,
    page: Page,
    Form(NewUser { name, role, password }): Form<NewUser>,
) -> Result<Response, PageError> {
    let generated = password.is_empty();
    let made = async {
        let password = if generated { Password::generated() } else { Password::chosen(password)? };
        let account = admin.service(&app).create_account(&name, role, Some(&password)).await?;
        Ok((account.name, password))
    };
    match made.await {
        Ok(made) if generated => shown(&app, &admin, page, Said::default(), None, Some(made)).await,
        made => after(&app, &admin, page, "add", made.map(|(name, _)| name)).await,
    }
}

#[derive(Deserialize)]
struct NewPassword {
    /// One is made when it is blank.
    #[serde(default)]
    password: String,
}

async fn passwd(
    admin: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    page: Page,
    Form(NewPassword { password }): Form<NewPassword>,
) -> Result<Response, PageError> {
    let generated = password.is_empty();
    let made = async {
        let password = if generated { Password::generated() } else { Password::chosen(password)? };
        let account = admin.service(&app).set_password(&name, &password).await?;
        Ok((account.name, password))
    };
    match made.await {
        Ok(made) if generated => shown(&app, &admin, page, Said::default(), None, Some(made)).await,
        made => after(&app, &admin, page, "passwd", made.map(|(name, _)| name)).await,
    }
}

#[derive(Deserialize)]
struct NewRole {
    role: Role,
}

async fn role(
    admin: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    page: Page,
    Form(NewRole { role }): Form<NewRole>,
) -> Result<Response, PageError> {
    let changed = admin.service(&app).set_role(&name, role).await.map(|account| account.name);
    after(&app, &admin, page, "role", changed).await
}

async fn disable(
    admin: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    page: Page,
) -> Result<Response, PageError> {
    let changed = admin.service(&app).disable_account(&name).await.map(|account| account.name);
    after(&app, &admin, page, "disable", changed).await
}

async fn enable(
    admin: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    page: Page,
) -> Result<Response, PageError> {
    let changed = admin.service(&app).enable_account(&name).await.map(|account| account.name);
    after(&app, &admin, page, "enable", changed).await
}

async fn logout(
    admin: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    page: Page,
) -> Result<Response, PageError> {
    let ended = admin.service(&app).end_sessions(&name).await.map(|_| name.to_lowercase());
    after(&app, &admin, page, "logout", ended).await
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/settings/users", get(list).post(add))
        .route("/settings/users/{name}/password", post(passwd))
        .route("/settings/users/{name}/role", post(role))
        .route("/settings/users/{name}/disable", post(disable))
        .route("/settings/users/{name}/enable", post(enable))
        .route("/settings/users/{name}/logout", post(logout))
}
