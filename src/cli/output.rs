//! What is printed: results to standard output, everything else to standard error, and a progress bar in between.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use comfy_table::{CellAlignment, ContentArrangement, Table};
use indicatif::ProgressBar;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::options::{Color, Options};
pub use crate::core::count::{counted, grouped};
pub use crate::core::id::short_id;
pub use crate::core::time::time_text;

/// Where a command prints. Clones share the progress bar.
#[derive(Clone, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    color_results: bool,
    color_messages: bool,
    bar: Arc<Mutex<Option<ProgressBar>>>,
    captured: Option<Captured>,
}

/// What was printed, for tests of a command line. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    results: Arc<Mutex<String>>,
    messages: Arc<Mutex<String>>,
}

impl Captured {
    /// What went to standard output since the last call.
    #[must_use]
    pub fn take_results(&self) -> String {
        std::mem::take(&mut *self.results.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What went to standard error since the last call.
    #[must_use]
    pub fn take_messages(&self) -> String {
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Marks of zero width around words that get a color; what counts the width of text takes no notice of them.
const MARKS: [(char, &str); 4] =
    [('\u{2060}', "\x1b[0m"), ('\u{2061}', "\x1b[32m"), ('\u{2062}', "\x1b[33m"), ('\u{2063}', "\x1b[31m")];

/// `text` in the color that says how good the state is that it names.
pub(super) fn toned(text: &str) -> String {
    let mark = match text {
        "fresh" | "succeeded" | "ok" | "yes" => '\u{2061}',
        "stale" | "quarantined" | "running" | "queued" | "paused" | "canceling" | "open" | "skipped" | "ready"
        | "pending" | "due" => '\u{2062}',
        "failed" | "blocked" | "missing" | "canceled" | "lost" | "overdue" | "disabled" | "expired" | "revoked" => {
            '\u{2063}'
        }
        _ => return text.to_owned(),
    };
    format!("{mark}{text}\u{2060}")
}

impl Output {
    /// The output that `options` ask for.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colored = |terminal: bool| match options.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        Self {
            json: options.json,
            quiet: options.quiet,
            color_results: colored(io::stdout().is_terminal()),
            color_messages: colored(io::stderr().is_terminal()),
            bar: Arc::default(),
            captured: None,
        }
    }

    /// The same, printing to memory.
    #[must_use]
    pub fn captured(options: &Options, captured: &Captured) -> Self {
        let colored = options.color == Color::Always;
        let captured = Some(captured.clone());
        Self { captured, color_results: colored, color_messages: colored, ..Self::new(options) }
    }

    /// Whether results are wanted as JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    pub(super) const fn colors_messages(&self) -> bool {
        self.color_messages
    }

    /// Whether messages reach a person who watches.
    pub(super) fn is_watched(&self) -> bool {
        !self.quiet && self.captured.is_none() && io::stderr().is_terminal()
    }

    /// Prints a result: as JSON when that is asked for, else what `text` makes of it.
    ///
    /// # Errors
    /// When the value has no JSON form, or standard output cannot be written. A reader that has closed its end, such
    /// as `head`, is no error.
    pub fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.json { self.json(value) } else { self.write_result(&shown(&text(value), self.color_results)) }
    }

    /// Prints a result as JSON, whatever was asked for.
    ///
    /// # Errors
    /// As [`result`](Self::result).
    pub fn json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Exit::Failure, format!("the result cannot be written as JSON: {error}")))?;
        self.write_result(&json)
    }

    /// Prints text for people to standard output; nothing when JSON is asked for.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.write_result(&shown(text, self.color_results)) }
    }

    fn write_result(&self, text: &str) -> Result<(), Failure> {
        if let Some(captured) = &self.captured {
            let mut results = captured.results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push_str(text.trim_end_matches('\n'));
            results.push('\n');
            return Ok(());
        }
        let write = || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            if !text.ends_with('\n') {
                stdout.write_all(b"\n")?;
            }
            stdout.flush()
        };
        match self.suspended(write) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Failure, format!("the result cannot be written to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Says something to the person at the terminal, on standard error; nothing with `--quiet`.
    pub fn message(&self, text: &str) {
        if !self.quiet {
            self.write_message(text);
        }
    }

    pub(super) fn error(&self, text: &str) {
        self.write_message(&format!("error: {text}"));
    }

    fn write_message(&self, text: &str) {
        let text = shown(text, self.color_messages);
        if let Some(captured) = &self.captured {
            let mut messages = captured.messages.lock().unwrap_or_else(PoisonError::into_inner);
            messages.push_str(&text);
            messages.push('\n');
            return;
        }
        // Nobody is left to be told when standard error is gone.
        let _ = self.suspended(|| writeln!(io::stderr().lock(), "{text}"));
    }

    pub(super) fn set_bar(&self, bar: Option<ProgressBar>) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }

    /// Writes with the progress bar out of the way.
    fn suspended<T>(&self, write: impl FnOnce() -> T) -> T {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// Log lines go where messages go, around the bar.
impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.suspended(|| io::stderr().lock().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text as it is written: colors or none, and no control characters that it brought along.
fn shown(text: &str, colored: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match MARKS.iter().find(|(mark, _)| *mark == char) {
            Some((_, sequence)) if colored => shown.push_str(sequence),
            Some(_) => {}
            None if char.is_control() && char != '\n' && char != '\t' => shown.push('\u{fffd}'),
            None => shown.push(char),
        }
    }
    shown
}

/// A table of plain columns: as wide as its contents, never wrapped. Columns named in `right` are numbers.
pub(super) fn table(header: &[&str], right: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        // A line break in a cell would tear the row apart.
        table.add_row(row.into_iter().map(|cell| one_line(&cell)));
    }
    for (index, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if right.contains(name) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// The text with every run of white space as one blank.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text, at most so many characters of it.
pub(super) fn shortened(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(characters.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// How long something took or will take: `0.4 s`, `75 s`, `12 min 30 s`, `3 h 12 min`.
#[must_use]
pub fn duration_text(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min {} s", seconds / 60, seconds % 60),
        7_200..=172_799 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}
