//! The pages, the API, and what a process tells other programs over HTTP.
//!
//! Handlers ask [`crate::service`] and render what it returns: there is no SQL and no policy here. Every handler but the
//! probes, the files and the login takes one of the extractors of `access`, and nothing else decides who may do what.

mod access;
mod address;
mod alerts;
mod api;
mod app;
mod asset;
mod audit;
mod automation;
mod backfills;
mod bar;
pub mod chart;
mod connection;
mod dashboards;
mod download;
mod failure;
mod files;
mod german;
mod heat;
mod home;
mod identity;
pub mod language;
pub mod lineage;
mod live;
mod login;
mod login_by;
mod metrics;
mod own_account;
mod page;
mod parts;
mod preferences;
mod probes;
mod quarantine;
mod refusal;
mod run;
mod run_log;
mod runs;
mod schedules;
mod settings;
mod tables;
mod timeline;
mod tokens;
mod users;
mod words;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::BoxFuture;
use tower_http::csrf::CsrfLayer;

pub(crate) use self::app::App;
use self::connection::Bounded;
use self::failure::PageError;
use crate::engine::{Subscription, Wakeups};
use crate::service::{Caller, Observer, PagesContext, PictureKeeper};

/// How long an answer may take to be begun.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long requests that are being answered have when the server is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What a page may load and do: nothing from elsewhere, no script and no style of its own.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// What a page may use of the device: nothing but the clipboard, to copy a command line.
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const NO_PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
);

/// Pages of others get no hold of these, neither of their windows nor of their files.
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Serves until it is told to stop; then requests that are being answered have five seconds.
///
/// A bounded number of connections is served at once, a request has 64 KiB and 20 seconds, and an answer is begun within
/// ten.
///
/// # Errors
/// When the listener breaks.
pub fn serve(context: PagesContext) -> BoxFuture<'static, std::io::Result<()>> {
    Box::pin(async move {
        let PagesContext { service, program, process, login, providers, channels, wakeups, listener, stop } = context;
        let version = process.version;
        // A handler that changes something asks in the name of whoever asks it.
        let service = service.acting(Caller::nobody());
        let observer = Observer::new(&service, process);
        let heard = wakeups.as_ref().map_or_else(Subscription::silent, Wakeups::subscribe);
        let picture = PictureKeeper::start(&service, heard);
        let app = Arc::new(App {
            service,
            picture,
            observer,
            program,
            version,
            login,
            providers,
            stop: stop.clone(),
            channels,
            wakeups,
        });
        let server =
            axum::serve(Bounded::new(listener), router(&app).into_make_service_with_connect_info::<identity::Peer>())
                .with_graceful_shutdown(stop.clone().cancelled_owned());
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        tokio::select! {
            result = server => result,
            () = patience => Ok(()),
        }
    })
}

fn router(app: &Arc<App>) -> Router {
    Router::new()
        .merge(asset::routes())
        .merge(dashboards::routes())
        .merge(audit::routes())
        .merge(alerts::routes())
        .merge(automation::routes())
        .merge(backfills::routes())
        .merge(api::routes(app))
        .merge(home::routes())
        .merge(lineage::routes())
        .merge(live::routes())
        .merge(login::routes())
        .merge(login_by::routes())
        .merge(own_account::routes())
        .merge(preferences::routes())
        .merge(probes::routes())
        .merge(run::routes())
        .merge(runs::routes())
        .merge(tables::routes())
        .merge(tokens::routes())
        .merge(users::routes())
        .merge(quarantine::routes())
        .merge(schedules::routes())
        .merge(settings::routes())
        .merge(timeline::routes())
        .merge(workers::routes())
        .route("/static/{*name}", get(files::file))
        .fallback(async || PageError::NothingHere)
        .layer(CsrfLayer::new().with_rejection_response(|_| PageError::CrossSite.into_response()))
        .layer(from_fn_with_state(app.clone(), page::framed))
        .layer(from_fn_with_state(app.clone(), identity::known))
        .layer(from_fn(within_limits))
        .with_state(app.clone())
}

/// Every answer comes in time, is kept by nobody unless it says so, and is taken for what it says it is.
async fn within_limits(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(ANSWER_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer could be made in time\n").into_response(),
    };
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    headers.insert(PERMISSIONS_POLICY, NO_PERMISSIONS);
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}
