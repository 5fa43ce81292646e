//! Showing how far an ingest is: a bar on a terminal, a line per file otherwise.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::report::FileReport;

/// Is told how far an ingest is.
pub trait Progress: Send {
    /// A file begins; its size on disk, if known.
    fn file_started(&mut self, _name: &str, _bytes: Option<u64>) {}

    /// So many bytes of the file have been read and so many rows written.
    fn advanced(&mut self, _bytes: u64, _rows: u64) {}

    /// The file ended.
    fn file_finished(&mut self, _report: &FileReport) {}
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

/// A bar per file on standard error if that is a terminal; nothing otherwise, because the report follows anyway.
#[derive(Debug, Default)]
pub struct Bar {
    bar: Option<ProgressBar>,
}

impl Progress for Bar {
    fn file_started(&mut self, name: &str, bytes: Option<u64>) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        self.bar = Some(bar);
    }

    fn advanced(&mut self, bytes: u64, _rows: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    fn file_finished(&mut self, _report: &FileReport) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
