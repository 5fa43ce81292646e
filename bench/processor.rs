//! Processor time, of this process and of the server's backends: where a ratio comes from.

use std::fs;
use std::ops::AddAssign;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

/// Processor time spent so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessorTime {
    /// By this process.
    pub(crate) client: Duration,
    /// By the server's processes that live; connections must stay open in between.
    pub(crate) server: Duration,
}

impl AddAssign for ProcessorTime {
    fn add_assign(&mut self, other: Self) {
        self.client += other.client;
        self.server += other.server;
    }
}

impl ProcessorTime {
    pub(crate) fn now(postmaster: i32) -> anyhow::Result<Self> {
        let client = fs::read_dir("/proc/self/task")?
            .flatten()
            .filter_map(|task| running_time(&task.path().join("schedstat")))
            .sum();
        let server = fs::read_dir("/proc")?
            .flatten()
            .map(|process| process.path())
            .filter(|process| parent(&process.join("stat")) == Some(postmaster))
            .filter_map(|process| running_time(&process.join("schedstat")))
            .sum();
        Ok(Self { client, server })
    }

    /// By the thread that asks. Unlike elapsed time it hardly depends on what else the machine does.
    pub(crate) fn of_this_thread() -> anyhow::Result<Duration> {
        running_time(Path::new("/proc/thread-self/schedstat")).context("the kernel keeps no `schedstat`")
    }

    /// Time spent since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { client: self.client.saturating_sub(earlier.client), server: self.server.saturating_sub(earlier.server) }
    }

    /// Microseconds for each of `count` things.
    pub(crate) fn each(self, count: i64) -> anyhow::Result<String> {
        let count = u32::try_from(count).ok().filter(|&count| count > 0).context("nothing was done")?;
        let [client, server] = [self.client, self.server].map(|time| (time / count).as_micros());
        Ok(format!("{client} + {server} µs"))
    }
}

/// The first number of a thread's `schedstat`: nanoseconds on a processor.
fn running_time(path: &Path) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

/// The parent of a process, which stands after its name and state; the name may contain anything.
fn parent(path: &Path) -> Option<i32> {
    let text = fs::read_to_string(path).ok()?;
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}
