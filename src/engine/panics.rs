//! Panics of assets become failed steps: the message and backtrace are kept, the process goes on.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::Once;

use futures_util::FutureExt;

/// A panic in an asset's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Panic {
    pub(super) message: String,
    pub(super) backtrace: String,
}

/// The most that is kept of a backtrace, in bytes.
const BACKTRACE_LIMIT: usize = 16 * 1024;

thread_local! {
    /// Where the newest panic on this thread happened; read by the code that catches it, on the same thread.
    static NEWEST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

tokio::task_local! {
    static IN_ASSET: ();
}

/// Runs an asset's future; a panic in it is a value.
pub(super) async fn catch<T>(future: impl Future<Output = T>) -> Result<T, Panic> {
    install_hook();
    match AssertUnwindSafe(IN_ASSET.scope((), future)).catch_unwind().await {
        Ok(value) => Ok(value),
        Err(payload) => {
            let (location, backtrace) = NEWEST.with(RefCell::take).unwrap_or_default();
            Err(Panic { message: format!("the asset panicked at {location}: {}", text(payload.as_ref())), backtrace })
        }
    }
}

/// What a panic said.
pub(crate) fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Notes panics inside assets silently and leaves all others to the hook that was there.
fn install_hook() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IN_ASSET.try_with(|()| ()).is_err() {
                previous(info);
                return;
            }
            let location = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
            let mut backtrace = Backtrace::force_capture().to_string();
            if backtrace.len() > BACKTRACE_LIMIT {
                let cut = (0..=BACKTRACE_LIMIT).rev().find(|&at| backtrace.is_char_boundary(at)).unwrap_or(0);
                backtrace.truncate(cut);
            }
            NEWEST.with(|newest| *newest.borrow_mut() = Some((location, backtrace)));
        }));
    });
}
