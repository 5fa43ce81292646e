//! The command line of a program built with Karat.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use karat::cli::{self, Application, Exit};
//!
//! /// The verbs of the application itself, and after them Karat's.
//! #[derive(clap::Subcommand)]
//! enum Verb {
//!     /// Say hello
//!     Hello,
//!     #[command(flatten)]
//!     Karat(cli::Verb),
//! }
//!
//! fn start(application: Application) -> ExitCode {
//!     cli::main(application, async |session, verb: Verb| match verb {
//!         Verb::Hello => session.output.text("hello").map(|()| Exit::Ok),
//!         Verb::Karat(verb) => cli::run(session, verb).await,
//!     })
//! }
//! ```

mod admin;
mod alert;
mod exit;
mod explain;
mod foreground;
mod inspect;
mod instance;
mod interruptions;
mod late;
mod launch;
mod logging;
mod options;
mod output;
mod password;
mod remote;
mod runs;
mod schedule;
mod sensor;
mod session;
mod up;
mod user;
mod verb;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use self::exit::{Exit, Failure};
pub use self::foreground::work_off;
pub use self::options::{Color, DatabaseUrl, FirstDay, LogFormat, Options};
pub use self::output::{Captured, Output, counted, duration_text, grouped, short_id, time_text};
pub use self::session::{Application, Connected, Demonstrate, Session};
pub use self::verb::{Verb, run};

/// How long what still runs in the background may take at the end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

#[derive(Parser)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
struct CommandLine<V: Subcommand> {
    #[command(subcommand)]
    verb: V,
    #[command(flatten)]
    options: Options,
}

/// Reads a command line: its options and its verb.
///
/// # Errors
/// What `clap` has to say, help and version included.
pub fn parse<V: Subcommand>(
    application: &Application,
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<(Options, V), clap::Error> {
    let mut command = CommandLine::<V>::command()
        .name(application.name)
        .bin_name(application.name)
        .about(application.about)
        .version(application.version)
        .after_help(exit::EXIT_CODES);
    let matches = command.try_get_matches_from_mut(arguments)?;
    let line = CommandLine::<V>::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((line.options, line.verb))
}

/// The whole program: reads the command line, does what `run` does with the verb, says what went wrong, and gives the
/// exit code.
pub fn main<V: Subcommand>(
    application: Application,
    run: impl AsyncFnOnce(&Session, V) -> Result<Exit, Failure>,
) -> ExitCode {
    let (options, verb) = match parse::<V>(&application, std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A reader that is gone needs no help.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    let session = Session::new(application, options);
    let result =
        logging::install(&session.options, &session.output, &session.logs, session.clock.clone()).and_then(|()| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
                Failure::new(Exit::Failure, format!("the program cannot start its threads: {error}"))
            })?;
            let result = runtime.block_on(run(&session, verb));
            runtime.shutdown_timeout(SHUTDOWN_LIMIT);
            result
        });
    finish(&session, result).into()
}

/// Says what went wrong, if something did, and gives the exit code.
pub fn finish(session: &Session, result: Result<Exit, Failure>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            let message = with_program_name(&failure.message, session.application.name);
            if failure.exit != Exit::Ok {
                session.output.error(&message);
                return failure.exit;
            }
            // Nothing had to be done, which is a result.
            match session.output.result(&serde_json::json!({ "message": message }), |_| message.clone()) {
                Ok(()) => Exit::Ok,
                Err(failure) => failure.exit,
            }
        }
    }
}

/// Commands that messages mention are this program's.
fn with_program_name(message: &str, name: &str) -> String {
    let mut message = message.to_owned();
    for command in ["`migrate`", "`ls`"] {
        message = message.replace(command, &format!("`{name} {}", &command[1..]));
    }
    for command in [
        "`alert ls",
        "`sensor ls",
        "`sensor resume ",
        "`run ls",
        "`run show ",
        "`run cancel",
        "`backfill ls",
        "`backfill show ",
        "`backfill cancel",
        "`schedule ls",
        "`quarantine ls",
        "`materialize ",
        "`user ls",
        "`user add ",
        "`user passwd ",
        "`user role ",
        "`user enable ",
        "`user token ls",
    ] {
        message = message.replace(command, &format!("`{name} {}", &command[1..]));
    }
    message
}
