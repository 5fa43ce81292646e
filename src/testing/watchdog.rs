//! The process that ends the test server. No test can: it may be killed, and the next one may want the server.

use std::fs::{File, TryLockError};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::TestingError;

const SCRIPT: &str = include_str!("watchdog.sh");

/// Makes sure that something ends the server whose lock files are in `home`, once no process has used it for up to
/// `interval`. To be called by a process that uses the server.
pub(super) fn ensure(home: &Path, interval: Duration) -> Result<(), TestingError> {
    let path = home.join("watchdog.lock");
    let lock = File::options().append(true).create(true).open(&path).map_err(TestingError::folder(&path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(TestingError::folder(&path)(error)),
    }
    // Asked here, because the script itself has nobody to complain to.
    Command::new("flock")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(TestingError::Watchdog)?;
    Command::new("sh")
        .args(["-c", SCRIPT, "karat-test-watchdog"])
        .arg(home)
        .arg(interval.as_secs_f64().to_string())
        .stdin(lock)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C at the terminal ends the tests and not what cleans up after them.
        .process_group(0)
        .current_dir("/")
        .spawn()
        .map_err(TestingError::Watchdog)?;
    Ok(())
}
