//! The log of a run: its end on the page, live while the run is, and all of it as a text.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream, StreamExt as _};
use serde::Deserialize;
use uuid::Uuid;

use super::App;
use super::access::Viewer;
use super::address::address;
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use crate::service::{LOG_LEVELS, LogLineView, LogPlace, LogTailQuery};

/// How many lines a page shows.
const SHOWN_LINES: u32 = 150;

/// How much of a line a page shows.
const MESSAGE_CHARACTERS: usize = 600;

/// How often is looked for more lines of a run that is live.
const PAUSE: Duration = Duration::from_secs(1);

/// Which lines somebody wants to see.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogForm {
    level: String,
    text: String,
    asset: String,
    partition: String,
}

impl LogForm {
    fn query(&self, limit: u32) -> LogTailQuery {
        let given = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        LogTailQuery {
            asset: given(&self.asset),
            partition: given(&self.partition),
            level: given(&self.level),
            text: given(&self.text),
            limit,
        }
    }

    /// The same as the query of an address, with its question mark; nothing when everything is asked for.
    fn address(&self) -> String {
        address(
            "",
            [
                ("level", self.level.as_str()),
                ("text", &self.text),
                ("asset", &self.asset),
                ("partition", &self.partition),
            ],
        )
    }

    fn is_empty(&self) -> bool {
        self.address().is_empty()
    }
}

/// The lines, where they come from, and how to see others.
#[derive(Template)]
#[template(path = "run/log.html")]
pub(super) struct LogPart {
    page: Page,
    run_id: Uuid,
    form: LogForm,
    is_live: bool,
    lines: LogLines,
}

impl askama::filters::HtmlSafe for LogPart {}

impl LogPart {
    pub(super) fn new(page: &Page, run_id: Uuid, form: LogForm, is_live: bool, lines: Vec<LogLineView>) -> Self {
        let lines = LogLines { page: page.clone(), lines, is_filtered: !form.is_empty(), is_live };
        Self { page: page.clone(), run_id, form, is_live, lines }
    }
}

/// The lines alone.
#[derive(Template)]
#[template(path = "run/log_lines.html")]
pub(super) struct LogLines {
    pub(super) page: Page,
    pub(super) lines: Vec<LogLineView>,
    pub(super) is_filtered: bool,
    pub(super) is_live: bool,
}

impl askama::filters::HtmlSafe for LogLines {}

impl LogLines {
    fn clock(&self, line: &LogLineView) -> String {
        line.at.with_timezone(&self.page.zone).format("%H:%M:%S%.3f").to_string()
    }

    fn instant(&self, line: &LogLineView) -> String {
        line.at.with_timezone(&self.page.zone).format("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
    }

    fn message(&self, line: &LogLineView) -> String {
        self.page.shortened(&line.message, MESSAGE_CHARACTERS)
    }

    fn fields(&self, line: &LogLineView) -> String {
        self.page.shortened(&fields(line), MESSAGE_CHARACTERS)
    }
}

/// `days=7 file="a b"`.
fn fields(line: &LogLineView) -> String {
    let pairs = line.fields.as_object().into_iter().flatten();
    pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

async fn log(
    _: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(run_id): Path<Uuid>,
    Query(form): Query<LogForm>,
) -> PageResult {
    let is_live = is_live(&app, run_id).await?;
    let lines = last_lines(&app, run_id, &form).await?;
    rendered(&LogPart::new(&page, run_id, form, is_live, lines))
}

/// The last lines that a page shows.
pub(super) async fn last_lines(app: &App, run_id: Uuid, form: &LogForm) -> Result<Vec<LogLineView>, PageError> {
    Ok(app.service.log_tail(run_id, &form.query(SHOWN_LINES)).await?)
}

async fn is_live(app: &App, run_id: Uuid) -> Result<bool, PageError> {
    Ok(app.service.is_live(run_id).await?)
}

/// Sends the lines as they are whenever they are others, as long as the run is live and whoever reads them is
/// let in; then `end`.
async fn live(
    viewer: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(run_id): Path<Uuid>,
    Query(form): Query<LogForm>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    enum Stage {
        Live { told: Option<String> },
        LastLines,
        End,
    }
    let revoked = Box::pin(app.revoked(&viewer.0));
    let first = (Stage::Live { told: None }, form.query(SHOWN_LINES));
    let events = stream::unfold(first, move |(mut stage, query)| {
        let (app, page, is_filtered) = (app.clone(), page.clone(), !form.is_empty());
        async move {
            loop {
                match stage {
                    Stage::End => return None,
                    Stage::LastLines => {
                        stage = Stage::End;
                        return Some((Ok(Event::default().event("end").data("end")), (stage, query)));
                    }
                    Stage::Live { told } => {
                        if told.is_some() {
                            tokio::select! {
                                () = app.stop.cancelled() => return None,
                                () = tokio::time::sleep(PAUSE) => {}
                            }
                        }
                        // What cannot be read now is read a moment later.
                        let is_live = is_live(&app, run_id).await.unwrap_or(true);
                        let lines = app.service.log_tail(run_id, &query).await.ok();
                        let html = lines.and_then(|lines| {
                            LogLines { page: page.clone(), lines, is_filtered, is_live }.render().ok()
                        });
                        let html = html.or(told.clone()).unwrap_or_default();
                        let is_other = told.as_ref() != Some(&html);
                        let event = Event::default().event("lines").data(html.replace('\r', ""));
                        stage = if is_live { Stage::Live { told: Some(html) } } else { Stage::LastLines };
                        if is_other {
                            return Some((Ok(event), (stage, query)));
                        }
                    }
                }
            }
        }
    });
    Sse::new(events.take_until(revoked)).keep_alive(KeepAlive::default())
}

/// All lines as a text, part by part.
async fn download(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(run_id): Path<Uuid>,
    Query(form): Query<LogForm>,
) -> Result<Response, PageError> {
    as_text(app, run_id, form.query(0)).await
}

/// The lines that `query` asks for as a text, on its way part by part.
pub(super) async fn as_text(app: Arc<App>, run_id: Uuid, query: LogTailQuery) -> Result<Response, PageError> {
    // An unknown run or asset is told before anything is sent.
    app.service.require_run(run_id).await?;
    let (first, place) = app.service.log_part(run_id, &query, LogPlace::default()).await?;
    let state = (app, query, Some((first, place)));
    let parts = stream::unfold(state, move |(app, query, part)| async move {
        let (lines, place) = part?;
        let text: String = lines.iter().map(line_text).collect();
        let (next, end) = match place {
            None => (None, None),
            Some(place) => match app.service.log_part(run_id, &query, place).await {
                Ok(part) => (Some(part), None),
                Err(error) => (None, Some(format!("the rest could not be read: {error}\n"))),
            },
        };
        Some((Ok::<_, Infallible>(text + &end.unwrap_or_default()), (app, query, next)))
    });
    let name = format!("attachment; filename=\"run-{run_id}.txt\"");
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(parts)).into_response())
}

fn line_text(line: &LogLineView) -> String {
    let at = line.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let level = line.level.to_ascii_uppercase();
    let (asset, partition, attempt, message) = (&line.asset, &line.partition, line.attempt, &line.message);
    format!("{at} {level:<5} {asset} {partition} #{attempt} {message} {}", fields(line)).trim_end().to_owned() + "\n"
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/runs/{run_id}/log", get(log))
        .route("/runs/{run_id}/log/live", get(live))
        .route("/runs/{run_id}/log.txt", get(download))
}
