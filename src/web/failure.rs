//! What is answered instead of a page: in words, with what to do.
//!
//! A handler returns a [`PageError`]; [`super::page::framed`] renders it in the language and look of the request.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::page::Page;
use super::preferences::local;
use crate::service::{DEFAULT_ADDRESS, ErrorKind, ServiceError};

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum PageError {
    /// It is not known who asks.
    LoginNeeded,
    /// The token that was shown is none, or is not valid any more.
    WrongToken,
    /// Whoever asks may not do this.
    NotAllowed,
    /// Nobody can log in yet, and whoever asks is not at this very machine.
    Elsewhere,
    /// A page of somebody else made the browser ask.
    CrossSite,
    /// There is no such thing: an address that leads nowhere.
    NothingHere,
    /// The request makes no sense: a sentence that says why.
    BadRequest(String),
    /// It cannot be found out who asks: the sentence says why.
    Unavailable(String),
    /// The service refuses or fails.
    Service(ServiceError),
}

impl From<ServiceError> for PageError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<askama::Error> for PageError {
    fn from(error: askama::Error) -> Self {
        Self::BadRequest(format!("the page cannot be rendered: {error}"))
    }
}

/// A failure on its way to the frame that renders it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// The sentence, for people.
    pub(crate) sentence: String,
}

impl Failure {
    /// What happened, in a few words.
    pub(crate) fn title(&self, page: &Page) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => page.t("Log in first", "Bitte anmelden"),
            StatusCode::FORBIDDEN => page.t("Not allowed", "Nicht erlaubt"),
            StatusCode::TOO_MANY_REQUESTS => page.t("Too often", "Zu oft"),
            StatusCode::NOT_FOUND => page.t("Nothing here", "Hier ist nichts"),
            StatusCode::CONFLICT => page.t("Not as things stand", "So nicht möglich"),
            StatusCode::SERVICE_UNAVAILABLE => {
                page.t("The database cannot be used", "Die Datenbank ist nicht erreichbar")
            }
            _ => page.t("That cannot be", "Das geht nicht"),
        }
    }

    /// The page on which the form is that was refused; none where what it was about is not there.
    pub(crate) fn page_of_form(&self, is_get: bool, page: &Page) -> Option<String> {
        if self.status == StatusCode::NOT_FOUND {
            return None;
        }
        let segments: Vec<&str> = page.path().trim_matches('/').split('/').collect();
        let shown: &[&str] = match segments.as_slice() {
            ["assets", _, "plan"] => &segments[..2],
            // Files, which are asked for on these pages.
            ["tables", _, _] | ["dashboards", _, _, _] => &segments[..2],
            // A filter was refused: the same page without it.
            _ if is_get => {
                let is_filtered = self.status == StatusCode::BAD_REQUEST && page.address.contains('?');
                return is_filtered.then(|| local(page.path()).to_owned());
            }
            ["backfills"] => &["backfills", "new"],
            ["settings", "channels", ..] => &segments[..1],
            ["settings", "users" | "tokens" | "account", ..] => &segments[..2],
            // These show what will happen before it does.
            ["assets", _, "mark"] | ["schedules", _, "trigger"] => &segments,
            ["assets" | "backfills" | "quarantine" | "runs" | "schedules" | "sensors", shown @ .., _] => {
                &segments[..=shown.len()]
            }
            _ => return None,
        };
        Some(format!("/{}", shown.join("/")))
    }

    /// What to do.
    pub(crate) fn advice(&self, page: &Page) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => {
                page.t("These pages are for people with an account.", "Diese Seiten sind für Personen mit Konto.")
            }
            StatusCode::FORBIDDEN if !self.sentence.is_empty() => page.t("This was refused.", "Das wurde abgelehnt."),
            StatusCode::FORBIDDEN => page.t(
                "Your role does not allow this. An administrator can change it.",
                "Deine Rolle erlaubt das nicht. Eine Administratorin oder ein Administrator kann sie ändern.",
            ),
            StatusCode::NOT_FOUND => page.t(
                "The address leads nowhere, or what it led to is not kept any more.",
                "Die Adresse führt ins Leere, oder das Ziel wird nicht mehr aufbewahrt.",
            ),
            StatusCode::CONFLICT => page.t("Nothing was changed.", "Es wurde nichts geändert."),
            StatusCode::SERVICE_UNAVAILABLE => page.t(
                "Nothing is lost. The page can be loaded again when the database is back.",
                "Nichts geht verloren. Die Seite lässt sich wieder laden, sobald die Datenbank zurück ist.",
            ),
            _ => page
                .t("The request is wrong. Nothing was changed.", "Die Anfrage ist falsch. Es wurde nichts geändert."),
        }
    }
}

impl PageError {
    pub(crate) fn failure(&self) -> Failure {
        let (status, sentence) = match self {
            Self::LoginNeeded => (StatusCode::UNAUTHORIZED, String::new()),
            Self::WrongToken => (StatusCode::UNAUTHORIZED, "the token is none, or is not valid any more".to_owned()),
            Self::NotAllowed => (StatusCode::FORBIDDEN, String::new()),
            Self::Elsewhere => (
                StatusCode::FORBIDDEN,
                format!(
                    "There are no users yet, so that these pages are shown on this very machine only, at \
                     http://{DEFAULT_ADDRESS} or its like, and by no proxy. `user add NAME --role admin` makes a user"
                ),
            ),
            Self::CrossSite => {
                (StatusCode::FORBIDDEN, "The request came from a page of another site, and was refused".to_owned())
            }
            Self::Unavailable(sentence) => (StatusCode::SERVICE_UNAVAILABLE, sentence.clone()),
            Self::NothingHere => (StatusCode::NOT_FOUND, String::new()),
            Self::BadRequest(sentence) => (StatusCode::BAD_REQUEST, sentence.clone()),
            Self::Service(error) => {
                let status = match error {
                    ServiceError::Asset(_) | ServiceError::Id(_) => StatusCode::NOT_FOUND,
                    error => match error.kind() {
                        ErrorKind::Request => StatusCode::BAD_REQUEST,
                        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
                        ErrorKind::Refused | ErrorKind::NothingToDo => StatusCode::CONFLICT,
                        ErrorKind::Database => StatusCode::SERVICE_UNAVAILABLE,
                    },
                };
                (status, error.to_string())
            }
        };
        Failure { status, sentence }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let failure = self.failure();
        let mut response = (failure.status, failure.sentence.clone()).into_response();
        if failure.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"karat\""));
        }
        response.extensions_mut().insert(failure);
        response
    }
}
