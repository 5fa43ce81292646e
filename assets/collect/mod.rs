//! The ways data gets in: from parsed events to rows of bronze assets, written exactly once.

pub mod batch;
pub mod chat;
pub mod cs2;
pub mod discord;
pub mod evidence;
pub mod file;
pub mod ingest;
pub mod links;
pub mod progress;
pub mod report;
pub mod tally;

use batch::Batch;
use tally::Tally;

/// Turns the lines of one source into rows. Knows nothing of files and databases.
pub trait Collector: Send {
    /// The longest line of this source, in bytes.
    fn line_limit_bytes(&self) -> usize;

    /// Takes one line: its rows go into `batch`, what became of it into `tally`.
    fn line(&mut self, number: u64, text: &str, batch: &mut Batch, tally: &mut Tally);

    /// Takes the end of a file: rows that were held back go into `batch`. What was learned is kept for the next file.
    fn end_of_file(&mut self, batch: &mut Batch);
}

/// An id or number as a `bigint`; what does not fit, which no parser lets through, becomes the largest.
fn as_bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
