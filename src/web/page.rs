//! What every page needs: the language, the look, the zone, who asks, and how times and figures are written.

use std::sync::Arc;

use askama::Template;
use axum::body::to_bytes;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::App;
use super::access::{Caller, Role};
use super::failure::{Failure, PageError};
use super::files;
use super::identity::Asked;
pub(crate) use super::language::Language;
use super::parts::Whole;
use super::refusal;
use crate::service::Origin;

/// The look of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the system of whoever looks.
    #[default]
    System,
    Light,
    Dark,
}

/// What every page needs; templates extend `base.html` with a field `page` of this type.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The program's name, as it is called on the command line.
    pub(crate) program: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// When the page is made.
    pub(crate) now: DateTime<Utc>,
    /// The community's zone.
    pub(crate) zone: Tz,
    pub(crate) language: Language,
    pub(crate) theme: Theme,
    /// Path and query of the request.
    pub(crate) address: String,
    /// Who asks, when that is known.
    pub(crate) caller: Option<Caller>,
    /// Whether a part of a page is asked for, by htmx.
    pub(crate) is_part: bool,
}

impl Page {
    fn new(app: &App, parts: &Parts) -> Self {
        Self {
            program: app.program,
            version: app.version,
            now: app.service.now(),
            zone: app.service.definitions().calendar().zone,
            language: language(&parts.headers),
            theme: theme(&parts.headers),
            address: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), |address| address.as_str().to_owned()),
            caller: parts.extensions.get::<Asked>().and_then(Asked::caller).cloned(),
            is_part: parts.headers.contains_key("hx-request") && !parts.headers.contains_key("hx-boosted"),
        }
    }

    /// The text in the page's language. Both stand side by side in the template, so neither is forgotten.
    pub(crate) fn t<'a>(&self, english: &'a str, german: &'a str) -> &'a str {
        self.language.pick(english, german)
    }

    /// `en` or `de`.
    pub(crate) fn language_tag(&self) -> &'static str {
        match self.language {
            Language::English => "en",
            Language::German => "de",
        }
    }

    /// `system`, `light` or `dark`.
    pub(crate) fn theme_name(&self) -> &'static str {
        match self.theme {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// Where the file is, with its version.
    pub(crate) fn file(&self, name: &str) -> String {
        files::address(name)
    }

    /// The line to type for the same: `community` and the words.
    pub(crate) fn command(&self, words: &str) -> String {
        format!("{} {words}", self.program)
    }

    /// Where the bar leads.
    pub(crate) fn places(&self) -> Vec<Place> {
        let place = |path, english: &'static str, german: &'static str| Place { path, title: self.t(english, german) };
        vec![
            place("/", "Health", "Zustand"),
            place("/dashboards", "Dashboards", "Dashboards"),
            place("/lineage", "Lineage", "Abstammung"),
            place("/assets", "Assets", "Assets"),
            place("/runs", "Runs", "Läufe"),
            place("/backfills", "Backfills", "Backfills"),
            place("/schedules", "Schedules", "Zeitpläne"),
            place("/timeline", "Timeline", "Zeitachse"),
            place("/workers", "Workers", "Worker"),
            place("/settings", "Settings", "Einstellungen"),
        ]
    }

    /// Whether this page is `path` or below it.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        let here = self.address.split('?').next().unwrap_or_default();
        let is_below = |path: &str| here.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        here == path || (path != "/" && is_below(path))
    }

    /// Whether this page belongs to the place in the bar: it is there, below it, or one of its tabs.
    pub(crate) fn belongs_to(&self, place: &str) -> bool {
        let tabs: &[&str] = match place {
            "/schedules" => &["/sensors", "/automation"],
            "/settings" => &["/alerts", "/audit", "/quarantine"],
            _ => &[],
        };
        self.is_at(place) || tabs.iter().any(|tab| self.is_at(tab))
    }

    /// Whether whoever asks may launch, cancel, mark and switch.
    pub(crate) fn may_operate(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.may(Role::Operator))
    }

    /// Whether whoever asks may do everything.
    pub(crate) fn may_administer(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.may(Role::Admin))
    }

    /// The instant in the community's zone, with the offset on hover: `2026-11-23 09:30`.
    pub(crate) fn time(&self, instant: &DateTime<Utc>) -> TimeText {
        self.written(instant, instant.with_timezone(&self.zone).format("%Y-%m-%d %H:%M").to_string())
    }

    /// The same with seconds.
    pub(crate) fn time_seconds(&self, instant: &DateTime<Utc>) -> TimeText {
        self.written(instant, instant.with_timezone(&self.zone).format("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// How long ago or ahead, with the instant on hover: `3 min ago`, `in 2 h`.
    pub(crate) fn ago(&self, instant: &DateTime<Utc>) -> TimeText {
        let distance = *instant - self.now;
        let text = if distance.abs() < TimeDelta::seconds(2) {
            self.t("now", "jetzt").to_owned()
        } else {
            let length = self.duration(distance.abs().num_seconds());
            match (distance > TimeDelta::zero(), self.language) {
                (true, _) => format!("in {length}"),
                (false, Language::English) => format!("{length} ago"),
                (false, Language::German) => format!("vor {length}"),
            }
        };
        self.written(instant, text)
    }

    pub(super) fn written(&self, instant: &DateTime<Utc>, text: String) -> TimeText {
        let local = instant.with_timezone(&self.zone);
        TimeText {
            machine: instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            title: local.format("%Y-%m-%d %H:%M:%S %:z").to_string() + " " + self.zone.name(),
            text,
        }
    }

    /// A length of time in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
    pub(crate) fn duration(&self, seconds: i64) -> String {
        let day = self.t("d", "T");
        let (large, small) = match seconds {
            ..60 => return format!("{} s", seconds.max(0)),
            60..3_600 => ((seconds / 60, "min"), (seconds % 60, "s")),
            3_600..86_400 => ((seconds / 3_600, "h"), (seconds % 3_600 / 60, "min")),
            86_400.. => ((seconds / 86_400, day), (seconds % 86_400 / 3_600, "h")),
        };
        match small.0 {
            0 => format!("{} {}", large.0, large.1),
            _ => format!("{} {} {} {}", large.0, large.1, small.0, small.1),
        }
    }

    /// A length of time down to milliseconds: `12 ms`, `3.4 s`, and from a minute on as [`Self::duration`].
    pub(crate) fn duration_precise(&self, length: TimeDelta) -> String {
        match length.num_milliseconds().max(0) {
            milliseconds @ ..1_000 => format!("{milliseconds} ms"),
            milliseconds @ 1_000..60_000 => {
                let point = self.t(".", ",");
                format!("{}{point}{} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
            }
            _ => self.duration(length.num_seconds()),
        }
    }

    /// A whole number with its thousands apart, whatever it is counted in.
    pub(crate) fn number(&self, number: impl Whole) -> String {
        let number = number.whole();
        let digits = number.unsigned_abs().to_string();
        let mut text = if number < 0 { "\u{2212}".to_owned() } else { String::new() };
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push('\u{202f}');
            }
            text.push(digit);
        }
        text
    }

    /// The local date of the page.
    pub(crate) fn today(&self) -> NaiveDate {
        self.now.with_timezone(&self.zone).date_naive()
    }
}

/// A place the bar leads to.
pub(crate) struct Place {
    pub(crate) path: &'static str,
    pub(crate) title: &'static str,
}

/// An instant in words, for templates.
#[derive(Template)]
#[template(source = r#"<time datetime="{{ machine }}" title="{{ title }}">{{ text }}</time>"#, ext = "html")]
pub(crate) struct TimeText {
    machine: String,
    title: String,
    pub(super) text: String,
}

// It is rendered, and so escaped, by its own template.
impl askama::filters::HtmlSafe for TimeText {}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// The language chosen on a page, or that of the browser.
fn language(headers: &HeaderMap) -> Language {
    match cookie(headers, LANGUAGE_COOKIE) {
        Some("de") => return Language::German,
        Some("en") => return Language::English,
        _ => {}
    }
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = accepted.split(',').find_map(|one| match one.trim().get(..2)?.to_ascii_lowercase().as_str() {
        "de" => Some(Language::German),
        "en" => Some(Language::English),
        _ => None,
    });
    known.unwrap_or_default()
}

fn theme(headers: &HeaderMap) -> Theme {
    match cookie(headers, THEME_COOKIE) {
        Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        _ => Theme::System,
    }
}

/// The most bytes of a refusal in plain words that are shown.
const LONGEST_REFUSAL: usize = 4_096;

/// Holds the language that was chosen.
pub(super) const LANGUAGE_COOKIE: &str = "karat_language";

/// Holds the look that was chosen.
pub(super) const THEME_COOKIE: &str = "karat_theme";

impl FromRequestParts<Arc<App>> for Page {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        Ok(Self::new(app, parts))
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    page: Page,
    failure: Failure,
    /// The page with the form that was refused.
    back: Option<String>,
}

#[derive(Template)]
#[template(path = "failure_part.html")]
struct FailurePart {
    page: Page,
    failure: Failure,
}

/// Gives failures their page, in the language and look of the request.
pub(super) async fn framed(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let page = Page::new(&app, &parts);
    let is_get = parts.method == Method::GET;
    let wants_page = is_get && accepts_pages(&parts.headers);
    let is_stranger = page.caller.is_none() && parts.extensions.get::<Origin>().is_none_or(|origin| !origin.is_local);
    let response = with_failure(next.run(Request::from_parts(parts, body)).await).await;
    let Some(mut failure) = response.extensions().get::<Failure>().cloned() else { return response };
    let status = failure.status;
    if status == StatusCode::SERVICE_UNAVAILABLE && is_stranger {
        // What is wrong names addresses and databases: at the login too.
        failure.sentence.clear();
    }
    let headers = response.headers().clone();
    if status == StatusCode::UNAUTHORIZED && wants_page {
        return login_first(&page);
    }
    let rendered = if page.is_part {
        FailurePart { page, failure }.render()
    } else {
        let back = failure.page_of_form(is_get, &page);
        FailurePage { page, failure, back }.render()
    };
    match rendered {
        Ok(html) => {
            let mut framed = (status, Html(html)).into_response();
            for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
                if let Some(value) = headers.get(&name) {
                    framed.headers_mut().insert(name, value.clone());
                }
            }
            framed
        }
        Err(error) => {
            tracing::error!(%error, "the page of a failure cannot be rendered");
            response
        }
    }
}

/// The response with the failure it stands for: what extractors refuse, they refuse in plain words.
async fn with_failure(response: Response) -> Response {
    let is_plain =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !response.status().is_client_error() || !is_plain || response.extensions().get::<Failure>().is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let sentence = to_bytes(body, LONGEST_REFUSAL).await.unwrap_or_default();
    let sentence = refusal::in_words(String::from_utf8_lossy(&sentence).trim());
    parts.extensions.insert(Failure { status: parts.status, sentence: sentence.clone() });
    Response::from_parts(parts, sentence.into())
}

/// Whether a person looks at what comes: a browser that opens a page, or htmx.
fn accepts_pages(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.contains("text/html") || headers.contains_key("hx-request")
}

/// The text as a query has it.
pub(super) fn encoded(text: &str) -> String {
    askama::filters::urlencode_strict(text).map_or_else(|never| match never {}, |encoded| encoded.0.to_string())
}

/// Leads to the login, and from there back to the page.
fn login_first(page: &Page) -> Response {
    let next = if page.is_part { "/".to_owned() } else { page.address.clone() };
    let address = format!("/login?next={}", encoded(&next));
    if page.is_part {
        (StatusCode::UNAUTHORIZED, [("hx-redirect", address)]).into_response()
    } else {
        Redirect::to(&address).into_response()
    }
}

/// What a handler of a page returns.
pub(crate) type PageResult = Result<Html<String>, PageError>;

/// The template as a page.
pub(crate) fn rendered(template: &impl Template) -> PageResult {
    Ok(Html(template.render()?))
}
