//! Pages that stay true: one stream of events for each open page, which says what to ask for again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::stream::{self, Stream};

use super::App;
use super::access::Viewer;

/// However much happens, a page is told once in this time.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends `changed` when something in the database may have changed. The stream ends when the server does, and when it
/// is told to.
async fn live(_: Viewer, State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let heard = app.wakeups();
    let stop = app.stop.clone();
    let events = stream::unfold((heard, stop), |(mut heard, stop)| async move {
        tokio::select! {
            () = stop.cancelled() => return None,
            _ = heard.next() => {}
        }
        // What comes together is told together.
        let pause = tokio::time::sleep(PAUSE);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = stop.cancelled() => return None,
                () = &mut pause => break,
                _ = heard.next() => {}
            }
        }
        Some((Ok(Event::default().event("changed").data("")), (heard, stop)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/live", get(live))
}
