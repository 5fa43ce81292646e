//! Logging in and out. Whoever asks: nobody is known before.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::App;
use super::access::Viewer;
use super::failure::PageError;
use super::identity::{no_session_cookie, session_cookie};
use super::page::Page;
use super::preferences::local;
use crate::service::{LoginError, LoginRequest, Origin, Password};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    /// Where it goes on.
    next: String,
    /// The name that was typed.
    name: String,
    problem: Option<LoginError>,
    /// Who else lets people in, by name and title.
    providers: Vec<(String, String)>,
}

impl LoginPage {
    fn new(app: &App, page: Page, next: String, name: String, problem: Option<LoginError>) -> Self {
        let providers = app.providers.iter();
        let providers = providers.map(|provider| (provider.name().to_owned(), provider.title().to_owned())).collect();
        Self { page, next, name, problem, providers }
    }

    /// Why somebody was not let in, in the language of the page.
    fn sentence(&self) -> String {
        match &self.problem {
            None => String::new(),
            Some(LoginError::Wrong) => {
                self.page.t("The name or the password is wrong.", "Name oder Passwort ist falsch.").to_owned()
            }
            Some(LoginError::Throttled { retry_after }) => {
                let length = self.page.span(*retry_after);
                match self.page.language_tag() {
                    "de" => format!(
                        "Zu viele Anmeldungen sind fehlgeschlagen. Der nächste Versuch ist in {length} möglich."
                    ),
                    _ => format!("Too many logins failed. The next try is possible in {length}."),
                }
            }
            Some(LoginError::Unknown(title)) => match self.page.language_tag() {
                "de" => format!(
                    "{title} kennt für dich hier keine Rolle. Eine Administratorin oder ein Administrator hilft weiter."
                ),
                _ => format!("{title} says that you have no role here. Ask an administrator."),
            },
            Some(LoginError::Unreachable(title)) => match self.page.language_tag() {
                "de" => format!("{title} konnte nicht gefragt werden, wer du bist. Versuche es noch einmal."),
                _ => format!("{title} could not be asked who you are. Try again."),
            },
            Some(error) => error.to_string(),
        }
    }

    fn response(self, status: StatusCode) -> Result<Response, PageError> {
        Ok((status, Html(self.render()?)).into_response())
    }
}

/// Where to go on after the login.
#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn form(
    viewer: Option<Viewer>,
    State(app): State<Arc<App>>,
    Query(Next { next }): Query<Next>,
    page: Page,
) -> Result<Response, PageError> {
    let next = local(&next).to_owned();
    if viewer.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    // There is nobody yet who could log in.
    if !app.service.has_accounts().await? {
        return Err(PageError::Elsewhere);
    }
    LoginPage::new(&app, page, next, String::new(), None).response(StatusCode::OK)
}

/// What was typed. It has no `Debug`, and nothing keeps it.
#[derive(Deserialize)]
struct Typed {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

async fn login(
    State(app): State<Arc<App>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    page: Page,
    Form(Typed { name, password, next }): Form<Typed>,
) -> Result<Response, PageError> {
    let next = local(&next).to_owned();
    let request = LoginRequest {
        name: name.clone(),
        password: Password::typed(password),
        address: origin.address,
        user_agent: headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned),
    };
    let problem = match app.service.login(request).await {
        Ok(logged_in) => {
            let cookies = session_cookie(&app, &headers, &logged_in).await?;
            return Ok((cookies, Redirect::to(&next)).into_response());
        }
        Err(LoginError::Service(error)) => return Err(error.into()),
        Err(problem) => problem,
    };
    refused(&app, page, next, name, problem)
}

/// The login page with why somebody was not let in.
pub(super) fn refused(
    app: &App,
    page: Page,
    next: String,
    name: String,
    problem: LoginError,
) -> Result<Response, PageError> {
    let (status, wait) = match &problem {
        LoginError::Throttled { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(retry_after.as_secs())),
        LoginError::Unreachable(_) => (StatusCode::BAD_GATEWAY, None),
        _ => (StatusCode::UNAUTHORIZED, None),
    };
    let mut response = LoginPage::new(app, page, next, name, Some(problem)).response(status)?;
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    }
    Ok(response)
}

async fn logout(viewer: Viewer, State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, PageError> {
    viewer.service(&app).logout().await?;
    Ok((no_session_cookie(&app, &headers).await?, Redirect::to("/login")).into_response())
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/login", get(form).post(login)).route("/logout", post(logout))
}
