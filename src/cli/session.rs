//! One invocation: the application, its options, and the way to its database.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};

use super::exit::{Exit, Failure};
use super::options::{FirstDay, Options};
use super::output::Output;
use crate::asset::calendar::Calendar;
use crate::asset::definitions::{DefinitionErrors, Definitions};
use crate::clock::{SharedClock, SystemClock};
use crate::daemon::alert_channel::AlertChannels;
use crate::engine::logs::LogCollector;
use crate::postgres::{self, EmbeddedServer, EmbeddedSettings};
use crate::service::{Caller, InstanceView, LoginProviders, ServePages, Service};
use crate::store::error::sql_state;
use crate::store::migrate::Migrations;
use crate::store::pool_options;

/// How long a database may take to answer the first time.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Connections of a command itself; workers have their own.
const CONNECTIONS: u32 = 4;

/// How long connections in use may take to come back in the end: one whose server does not answer never does.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// The oldest major version of PostgreSQL that works.
const OLDEST_SERVER: i32 = 15;

/// A program built with Karat.
#[derive(Clone, Copy, Debug)]
pub struct Application {
    /// The program's name, as it is called on the command line; also of its data folder and database.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The first local day with data unless `--first-day` says otherwise.
    pub first_day: NaiveDate,
    /// Its assets.
    pub definitions: fn(Calendar) -> Result<Definitions, DefinitionErrors>,
    /// Karat's migrations and its own.
    pub migrations: fn() -> Migrations,
    /// Where its alerts go beside the generic webhook.
    pub alert_channels: AlertChannels,
    /// Who else knows people who may log in on the pages.
    pub login_providers: LoginProviders,
    /// What answers over HTTP while it runs by itself; [`web::serve`](crate::web::serve), or `None` for a program
    /// without pages.
    pub pages: Option<ServePages>,
    /// Fills an installation with something to look at, for `up --demo`; `None` for a program that has nothing to show.
    pub demonstrate: Option<Demonstrate>,
}

/// Brings a demonstration into a database, launches what is to be built of it, and returns what goes on while the process
/// runs. To be called again on the same database at any time; refuses one that holds something else.
///
/// # Errors
/// When the database holds something else, or cannot be used.
pub type Demonstrate = for<'a> fn(&'a Session, &'a Connected) -> BoxFuture<'a, Result<BoxFuture<'static, ()>, Failure>>;

/// One invocation of an application.
#[derive(Clone)]
pub struct Session {
    /// The application.
    pub application: Application,
    /// The options of this invocation.
    pub options: Options,
    /// Where it prints.
    pub output: Output,
    /// What assets say while they are computed.
    pub logs: LogCollector,
    /// The time.
    pub clock: SharedClock,
}

/// An application connected to its database.
pub struct Connected {
    /// What can be asked for.
    pub service: Service,
    /// Connections for the application's own statements.
    pub pool: PgPool,
    /// How to make more.
    pub connect_options: PgConnectOptions,
    server: Option<EmbeddedServer>,
}

impl Session {
    /// An invocation with these options, on the machine's clock.
    #[must_use]
    pub fn new(application: Application, options: Options) -> Self {
        let output = Output::new(&options);
        Self { application, options, output, logs: LogCollector::default(), clock: Arc::new(SystemClock) }
    }

    /// Whether an installation elsewhere is asked through its server.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.options.server.as_deref().is_some_and(|server| !server.trim().is_empty())
    }

    /// Why a command cannot be given to a server, and what to do: `words` are the command, after the program's name.
    pub(super) fn needs_database(&self, words: Option<&str>) -> Failure {
        let reason = "this needs the database itself, which --server does not reach";
        self.on_the_server(reason, words)
    }

    /// Why no server is told to make something secret, and what to do.
    pub(super) fn makes_secrets(&self, words: &str) -> Failure {
        let reason = "no user, password or token is made by way of --server, so that whoever got hold of a token cannot \
                      stay when it is revoked";
        self.on_the_server(reason, Some(words))
    }

    fn on_the_server(&self, reason: &str, words: Option<&str>) -> Failure {
        let command = words.map(|words| format!(": {} {words}", self.application.name)).unwrap_or_default();
        let what_to_do = "run it where the database is, without --server (and KARAT_SERVER)";
        Failure::new(Exit::Usage, format!("{reason}; {what_to_do}{command}"))
    }

    /// The same in the calendar of the server that is asked.
    pub(super) fn of_server(&self, instance: &InstanceView) -> Self {
        let mut session = self.clone();
        session.options.zone = instance.zone;
        session.options.first_day = Some(FirstDay(Some(instance.first_day)));
        session
    }

    /// The calendar of this installation.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        let first_day = self.options.first_day.and_then(|first_day| first_day.0);
        Calendar { zone: self.options.zone, first_day: first_day.unwrap_or(self.application.first_day) }
    }

    /// The assets, in this installation's calendar.
    ///
    /// # Errors
    /// Everything that is wrong with them (exit code 3).
    pub fn definitions(&self) -> Result<Arc<Definitions>, Failure> {
        Ok(Arc::new((self.application.definitions)(self.calendar())?))
    }

    /// Connects to the database and makes sure that it is up to date: the private server is migrated, any other is
    /// refused unless it has been. Call [`Connected::close`] in the end, or use [`Session::connected`].
    ///
    /// # Errors
    /// When the definitions are wrong (exit code 3) or the database cannot be used (exit code 5).
    pub async fn connect(&self) -> Result<Connected, Failure> {
        let connected = self.connect_unverified().await?;
        let migrations = connected.service.migrations().clone();
        let ready = match &connected.server {
            Some(_) => connected.service.migrate(false).await.map(|_| ()).map_err(Failure::from),
            None => migrations.verify(&connected.pool).await.map_err(Failure::from),
        };
        match ready {
            Ok(()) => Ok(connected),
            Err(error) => {
                connected.close().await;
                Err(error)
            }
        }
    }

    /// Connects to the database whatever its version.
    pub(super) async fn connect_unverified(&self) -> Result<Connected, Failure> {
        if self.is_remote() {
            return Err(self.needs_database(None));
        }
        let definitions = self.definitions()?;
        let url = self.options.database_url.as_ref().map(|url| url.secret());
        let mut settings = EmbeddedSettings::from_environment(self.application.name);
        let output = self.output.clone();
        settings.on_message = Arc::new(move |message| {
            tracing::info!("{message}");
            output.message(message);
        });
        let (connect_options, server) = postgres::connect_options(url, settings).await?;
        let connect_options = connect_options.application_name(self.application.name);
        probe(&connect_options, server.is_none()).await?;
        let pool = pool_options().max_connections(CONNECTIONS).connect_lazy_with(connect_options.clone());
        let service = Service::new(
            pool.clone(),
            connect_options.clone(),
            definitions,
            Arc::new((self.application.migrations)()),
            self.clock.clone(),
        )
        .acting(Caller::command_line());
        Ok(Connected { service, pool, connect_options, server })
    }

    /// Does `work` on the connected database and leaves the database properly, whatever comes of it.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect) and of `work`.
    pub async fn connected<T>(&self, work: impl AsyncFnOnce(&Connected) -> Result<T, Failure>) -> Result<T, Failure> {
        let connected = self.connect().await?;
        let result = work(&connected).await;
        connected.close().await;
        result
    }

    /// The command line of this program, for hints: `NAME words`, with what was said of the calendar on this
    /// command line and is not in the environment, so that the hint means the same partitions.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        format!("{} {words}{}", self.application.name, self.options.repeated())
    }
}

impl Connected {
    /// Leaves the database; the private server stops when nobody else uses it.
    pub async fn close(self) {
        if tokio::time::timeout(CLOSE_LIMIT, self.pool.close()).await.is_err() {
            tracing::warn!("the database does not answer: a connection to it is left behind");
        }
        if let Some(server) = self.server
            && let Err(error) = server.stop().await
        {
            tracing::warn!(%error, "the private PostgreSQL server was not stopped");
        }
    }

    /// Whether this is Karat's own private server.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.server.is_some()
    }
}

/// One connection first: it fails at once and with the reason, where a pool would go on trying.
async fn probe(options: &PgConnectOptions, foreign: bool) -> Result<(), Failure> {
    let failed = |reason: String| Failure::new(Exit::Database, reason);
    let place = place(options);
    let mut connection = match tokio::time::timeout(CONNECT_LIMIT, PgConnection::connect_with(options)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(failed(unreachable(&error, &place, options, foreign))),
        Err(_) => {
            return Err(failed(format!(
                "the database at {place} does not answer within {} s. Check that the server runs and that DATABASE_URL names it",
                CONNECT_LIMIT.as_secs()
            )));
        }
    };
    let version: i32 =
        sqlx::query_scalar("select current_setting('server_version_num')::int").fetch_one(&mut connection).await?;
    // The server ends the connection by itself if this does not arrive.
    let _ = connection.close().await;
    let major = version / 10_000;
    if major < OLDEST_SERVER {
        return Err(failed(format!(
            "the database at {place} is PostgreSQL {major}; Karat needs {OLDEST_SERVER} or newer"
        )));
    }
    Ok(())
}

/// The server and database without user name and password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    // A URL without a database means the one with the user's name.
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{} (database `{database}`)", socket.display()),
        None => format!("{}:{} (database `{database}`)", options.get_host(), options.get_port()),
    }
}

fn unreachable(error: &sqlx::Error, place: &str, options: &PgConnectOptions, foreign: bool) -> String {
    let what_to_do = match sql_state(error).as_deref() {
        Some("28P01" | "28000") => {
            format!("Check the user `{}` and its password in DATABASE_URL", options.get_username())
        }
        Some("3D000") => "Create the database, or correct its name in DATABASE_URL".to_owned(),
        Some("53300") => {
            "The server has no connection left: raise `max_connections`, or end what holds them".to_owned()
        }
        _ if foreign && matches!(error, sqlx::Error::Protocol(_)) => {
            "Correct the host and the port in DATABASE_URL".to_owned()
        }
        _ if foreign => "Check that the server runs and that DATABASE_URL names it".to_owned(),
        _ => "Its log is in the data folder".to_owned(),
    };
    let reason = match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::Protocol(_) => "what answers there is no PostgreSQL server".to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    format!("cannot connect to the database at {place}: {}. {what_to_do}", reason.trim_end_matches('.'))
}
