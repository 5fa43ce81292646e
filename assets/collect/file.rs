//! One file through a collector into the database.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use karat::engine::external::AppendError;
use tokio::sync::mpsc;

use super::Collector;
use super::batch::{Batch, Writer};
use super::progress::Progress;
use super::report::FileReport;
use super::tally::Tally;
use crate::parse::lines::{Content, Ending, LineReader};
use crate::parse::{Problem, Reason};

/// So many rows are written at once.
const BATCH_ROWS: usize = 20_000;

/// Reads a file to its end and writes what is in it.
///
/// Parsing runs on a thread of its own, at most two batches ahead of the database, so the memory taken does not grow
/// with the file. The collector comes back for the next file.
///
/// # Errors
/// When the database cannot be written. What is wrong with the file is in the report.
pub async fn ingest_file(
    writer: &Writer,
    mut collector: Box<dyn Collector>,
    name: &str,
    input: impl Read + Send + 'static,
    progress: &mut dyn Progress,
) -> Result<(Box<dyn Collector>, FileReport), AppendError> {
    let (sender, mut batches) = mpsc::channel::<Batch>(2);
    let bytes_read = Arc::new(AtomicU64::new(0));
    let counted = CountedRead { input, bytes_read: bytes_read.clone() };
    let reading = tokio::task::spawn_blocking(move || {
        let outcome = read(counted, &mut *collector, &sender);
        (collector, outcome)
    });
    let mut tables = BTreeMap::new();
    let mut rows = 0;
    while let Some(batch) = batches.recv().await {
        writer.write(&batch, &mut tables).await?;
        rows += batch.len() as u64;
        progress.advanced(bytes_read.load(Ordering::Relaxed), rows);
    }
    let (collector, (tally, ending)) = match reading.await {
        Ok(finished) => finished,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    Ok((collector, FileReport::new(name, tally, ending, tables)))
}

fn read(
    input: impl Read + Send + 'static,
    collector: &mut dyn Collector,
    sender: &mpsc::Sender<Batch>,
) -> (Tally, Ending) {
    let mut tally = Tally::default();
    let mut reader = match LineReader::new(input, collector.line_limit_bytes()) {
        Ok(reader) => reader,
        Err(error) => return (tally, Ending::Unreadable(crate::parse::problem::reason(&error))),
    };
    let mut batch = Batch::default();
    while let Some(line) = reader.next_line() {
        match line.content {
            Content::Text { text, repaired } => {
                tally.repaired += u64::from(repaired);
                collector.line(line.number, &text, &mut batch, &mut tally);
            }
            Content::TooLong => tally.bad(line.number, Problem::new(Reason::TooLong, "line")),
            Content::CutOff => tally.bad(line.number, Problem::new(Reason::CutOff, "line")),
        }
        // A receiver that is gone failed to write and reports that itself.
        if batch.len() >= BATCH_ROWS && sender.blocking_send(std::mem::take(&mut batch)).is_err() {
            return (tally, Ending::Complete);
        }
    }
    collector.end_of_file(&mut batch);
    if !batch.is_empty() {
        let _ = sender.blocking_send(batch);
    }
    (tally, reader.ending().cloned().unwrap_or(Ending::Complete))
}

struct CountedRead<R> {
    input: R,
    bytes_read: Arc<AtomicU64>,
}

impl<R: Read> Read for CountedRead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
