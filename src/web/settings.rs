//! Settings: what an installation is made of, what it takes, and whether it reconciles.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Redirect;
use axum::routing::{get, post};

use super::App;
use super::access::{Admin, Viewer};
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use super::parts::Action;
use crate::service::{AlertView, HealthView, ReconcilerView, Retention, TableSizeView, TableSizesView, VersionsView};

/// How many tables are listed, the largest first.
const TABLES: usize = 40;

/// How many open alerts are shown.
const ALERTS: u32 = 5;

/// Where alerts are sent, as far as it may be shown.
struct Channel {
    name: String,
    place: String,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    page: Page,
    health: HealthView,
    versions: VersionsView,
    version: &'static str,
    retention: Option<Retention>,
    reconcilers: Vec<ReconcilerView>,
    sizes: Arc<TableSizesView>,
    own_bytes: u64,
    data_bytes: u64,
    omitted: usize,
    channels: Vec<Channel>,
    alerts: Vec<AlertView>,
    quarantine: Vec<(String, i64)>,
}

impl Settings {
    fn test(&self, channel: &Channel) -> Action<'_> {
        let title = self.page.t("Send a test message", "Testnachricht senden");
        let path = format!("/settings/channels/{}/test", channel.name);
        Action::new(&self.page, path, title, &format!("alert test {}", channel.name)).for_administrators()
    }

    fn largest(&self) -> impl Iterator<Item = &TableSizeView> {
        self.sizes.tables.iter().take(TABLES)
    }

    fn waiting(&self) -> i64 {
        self.quarantine.iter().map(|(_, rows)| rows).sum()
    }
}

async fn settings(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    let service = &app.service;
    let sizes = app.observer.table_sizes().await?;
    let bytes = |own: bool| sizes.tables.iter().filter(|table| table.own == own).map(|table| table.bytes).sum();
    let (own_bytes, data_bytes) = (bytes(true), bytes(false));
    let channels =
        app.channels.iter().map(|channel| Channel { name: channel.name().to_owned(), place: channel.url().place() });
    rendered(&Settings {
        health: app.observer.health().await,
        versions: service.versions().await?,
        version: app.version,
        retention: app.observer.process().retention,
        reconcilers: service.reconcilers().await?,
        omitted: sizes.tables.len().saturating_sub(TABLES),
        sizes,
        own_bytes,
        data_bytes,
        channels: channels.collect(),
        alerts: service.alerts(true, None, ALERTS).await?,
        quarantine: service.quarantine_counts().await?,
        page,
    })
}

async fn test_channel(
    admin: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Redirect, PageError> {
    let channel = app.channels.iter().find(|channel| channel.name() == name).ok_or(PageError::NothingHere)?;
    let tested = admin.service(&app).test_channel(app.program, &**channel).await?;
    let done = if tested.delivered { "delivered" } else { "undelivered" };
    if let Some(error) = &tested.error {
        tracing::warn!(channel = name, error, "a test message did not arrive");
    }
    Ok(Redirect::to(&format!("/settings?done={done}")))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/settings", get(settings)).route("/settings/channels/{name}/test", post(test_channel))
}
