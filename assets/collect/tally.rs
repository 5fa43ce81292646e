//! What became of the lines of a file.

use std::collections::BTreeMap;

use crate::parse::{Ignored, Problem};

/// How many line numbers are kept for each kind of problem.
const SAMPLES: usize = 5;

/// Counts of lines; every line read is in exactly one of `data`, `ignored` and `bad`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines read.
    pub lines: u64,
    /// Lines of which something became data.
    pub data: u64,
    /// Lines that are rightly no data, by reason.
    pub ignored: BTreeMap<Ignored, u64>,
    /// Lines of which nothing could be used.
    pub bad: u64,
    /// What could not be read, lines and entries inside otherwise good lines alike, by reason and kind.
    pub problems: BTreeMap<Problem, Occurrences>,
    /// Lines with bytes that are not UTF-8; they were replaced.
    pub repaired: u64,
}

/// How often something occurred, and where first.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Occurrences {
    /// How often.
    pub count: u64,
    /// The first line numbers.
    pub lines: Vec<u64>,
}

impl Tally {
    /// The line became data.
    pub fn data(&mut self) {
        self.lines += 1;
        self.data += 1;
    }

    /// The line is rightly no data.
    pub fn ignored(&mut self, reason: Ignored) {
        self.lines += 1;
        *self.ignored.entry(reason).or_default() += 1;
    }

    /// Nothing of the line could be used.
    pub fn bad(&mut self, line: u64, problem: Problem) {
        self.lines += 1;
        self.bad += 1;
        self.problem(line, problem);
    }

    /// Something inside a line could not be used; says nothing of the line as a whole.
    pub fn problem(&mut self, line: u64, problem: Problem) {
        let occurrences = self.problems.entry(problem).or_default();
        occurrences.count += 1;
        if occurrences.lines.len() < SAMPLES && occurrences.lines.last() != Some(&line) {
            occurrences.lines.push(line);
        }
    }
}
