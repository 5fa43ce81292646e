//! What an ingest did, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use karat::core::key::AssetKey;
use serde::Serialize;

use super::batch::TableCount;
use super::tally::{Occurrences, Tally};
use crate::parse::lines::Ending;
use crate::parse::{Ignored, Reason};

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file.
    pub file: String,
    /// Why the file, or the rest of it, could not be read; `None` when it was read to its end.
    pub error: Option<String>,
    /// Lines read: the sum of the next three.
    pub lines: u64,
    /// Lines of which something became data.
    pub data_lines: u64,
    /// Lines that are rightly no data.
    pub ignored_lines: u64,
    /// Lines of which nothing could be used.
    pub bad_lines: u64,
    /// The ignored lines by reason.
    pub ignored: BTreeMap<Ignored, u64>,
    /// What could not be read.
    pub problems: Vec<ProblemReport>,
    /// Lines with bytes that are not UTF-8, which were replaced.
    pub repaired_lines: u64,
    /// What became of the rows, by table.
    pub tables: BTreeMap<AssetKey, TableCount>,
}

/// One kind of problem; without any text of the lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProblemReport {
    /// Why.
    pub reason: Reason,
    /// What it was taken for.
    pub kind: &'static str,
    /// How often, and where first.
    #[serde(flatten)]
    pub occurrences: Occurrences,
}

impl FileReport {
    /// The report of a file that was opened.
    #[must_use]
    pub fn new(file: &str, tally: Tally, ending: Ending, tables: BTreeMap<AssetKey, TableCount>) -> Self {
        let error = match ending {
            Ending::Complete => None,
            Ending::Truncated => Some(
                "the compressed file ends in the middle; what came before was kept. Copy the file again".to_owned(),
            ),
            Ending::Damaged => {
                Some("the compressed file is damaged; what came before was kept. Copy the file again".to_owned())
            }
            Ending::Unreadable(error) => Some(format!("the file cannot be read: {error}")),
        };
        Self {
            file: file.to_owned(),
            error,
            lines: tally.lines,
            data_lines: tally.data,
            ignored_lines: tally.ignored.values().sum(),
            bad_lines: tally.bad,
            ignored: tally.ignored,
            problems: tally
                .problems
                .into_iter()
                .map(|(problem, occurrences)| ProblemReport { reason: problem.reason, kind: problem.kind, occurrences })
                .collect(),
            repaired_lines: tally.repaired,
            tables,
        }
    }

    /// The report of a file that could not be opened.
    #[must_use]
    pub fn unreadable(file: &str, error: &std::io::Error) -> Self {
        Self::new(file, Tally::default(), Ending::Unreadable(crate::parse::problem::reason(error)), BTreeMap::new())
    }
}

/// What became of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IngestReport {
    /// File by file, in the order given.
    pub files: Vec<FileReport>,
}

impl IngestReport {
    /// How many rows were new.
    #[must_use]
    pub fn inserted(&self) -> u64 {
        self.files.iter().flat_map(|file| file.tables.values()).map(|count| count.inserted).sum()
    }

    /// Whether every file was read to its end. Bad lines are reported, and change nothing about that.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.files.iter().all(|file| file.error.is_none())
    }
}

impl fmt::Display for IngestReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|file| file.fmt(formatter))
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}: {} lines: {} data, {} ignored, {} bad",
            self.file, self.lines, self.data_lines, self.ignored_lines, self.bad_lines
        )?;
        for (table, count) in &self.tables {
            write!(formatter, "  {table}: {} new, {} already there", count.inserted, count.duplicates)?;
            if count.outside > 0 {
                write!(
                    formatter,
                    "; {} of the new lie before the calendar's first day and are in no partition until --first-day is earlier",
                    count.outside
                )?;
            }
            if count.quarantined > 0 {
                write!(formatter, "; {} came too late and wait in quarantine", count.quarantined)?;
            }
            formatter.write_char('\n')?;
        }
        for (reason, count) in &self.ignored {
            writeln!(formatter, "  ignored: {count} × {reason}")?;
        }
        for problem in &self.problems {
            let lines: Vec<String> = problem.occurrences.lines.iter().map(u64::to_string).collect();
            let more = if problem.occurrences.count > lines.len() as u64 { ", …" } else { "" };
            writeln!(
                formatter,
                "  bad: {} × {}: {} (line {}{more})",
                problem.occurrences.count,
                problem.kind,
                problem.reason,
                lines.join(", "),
            )?;
        }
        if self.repaired_lines > 0 {
            writeln!(formatter, "  {} lines had bytes that are not UTF-8; they were replaced", self.repaired_lines)?;
        }
        if self.data_lines == 0 && self.lines > 0 {
            writeln!(formatter, "  nothing in this file became data: is it the right source?")?;
        }
        if let Some(error) = &self.error {
            writeln!(formatter, "  error: {error}")?;
        }
        Ok(())
    }
}
