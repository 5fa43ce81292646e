//! Automation: by which rule each asset builds itself, and what it makes of what is not fresh.

use std::fmt::Write as _;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::App;
use super::access::Viewer;
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use crate::asset::spec::AssetSpec;
use crate::core::policy::{Automation, WaitPolicy};
use crate::service::{AutomationView, Picture, is_automated, unfresh};

/// What is made of so many partitions is shown, on a line of the list and on the page of an asset.
const ON_A_LINE: usize = 2;
const ON_A_PAGE: usize = 10;

/// An asset that builds itself.
struct Line {
    asset: String,
    rule: String,
    wait: String,
    /// `None` while that is not known yet.
    unfresh: Option<u64>,
    running: u64,
}

impl Line {
    fn new(picture: &Picture, page: &Page, spec: &AssetSpec) -> Self {
        let stands = picture.asset(&spec.key);
        Self {
            asset: spec.key.to_string(),
            rule: page.rule(&spec.automation),
            wait: page.wait(spec.wait),
            unfresh: stands.map(|stands| unfresh(stands).len()),
            running: stands.map_or(0, |stands| stands.running.union(&stands.queued).len()),
        }
    }
}

#[derive(Template)]
#[template(path = "automation.html")]
struct Assets {
    page: Page,
    lines: Vec<Line>,
    manual: Vec<String>,
}

async fn list(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    let definitions = app.service.definitions();
    let built = definitions.graph().topological_order().iter().filter_map(|key| definitions.asset(key));
    let (automated, manual): (Vec<_>, Vec<_>) =
        built.filter(|spec| spec.is_materializable()).partition(|spec| is_automated(spec));
    let picture = app.picture.current();
    let lines = automated.into_iter().map(|spec| Line::new(&picture, &page, spec)).collect();
    let manual = manual.into_iter().map(|spec| spec.key.to_string()).collect();
    rendered(&Assets { page, lines, manual })
}

#[derive(Template)]
#[template(path = "automation/one.html")]
struct One {
    page: Page,
    line: Line,
    evaluated: AutomationView,
}

#[derive(Template)]
#[template(path = "automation/evaluations.html")]
struct Evaluations {
    page: Page,
    evaluated: AutomationView,
}

async fn one(_: Viewer, State(app): State<Arc<App>>, page: Page, Path(asset): Path<String>) -> PageResult {
    let spec = app.service.definitions().find(&asset).map_err(|error| PageError::Service(error.into()))?.clone();
    let picture = app.picture.current();
    let line = Line::new(&picture, &page, &spec);
    rendered(&One { page, line, evaluated: evaluated(&app, &picture, &spec, ON_A_PAGE).await? })
}

async fn evaluations(_: Viewer, State(app): State<Arc<App>>, page: Page, Path(asset): Path<String>) -> PageResult {
    let spec = app.service.definitions().find(&asset).map_err(|error| PageError::Service(error.into()))?.clone();
    let picture = app.picture.current();
    rendered(&Evaluations { page, evaluated: evaluated(&app, &picture, &spec, ON_A_LINE).await? })
}

async fn evaluated(app: &App, picture: &Picture, spec: &AssetSpec, shown: usize) -> Result<AutomationView, PageError> {
    Ok(match picture.asset(&spec.key) {
        Some(stands) => app.service.automation(spec.key.as_str(), stands, shown).await?,
        None => AutomationView { asset: spec.key.clone(), unfresh: 0, evaluations: Vec::new() },
    })
}

impl Page {
    /// A rule in words.
    pub(super) fn rule(&self, automation: &Automation) -> String {
        match automation {
            Automation::Manual => self.t("on request only", "nur auf Anforderung").to_owned(),
            Automation::Cron(expression) => {
                format!(
                    "{} {expression}",
                    self.t("when something changed, at the ticks of", "bei Änderungen, zu den Ticks von")
                )
            }
            Automation::Eager { debounce } => format!(
                "{} {}{}",
                self.t(
                    "when it is missing or what it reads changed, after",
                    "wenn sie fehlt oder sich ändert, was sie liest, nach"
                ),
                self.span(*debounce),
                self.t(" without a further change", " ohne weitere Änderung"),
            ),
            Automation::OnClose { grace } => {
                let after = self.t("after its window has ended", "nach dem Ende ihres Fensters");
                format!("{} {after}", self.span(*grace))
            }
            Automation::Any(parts) => self.joined(parts, self.t(" or ", " oder ")),
            Automation::All(parts) => self.joined(parts, self.t(" and ", " und ")),
        }
    }

    fn joined(&self, parts: &[Automation], word: &str) -> String {
        parts.iter().map(|part| self.rule(part)).collect::<Vec<_>>().join(word)
    }

    /// What of its upstream a partition waits for, in words.
    pub(super) fn wait(&self, wait: WaitPolicy) -> String {
        match wait {
            WaitPolicy::All => self.t("waits for everything it reads", "wartet auf alles, was sie liest").to_owned(),
            WaitPolicy::AtLeast(count) => {
                let mut text = self.t("waits for at least", "wartet auf mindestens").to_owned();
                // Writing to a text does not fail.
                let _ = write!(text, " {count} {}", self.t("of each it reads", "von jedem, was sie liest"));
                text
            }
        }
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/automation", get(list))
        .route("/automation/{asset}", get(one))
        .route("/automation/{asset}/evaluations", get(evaluations))
}
