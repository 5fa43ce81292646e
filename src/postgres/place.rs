//! The folders and lock files of one embedded server.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::account::Account;
use super::error::PostgresError;
use super::lock;
use super::settings::EmbeddedSettings;

/// The port only names the socket file; there is no network port.
pub(super) const SOCKET_FILE: &str = ".s.PGSQL.5432";
const PORT: u16 = 5432;
/// The superuser of the cluster, and the role that Karat connects as.
pub(super) const ROLE: &str = "karat";
/// The longest path of a Unix socket on Linux (`sun_path` less its terminator).
const MAX_SOCKET_PATH_BYTES: usize = 107;
/// A server cannot run with less: its next log segment takes 16 MB.
const LITTLE_ROOM_BYTES: u64 = 16 << 20;

/// Everything about where one server lives. Made ready by [`Place::prepare`].
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) account: Account,
    /// `<data folder>/postgres`: this process's user may write here, the server's account may pass through.
    pub(super) home: PathBuf,
    /// The cluster.
    pub(super) data: PathBuf,
    /// Where a cluster is initialized, to be renamed when it is complete.
    pub(super) unfinished: PathBuf,
    pub(super) socket_directory: PathBuf,
    /// Stands in the titles of the server's processes, and is no other cluster's on this machine.
    pub(super) cluster_name: String,
    pub(super) log: PathBuf,
    pub(super) boot_lock: PathBuf,
    pub(super) users_lock: PathBuf,
    pub(super) server_lock: PathBuf,
}

impl Place {
    /// Picks the account and makes the folders, as far as they are missing.
    pub(super) fn prepare(settings: &EmbeddedSettings) -> Result<Self, PostgresError> {
        let directory = &settings.data_directory;
        if directory.as_os_str().is_empty() {
            return Err(PostgresError::NoDataDirectory);
        }
        let home = directory.join("postgres");
        let account = Account::choose(&[&home.join("data"), &home])?;
        account.check_way_to(&home)?;
        let mode = if account.is_dropped() { 0o755 } else { 0o700 };
        make_missing(directory, mode).map_err(PostgresError::folder("create", directory))?;
        let directory = fs::canonicalize(directory).map_err(PostgresError::folder("resolve", directory))?;
        let home = directory.join("postgres");
        make_missing(&home, 0o700).map_err(PostgresError::folder("create", &home))?;
        account.check_owner_of(&home)?;
        if account.is_dropped() && fs::metadata(&home).is_ok_and(|metadata| metadata.uid() == 0) {
            fs::set_permissions(&home, Permissions::from_mode(0o711)).map_err(PostgresError::folder("open", &home))?;
        }
        let hash = hash_of(&home);
        let socket_directory = socket_directory(&home, account.uid, &hash);
        let place = Self {
            data: home.join("data"),
            unfinished: home.join("data.unfinished"),
            log: home.join("postgres.log"),
            boot_lock: home.join("boot.lock"),
            users_lock: home.join("users.lock"),
            server_lock: home.join("server.lock"),
            account,
            home,
            socket_directory,
            cluster_name: format!("karat-{hash}"),
        };
        place.make_private(&place.socket_directory)?;
        Ok(place)
    }

    /// Makes a folder that only the server's account (and root) may enter, or makes sure that it is one: in a shared temporary folder
    /// somebody else could have put it there first.
    pub(super) fn make_private(&self, path: &Path) -> Result<(), PostgresError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => created.map_err(PostgresError::folder("create", path))?,
        }
        self.account.check_owner_of(path)?;
        let metadata = fs::symlink_metadata(path).map_err(PostgresError::folder("examine", path))?;
        if !metadata.is_dir() {
            return Err(PostgresError::folder("use", path)(io::ErrorKind::NotADirectory.into()));
        }
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(PostgresError::folder("close", path))?;
        self.account.take(path).map_err(PostgresError::folder("hand over", path))
    }

    /// Opens one of the lock files, or the log.
    pub(super) fn open(&self, path: &Path) -> Result<File, PostgresError> {
        lock::open(path).map_err(PostgresError::folder("open", path))
    }

    /// How to reach `database` in this place.
    pub(super) fn connect_options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_directory)
            .port(PORT)
            .username(ROLE)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// Whether the disk is too full for a server to work on.
    pub(super) fn has_little_room(&self) -> bool {
        rustix::fs::statvfs(&self.home)
            .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE_ROOM_BYTES)
    }

    /// The end of what a server program said, as much as fits in an error message, and what to do when it ran out of room.
    pub(super) fn explain(&self, said: &str) -> String {
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut text = lines[lines.len().saturating_sub(12)..].join("\n");
        if text.is_empty() {
            text.push_str("(nothing)");
        }
        // On a full disk the program may not have been able to say so: its log is there, too.
        if said.contains("No space left on device") || self.has_little_room() {
            text.push_str("\nThe disk is full: make room on it, or set KARAT_DATA to a folder on another one");
        }
        text
    }

    /// The value of `unix_socket_directories`, a list whose elements are quoted like identifiers.
    pub(super) fn socket_directories_setting(&self) -> String {
        format!("\"{}\"", self.socket_directory.display().to_string().replace('"', "\"\""))
    }
}

/// Below `home`, unless the name would be too long for a socket or cannot be written in a setting. The replacement is in `/tmp` and not
/// in `$TMPDIR`, because every process has to arrive at the same one.
fn socket_directory(home: &Path, uid: u32, hash: &str) -> PathBuf {
    let usual = home.join("socket");
    let fits = |path: &str| path.len() + 1 + SOCKET_FILE.len() <= MAX_SOCKET_PATH_BYTES;
    if usual.to_str().is_some_and(fits) { usual } else { Path::new("/tmp").join(format!("karat-{uid}-{hash}")) }
}

fn hash_of(path: &Path) -> String {
    Sha256::digest(path.as_os_str().as_encoded_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Makes `path` and what is missing above it with exactly this mode, whatever the umask.
fn make_missing(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_missing(parent, mode)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created.and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode))),
    }
}
