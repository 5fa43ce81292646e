//! Alerts: what wants attention, and what was said about it where.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use axum_extra::extract::Query;
use serde::Deserialize;

use super::App;
use super::access::Viewer;
use super::failure::PageError;
use super::page::{Language, Page, PageResult, rendered};
use crate::service::{AlertDetailView, AlertView};

/// How many alerts a page lists.
const LISTED: u32 = 50;

#[derive(Template)]
#[template(path = "alerts.html")]
struct Alerts {
    page: Page,
    alerts: Vec<AlertView>,
    is_open_only: bool,
    is_first: bool,
    next: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    open: Option<String>,
    before: Option<i64>,
}

async fn list(_: Viewer, State(app): State<Arc<App>>, page: Page, Query(query): Query<ListQuery>) -> PageResult {
    let mut alerts = app.service.alerts(query.open.is_some(), query.before, LISTED + 1).await?;
    let shown = usize::try_from(LISTED).unwrap_or(usize::MAX);
    let next = if alerts.len() > shown { alerts.get(shown - 1).map(|last| last.alert_id) } else { None };
    alerts.truncate(shown);
    rendered(&Alerts { page, alerts, is_open_only: query.open.is_some(), is_first: query.before.is_none(), next })
}

#[derive(Template)]
#[template(path = "alerts/one.html")]
struct One {
    page: Page,
    detail: AlertDetailView,
}

async fn one(_: Viewer, State(app): State<Arc<App>>, page: Page, Path(id): Path<String>) -> PageResult {
    let id = id.parse().map_err(|_| PageError::NothingHere)?;
    rendered(&One { page, detail: app.service.alert(id).await? })
}

impl Page {
    /// What an alert is about, in words.
    pub(super) fn alert_kind<'a>(&self, kind: &'a str) -> &'a str {
        match kind {
            "run_failed" => self.t("a run failed", "ein Lauf schlug fehl"),
            "check_failed" => self.t("a check failed", "eine Prüfung schlug fehl"),
            "freshness_failed" => self.t("an asset is late", "ein Asset ist verspätet"),
            "scheduler_stalled" => self.t("nothing fires", "nichts wird ausgelöst"),
            "quarantine_grew" => self.t("rows came too late", "Zeilen kamen zu spät"),
            other => other,
        }
    }

    /// What an alert says in German, where that follows from its kind; in English it says so itself.
    pub(super) fn alert_in_german(&self, alert: &AlertView) -> Option<String> {
        if self.language == Language::English {
            return None;
        }
        let subject = &alert.subject;
        Some(match alert.kind.as_str() {
            "run_failed" => format!("{subject} wurde nicht gebaut"),
            "check_failed" => {
                let (asset, check) = subject.split_once(' ')?;
                format!("Prüfung `{check}` von {asset} schlug fehl")
            }
            "freshness_failed" => format!("{subject} ist überfällig"),
            "scheduler_stalled" => format!("{subject} steht still"),
            "quarantine_grew" => format!("Zeilen von {subject} kamen zu spät und sind in Quarantäne"),
            _ => return None,
        })
    }

    /// What was said on a channel, in words.
    fn said<'a>(&self, event: &'a str) -> &'a str {
        match event {
            "opened" => self.t("it began", "es begann"),
            "reminded" => self.t("it still lasts", "es dauert an"),
            "recovered" => self.t("it ended", "es endete"),
            other => other,
        }
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/alerts", get(list)).route("/alerts/{id}", get(one))
}
