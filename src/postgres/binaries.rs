//! Finding the server programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::Account;
use super::cluster;
use super::download;
use super::error::PostgresError;
use super::place::Place;
use super::settings::EmbeddedSettings;

/// The oldest major version that Karat's SQL runs on.
pub(super) const OLDEST_MAJOR: u32 = 15;

const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// A folder with `initdb` and `postgres` of one major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) directory: PathBuf,
    pub(super) major: u32,
}

/// The programs for the cluster in `place`: of exactly its version, or the newest ones when there is no cluster yet.
/// Fetches them when none are installed and that is allowed.
pub(super) async fn locate(settings: &EmbeddedSettings, place: &Place) -> Result<Binaries, PostgresError> {
    let wanted = cluster::major(&place.data)?;
    let mut reasons = Vec::new();
    let directories = match &settings.binary_directory {
        Some(only) => std::slice::from_ref(only),
        None => &settings.search_directories,
    };
    if let Some(binaries) = pick(directories, wanted, &place.account, &mut reasons).await {
        return Ok(binaries);
    }
    if let Some(only) = &settings.binary_directory {
        if reasons.is_empty() {
            reasons.push(format!("KARAT_PG_BIN names {}, which has no `postgres` and `initdb`", only.display()));
        }
    } else if wanted.is_none_or(|wanted| wanted == download::MAJOR) {
        let fetched = [download::directory(&settings.cache_directory)];
        if let Some(binaries) = pick(&fetched, wanted, &place.account, &mut reasons).await {
            return Ok(binaries);
        }
        match download::fetch(settings).await {
            Ok(()) => {
                if let Some(binaries) = pick(&fetched, wanted, &place.account, &mut reasons).await {
                    return Ok(binaries);
                }
            }
            Err(reason) => reasons.push(reason),
        }
    }
    Err(match wanted {
        Some(major) => PostgresError::OtherMajor { directory: place.data.clone(), major, reasons },
        None => PostgresError::NoBinaries { reasons },
    })
}

/// The best of the folders: the wanted version, or the highest; among equals the first. Adds to `reasons` why others were not taken.
async fn pick(
    directories: &[PathBuf],
    wanted: Option<u32>,
    account: &Account,
    reasons: &mut Vec<String>,
) -> Option<Binaries> {
    let mut seen = Vec::new();
    let mut best: Option<Binaries> = None;
    for directory in directories {
        let Ok(directory) = fs::canonicalize(directory) else { continue };
        if seen.contains(&directory) || !["postgres", "initdb"].iter().all(|name| directory.join(name).is_file()) {
            continue;
        }
        seen.push(directory.clone());
        match version(&directory, account).await {
            Err(reason) => {
                reasons.push(format!("{} cannot be run by `{}`: {reason}", directory.display(), account.name))
            }
            Ok(major) if wanted.map_or(major < OLDEST_MAJOR, |wanted| major != wanted) => {
                reasons.push(format!("{} is version {major}", directory.display()));
            }
            Ok(major) if best.as_ref().is_none_or(|best| major > best.major) => {
                best = Some(Binaries { directory, major })
            }
            Ok(_) => {}
        }
    }
    best
}

/// The major version, asked as the account that will run the server: what it may not execute is no candidate.
async fn version(directory: &Path, account: &Account) -> Result<u32, String> {
    let output = account.command(&directory.join("postgres"), Path::new("/")).arg("--version").output();
    let output = tokio::time::timeout(VERSION_LIMIT, output).await;
    let output =
        output.map_err(|_| "`postgres --version` does not end".to_owned())?.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_major(&text).ok_or_else(|| {
        format!("`postgres --version` says {:?}", format!("{text}{}", String::from_utf8_lossy(&output.stderr)).trim())
    })
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `… 19beta1`.
fn parse_major(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_major;

    #[test]
    fn the_major_version_is_read_from_what_the_server_says() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(parse_major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(parse_major("postgres (PostgreSQL) devel"), None);
        assert_eq!(parse_major("command not found"), None);
    }
}
