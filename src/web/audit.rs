//! Who did what. For admins.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use serde::Deserialize;

use super::App;
use super::access::{Admin, Role};
use super::page::{Page, PageResult, rendered};
use super::words;
use crate::service::{AuditQuery, AuditView, quoted};

/// How many records a page has.
const SHOWN: u32 = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    page: Page,
    records: Vec<AuditView>,
    filter: Filter,
}

impl Audit {
    /// Where the older ones are.
    fn older(&self) -> Option<i64> {
        (self.records.len() as u64 == u64::from(SHOWN)).then(|| self.records.last().map(|record| record.audit_id))?
    }

    fn is_filtered(&self) -> bool {
        !self.filter.user.is_empty() || !self.filter.action.is_empty() || self.filter.before.is_some()
    }

    /// What somebody was allowed to do, in a word; what a later version knows stays as it is.
    fn role<'a>(&self, record: &'a AuditView) -> &'a str {
        record.role.parse().map_or(record.role.as_str(), |role: Role| role.title(&self.page))
    }

    /// The command line that lists the same.
    fn command(&self) -> String {
        let mut words = "audit ls".to_owned();
        for (flag, value) in [("--user", &self.filter.user), ("--action", &self.filter.action)] {
            if !value.is_empty() {
                words.push_str(&format!(" {flag} {}", quoted(value)));
            }
        }
        self.page.command(&words)
    }
}

#[derive(Default, Deserialize)]
struct Filter {
    #[serde(default)]
    user: String,
    #[serde(default)]
    action: String,
    before: Option<i64>,
}

async fn audit(admin: Admin, State(app): State<Arc<App>>, Query(filter): Query<Filter>, page: Page) -> PageResult {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let query = AuditQuery {
        who: given(&filter.user),
        action: given(&filter.action),
        run_id: None,
        before: filter.before,
        limit: SHOWN,
    };
    let records = admin.service(&app).audit(&query).await?;
    rendered(&Audit { page, records, filter })
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/audit", get(audit))
}
