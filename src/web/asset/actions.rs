//! What can be done with partitions of an asset: first what it comes to, then the button.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use serde::Deserialize;

use super::Head;
use crate::service::{Extent, LaunchKind, MarkedView, PartitionState, PlanView, Request, mark_command};
use crate::web::App;
use crate::web::access::{Operator, Viewer};
use crate::web::address::address;
use crate::web::failure::PageError;
use crate::web::page::{Page, PageResult, rendered};

/// Which partitions, and what to do about what they read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    from: String,
    to: String,
    /// `missing`, `failed` or `stale` for those alone.
    what: String,
    /// Build what is missing upstream first.
    upstream: bool,
    /// Build in spite of what is missing.
    force: bool,
}

/// `from..to`, or the one that is given; nothing when neither is.
fn range(from: &str, to: &str) -> String {
    match (from.trim(), to.trim()) {
        (one, "") | ("", one) => one.to_owned(),
        (from, to) if from == to => from.to_owned(),
        (from, to) => format!("{from}..{to}"),
    }
}

impl Wanted {
    fn request(&self, head: &Head) -> Request {
        let range = range(&self.from, &self.to);
        let extent = if range.is_empty() { Extent::All } else { Extent::Text(range) };
        let states = match self.what.as_str() {
            "missing" => BTreeSet::from([PartitionState::Missing]),
            "failed" => BTreeSet::from([PartitionState::Failed]),
            "stale" => BTreeSet::from([PartitionState::Stale]),
            _ => BTreeSet::new(),
        };
        Request { states, upstream: self.upstream, force: self.force, ..Request::new(head.spec.key.as_str(), extent) }
    }
}

#[derive(Template)]
#[template(path = "asset/plan.html")]
struct PlanPage {
    page: Page,
    head: Head,
    wanted: Wanted,
    plan: PlanView,
    command: String,
    /// The same with what is missing upstream built first.
    with_upstream: String,
}

impl PlanPage {
    /// Whether it can be launched as it is.
    fn is_possible(&self) -> bool {
        self.plan.missing_upstream.is_empty() || self.wanted.force
    }
}

super::tab!(PlanPage: "plan", MarkPage: "mark");

async fn plan(
    _: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> PageResult {
    let head = Head::of(&app, &name)?;
    let request = wanted.request(&head);
    let plan = app.service.plan_as_pictured(&*app.newest_picture().await, &request).await?;
    // With something missing upstream, the form launches only in spite of that.
    let launched = Request { force: request.force || !plan.missing_upstream.is_empty(), ..request };
    let command = launched.command_line(LaunchKind::suited_to(plan.partition_count).verb());
    let path = format!("/assets/{}/plan", head.spec.key);
    let pairs = [("from", wanted.from.as_str()), ("to", &wanted.to), ("what", &wanted.what), ("upstream", "true")];
    let with_upstream = address(&path, pairs);
    rendered(&PlanPage { page, head, wanted, plan, command, with_upstream })
}

async fn launch(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Form(wanted): Form<Wanted>,
) -> Result<Redirect, PageError> {
    let head = Head::of(&app, &name)?;
    let request = wanted.request(&head);
    let count = app.service.plan(&request).await?.partition_count;
    let launched = operator.service(&app).launch(&request, LaunchKind::suited_to(count)).await?;
    Ok(Redirect::to(&format!("/runs/{}", launched.run_id)))
}

/// What changed outside, and why somebody says so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    from: String,
    to: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "asset/mark.html")]
struct MarkPage {
    page: Page,
    head: Head,
    change: Change,
    marked: MarkedView,
    command: String,
}

async fn preview_mark(
    viewer: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(name): Path<String>,
    Query(change): Query<Change>,
) -> PageResult {
    let head = Head::of(&app, &name)?;
    let range = range(&change.from, &change.to);
    let marked = viewer.service(&app).mark(head.spec.key.as_str(), &range, &change.reason, true).await?;
    let command = mark_command(&head.spec.key, &range, &change.reason);
    rendered(&MarkPage { page, head, change, marked, command })
}

async fn mark(
    operator: Operator,
    State(app): State<Arc<App>>,
    page: Page,
    Path(name): Path<String>,
    Form(change): Form<Change>,
) -> Result<Redirect, PageError> {
    let head = Head::of(&app, &name)?;
    if change.reason.trim().is_empty() {
        let sentence = page.t("Say why, for those who ask later.", "Gib einen Grund an, für spätere Fragen.");
        return Err(PageError::BadRequest(sentence.to_owned()));
    }
    let range = range(&change.from, &change.to);
    operator.service(&app).mark(head.spec.key.as_str(), &range, change.reason.trim(), false).await?;
    Ok(Redirect::to(&format!("/assets/{}", head.spec.key)))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/assets/{name}/plan", get(plan))
        .route("/assets/{name}/launch", post(launch))
        .route("/assets/{name}/mark", get(preview_mark).post(mark))
}
