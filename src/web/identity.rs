//! Who asks, found out once for each request: by a token, by the cookie of a session, or because no login is needed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, FORWARDED, HOST, VIA};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Version};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use axum_extra::extract::cookie::{Cookie, Key, SignedCookieJar};

use tokio::time::timeout;

use super::App;
use super::access::{Caller, Role};
use super::connection::Bounded;
use crate::service::{Identified, LoggedIn, LoginAttempt, Origin, Presented, ServiceError};

/// Holds the session's secret.
const SESSION_COOKIE: &str = "karat_session";

/// Holds what a login by a provider is known by when it comes back.
const ATTEMPT_COOKIE: &str = "karat_login";
const ATTEMPT_PATH: &str = "/login";
const ATTEMPT_SECONDS: i64 = 600;

/// How long the database has to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What proxies add.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What came of asking who it is.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Known(Identified),
    /// It could not be found out, in words.
    Unavailable(String),
}

impl Asked {
    pub(super) const fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Known(Identified::Caller(caller)) => Some(caller),
            _ => None,
        }
    }
}

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Finds out who asks.
pub(super) async fn known(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let origin = origin(&request);
    request.extensions_mut().insert(origin);
    // Files and probes ask nobody, and have to be there without the database.
    let path = request.uri().path();
    if !path.starts_with("/static/") && !matches!(path, "/healthz" | "/readyz") {
        let asked = match path {
            // Whoever measures from this very machine goes on measuring when the database is away.
            "/metrics" if origin.is_local && !request.headers().contains_key(AUTHORIZATION) => {
                let caller = Caller { role: Role::Viewer, ..Caller::local(origin.address) };
                Asked::Known(Identified::Caller(caller))
            }
            _ => asked(&app, request.headers(), origin).await,
        };
        // For what only wants to tell people apart; who may do what, `access` decides.
        if let Some(caller) = asked.caller().cloned() {
            request.extensions_mut().insert(caller);
        }
        request.extensions_mut().insert(asked);
    }
    next.run(request).await
}

async fn asked(app: &App, headers: &HeaderMap, origin: Origin) -> Asked {
    match timeout(PATIENCE, identified(app, headers, origin)).await {
        Ok(Ok(identified)) => Asked::Known(identified),
        Ok(Err(error)) if origin.is_local => Asked::Unavailable(error.to_string()),
        // What is wrong names addresses and databases: strangers are not told.
        Ok(Err(_)) => Asked::Unavailable("the database cannot be used".to_owned()),
        Err(_) => Asked::Unavailable("the database does not answer".to_owned()),
    }
}

async fn identified(app: &App, headers: &HeaderMap, origin: Origin) -> Result<Identified, ServiceError> {
    let token = bearer(headers);
    let session = match token {
        None if headers.contains_key(COOKIE) => session_secret(app, headers).await?,
        _ => None,
    };
    app.service.identify(app.login, Presented { session: session.as_deref(), token, origin }).await
}

/// What follows `Authorization: Bearer`; nothing at all when something else does.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

/// Where the request comes from.
fn origin(request: &Request) -> Origin {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(peer))| peer.ip().to_canonical());
    let headers = request.headers();
    let is_forwarded = [FORWARDED, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, REAL_IP, VIA]
        .iter()
        .any(|name| headers.contains_key(name));
    let is_here = peer.is_some_and(|peer| peer.is_loopback());
    // Browsers speak nothing older; some proxies do, and then tell neither whom they ask for nor by which name.
    let is_current = request.version() >= Version::HTTP_11;
    // Only a proxy on this very machine is believed, and of what it passes on only what it wrote itself, at the end.
    let forwarded_for = headers.get_all(FORWARDED_FOR).iter().next_back().and_then(|value| value.to_str().ok());
    let client = forwarded_for.and_then(|list| list.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    Origin {
        address: if is_here { client.or(peer) } else { peer },
        is_local: is_here && is_current && !is_forwarded && names_this_machine(headers),
    }
}

/// Whether the name by which it was asked can only be this machine's: a page elsewhere may have a name of its own resolved
/// to this machine, and its browser takes what it reads here for its own.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(authority) = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok()) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

async fn cookies(app: &App, headers: &HeaderMap) -> Result<SignedCookieJar, ServiceError> {
    Ok(SignedCookieJar::from_headers(headers, Key::from(&app.service.signing_key().await?)))
}

async fn session_secret(app: &App, headers: &HeaderMap) -> Result<Option<String>, ServiceError> {
    let is_there =
        headers.get_all(COOKIE).iter().any(|line| line.to_str().is_ok_and(|line| line.contains(SESSION_COOKIE)));
    if !is_there {
        return Ok(None);
    }
    Ok(cookies(app, headers).await?.get(SESSION_COOKIE).map(|cookie| cookie.value().to_owned()))
}

/// The cookies of an answer to somebody who is logged in from now on.
pub(super) async fn session_cookie(
    app: &App,
    headers: &HeaderMap,
    logged_in: &LoggedIn,
) -> Result<SignedCookieJar, ServiceError> {
    let seconds = (logged_in.expires_at - app.service.now()).num_seconds();
    let cookie = cookie(headers, SESSION_COOKIE, logged_in.secret.reveal(), "/", seconds);
    Ok(cookies(app, headers).await?.add(cookie))
}

/// The cookies of an answer to somebody who is logged out from now on.
pub(super) async fn no_session_cookie(app: &App, headers: &HeaderMap) -> Result<SignedCookieJar, ServiceError> {
    Ok(cookies(app, headers).await?.add(cookie(headers, SESSION_COOKIE, "", "/", 0)))
}

/// The cookies of an answer to somebody who is sent to a provider, and comes back soon.
pub(super) async fn attempt_cookie(
    app: &App,
    headers: &HeaderMap,
    attempt: &LoginAttempt,
) -> Result<SignedCookieJar, ServiceError> {
    let cookie = cookie(headers, ATTEMPT_COOKIE, attempt.kept().reveal(), ATTEMPT_PATH, ATTEMPT_SECONDS);
    Ok(cookies(app, headers).await?.add(cookie))
}

/// The attempt of somebody who comes back from a provider.
pub(super) async fn attempt(app: &App, headers: &HeaderMap) -> Result<Option<LoginAttempt>, ServiceError> {
    let cookie = cookies(app, headers).await?.get(ATTEMPT_COOKIE);
    Ok(cookie.and_then(|cookie| LoginAttempt::resumed(cookie.value())))
}

/// An attempt is good for one login.
pub(super) fn no_attempt(headers: &HeaderMap) -> Cookie<'static> {
    cookie(headers, ATTEMPT_COOKIE, "", ATTEMPT_PATH, 0)
}

/// Sent to nobody else, read by no script, and over an encrypted connection only if it came by one.
fn cookie(headers: &HeaderMap, name: &'static str, secret: &str, path: &str, seconds: i64) -> Cookie<'static> {
    let secure = if is_encrypted(headers) { "; Secure" } else { "" };
    let text = format!("{name}={secret}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    Cookie::parse(text).unwrap_or_else(|_| Cookie::from(name))
}

/// Whether the browser's connection is encrypted: a proxy says so, who speaks TLS for these pages.
pub(super) fn is_encrypted(headers: &HeaderMap) -> bool {
    let value = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let forwarded = value(&FORWARDED).to_ascii_lowercase();
    value(&FORWARDED_PROTO).trim().eq_ignore_ascii_case("https")
        || forwarded.contains("proto=https")
        || forwarded.contains("proto=\"https\"")
}
