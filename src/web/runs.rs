//! The list of runs: found by what the address says, and steered several at once.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use chrono::{Days, NaiveDate};
use serde::Deserialize;
use uuid::Uuid;

use super::App;
use super::access::{Operator, Viewer};
use super::address::address;
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use super::preferences::local;
use super::words;
use crate::core::shown::shown;
use crate::core::time::start_of_day;
use crate::service::{RunQuery, RunView, Service, ServiceError};

/// How many runs a page has, and so how many can be steered at once.
const PAGE_RUNS: u32 = 40;

/// What the address asks for; empty fields ask for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    state: String,
    asset: String,
    partition: String,
    cause: String,
    user: String,
    /// The first and the last day on which they were asked for.
    from: String,
    to: String,
    before: String,
    /// What an action came to: `retried.3`.
    done: String,
}

impl Filter {
    fn is_empty(&self) -> bool {
        let fields = [&self.state, &self.asset, &self.partition, &self.cause, &self.user, &self.from, &self.to];
        fields.into_iter().all(String::is_empty)
    }

    fn run_query(&self, page: &Page) -> Result<RunQuery, PageError> {
        let given = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        let before = given(&self.before).map(|text| Uuid::parse_str(&text)).transpose();
        let before = before.map_err(|_| PageError::BadRequest(format!("`{}` is no run", shown(&self.before))))?;
        let day = |text: &str, days: u64| match given(text).map(|text| text.parse::<NaiveDate>()) {
            None => Ok(None),
            Some(Ok(day)) => Ok(day.checked_add_days(Days::new(days)).map(|day| start_of_day(day, page.zone))),
            Some(Err(_)) => Err(PageError::BadRequest(format!("`{}` is no date such as 2026-03-20", shown(text)))),
        };
        Ok(RunQuery {
            state: given(&self.state),
            cause: given(&self.cause),
            asset: given(&self.asset),
            partition: given(&self.partition),
            requested_by: given(&self.user),
            since: day(&self.from, 0)?,
            until: day(&self.to, 1)?,
            before,
            limit: PAGE_RUNS,
            ..RunQuery::default()
        })
    }

    /// The address of the runs that follow `before`.
    fn address(&self, before: &str) -> String {
        let pairs = [
            ("state", self.state.as_str()),
            ("asset", &self.asset),
            ("partition", &self.partition),
            ("cause", &self.cause),
            ("user", &self.user),
            ("from", &self.from),
            ("to", &self.to),
            ("before", before),
        ];
        address("/runs", pairs)
    }
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    page: Page,
    filter: Filter,
    assets: Vec<String>,
    done: Option<Done>,
    part: RunsPart,
}

impl RunsPage {
    /// The states that can be asked for.
    fn states(&self) -> [(&'static str, &str); 9] {
        [
            ("", self.page.t("any", "alle")),
            ("live", self.page.t("under way", "in Arbeit")),
            ("queued", words::state(&self.page, "queued")),
            ("running", words::state(&self.page, "running")),
            ("paused", words::state(&self.page, "paused")),
            ("canceling", words::state(&self.page, "canceling")),
            ("failed", self.page.t("failed", "fehlgeschlagen")),
            ("succeeded", self.page.t("succeeded", "gelungen")),
            ("canceled", self.page.t("canceled", "abgebrochen")),
        ]
    }
}

#[derive(Template)]
#[template(path = "runs/part.html")]
struct RunsPart {
    page: Page,
    runs: Vec<RunView>,
    is_filtered: bool,
    /// The address of this part, and of older and newest runs.
    here: String,
    older: Option<String>,
    newest: Option<String>,
}

impl askama::filters::HtmlSafe for RunsPart {}

impl RunsPart {
    fn word<'a>(&'a self, state: &'a str) -> &'a str {
        words::state(&self.page, state)
    }

    fn cause<'a>(&'a self, cause: &'a str) -> &'a str {
        words::cause(&self.page, cause)
    }

    fn took(&self, run: &RunView) -> String {
        self.page.duration_precise(run.finished_at.unwrap_or(self.page.now) - run.requested_at)
    }
}

/// What an action came to.
struct Done {
    action: Action,
    count: u32,
}

async fn runs(_: Viewer, State(app): State<Arc<App>>, page: Page, Query(filter): Query<Filter>) -> PageResult {
    let found = app.service.run_page(&filter.run_query(&page)?).await?;
    let older = found.next.map(|next| filter.address(&next.to_string()));
    let part = RunsPart {
        page: page.clone(),
        runs: found.runs,
        is_filtered: !filter.is_empty(),
        here: filter.address(&filter.before),
        older,
        newest: (!filter.before.is_empty()).then(|| filter.address("")),
    };
    if page.is_part {
        return rendered(&part);
    }
    let assets = app.service.definitions().assets().map(|spec| spec.key.to_string()).collect();
    let done = filter
        .done
        .split_once('.')
        .and_then(|(action, count)| Some(Done { action: Action::named(action)?, count: count.parse().ok()? }));
    rendered(&RunsPage { page, filter, assets, done, part })
}

/// What can be done to several runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Cancel,
    Retry,
}

impl Action {
    fn named(text: &str) -> Option<Self> {
        match text {
            "canceled" => Some(Self::Cancel),
            "retried" => Some(Self::Retry),
            _ => None,
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Cancel => "canceled",
            Self::Retry => "retried",
        }
    }

    async fn carry_out(self, service: &Service, run_id: Uuid) -> Result<(), ServiceError> {
        match self {
            Self::Cancel => service.cancel_run(run_id).await.map(drop),
            Self::Retry => service.retry_run(run_id, false).await.map(drop),
        }
    }
}

#[derive(Template)]
#[template(path = "runs/result.html")]
struct ResultPage {
    page: Page,
    action: Action,
    /// Each run with what was said.
    results: Vec<(Uuid, Option<String>)>,
    back: String,
}

/// Does the same to all runs that were picked. What each came to is told when it was not what was asked for.
async fn several(
    service: &Service,
    page: Page,
    fields: Vec<(String, String)>,
    action: Action,
) -> Result<Response, PageError> {
    let back = fields.iter().find(|(name, _)| name == "back").map_or("/runs", |(_, back)| local(back)).to_owned();
    let picked = fields.iter().filter(|(name, _)| name == "run").map(|(_, id)| Uuid::parse_str(id));
    let picked: Vec<Uuid> = picked
        .take(PAGE_RUNS as usize)
        .collect::<Result<_, _>>()
        .map_err(|_| PageError::BadRequest("a run is named by its id".to_owned()))?;
    if picked.is_empty() {
        let sentence = page.t("No run was picked.", "Es wurde kein Lauf ausgewählt.");
        return Err(PageError::BadRequest(sentence.to_owned()));
    }
    let mut results = Vec::with_capacity(picked.len());
    for run_id in picked {
        let result = action.carry_out(service, run_id).await;
        results.push((run_id, result.err().map(|error| error.to_string())));
    }
    if results.iter().all(|(_, error)| error.is_none()) {
        let separator = if back.contains('?') { '&' } else { '?' };
        let address = format!("{back}{separator}done={}.{}", action.done(), results.len());
        return Ok(Redirect::to(&address).into_response());
    }
    let html = ResultPage { page, action, results, back }.render()?;
    Ok((StatusCode::CONFLICT, Html(html)).into_response())
}

type Fields = Form<Vec<(String, String)>>;

async fn cancel(
    operator: Operator,
    State(app): State<Arc<App>>,
    page: Page,
    Form(fields): Fields,
) -> Result<Response, PageError> {
    several(&operator.service(&app), page, fields, Action::Cancel).await
}

async fn retry(
    operator: Operator,
    State(app): State<Arc<App>>,
    page: Page,
    Form(fields): Fields,
) -> Result<Response, PageError> {
    several(&operator.service(&app), page, fields, Action::Retry).await
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/runs", get(runs)).route("/runs/cancel", post(cancel)).route("/runs/retry", post(retry))
}
