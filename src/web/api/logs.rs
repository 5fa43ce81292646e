//! What assets say while they are computed, and what happened to runs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::input::{Listed, Parameters, up_to};
use super::problem::Problem;
use crate::service::{EventView, LogLineView, LogTail, LogTailQuery};
use crate::web::App;
use crate::web::access::Viewer;
use crate::web::run_log;

/// How many lines are shown unless it is said, and at most.
const USUAL_LINES: u32 = 1_000;
const MOST_LINES: u32 = 10_000;

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
#[derive(Clone, Copy, Deserialize, ToSchema)]
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
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl LinesWanted {
    fn query(self, limit: u32) -> LogTailQuery {
        let level = self.level.map(|level| level.as_str().to_owned());
        LogTailQuery { asset: self.asset, partition: self.partition, level, text: self.text, limit }
    }
}

/// How many lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LineLimit {
    /// The last so many lines.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<u32>,
}

impl LineLimit {
    fn lines(&self) -> Result<u32, Problem> {
        up_to(MOST_LINES, "limit", self.limit.unwrap_or(USUAL_LINES))
    }
}

/// The log of a run
///
/// What assets said while they were computed, oldest first: the last of the lines that are wanted.
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
    Ok(Json(Listed::whole(app.service.log_tail(run_id, &wanted.query(limit.lines()?)).await?)))
}

/// The log of a run as a file
///
/// As text, one line for each line, by step and attempt, times in UTC.
#[utoipa::path(get, path = "/runs/{run}/logs/download", tag = "logs",
    params(("run" = String, Path, description = "The run's id, or four characters of its beginning or end", example = "019a3f2c"), LinesWanted),
    responses((status = 200, description = "The file", body = String, content_type = "text/plain")),
    extensions(("x-command" = json!("run logs RUN --limit 1000000"))))]
async fn download(
    Viewer(_): Viewer,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Parameters(wanted): Parameters<LinesWanted>,
) -> Result<Response, Problem> {
    let run_id = app.service.run_id(&run).await?;
    Ok(run_log::as_text(app, run_id, wanted.query(0)).await?)
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
    Viewer(caller): Viewer,
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Parameters(wanted): Parameters<LinesWanted>,
    Parameters(limit): Parameters<LineLimit>,
) -> Result<Response, Problem> {
    let run_id = app.service.run_id(&run).await?;
    let (lines, tail) = app.service.follow_log(run_id, &wanted.query(limit.lines()?)).await?;
    let revoked = Box::pin(app.revoked(&caller));
    let following = Following { app, tail, lines: lines.into(), last_looks: 0, is_over: false };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok::<_, Infallible>(event), following))
    });
    Ok(Sse::new(events.take_until(revoked)).keep_alive(KeepAlive::default()).into_response())
}

struct Following {
    app: Arc<App>,
    tail: LogTail,
    lines: VecDeque<LogLineView>,
    last_looks: u8,
    is_over: bool,
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        let mut looked = false;
        while !self.is_over {
            if let Some(line) = self.lines.pop_front() {
                return Event::default().event("line").json_data(&line).ok();
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
    Ok(Json(Listed::whole(app.service.run_events(run_id).await?)))
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(logs)).routes(routes!(download)).routes(routes!(follow)).routes(routes!(events))
}
