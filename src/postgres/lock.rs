//! Lock files. The kernel releases a lock when the last holder of the open file is gone, however it went.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(10);

/// Opens a file of Karat's own for appending, for the owner of the folder it is in; it never follows a symbolic link.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    let file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(no_follow).open(path)?;
    if rustix::process::geteuid().is_root() {
        // Root working in another user's folder must not leave files there that the user cannot open.
        let folder = path.parent().map_or_else(|| file.metadata(), std::fs::metadata)?;
        std::os::unix::fs::fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(file)
}

/// Takes the lock alone if nobody holds it now.
pub(super) fn try_exclusive(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits until `done` says so, at most for `limit`; whether it did.
pub(super) async fn wait(limit: Duration, mut done: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    let polling = async {
        while !done()? {
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    };
    tokio::time::timeout(limit, polling).await.unwrap_or(Ok(false))
}

/// [`wait`] for where nothing can be awaited: it blocks the thread.
pub(super) fn wait_blocking(limit: Duration, mut done: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    let mut waited = Duration::ZERO;
    while !done()? {
        if waited >= limit {
            return Ok(false);
        }
        std::thread::sleep(POLL);
        waited += POLL;
    }
    Ok(true)
}
