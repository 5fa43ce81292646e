//! The quarantine: rows that came too late, and what a person decides about them.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum_extra::extract::Query;
use serde::Deserialize;

use super::App;
use super::access::{Operator, Viewer};
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use super::parts::Action;
use crate::service::{QuarantineScope, QuarantinedView};

/// How many rows a page lists.
const LISTED: u32 = 50;

/// How much of a row a list shows.
const ROW_CHARACTERS: usize = 160;

#[derive(Template)]
#[template(path = "quarantine.html")]
struct Quarantine {
    page: Page,
    counts: Vec<(String, i64)>,
    /// The asset whose rows are listed; all without one.
    asset: Option<String>,
    rows: Vec<QuarantinedView>,
    is_first: bool,
    next: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    asset: Option<String>,
    before: Option<i64>,
}

async fn list(_: Viewer, State(app): State<Arc<App>>, page: Page, Query(query): Query<ListQuery>) -> PageResult {
    let asset = query.asset.filter(|asset| !asset.trim().is_empty());
    let mut rows = app.service.quarantine(asset.as_deref(), query.before, LISTED + 1).await?;
    let shown = usize::try_from(LISTED).unwrap_or(usize::MAX);
    let next = if rows.len() > shown { rows.get(shown - 1).map(|last| last.id) } else { None };
    rows.truncate(shown);
    let counts = app.service.quarantine_counts().await?;
    rendered(&Quarantine { page, counts, asset, rows, is_first: query.before.is_none(), next })
}

impl Quarantine {
    fn row(&self, row: &QuarantinedView) -> String {
        self.page.shortened(&row.row.to_string(), ROW_CHARACTERS)
    }

    /// What can be done with all rows of the asset that is shown.
    fn actions(&self) -> Vec<Action<'_>> {
        self.asset.as_deref().map_or_else(Vec::new, |asset| decisions(&self.page, ("asset", asset), asset))
    }
}

/// Releasing and discarding, with the command lines.
fn decisions<'a>(page: &'a Page, (field, value): (&'static str, &str), what: &str) -> Vec<Action<'a>> {
    let confirm = page.t(
        "Discard for good? The rows do not come back when their file is read again.",
        "Endgültig verwerfen? Die Zeilen kommen nicht wieder, wenn ihre Datei erneut gelesen wird.",
    );
    let words = if field == "asset" { format!("--asset {what}") } else { what.to_owned() };
    vec![
        Action::new(
            page,
            "/quarantine/release".to_owned(),
            page.t("Release into the table", "In die Tabelle freigeben"),
            &format!("quarantine release {words}"),
        )
        .primary()
        .with(field, value),
        Action::new(
            page,
            "/quarantine/discard".to_owned(),
            page.t("Discard", "Verwerfen"),
            &format!("quarantine discard {words}"),
        )
        .dangerous(confirm)
        .with(field, value),
    ]
}

#[derive(Template)]
#[template(path = "quarantine/one.html")]
struct One {
    page: Page,
    row: QuarantinedView,
    /// The columns and what is in them.
    columns: Vec<(String, String)>,
}

impl One {
    fn actions(&self) -> Vec<Action<'_>> {
        if self.row.state != "waiting" {
            return Vec::new();
        }
        let id = self.row.id.to_string();
        decisions(&self.page, ("row", &id), &id)
    }
}

async fn one(_: Viewer, State(app): State<Arc<App>>, page: Page, Path(id): Path<String>) -> PageResult {
    let id = id.parse().map_err(|_| PageError::NothingHere)?;
    let row = app.service.quarantined_row(id).await?;
    let columns = row.row.as_object().into_iter().flatten().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), page.shortened(&text, 2_000))
    });
    let columns = columns.collect();
    rendered(&One { page, row, columns })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Decision {
    asset: Option<String>,
    row: Option<i64>,
}

impl Decision {
    fn scope(self) -> Result<QuarantineScope, PageError> {
        match (self.asset, self.row) {
            (Some(asset), None) => Ok(QuarantineScope::Asset(asset)),
            (None, Some(row)) => Ok(QuarantineScope::Rows(vec![row])),
            _ => Err(PageError::BadRequest("say which rows: those of an asset, or one by its number".to_owned())),
        }
    }
}

async fn release(
    operator: Operator,
    State(app): State<Arc<App>>,
    Form(decision): Form<Decision>,
) -> Result<Redirect, PageError> {
    operator.service(&app).release_quarantined(&decision.scope()?).await?;
    Ok(Redirect::to("/quarantine?done=released"))
}

async fn discard(
    operator: Operator,
    State(app): State<Arc<App>>,
    Form(decision): Form<Decision>,
) -> Result<Redirect, PageError> {
    operator.service(&app).discard_quarantined(&decision.scope()?).await?;
    Ok(Redirect::to("/quarantine?done=discarded"))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/quarantine", get(list))
        .route("/quarantine/release", post(release))
        .route("/quarantine/discard", post(discard))
        .route("/quarantine/{id}", get(one))
}
