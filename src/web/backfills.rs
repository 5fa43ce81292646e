//! Backfills: what there is, how far each one is, and the dialog that begins one.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum_extra::extract::Query;
use serde::Deserialize;
use uuid::Uuid;

use super::App;
use super::access::{Operator, Viewer};
use super::bar::{Segment, segments};
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use super::parts::Action;
use crate::core::shown::shown;
use crate::service::{
    BackfillProgressView, BackfillView, ErrorKind, EstimateView, Extent, LaunchKind, PartitionState, PlanPart,
    PlanView, Request, ServiceError,
};

/// How many backfills a page lists.
const LISTED: u32 = 25;

/// Of how many assets the dialog shows what would be built.
const PREVIEWED: usize = 100;

/// How many names of assets are offered in the dialog.
const OFFERED: usize = 500;

#[derive(Template)]
#[template(path = "backfills.html")]
struct Backfills {
    page: Page,
    backfills: Vec<BackfillView>,
    /// Where the next page begins.
    next: Option<Uuid>,
    is_first: bool,
}

#[derive(Deserialize)]
struct ListQuery {
    before: Option<Uuid>,
}

async fn list(_: Viewer, State(app): State<Arc<App>>, page: Page, Query(query): Query<ListQuery>) -> PageResult {
    let mut backfills = app.service.backfills(query.before, LISTED + 1).await?;
    let shown = usize::try_from(LISTED).unwrap_or(usize::MAX);
    let next = if backfills.len() > shown { backfills.get(shown - 1).map(|last| last.backfill_id) } else { None };
    backfills.truncate(shown);
    rendered(&Backfills { page, backfills, next, is_first: query.before.is_none() })
}

/// What is asked for in the dialog.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Wish {
    /// Which assets.
    select: String,
    /// The first partition.
    from: String,
    /// The last partition.
    to: String,
    /// Partitions as they are written on the command line, instead of a first and a last.
    partitions: String,
    /// `all`, `missing`, `failed`, `stale`: one or several, also with commas between them.
    scope: Vec<String>,
    upstream: Option<String>,
    force: Option<String>,
    per_partition: Option<String>,
    concurrency: String,
}

/// The same as a form has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Order {
    select: String,
    partitions: String,
    scope: String,
    upstream: Option<String>,
    force: Option<String>,
    per_partition: Option<String>,
    concurrency: String,
}

impl From<Order> for Wish {
    fn from(order: Order) -> Self {
        Self {
            select: order.select,
            partitions: order.partitions,
            scope: vec![order.scope],
            upstream: order.upstream,
            force: order.force,
            per_partition: order.per_partition,
            concurrency: order.concurrency,
            ..Self::default()
        }
    }
}

impl Wish {
    /// The partitions as the command line takes them; empty for all.
    fn partitions(&self) -> String {
        match (self.partitions.trim(), self.from.trim(), self.to.trim()) {
            ("", "", "") => String::new(),
            ("", from, to) if from == to => from.to_owned(),
            ("", from, to) => format!("{from}..{to}"),
            (partitions, ..) => partitions.to_owned(),
        }
    }

    fn states(&self) -> impl Iterator<Item = PartitionState> {
        let words = self.scope.iter().flat_map(|words| words.split(','));
        words.filter_map(|word| match word.trim() {
            "missing" => Some(PartitionState::Missing),
            "failed" => Some(PartitionState::Failed),
            "stale" => Some(PartitionState::Stale),
            _ => None,
        })
    }

    fn request(&self) -> Result<Request, String> {
        let partitions = self.partitions();
        let concurrency_limit = match self.concurrency.trim() {
            "" => None,
            text => match text.parse::<u32>() {
                Ok(limit @ 1..=100_000) => Some(limit),
                _ => return Err(format!("at most so many at once: a number from 1 on, and not `{}`", shown(text))),
            },
        };
        Ok(Request {
            selection: self.select.trim().to_owned(),
            extent: match partitions.as_str() {
                "" | "all" => Extent::All,
                _ => Extent::Text(partitions),
            },
            states: self.states().collect(),
            upstream: self.upstream.is_some(),
            force: self.force.is_some(),
            per_partition: self.per_partition.is_some(),
            concurrency_limit,
            priority: 0,
        })
    }
}

/// What the dialog's request comes to.
enum Preview {
    /// Nothing is asked for yet.
    Nothing,
    /// It cannot be, and why.
    Refused(String),
    /// This would be built.
    Plan(Box<(PlanPart, EstimateView)>),
}

#[derive(Template)]
#[template(path = "backfills/new.html")]
struct New {
    page: Page,
    wish: Wish,
    request: Option<Request>,
    preview: Preview,
    assets: Vec<String>,
}

impl New {
    fn is_chosen(&self, state: &str) -> bool {
        self.wish.states().any(|chosen| chosen.as_str() == state)
    }

    fn scope(&self) -> String {
        self.wish.states().map(|state| state.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The command that does the same.
    fn command(&self) -> String {
        let request = self.request.clone().unwrap_or_default();
        self.page.command(&format!("{} --detach", request.command_line(LaunchKind::Backfill.verb())))
    }

    /// What stands in the way unless it is forced.
    fn is_held_up(&self, plan: &PlanView) -> bool {
        !plan.missing_upstream.is_empty() && !plan.request.force
    }
}

async fn new(_: Viewer, State(app): State<Arc<App>>, page: Page, Query(wish): Query<Wish>) -> PageResult {
    let (request, preview) = if wish.select.trim().is_empty() {
        (None, Preview::Nothing)
    } else {
        match wish.request() {
            Ok(request) => {
                let preview = preview(&app, &request).await?;
                (Some(request), preview)
            }
            Err(sentence) => (None, Preview::Refused(sentence)),
        }
    };
    let built = app.service.definitions().assets().filter(|asset| asset.is_materializable());
    let assets = built.take(OFFERED).map(|asset| asset.key.to_string()).collect();
    rendered(&New { page, wish, request, preview, assets })
}

async fn preview(app: &App, request: &Request) -> Result<Preview, ServiceError> {
    let picture = app.newest_picture().await;
    let part = match app.service.plan_in_part(&picture, request, &BTreeSet::new(), PREVIEWED).await {
        Ok(part) => part,
        Err(error) if error.kind() == ErrorKind::Database => return Err(error),
        Err(error) => return Ok(Preview::Refused(error.to_string())),
    };
    let estimate = app.service.estimate(&part.partition_counts, request.concurrency_limit).await?;
    Ok(Preview::Plan(Box::new((part, estimate))))
}

async fn launch(
    operator: Operator,
    State(app): State<Arc<App>>,
    Form(order): Form<Order>,
) -> Result<Redirect, PageError> {
    let request = Wish::from(order).request().map_err(PageError::BadRequest)?;
    let launched = operator.service(&app).launch(&request, LaunchKind::Backfill).await?;
    Ok(match launched.backfill_id {
        Some(backfill_id) => Redirect::to(&format!("/backfills/{backfill_id}?done=launched")),
        None => Redirect::to(&format!("/runs/{}?done=launched", launched.run_id)),
    })
}

#[derive(Template)]
#[template(path = "backfills/one.html")]
struct One {
    page: Page,
    progress: BackfillProgressView,
    /// How many partitions the slots of the workers could take at once.
    slots: u32,
}

impl One {
    fn is_live(&self) -> bool {
        matches!(self.progress.detail.backfill.state, "running" | "paused" | "canceling")
    }

    fn id(&self) -> Uuid {
        self.progress.detail.backfill.backfill_id
    }

    /// The states of its partitions, for the legend.
    fn segments(&self) -> Vec<Segment> {
        segments(&self.progress.detail.backfill.steps)
    }

    /// What can be done with it as it stands.
    fn actions(&self) -> Vec<Action<'_>> {
        let (page, id) = (&self.page, self.id());
        let action = |verb: &str, title, command: &str| {
            Action::new(page, format!("/backfills/{id}/{verb}"), title, &format!("backfill {command} {id}"))
        };
        let backfill = &self.progress.detail.backfill;
        let mut actions = Vec::new();
        match backfill.state {
            "running" => actions.push(action("pause", page.t("Pause", "Pausieren"), "pause")),
            "paused" => actions.push(action("resume", page.t("Resume", "Fortsetzen"), "resume --detach").primary()),
            _ => {}
        }
        if matches!(backfill.state, "running" | "paused") {
            let confirm = page.t(
                "Cancel the backfill? What runs is stopped; what was built stays.",
                "Den Backfill abbrechen? Was läuft, wird angehalten; was gebaut wurde, bleibt.",
            );
            actions.push(action("cancel", page.t("Cancel", "Abbrechen"), "cancel").dangerous(confirm));
        }
        if !self.is_live() && backfill.steps.failed + backfill.steps.blocked > 0 {
            actions.push(
                action("retry", page.t("Retry what failed", "Fehlgeschlagenes erneut"), "retry --detach").primary(),
            );
        }
        if !self.is_live() && backfill.steps.canceled > 0 {
            let title = page.t("Retry also what was canceled", "Auch Abgebrochenes erneut");
            actions.push(action("retry", title, "retry --canceled --detach").with("canceled", "yes"));
        }
        actions
    }

    /// When it is done, as far as can be told.
    fn end(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        let seconds = self.progress.left.as_ref()?.seconds?;
        let length = std::time::Duration::try_from_secs_f64(seconds).ok()?;
        self.page.now.checked_add_signed(chrono::TimeDelta::from_std(length).ok()?)
    }
}

async fn one(_: Viewer, State(app): State<Arc<App>>, page: Page, Path(id): Path<String>) -> PageResult {
    let id = app.service.backfill_id(&id).await?;
    let progress = app.service.backfill_progress(id).await?;
    let slots = progress.left.as_ref().map_or(0, |left| left.side_by_side);
    rendered(&One { page, progress, slots })
}

async fn pause(operator: Operator, State(app): State<Arc<App>>, Path(id): Path<Uuid>) -> Result<Redirect, PageError> {
    let changed = !operator.service(&app).pause_backfill(id).await?.changed.is_empty();
    Ok(back(id, if changed { "paused" } else { "unchanged" }))
}

async fn resume(operator: Operator, State(app): State<Arc<App>>, Path(id): Path<Uuid>) -> Result<Redirect, PageError> {
    let changed = !operator.service(&app).resume_backfill(id).await?.changed.is_empty();
    Ok(back(id, if changed { "resumed" } else { "unchanged" }))
}

async fn cancel(operator: Operator, State(app): State<Arc<App>>, Path(id): Path<Uuid>) -> Result<Redirect, PageError> {
    let changed = !operator.service(&app).cancel_backfill(id).await?.changed.is_empty();
    Ok(back(id, if changed { "canceled" } else { "unchanged" }))
}

#[derive(Deserialize)]
struct RetryForm {
    canceled: Option<String>,
}

async fn retry(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<Uuid>,
    Form(form): Form<RetryForm>,
) -> Result<Redirect, PageError> {
    operator.service(&app).retry_backfill(id, form.canceled.is_some()).await?;
    Ok(back(id, "retried"))
}

#[derive(Deserialize)]
struct LimitForm {
    #[serde(default)]
    concurrency: String,
}

async fn limit(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<Uuid>,
    Form(form): Form<LimitForm>,
) -> Result<Redirect, PageError> {
    let text = form.concurrency.trim();
    let limit = match (text, text.parse::<u32>()) {
        ("", _) => None,
        (_, Ok(limit)) => Some(limit),
        (_, Err(_)) => {
            let sentence = format!("at most so many at once: a number from 1 on, and not `{}`", shown(text));
            return Err(PageError::BadRequest(sentence));
        }
    };
    let changed = !operator.service(&app).limit_backfill(id, limit).await?.changed.is_empty();
    Ok(back(id, if changed { "limited" } else { "unchanged" }))
}

fn back(id: Uuid, done: &str) -> Redirect {
    Redirect::to(&format!("/backfills/{id}?done={done}"))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/backfills", get(list).post(launch))
        .route("/backfills/new", get(new))
        .route("/backfills/{id}", get(one))
        .route("/backfills/{id}/pause", post(pause))
        .route("/backfills/{id}/resume", post(resume))
        .route("/backfills/{id}/cancel", post(cancel))
        .route("/backfills/{id}/retry", post(retry))
        .route("/backfills/{id}/limit", post(limit))
}
