//! Which processes belong to a cluster.
//!
//! A process id in a file proves nothing: it may be a zombie's, another process's by now, or from another container. What counts is
//! what the process is: a server that works in the cluster's folder. A zombie has no such folder.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::place::Place;

/// The postmaster of the cluster in `place`, if it lives and can be seen.
pub(super) fn postmaster(place: &Place) -> Option<Pid> {
    let text = fs::read_to_string(place.data.join("postmaster.pid")).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    // Without /proc (macOS) only the file is left to go by.
    (serves(pid, place) || !Path::new("/proc/self").exists()).then(|| Pid::from_raw(pid)).flatten()
}

/// All live processes of a server in `place`, or left over from one.
pub(super) fn servers(place: &Place) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| serves(*pid, place)).filter_map(Pid::from_raw).collect()
}

/// Asks a process to end. One that is gone or not ours is left alone; whoever waits for it finds out.
pub(super) fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal) {
        tracing::debug!(pid = pid.as_raw_nonzero().get(), %error, "cannot signal a PostgreSQL process");
    }
}

/// Root in a container may not look at the working folders of other accounts' processes; it sees their owner, arguments and titles.
fn serves(pid: i32, place: &Place) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    if !fs::read(process.join("comm")).is_ok_and(|name| name == b"postgres\n") {
        return false;
    }
    if let Ok(folder) = fs::read_link(process.join("cwd")) {
        return folder == place.data || folder == place.unfinished;
    }
    let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
    let named = arguments.split(|byte| *byte == 0).any(|argument| argument == place.data.as_os_str().as_bytes());
    let titled = String::from_utf8_lossy(&arguments).contains(&place.cluster_name);
    (named || titled) && fs::metadata(&process).is_ok_and(|process| process.uid() == place.account.uid)
}
