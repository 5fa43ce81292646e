//! Pages that stay true: one stream of events for each open page, which says what to ask for again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::FutureExt as _;
use futures_util::stream::{self, Stream, StreamExt as _};

use super::App;
use super::access::Viewer;

/// However much happens, a page is told once in this time.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends `changed` when something may have changed: a signal came, or the picture is another. The stream
/// ends when the server does, and when whoever reads it is let in no more.
async fn live(viewer: Viewer, State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut picture = app.picture.watch();
    picture.mark_unchanged();
    let events =
        stream::unfold((app.wakeups(), picture, app.stop.clone()), |(mut heard, mut picture, stop)| async move {
            tokio::select! {
                () = stop.cancelled() => return None,
                _ = heard.next() => {}
                result = picture.changed() => result.ok()?,
            }
            // What comes together is told together.
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
            while heard.next().now_or_never().is_some() {}
            // Browsers pass over events without data.
            let generation = picture.borrow_and_update().generation.to_string();
            Some((Ok(Event::default().event("changed").data(generation)), (heard, picture, stop)))
        });
    Sse::new(events.take_until(Box::pin(app.revoked(&viewer.0)))).keep_alive(KeepAlive::default())
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/live", get(live))
}
