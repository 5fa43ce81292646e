//! What assets say while they are computed, and what happened to runs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::input::{Listed, Parameters};
use super::problem::Problem;
use crate::service::{EventView, LogLineView, LogQuery, LogTail};
use crate::web::App;
use crate::web::access::Viewer;

/// How many lines are shown unless it is said, and at most.
const USUAL_LINES: u32 = 1_000;
const MOST_LINES: u32 = 10_000;

/// How many lines are downloaded at most: the last ones.
const DOWNLOADED_LINES: u32 = 100_000;

/// How often is looked for more lines.
const LOOK: Duration = Duration::from_secs(1);

/// How often is looked after the run has ended: its last lines are written down a little later.
const LAST_LOOKS: u8 = 3;

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LinesWanted {
    /// Only of this asset, by its key or table.
    asset: Option<String>,
    /// Only of this partition.
    partition: Option<String>,
    /// Only lines of this level and those more severe.
    #[param(inline)]
    level: Option<Level>,
    /// Only lines with this text, whatever its case.
    text: Option<String>,
}

/// How severe a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// Something went wrong.
    Error,
    /// Something may be wrong.
    Warn,
    /// What is done.
    Info,
    /// Details.
    Debug,
    /// All details.
    Trace,
}

impl Level {
    fn of(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            _ => Self::Trace,
        }
    }
}

impl LinesWanted {
    fn query(&self, limit: u32) -> LogQuery {
        LogQuery { asset: self.asset.clone(), partition: self.partition.clone(), limit }
    }

    fn wants(&self, line: &LogLineView) -> bool {
        let is_severe = self.level.is_none_or(|level| Level::of(&line.level) <= level);
        let text = self.text.as_deref().unwrap_or_default().to_lowercase();
        is_severe
            && (line.message.to_lowercase().contains(&text) || line.fields.to_string().to_lowercase().contains(&text))
    }
}

/// How many lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LineLimit {
    /// The last so many lines are looked at.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<u32>,
}

impl LineLimit {
    fn lines(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(USUAL_LINES) {
            limit @ 1..=MOST_LINES => Ok(limit),
            _ => Err(Problem::bad_request(format!("limit is a number from 1 to {MOST_LINES}."))),
        }
    }
}

/// The log of a run
///
/// What assets said while they were computed, oldest first: the last lines, and of these those that are wanted.
#[utoipa::path(get, path = "/runs/{run}/logs", tag = "logs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c"), LinesWanted, LineLimit),
    responses((status = 200, description = "The lines", body = Listed<LogLineView>)),
    extensions(("x-command" = json!("run logs RUN"))))]
async fn logs(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Parameters(wanted): Parameters<LinesWanted>,
    Parameters(limit): Parameters<LineLimit>,
) -> Answer<Listed<LogLineView>> {
    let run_id = app.service.run_id(&run).await?;
    let mut lines = app.service.run_logs(run_id, &wanted.query(limit.lines()?)).await?;
    lines.retain(|line| wanted.wants(line));
    Ok(Json(Listed::whole(lines)))
}

/// The log of a run as a file
///
/// As text, one line for each line, times in UTC: the last hundred thousand.
#[utoipa::path(get, path = "/runs/{run}/logs/download", tag = "logs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c"), LinesWanted),
    responses((status = 200, description = "The file", body = String, content_type = "text/plain")),
    extensions(("x-command" = json!("run logs RUN --limit 100000"))))]
async fn download(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Parameters(wanted): Parameters<LinesWanted>,
) -> Result<Response, Problem> {
    let run_id = app.service.run_id(&run).await?;
    let lines = app.service.run_logs(run_id, &wanted.query(DOWNLOADED_LINES)).await?;
    let text = lines.iter().filter(|line| wanted.wants(line)).fold(String::new(), |mut text, line| {
        let at = line.at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let message = line.message.replace('\n', "\n    ");
        // Writing to a string does not fail.
        let _ = writeln!(text, "{at} {:<5} {} {}: {message}{}", line.level, line.asset, line.partition, fields(line));
        text
    });
    let disposition = format!("attachment; filename=\"run-{run_id}.log\"");
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, text).into_response())
}

fn fields(line: &LogLineView) -> String {
    line.fields.as_object().into_iter().flatten().map(|(name, value)| format!(" {name}={value}")).collect()
}

/// Follow the log of a run
///
/// Server-sent events: `line` with a line as JSON, first the last lines there are and then each as it comes, and `end` when
/// the run has ended.
#[utoipa::path(get, path = "/runs/{run}/logs/stream", tag = "logs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c"), LinesWanted, LineLimit),
    responses((status = 200, description = "The events", body = String, content_type = "text/event-stream")),
    extensions(("x-command" = json!("run logs RUN"))))]
async fn follow(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Parameters(wanted): Parameters<LinesWanted>,
    Parameters(limit): Parameters<LineLimit>,
) -> Result<Response, Problem> {
    let run_id = app.service.run_id(&run).await?;
    let (lines, tail) = app.service.follow_log(run_id, &wanted.query(limit.lines()?)).await?;
    let following = Following { app, wanted, tail, lines: lines.into(), last_looks: 0, is_over: false };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok::<_, Infallible>(event), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

struct Following {
    app: Arc<App>,
    wanted: LinesWanted,
    tail: LogTail,
    lines: VecDeque<LogLineView>,
    last_looks: u8,
    is_over: bool,
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        let mut looked = false;
        while !self.is_over {
            while let Some(line) = self.lines.pop_front() {
                if self.wanted.wants(&line) {
                    return Event::default().event("line").json_data(&line).ok();
                }
            }
            if self.last_looks >= LAST_LOOKS {
                self.is_over = true;
                return Some(Event::default().event("end").data("the run has ended"));
            }
            if looked {
                tokio::select! {
                    () = self.app.stop.cancelled() => return None,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
            looked = true;
            // Asked before looking: what was said until the end is then found.
            let Ok(has_ended) = self.tail.has_ended().await else { continue };
            match self.tail.more().await {
                Ok(lines) if lines.is_empty() && has_ended => self.last_looks += 1,
                Ok(lines) => self.lines = lines.into(),
                // A database that is away for a moment is waited for.
                Err(_) => {}
            }
        }
        None
    }
}

/// What happened to a run
///
/// Oldest first, the last hundred events.
#[utoipa::path(get, path = "/runs/{run}/events", tag = "logs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c")),
    responses((status = 200, description = "The events", body = Listed<EventView>)),
    extensions(("x-command" = json!("run show RUN"))))]
async fn events(Viewer(_): Viewer, State(app): State<Arc<App>>, Path(run): Path<String>) -> Answer<Listed<EventView>> {
    let run_id = app.service.run_id(&run).await?;
    Ok(Json(Listed::whole(app.service.run(run_id).await?.events)))
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(logs)).routes(routes!(download)).routes(routes!(follow)).routes(routes!(events))
}
