//! Bringing the server up, adopting it, and leaving it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::binaries;
use super::cluster;
use super::error::PostgresError;
use super::launch::{self, Launched};
use super::lock;
use super::place::Place;
use super::process;
use super::settings::EmbeddedSettings;

/// Longer than anything that is done under the boot lock: fetching, initializing, starting.
const BOOT_LOCK_LIMIT: Duration = Duration::from_secs(480);
/// A server that accepts a connection and then says nothing is stopped or overloaded.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Children of a killed server notice by themselves within moments, unless they are busy.
const ORPHANS_LIMIT: Duration = Duration::from_secs(2);
/// A fast shutdown writes out what is in memory.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(60);
/// When waiting is worth a sentence.
const SILENT_WAIT: Duration = Duration::from_secs(2);
/// How long a server that does not come up on a full disk is waited for.
const FULL_DISK_WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// A running server that this process uses: a share in it.
///
/// Any number of processes, and guards in one process, share one server. When the last guard goes, by [`stop`](Self::stop), by being
/// dropped, or by the end of its process, and there is a process left to do it, the server is shut down. After a `kill -9` of the last user it lives on, and the
/// next one adopts it.
///
/// Should the server itself be killed, [`start`] brings it up again; the guard held meanwhile does no harm.
#[derive(Debug)]
pub struct EmbeddedServer {
    place: Place,
    database: String,
    users: Option<File>,
    launched: Option<Launched>,
}

/// Makes the server of these settings available: adopts it when it runs, otherwise starts it, after initializing the cluster and fetching the programs when
/// that is needed. Creates the database when it does not exist. Several processes may do this at once; one acts and the others wait for it.
///
/// Must be called within a Tokio runtime. Cancelling the future is safe: whatever was begun is completed or cleared away by the next start.
///
/// # Errors
/// [`PostgresError`] says what is wrong and what to do about it.
pub async fn start(settings: EmbeddedSettings) -> Result<EmbeddedServer, PostgresError> {
    let place = Place::prepare(&settings)?;
    let mut server = EmbeddedServer { place, database: settings.database.clone(), users: None, launched: None };
    // Released before `server` is dropped, which takes this lock itself.
    let boot = server.place.open(&server.place.boot_lock)?;
    let locked = lock::wait(BOOT_LOCK_LIMIT, || lock::try_exclusive(&boot)).await;
    if !locked.map_err(PostgresError::folder("lock", &server.place.boot_lock))? {
        let (directory, lock) = (settings.data_directory, server.place.boot_lock.clone());
        return Err(PostgresError::Occupied { directory, lock, limit: BOOT_LOCK_LIMIT });
    }
    let users = server.place.open(&server.place.users_lock)?;
    // Never waits: the lock is held exclusively only under the boot lock.
    users.lock_shared().map_err(PostgresError::folder("lock", &server.place.users_lock))?;
    server.users = Some(users);

    let mut answer = server.settle(&settings).await?;
    if answer == Answer::Absent {
        server.bring_up(&settings).await?;
        answer = server.settle(&settings).await?;
    }
    if answer == Answer::NoDatabase {
        cluster::create_database(&server.place, &server.database).await?;
    }
    Ok(server)
}

impl EmbeddedServer {
    /// How to connect to the database of the settings; `.database(…)` on it names another one of the same server.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        self.place.connect_options(&self.database)
    }

    /// The folder of the server's socket, for `psql -h`. The role is `karat`.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        &self.place.socket_directory
    }

    /// The folder of the cluster.
    #[must_use]
    pub fn cluster_directory(&self) -> &Path {
        &self.place.data
    }

    /// The server's log file. It holds no errors of statements, and so no data from them.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.place.log
    }

    /// Whether this guard's [`start`] started the server, rather than adopting a running one.
    #[must_use]
    pub fn was_started(&self) -> bool {
        self.launched.is_some()
    }

    /// The process id of the server, as long as it lives.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<i32> {
        process::postmaster(&self.place).map(|pid| pid.as_raw_nonzero().get())
    }

    /// Leaves the server, and shuts it down when nobody else uses it: connections are closed, and everything committed is on disk.
    /// Whether it was shut down. Dropping the guard does the same, blocking the thread meanwhile.
    ///
    /// # Errors
    /// When the shutdown takes longer than a minute (it goes on by itself), or the lock files cannot be used.
    pub async fn stop(mut self) -> Result<bool, PostgresError> {
        match tokio::task::spawn_blocking(move || self.leave()).await {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn leave(&mut self) -> Result<bool, PostgresError> {
        let result = if self.users.is_some() { self.shut_down_if_last() } else { Ok(false) };
        self.users = None;
        result
    }

    fn shut_down_if_last(&mut self) -> Result<bool, PostgresError> {
        let place = &self.place;
        let boot = place.open(&place.boot_lock)?;
        let locked = lock::wait_blocking(SHUTDOWN_LIMIT, || lock::try_exclusive(&boot));
        if !locked.map_err(PostgresError::folder("lock", &place.boot_lock))? {
            let (directory, lock) = (place.home.clone(), place.boot_lock.clone());
            return Err(PostgresError::Occupied { directory, lock, limit: SHUTDOWN_LIMIT });
        }
        let last = self.is_last().map_err(PostgresError::folder("lock", &place.users_lock))?;
        // Still under the boot lock: of two that leave at once, the second must not take the first for one that stays.
        self.users = None;
        let place = &self.place;
        if !last {
            return Ok(false);
        }
        let unusable = || PostgresError::folder("lock", &place.server_lock);
        let server_lock = place.open(&place.server_lock)?;
        if lock::try_exclusive(&server_lock).map_err(unusable())? {
            // None that was launched from here lives; one that somebody started by hand is theirs to stop.
            return Ok(false);
        }
        // One that was launched a moment ago may not have written its process id anywhere yet.
        let launched = || Pid::from_raw(self.launched.as_ref()?.process.id()?.try_into().ok()?);
        let Some(postmaster) = process::postmaster(place).or_else(launched) else { return Ok(false) };
        process::signal(postmaster, Signal::INT);
        let quiet = lock::wait_blocking(SHUTDOWN_LIMIT, || is_quiet(place, &server_lock));
        if !quiet.map_err(unusable())? {
            return Err(self.unreachable());
        }
        if !place.socket_directory.starts_with(&place.home) {
            // A folder in /tmp is not left behind; one that is not empty, or already gone, is no concern.
            let _ = fs::remove_dir(&place.socket_directory);
        }
        if let Some(launched) = &mut self.launched {
            // Its locks are gone, so the process is about to be; without this it would remain a zombie for a while.
            let ended = lock::wait_blocking(ANSWER_LIMIT, || Ok(launched.process.try_wait()?.is_some()));
            ended.map_err(PostgresError::folder("wait for the server of", &place.data))?;
        }
        Ok(true)
    }

    /// Waits for a server that is coming up or going down. [`Answer::Absent`] is never the outcome for one that this guard launched.
    async fn settle(&mut self, settings: &EmbeddedSettings) -> Result<Answer, PostgresError> {
        let begun = tokio::time::Instant::now();
        let mut announced = false;
        loop {
            let answer = ask(&self.connect_options()).await?;
            match (answer, &mut self.launched) {
                (Answer::Ready | Answer::NoDatabase, _) | (Answer::Absent, None) => return Ok(answer),
                (_, None) => {}
                (_, Some(launched)) => {
                    let ended = launched.process.try_wait();
                    if let Some(status) =
                        ended.map_err(PostgresError::folder("wait for the server of", &self.place.data))?
                    {
                        return Err(launched.failure(&self.place, &status.to_string()));
                    }
                }
            }
            if begun.elapsed() >= settings.start_limit {
                // Left to itself: shut down now, it would begin its recovery anew each time.
                self.users = None;
                let (directory, log) = (self.place.data.clone(), self.place.log.clone());
                return Err(PostgresError::NotReady { directory, limit: settings.start_limit, log });
            }
            // A server that cannot write neither comes up nor ends, and cannot log why.
            if begun.elapsed() >= FULL_DISK_WAIT && self.place.has_little_room() {
                self.users = None;
                return Err(PostgresError::DiskFull { directory: self.place.data.clone() });
            }
            if !announced && begun.elapsed() >= SILENT_WAIT {
                announced = true;
                (settings.on_message)("Waiting for PostgreSQL, which is recovering or shutting down.");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Launches a server where none answers.
    async fn bring_up(&mut self, settings: &EmbeddedSettings) -> Result<(), PostgresError> {
        let place = &self.place;
        let server_lock = place.open(&place.server_lock)?;
        self.wait_for_silence(settings, &server_lock).await?;
        launch::remove_leftovers(place)?;
        let binaries = binaries::locate(settings, place).await?;
        if cluster::major(&place.data)?.is_none() {
            cluster::initialize(place, &binaries, settings, &server_lock).await?;
        }
        place.account.take_tree(&place.data).map_err(PostgresError::folder("hand over", &place.data))?;
        let launched = launch::launch(place, &binaries, settings, server_lock)?;
        self.launched = Some(launched);
        Ok(())
    }

    /// Waits until nothing that could write to the cluster lives any more, helping where that is safe. Takes `server_lock`.
    async fn wait_for_silence(&self, settings: &EmbeddedSettings, server_lock: &File) -> Result<(), PostgresError> {
        let place = &self.place;
        let unusable = || PostgresError::folder("lock", &place.server_lock);
        if lock::wait(ORPHANS_LIMIT, || is_quiet(place, server_lock)).await.map_err(unusable())? {
            return Ok(());
        }
        (settings.on_message)("Waiting for the processes of an earlier PostgreSQL server to end.");
        let launched_here = !lock::try_exclusive(server_lock).map_err(unusable())?;
        match process::postmaster(place) {
            // It lives, and its socket is gone. Where nobody uses it nothing is lost by a clean restart.
            Some(postmaster) if launched_here && self.is_last().map_err(unusable())? => {
                process::signal(postmaster, Signal::INT);
            }
            Some(_) => return Err(self.unreachable()),
            // Children of a server that was killed. They can only fail now; the log is replayed in any case.
            None => process::servers(place).into_iter().for_each(|pid| process::signal(pid, Signal::QUIT)),
        }
        match lock::wait(settings.start_limit, || is_quiet(place, server_lock)).await.map_err(unusable())? {
            true => Ok(()),
            false => Err(self.unreachable()),
        }
    }

    /// Whether no other guard is left, here or in another process. Only under the boot lock, where none can join meanwhile.
    fn is_last(&self) -> io::Result<bool> {
        let Some(users) = &self.users else { return Ok(false) };
        users.unlock()?;
        let alone = lock::try_exclusive(users)?;
        users.unlock()?;
        users.lock_shared()?;
        Ok(alone)
    }

    fn unreachable(&self) -> PostgresError {
        PostgresError::Unreachable {
            pid: self.postmaster_pid(),
            directory: self.place.data.clone(),
            socket: self.place.socket_directory.clone(),
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "PostgreSQL was left running");
        }
    }
}

/// What a connection attempt says about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Ready,
    /// It runs, and the database does not exist.
    NoDatabase,
    /// It is coming up, recovering or going down.
    Busy,
    Absent,
}

async fn ask(options: &PgConnectOptions) -> Result<Answer, PostgresError> {
    let error = match tokio::time::timeout(ANSWER_LIMIT, PgConnection::connect_with(options)).await {
        Err(_) => return Ok(Answer::Busy),
        Ok(Ok(connection)) => {
            // That it can be made is all that matters.
            let _ = connection.close().await;
            return Ok(Answer::Ready);
        }
        Ok(Err(error)) => error,
    };
    match &error {
        sqlx::Error::Io(io) => match io.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(Answer::Absent),
            io::ErrorKind::PermissionDenied => Err(PostgresError::Connection { action: "connect", source: error }),
            // Closed in mid-conversation, as by a server that is going down; or its queue is full.
            _ => Ok(Answer::Busy),
        },
        sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
            Some("3D000") => Ok(Answer::NoDatabase),
            // Every connection is taken, so it is up.
            Some("53300") => Ok(Answer::Ready),
            Some("57P01" | "57P02" | "57P03") => Ok(Answer::Busy),
            _ => Err(PostgresError::Connection { action: "connect", source: error }),
        },
        _ => Err(PostgresError::Connection { action: "connect", source: error }),
    }
}

/// Whether no process of a server has the cluster open. Holds `server_lock` afterwards if so.
///
/// The lock alone would do for servers that were launched here. The list of processes also knows one that somebody started by hand, and
/// the helpers of a killed `initdb`.
fn is_quiet(place: &Place, server_lock: &File) -> io::Result<bool> {
    Ok(lock::try_exclusive(server_lock)? && process::servers(place).is_empty())
}
