//! What asks a program to end: Ctrl-C, termination, and a terminal that is closed.

use std::fs;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{Exit, Failure};

/// The number of the signal that says that the terminal is closed.
const HANGUP: u32 = 1;

/// Requests to end, one after another.
pub(super) struct Interruptions {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where the program was started so as to outlive its terminal (`nohup`).
    hangup: Option<Signal>,
}

impl Interruptions {
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Exit::Failure, format!("signals cannot be listened for: {error}")))
        };
        let hangup = if is_ignored(HANGUP) { None } else { Some(listen(SignalKind::hangup())?) };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())?, hangup })
    }

    pub(super) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether whoever started this process made it ignore a signal; where that cannot be seen, no.
fn is_ignored(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (number - 1)) != 0
}
