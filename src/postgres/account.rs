//! The account the server runs as. PostgreSQL refuses to run as root, so root has to pick somebody else.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use tokio::process::Command;

use super::error::PostgresError;

/// Variables that the server programs may see. Everything else stays behind: another account's processes could read a
/// password or token out of the server's environment, and `PG…` variables would change its settings.
const PASSED_VARIABLES: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "LOCPATH", "LOCALE_ARCHIVE"];

/// Who the server runs as.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
    /// This process is root and the server is not.
    dropped: bool,
}

impl Account {
    /// This user; as root the owner of the first of `owned` that exists, else `postgres`, else `nobody`.
    pub(super) fn choose(owned: &[&Path]) -> Result<Self, PostgresError> {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let own = rustix::process::geteuid();
        if !own.is_root() {
            let (uid, gid) = (own.as_raw(), rustix::process::getegid().as_raw());
            return Ok(Self { uid, gid, name: name_of(&passwd, uid), dropped: false });
        }
        let owner = owned.iter().find_map(|path| fs::metadata(path).ok().filter(|metadata| metadata.uid() != 0));
        if let Some(owner) = owner {
            let name = name_of(&passwd, owner.uid());
            return Ok(Self { uid: owner.uid(), gid: owner.gid(), name, dropped: true });
        }
        ["postgres", "nobody"].into_iter().find_map(|name| named(&passwd, name)).ok_or(PostgresError::NoServerAccount)
    }

    /// A command that runs as this account in `directory`, with next to nothing of this process's environment.
    pub(super) fn command(&self, program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory).env_clear().env("LC_ALL", "C").env("TZ", "UTC").kill_on_drop(true);
        for name in PASSED_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if self.dropped {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives `path` to this account; nothing to do unless this process is root.
    pub(super) fn take(&self, path: &Path) -> io::Result<()> {
        if self.dropped { lchown(path, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// Gives `path` and everything below it to this account if it is still root's, as after a copy made by root.
    pub(super) fn take_tree(&self, path: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        if !self.dropped || metadata.uid() == self.uid {
            return Ok(());
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                self.take_tree(&entry?.path())?;
            }
        }
        // The folder last: an interrupted change of owner is then found and finished by the next one.
        self.take(path)
    }

    /// Refuses a data folder that the server could not reach, naming the folder on the way that it may not enter.
    pub(super) fn check_way_to(&self, directory: &Path) -> Result<(), PostgresError> {
        let Some(existing) = directory.ancestors().find_map(|path| fs::canonicalize(path).ok()) else { return Ok(()) };
        if !self.dropped {
            return Ok(());
        }
        let mut components: Vec<&Path> = existing.ancestors().collect();
        components.reverse();
        for component in components {
            let metadata = fs::metadata(component).map_err(PostgresError::folder("examine", component))?;
            let class = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if !metadata.is_dir() {
                return Err(PostgresError::folder("use", component)(io::ErrorKind::NotADirectory.into()));
            }
            if metadata.mode() & class == 0 {
                return Err(PostgresError::NotWalkable {
                    component: component.to_owned(),
                    mode: metadata.mode() & 0o7777,
                    directory: directory.to_owned(),
                    account: self.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// Refuses a folder that belongs to anybody but this account (or to root, when this process is root).
    pub(super) fn check_owner_of(&self, path: &Path) -> Result<(), PostgresError> {
        let metadata = fs::symlink_metadata(path).map_err(PostgresError::folder("examine", path))?;
        if metadata.uid() == self.uid || (self.dropped && metadata.uid() == 0) {
            return Ok(());
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Err(PostgresError::ForeignOwner {
            path: path.to_owned(),
            owner: name_of(&passwd, metadata.uid()),
            account: self.name.clone(),
        })
    }

    /// Whether this process is root and acts for this account.
    pub(super) fn is_dropped(&self) -> bool {
        self.dropped
    }
}

fn named(passwd: &str, name: &str) -> Option<Account> {
    let (uid, gid, name) = entries(passwd).find(|(uid, _, entry)| *entry == name && *uid != 0)?;
    Some(Account { uid, gid, name: name.to_owned(), dropped: true })
}

fn name_of(passwd: &str, uid: u32) -> String {
    let name = entries(passwd).find(|entry| entry.0 == uid).map(|(_, _, name)| name.to_owned());
    name.unwrap_or_else(|| format!("user id {uid}"))
}

fn entries(passwd: &str) -> impl Iterator<Item = (u32, u32, &str)> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?, name))
    })
}
