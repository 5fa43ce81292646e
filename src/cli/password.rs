//! Passwords: typed without being shown, read from another program, or made by chance. Never an argument, which everybody
//! on the machine can read.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::exit::{Exit, Failure};
use crate::service::Password;

/// How many bytes are read from standard input at most.
const LONGEST_LINE: u64 = 4_096;

/// Where a password comes from.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
pub struct PasswordArguments {
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Make a password by chance, and show it once
    #[arg(long)]
    pub generate: bool,
}

/// A password, and whether the one who gave the command knows it already.
pub(super) struct Obtained {
    pub(super) password: Password,
    pub(super) generated: bool,
}

impl PasswordArguments {
    /// The password for `name`.
    pub(super) fn obtain(self, name: &str) -> Result<Obtained, Failure> {
        if self.generate {
            return Ok(Obtained { password: Password::generated(), generated: true });
        }
        let text = if self.password_stdin {
            let mut line = String::new();
            io::stdin().lock().take(LONGEST_LINE).read_line(&mut line).map_err(unreadable)?;
            line.trim_end_matches(['\n', '\r']).to_owned()
        } else if io::stdin().is_terminal() {
            let text = typed(&format!("Password for {name}: "))?;
            if text != typed("The same again: ")? {
                return Err(Failure::new(Exit::Usage, "the two passwords differ: nothing was changed"));
            }
            text
        } else {
            return Err(Failure::new(
                Exit::Usage,
                "nobody is there to type a password: say --password-stdin, or --generate to have one made",
            ));
        };
        Ok(Obtained { password: Password::chosen(text)?, generated: false })
    }
}

fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("the password cannot be read from standard input: {error}"))
}

/// The terminal as it was, whatever happens meanwhile.
struct Restored(Termios);

impl Drop for Restored {
    fn drop(&mut self) {
        // Nothing is left to be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// A line that is typed and not shown.
fn typed(prompt: &str) -> Result<String, Failure> {
    let refused = |error: rustix::io::Errno| unreadable(error.into());
    let before = tcgetattr(io::stdin()).map_err(refused)?;
    let mut silent = before.clone();
    // An interruption comes as a character, so that it cannot leave the terminal silent.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    tcsetattr(io::stdin(), OptionalActions::Flush, &silent).map_err(refused)?;
    let restored = Restored(before);
    // Whoever types sees it even when messages are not wanted.
    let _ = write!(io::stderr(), "{prompt}");
    let line = line_of(io::stdin().lock().bytes());
    drop(restored);
    let _ = writeln!(io::stderr());
    line.map_err(unreadable)?.ok_or_else(|| Failure::new(Exit::Failure, "interrupted: nothing was changed"))
}

/// What was typed until the line's end, as it stands after corrections; `None` when it was broken off.
fn line_of(bytes: impl Iterator<Item = io::Result<u8>>) -> io::Result<Option<String>> {
    const INTERRUPT: u8 = 0x03;
    const END: u8 = 0x04;
    const BACKSPACE: u8 = 0x08;
    const KILL: u8 = 0x15;
    const DELETE: u8 = 0x7f;
    let mut line: Vec<u8> = Vec::new();
    for byte in bytes {
        match byte? {
            b'\n' | b'\r' | END => break,
            INTERRUPT => return Ok(None),
            KILL => line.clear(),
            BACKSPACE | DELETE => {
                // All bytes of the last character.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map(Some).map_err(|_| io::Error::other("it is no UTF-8"))
}
