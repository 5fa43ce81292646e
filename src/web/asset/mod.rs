//! One asset: how it stands over its whole history, what it is made of, and what can be done with it.

mod actions;
mod charts;
mod list;
mod policies;
mod why;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use serde::Deserialize;

use self::charts::{Drawing, MetadataCharts};
use self::policies::Policy;
use super::App;
use super::access::Viewer;
use super::address::address;
use super::failure::PageError;
use super::heat::{HeatBar, HeatLegend};
use super::lineage::Neighbourhood;
use super::page::{Page, PageResult, rendered};
use super::run_log::LogLines;
use super::words;
use crate::asset::spec::AssetSpec;
use crate::service::{
    AssetPicture, AssetView, CheckView, ColumnLineageView, HeatState, NewestStepView, PartitionQuery, PartitionRowView,
    Picture, ScheduleView, UpcomingTick, UpstreamColumnView, heat, list_assets,
};

/// The most cells of a heat bar.
const CELLS: usize = 300;

/// How many partitions a table has.
const PAGE_PARTITIONS: u32 = 25;

/// How many points a chart has, and how many charts there are.
const CHART_POINTS: u32 = 90;
const DRAWN_FIGURES: usize = 8;

/// How many of the newest check results are looked at, and how many of a check are told.
const CHECK_RESULTS: u32 = 400;
const TOLD_RESULTS: usize = 30;

/// How many ticks to come are told of each schedule.
const TOLD_TICKS: usize = 3;

/// What the address asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    view: String,
    /// Only partitions in this state.
    state: String,
    /// Only partitions before this one.
    before: String,
    /// `standing` or `partitions`: what is asked for again when something happened.
    part: String,
    from: String,
    to: String,
}

/// What every view of an asset shows above.
struct Head {
    spec: Arc<AssetSpec>,
    view: AssetView,
    picture: Arc<AssetPicture>,
    /// What the whole page is drawn from, so that its parts agree.
    all: Arc<Picture>,
    is_loading: bool,
}

impl Head {
    fn of(app: &App, name: &str) -> Result<Self, PageError> {
        let definitions = app.service.definitions();
        let spec = definitions.find(name).map_err(crate::service::ServiceError::from)?.clone();
        let view =
            list_assets(definitions, Some(spec.key.as_str()))?.into_iter().next().ok_or(PageError::NothingHere)?;
        let all = app.picture.current();
        let known = all.asset(&spec.key).cloned();
        Ok(Self { is_loading: known.is_none(), picture: known.unwrap_or_default(), all, view, spec })
    }

    fn word(&self, page: &Page) -> &'static str {
        match self.is_loading {
            true => page.t("loading", "lädt"),
            false => words::condition(page, self.picture.condition()),
        }
    }

    fn class(&self) -> &'static str {
        if self.is_loading { "state-queued" } else { words::condition_class(self.picture.condition()) }
    }

    /// How many partitions stand so.
    fn count(&self, state: HeatState) -> u64 {
        self.picture.in_state(state).len()
    }

    fn is_unpartitioned(&self) -> bool {
        self.spec.partitions.as_time().is_none() && self.spec.partitions.static_keys().is_none()
    }
}

#[derive(Template)]
#[template(path = "asset/overview.html")]
struct Overview {
    page: Page,
    head: Head,
    asked: Asked,
    standing: Standing,
    partitions: Partitions,
    neighbourhood: Neighbourhood,
}

/// How the partitions stand over the whole history.
#[derive(Template)]
#[template(path = "asset/standing.html")]
struct Standing {
    page: Page,
    word: &'static str,
    class: &'static str,
    key: String,
    kind: &'static str,
    partitioned: &'static str,
    first: String,
    last: String,
    bar: HeatBar,
    legend: HeatLegend,
    is_empty: bool,
    is_loading: bool,
}

impl askama::filters::HtmlSafe for Standing {}

impl Standing {
    fn new(page: &Page, head: &Head) -> Self {
        let cells = heat(&head.picture, &head.spec.partitions, None, CELLS);
        Self {
            word: head.word(page),
            class: head.class(),
            key: head.spec.key.to_string(),
            kind: head.spec.kind.as_str(),
            partitioned: words::partitioned(page, head.spec.partitions.as_str()),
            first: cells.first().map(|cell| cell.first.to_string()).unwrap_or_default(),
            last: cells.last().map(|cell| cell.last.to_string()).unwrap_or_default(),
            bar: HeatBar::picker(page, &cells),
            legend: HeatLegend::new(page, &cells),
            is_empty: cells.is_empty(),
            is_loading: head.is_loading,
            page: page.clone(),
        }
    }
}

/// What failed last, and the partitions one by one.
#[derive(Template)]
#[template(path = "asset/partitions.html")]
struct Partitions {
    page: Page,
    key: String,
    is_external: bool,
    is_loading: bool,
    failure: Option<NewestStepView>,
    log: Option<LogLines>,
    rows: Vec<PartitionRowView>,
    /// The states there are, with how many partitions stand so.
    states: Vec<(HeatState, u64)>,
    state: Option<HeatState>,
    here: String,
    older: Option<String>,
    newest: Option<String>,
}

impl askama::filters::HtmlSafe for Partitions {}

impl Partitions {
    async fn read(app: &App, page: &Page, head: &Head, asked: &Asked) -> Result<Self, PageError> {
        let state = HeatState::ALL.into_iter().find(|state| state.as_str() == asked.state);
        let before = match asked.before.as_str() {
            "" => None,
            text => {
                let key = text.parse().ok().and_then(|key| head.spec.partitions.ordinal(&key).ok());
                let refused = || PageError::BadRequest(format!("`{}` is no partition", page.shortened(text, 80)));
                Some(key.ok_or_else(refused)?)
            }
        };
        let query = PartitionQuery { state, before, limit: PAGE_PARTITIONS, ..PartitionQuery::default() };
        let found = app.service.partition_page(&head.picture, head.spec.key.as_str(), &query).await?;
        let failure = match head.picture.given_up().last() {
            Some(ordinal) => app.service.newest_step(&head.spec, ordinal).await?,
            None => None,
        };
        let log = failure.as_ref().filter(|step| !step.log.is_empty()).map(|step| LogLines {
            page: page.clone(),
            lines: step.log.clone(),
            is_filtered: false,
            is_live: false,
        });
        let key = head.spec.key.to_string();
        let state_word = state.map_or("", HeatState::as_str);
        let path = format!("/assets/{key}");
        let to = |before: &str| address(&path, [("state", state_word), ("before", before)]);
        let older = found.next.map(|next| to(head.spec.partitions.key(next).as_str()));
        let mut states: Vec<(HeatState, u64)> = head
            .picture
            .by_state(head.picture.existing.clone())
            .into_iter()
            .map(|(state, subset)| (state, subset.len()))
            .collect();
        states.sort_unstable_by_key(|(state, _)| *state);
        Ok(Self {
            here: address(&path, [("part", "partitions"), ("state", state_word), ("before", &asked.before)]),
            newest: before.map(|_| to("")),
            older,
            states: states.into_iter().filter(|(_, count)| *count > 0).collect(),
            is_external: !head.spec.is_materializable(),
            is_loading: head.is_loading,
            page: page.clone(),
            key,
            failure,
            log,
            rows: found.partitions,
            state,
        })
    }

    fn is_chosen(&self, state: &HeatState) -> bool {
        self.state.as_ref() == Some(state)
    }

    fn heat_word(&self, state: &HeatState) -> &'static str {
        words::heat(&self.page, *state)
    }

    fn why(&self, partition: &str) -> String {
        address(&format!("/assets/{}/why", self.key), [("partition", partition)])
    }

    fn of_state(&self, state: &HeatState) -> String {
        address(&format!("/assets/{}", self.key), [("state", state.as_str())])
    }

    /// What is the matter with a partition.
    fn matter(&self, row: &PartitionRowView) -> String {
        let stale = || self.page.told_all(row.stale.iter().map(|reason| &reason.sentence), "; ");
        let matter = self.recorded(row).map_or_else(stale, ToOwned::to_owned);
        self.page.shortened(&matter, 300)
    }

    /// Why a partition was not built, as it was written down then.
    fn recorded<'a>(&self, row: &'a PartitionRowView) -> Option<&'a str> {
        row.step.as_ref().filter(|_| row.state == HeatState::Failed)?.reason.as_deref()
    }

    fn seconds(&self, seconds: &f64) -> String {
        // Durations are far from where the conversion loses anything that is shown.
        self.page.duration_precise(chrono::TimeDelta::milliseconds((seconds * 1_000.0) as i64))
    }
}

#[derive(Template)]
#[template(path = "asset/columns.html")]
struct Columns {
    page: Page,
    head: Head,
    lineage: Arc<ColumnLineageView>,
}

impl Columns {
    /// The column that this one is, as it is.
    fn taken_from(&self, column: &str) -> Option<&UpstreamColumnView> {
        let known = self.lineage.columns.iter().find(|known| known.column == column)?;
        known.taken_from.as_ref()
    }
}

#[derive(Template)]
#[template(path = "asset/checks.html")]
struct Checks {
    page: Page,
    head: Head,
    checks: Vec<CheckRow>,
}

/// A check with its newest results, oldest first.
struct CheckRow {
    name: String,
    rule: String,
    blocking: bool,
    results: Vec<CheckView>,
}

impl CheckRow {
    fn newest(&self) -> Option<&CheckView> {
        self.results.last()
    }

    fn failed(&self) -> usize {
        self.results.iter().filter(|result| !result.passed).count()
    }
}

#[derive(Template)]
#[template(path = "asset/metadata.html")]
struct Metadata {
    page: Page,
    head: Head,
    charts: MetadataCharts,
}

#[derive(Template)]
#[template(path = "asset/policies.html")]
struct Policies {
    page: Page,
    head: Head,
    policies: Vec<Policy>,
    schedules: Vec<(ScheduleView, Vec<UpcomingTick>)>,
}

/// Which of the tabs a page is; none of them for what they lead to.
macro_rules! tab {
    ($($page:ty: $view:literal),*) => {$(
        impl $page {
            const fn view(&self) -> &'static str {
                $view
            }
        }
    )*};
}
use tab;

tab!(Overview: "", Columns: "columns", Checks: "checks", Metadata: "metadata", Policies: "policies");

async fn asset(
    _: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let head = Head::of(&app, &name)?;
    match asked.view.as_str() {
        "columns" => {
            let lineage = app.service.column_lineage(head.spec.key.as_str()).await?;
            rendered(&Columns { lineage, page, head })
        }
        "checks" => {
            let results = app.service.check_results(head.spec.key.as_str(), None, false, CHECK_RESULTS).await?;
            let checks = head.spec.checks.iter().map(|check| {
                let own = results.iter().filter(|result| result.check == check.name).take(TOLD_RESULTS);
                let mut own: Vec<CheckView> = own.cloned().collect();
                own.reverse();
                CheckRow {
                    name: check.name.clone(),
                    rule: policies::check(&page, check),
                    blocking: check.blocking,
                    results: own,
                }
            });
            rendered(&Checks { checks: checks.collect(), page, head })
        }
        "metadata" => {
            let (service, name) = (&app.service, head.spec.key.as_str());
            let mut figures = service.figures(name).await?;
            figures.truncate(DRAWN_FIGURES);
            let series = service.series(name, &figures, None, CHART_POINTS).await?;
            rendered(&Metadata { charts: MetadataCharts::new(&page, &head.spec, &series), page, head })
        }
        "policies" => {
            let mut schedules = Vec::new();
            for schedule in app.service.schedules().await? {
                if schedule.assets.contains(&head.spec.key) {
                    let ticks = app.service.upcoming_ticks(Some(&schedule.schedule), None, TOLD_TICKS).await?.ticks;
                    schedules.push((schedule, ticks));
                }
            }
            let policies = policies::policies(&page, &head.spec, &head.picture);
            rendered(&Policies { policies, schedules, page, head })
        }
        _ if asked.part == "standing" => rendered(&Standing::new(&page, &head)),
        _ if asked.part == "partitions" => rendered(&Partitions::read(&app, &page, &head, &asked).await?),
        _ => {
            let partitions = Partitions::read(&app, &page, &head, &asked).await?;
            let neighbourhood = Neighbourhood::new(&page, app.service.definitions(), &head.all, &head.spec.key)?;
            rendered(&Overview { standing: Standing::new(&page, &head), partitions, neighbourhood, page, head, asked })
        }
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/assets/{name}", get(asset))
        .merge(actions::routes())
        .merge(list::routes())
        .merge(why::routes())
}
