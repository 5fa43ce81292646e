//! Parsers: from a line of foreign text to typed events. Pure, total, and blind to what people write.
//!
//! Every parser here keeps three promises. It never panics, whatever the bytes. It never returns, stores or reports
//! chat: a message is a length, a chat line is recognised and dropped. And it never loses a line silently: a line
//! becomes events, or is [`Ignored`] for a named reason, or is a [`Problem`]; the three add up to the lines read.
//! Problems name a reason and a kind, both from closed lists, and no text of the line.

pub mod cs2_log;
pub mod discord;
pub mod fields;
pub mod irc;
pub mod lines;
pub mod links;
pub mod problem;

pub use problem::{Ignored, Problem, Reason};

use chrono::{DateTime, Utc};

/// What a readable line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// Data.
    Record(T),
    /// Rightly not data.
    Ignored(Ignored),
}

/// The instant, if it is one that a running community can have produced: from 1970 to 2199.
///
/// Catches what unit mistakes make of a time stamp (seconds taken for milliseconds and the reverse).
#[must_use]
pub fn plausible(instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    const YEAR_2200_SECONDS: i64 = 7_258_118_400;
    (0..YEAR_2200_SECONDS).contains(&instant.timestamp()).then_some(instant)
}
