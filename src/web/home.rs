//! The first page: is everything fine?

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use chrono::{DateTime, Utc};

use super::App;
use super::access::Viewer;
use super::heat::HeatBar;
use super::language::Language;
use super::page::{Page, PageResult, rendered};
use super::words;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::subset::PartitionSubset;
use crate::service::{AssetCondition, AssetPicture, HealthView, OverviewView, Picture, heat};

/// How many partitions a bar shows.
const BAR_PARTITIONS: i64 = 40;

/// More assets than these are not all listed: those that are fine are counted by layer.
const LISTED_ASSETS: usize = 120;

/// The most assets that are named in the sentence at the top.
const NAMED_ASSETS: usize = 6;

/// How long a rendered table is shown again: times in it are told as "3 min ago".
const PART_SECONDS: i64 = 10;

/// How old what is not in the picture may be, when the picture changed and when it did not.
const OVERVIEW_AGE_CHANGED: Duration = Duration::from_secs(1);
const OVERVIEW_AGE: Duration = Duration::from_secs(10);

/// How long the database has to say it.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    part: HomePart,
}

#[derive(Template)]
#[template(path = "home/part.html")]
struct HomePart {
    page: Page,
    health: HealthView,
    /// Why the page does not show the newest state.
    problem: Option<String>,
    /// The rendered [`HomeTable`].
    table: Arc<str>,
}

impl askama::filters::HtmlSafe for HomePart {}

/// What is the same for everybody who reads the same language.
#[derive(Template)]
#[template(path = "home/table.html")]
struct HomeTable<'a> {
    page: &'a Page,
    is_loading: bool,
    assets: usize,
    attention: Vec<&'a Row>,
    has_begun: bool,
    layers: Vec<Layer<'a>>,
    overview: &'a OverviewView,
}

impl HomeTable<'_> {
    /// Those that are named at the top.
    fn named(&self) -> &[&Row] {
        self.attention.get(..NAMED_ASSETS).unwrap_or(&self.attention)
    }
}

struct Layer<'a> {
    name: &'a str,
    rows: Vec<&'a Row>,
    /// How many are fine and not listed.
    unlisted: usize,
}

struct Row {
    key: AssetKey,
    condition: AssetCondition,
    word: &'static str,
    class: &'static str,
    needs_attention: bool,
    /// Whether anything was ever built of it, landed in it, or was tried.
    has_begun: bool,
    newest_at: Option<DateTime<Utc>>,
    due: Option<Due>,
    heat: HeatBar,
    notes: Vec<Note>,
}

/// When the next success is due.
struct Due {
    at: DateTime<Utc>,
    is_late: bool,
    /// Whether it is the freshness policy that says so, or only the end of the next partition.
    is_promised: bool,
}

/// What is the matter, in a few words.
struct Note {
    text: String,
    /// More, for the pointer.
    title: String,
    /// Whether that was written down in the past, and so is English.
    is_recorded: bool,
}

fn row(page: &Page, spec: &AssetSpec, picture: &AssetPicture, overview: &OverviewView, needs_attention: bool) -> Row {
    let condition = picture.condition();
    let last = picture.existing.last().unwrap_or_default();
    let cells = match spec.partitions.as_time() {
        Some(_) => heat(picture, &spec.partitions, Some((last - BAR_PARTITIONS + 1, last)), 40),
        None => heat(picture, &spec.partitions, None, 40),
    };
    let promised = picture.freshness.and_then(|freshness| freshness.due_at);
    let due = match promised {
        Some(at) => Some(Due { at, is_late: picture.late_since().is_some(), is_promised: true }),
        None => spec.partitions.next_close(page.now).map(|at| Due { at, is_late: false, is_promised: false }),
    };
    Row {
        key: spec.key.clone(),
        word: words::condition(page, condition),
        class: words::condition_class(condition),
        condition,
        needs_attention,
        has_begun: !(picture.materialized.is_empty() && picture.failed.is_empty() && picture.under_way().is_empty()),
        newest_at: picture.newest_at,
        due: due.filter(|_| spec.is_materializable() || promised.is_some()),
        heat: HeatBar::small(page, &cells),
        notes: notes(page, spec, picture, overview),
    }
}

fn notes(page: &Page, spec: &AssetSpec, picture: &AssetPicture, overview: &OverviewView) -> Vec<Note> {
    let mut notes = Vec::new();
    let given_up = picture.given_up();
    if !given_up.is_empty() {
        let failure = picture.failed.iter().find(|(first, last, _)| !given_up.clip(*first, *last).is_empty());
        let title = failure.and_then(|(_, _, unbuilt)| unbuilt.reason.clone()).unwrap_or_default();
        let text = format!("{} {}", page.number(given_up.len()), page.t("failed", "fehlgeschlagen"));
        notes.push(Note { text, title, is_recorded: true });
    }
    let mut counted = |count: u64, word: &str, title: String| {
        if count > 0 {
            notes.push(Note { text: format!("{} {word}", page.number(count)), title, is_recorded: false });
        }
    };
    let described = |subset: &PartitionSubset| page.partitions_of(&spec.partitions, subset);
    let under_way = picture.under_way();
    counted(under_way.len(), page.t("under way", "in Arbeit"), described(&under_way));
    let missing = picture.missing.len();
    counted(missing, page.t("missing", if missing == 1 { "fehlt" } else { "fehlen" }), described(&picture.missing));
    let stale = picture.stale.partitions();
    counted(stale.len(), page.t("stale", "veraltet"), described(&stale));
    let quarantined = u64::try_from(picture.quarantined).unwrap_or(0);
    let rows = match quarantined {
        1 => page.t("row in quarantine", "Zeile in Quarantäne"),
        _ => page.t("rows in quarantine", "Zeilen in Quarantäne"),
    };
    counted(quarantined, rows, String::new());
    for check in overview.failing_checks.get(&spec.key).into_iter().flatten() {
        let text = format!("{} {}", page.t("check", "Prüfung"), check.check);
        let title = format!("{}: {}", check.partition, check.message);
        notes.push(Note { text, title, is_recorded: true });
    }
    notes
}

/// The assets by layer: layers from those that read nothing on, assets upstream before downstream.
fn layers<'a>(definitions: &'a Definitions, rows: &'a [Row]) -> Vec<Layer<'a>> {
    let mut ranks: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for key in definitions.graph().topological_order() {
        let (sum, count) = ranks.entry(key.schema()).or_default();
        *sum += definitions.graph().rank(key).unwrap_or(0);
        *count += 1;
    }
    let mut names: Vec<(usize, &str)> =
        ranks.into_iter().map(|(name, (sum, count))| (sum * 1_000 / count.max(1), name)).collect();
    names.sort_unstable();
    let lists_all = rows.len() <= LISTED_ASSETS;
    let mut left = LISTED_ASSETS;
    names
        .into_iter()
        .map(|(_, name)| {
            let of_layer = || rows.iter().filter(|row| row.key.schema() == name);
            let is_listed = |row: &&Row| lists_all || row.needs_attention || row.condition == AssetCondition::Running;
            let rows: Vec<&Row> = of_layer().filter(is_listed).take(left).collect();
            left -= rows.len();
            Layer { name, unlisted: of_layer().count() - rows.len(), rows }
        })
        .collect()
}

fn table(
    page: &Page,
    definitions: &Definitions,
    picture: &Picture,
    overview: &OverviewView,
) -> Result<String, askama::Error> {
    let order = definitions.graph().topological_order().iter();
    let rows: Vec<Row> = order
        .filter_map(|key| {
            let needs_attention = overview.needs_attention(picture, key)?;
            Some(row(page, definitions.asset(key)?, picture.asset(key)?, overview, needs_attention))
        })
        .collect();
    let mut attention: Vec<&Row> = rows.iter().filter(|row| row.needs_attention).collect();
    attention.sort_by_key(|row| row.condition);
    let table = HomeTable {
        page,
        is_loading: picture.loading,
        assets: rows.len(),
        attention,
        has_begun: rows.iter().any(|row| row.has_begun),
        layers: layers(definitions, &rows),
        overview,
    };
    table.render()
}

/// What was rendered or read last, so that many who look cost little.
#[derive(Default)]
struct Remembered {
    overview: tokio::sync::Mutex<Option<ReadOverview>>,
    /// For each language.
    tables: Mutex<Vec<RenderedTable>>,
}

struct ReadOverview {
    generation: u64,
    at: Instant,
    view: Arc<OverviewView>,
}

struct RenderedTable {
    language: Language,
    /// Of which picture and overview, and in which stretch of time.
    made_of: (Arc<Picture>, Arc<OverviewView>, i64),
    html: Arc<str>,
}

impl Remembered {
    /// What is not in the picture. When it cannot be read, it is as it was.
    async fn overview(&self, app: &App, generation: u64) -> Arc<OverviewView> {
        let mut last = self.overview.lock().await;
        if let Some(known) = &*last {
            let age = if known.generation == generation { OVERVIEW_AGE } else { OVERVIEW_AGE_CHANGED };
            if known.at.elapsed() < age {
                return known.view.clone();
            }
        }
        let read = tokio::time::timeout(PATIENCE, app.service.overview()).await;
        let view = match (read, &*last) {
            (Ok(Ok(view)), Some(known)) if *known.view == view => known.view.clone(),
            (Ok(Ok(view)), _) => Arc::new(view),
            // The picture has the same trouble, and says so.
            (_, known) => known.as_ref().map(|known| known.view.clone()).unwrap_or_default(),
        };
        *last = Some(ReadOverview { generation, at: Instant::now(), view: view.clone() });
        view
    }

    fn table(
        &self,
        page: &Page,
        definitions: &Definitions,
        picture: Arc<Picture>,
        overview: Arc<OverviewView>,
    ) -> Result<Arc<str>, askama::Error> {
        let stretch = page.now.timestamp().div_euclid(PART_SECONDS);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tables.iter().find(|known| {
            let (of_picture, of_overview, of_stretch) = &known.made_of;
            known.language == page.language
                && *of_stretch == stretch
                && of_picture.generation == picture.generation
                && of_picture.loading == picture.loading
                && Arc::ptr_eq(of_overview, &overview)
        });
        if let Some(known) = known {
            return Ok(known.html.clone());
        }
        let html: Arc<str> = table(page, definitions, &picture, &overview)?.into();
        tables.retain(|known| known.language != page.language);
        let made_of = (picture, overview, stretch);
        tables.push(RenderedTable { language: page.language, made_of, html: html.clone() });
        Ok(html)
    }
}

async fn home(
    _: Viewer,
    State(app): State<Arc<App>>,
    Extension(remembered): Extension<Arc<Remembered>>,
    page: Page,
) -> PageResult {
    let picture = app.picture.current();
    let overview = remembered.overview(&app, picture.generation).await;
    let problem = picture.problem.clone();
    let table = remembered.table(&page, app.service.definitions(), picture, overview)?;
    let health = app.observer.health().await;
    let part = HomePart { page: page.clone(), health, problem, table };
    if page.is_part { rendered(&part) } else { rendered(&Home { page, part }) }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/", get(home)).layer(Extension(Arc::new(Remembered::default())))
}
