//! Which processes belong to a cluster.
//!
//! A process id in a file proves nothing: it may be a zombie's, another process's by now, or from another container. What counts is
//! what the process is: a server whose working folder, or `-D` argument, is the cluster. A zombie has neither.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The postmaster of the cluster in `data`, if it lives and can be seen.
pub(super) fn postmaster(data: &Path) -> Option<Pid> {
    let pid: i32 = fs::read_to_string(data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let named = arguments.split(|byte| *byte == 0).any(|argument| argument == data.as_os_str().as_bytes());
    // Without /proc (macOS) only the file is left to go by.
    (named || works_in(pid, data) || !Path::new("/proc/self").exists()).then(|| Pid::from_raw(pid)).flatten()
}

/// All live processes of a server, or left over from one, that work in one of `folders`.
pub(super) fn servers_in(folders: &[&Path]) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of_server = |pid: &i32| fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"postgres\n");
    let at_work = |pid: &i32| folders.iter().any(|folder| works_in(*pid, folder));
    pids.filter(of_server).filter(at_work).filter_map(Pid::from_raw).collect()
}

/// Asks a process to end. One that is gone or not ours is left alone; whoever waits for it finds out.
pub(super) fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal) {
        tracing::debug!(pid = pid.as_raw_nonzero().get(), %error, "cannot signal a PostgreSQL process");
    }
}

fn works_in(pid: i32, data: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == data)
}
