//! How somebody likes the pages: language and look, kept in cookies of their browser.

use std::sync::Arc;

use axum::Router;
use axum::extract::Form;
use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::post;
use serde::Deserialize;

use super::App;
use super::page::{LANGUAGE_COOKIE, THEME_COOKIE};

/// A year.
const KEPT_SECONDS: u32 = 31_536_000;

#[derive(Deserialize)]
struct Preferences {
    language: Option<String>,
    theme: Option<String>,
    #[serde(default)]
    back: String,
}

/// Keeps what was chosen and goes back. Whoever asks: it concerns their browser alone.
async fn prefer(Form(preferences): Form<Preferences>) -> Response {
    let language = preferences.language.filter(|language| matches!(language.as_str(), "en" | "de"));
    let theme = preferences.theme.filter(|theme| matches!(theme.as_str(), "system" | "light" | "dark"));
    let chosen = [(LANGUAGE_COOKIE, language), (THEME_COOKIE, theme)];
    let cookies = chosen.into_iter().filter_map(|(name, value)| {
        let value = value?;
        Some((header::SET_COOKIE, format!("{name}={value}; Path=/; Max-Age={KEPT_SECONDS}; SameSite=Lax; HttpOnly")))
    });
    (AppendHeaders(cookies.collect::<Vec<_>>()), Redirect::to(local(&preferences.back))).into_response()
}

/// The address, if it is one of these pages; the first page otherwise.
pub(super) fn local(address: &str) -> &str {
    let is_local = address.starts_with('/')
        && !address.starts_with("//")
        && !address.contains(['\\', '\r', '\n'])
        && address.is_ascii()
        && !address.bytes().any(|byte| byte.is_ascii_control());
    if is_local { address } else { "/" }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/preferences", post(prefer))
}
