//! The platform's program.

use std::process::ExitCode;

use community::command_line::{application, run};

fn main() -> ExitCode {
    karat::cli::main(application(), async |session, verb| run(session, verb).await)
}
