//! A line reader that foreign files cannot hurt: bounded memory, plain or gzip, repaired text, honest endings.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};

use flate2::read::MultiGzDecoder;

/// How a file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Read to its end.
    Complete,
    /// A gzip file that stops in the middle; everything before was read.
    Truncated,
    /// A gzip file with damaged or foreign bytes; everything before was read.
    Damaged,
    /// The operating system could not read on.
    Unreadable(String),
}

/// One line, without its line end.
#[derive(Debug)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// What it holds.
    pub content: Content<'a>,
}

/// What a line holds.
#[derive(Debug)]
pub enum Content<'a> {
    /// Text; bytes that are not UTF-8 are replaced by `U+FFFD`.
    Text {
        /// The text.
        text: Cow<'a, str>,
        /// Whether something was replaced.
        repaired: bool,
    },
    /// More bytes than the limit; nothing of it is kept.
    TooLong,
    /// The unfinished last line of a file that ended early: its meaning may have been another.
    CutOff,
}

/// Reads lines of at most a given number of bytes from a plain or gzip-compressed stream.
///
/// Compression is told by the first two bytes, not by the name. `\n` and `\r\n` end a line; a byte order mark at the
/// start of the file is skipped. An overlong line costs no memory: it is read past.
pub struct LineReader {
    input: Box<dyn BufRead + Send>,
    limit_bytes: usize,
    buffer: Vec<u8>,
    number: u64,
    ending: Option<Ending>,
}

impl LineReader {
    /// A reader over `input` with that limit per line.
    ///
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn new(mut input: impl Read + Send + 'static, limit_bytes: usize) -> io::Result<Self> {
        let mut start = Vec::with_capacity(2);
        input.by_ref().take(2).read_to_end(&mut start)?;
        let compressed = start == [0x1f, 0x8b];
        let whole = Cursor::new(start).chain(input);
        let input: Box<dyn BufRead + Send> = if compressed {
            Box::new(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(whole)))
        } else {
            Box::new(BufReader::with_capacity(64 * 1024, whole))
        };
        Ok(Self { input, limit_bytes, buffer: Vec::new(), number: 0, ending: None })
    }

    /// The next line, or `None` at the end, after which [`ending`](Self::ending) tells how it ended.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        if self.ending.is_some() {
            return None;
        }
        self.buffer.clear();
        let mut too_long = false;
        let mut any = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.ending = Some(match error.kind() {
                        ErrorKind::UnexpectedEof => Ending::Truncated,
                        ErrorKind::InvalidData | ErrorKind::InvalidInput => Ending::Damaged,
                        _ => Ending::Unreadable(super::problem::reason(&error)),
                    });
                    break;
                }
            };
            if available.is_empty() {
                self.ending = Some(Ending::Complete);
                break;
            }
            any = true;
            let end = available.iter().position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(available.len());
            // Two bytes above the limit are let in: a `\r` and, in the first line, part of a byte order mark.
            if too_long || self.buffer.len() + taken > self.limit_bytes + 2 {
                too_long = true;
                self.buffer = Vec::new();
            } else {
                self.buffer.extend_from_slice(available.get(..taken).unwrap_or_default());
            }
            self.input.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                break;
            }
        }
        let cut_off = self.ending.as_ref().is_some_and(|ending| *ending != Ending::Complete);
        if !any {
            return None;
        }
        self.number += 1;
        let number = self.number;
        if cut_off {
            return Some(Line { number, content: Content::CutOff });
        }
        let mut bytes = self.buffer.as_slice();
        if number == 1 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if too_long || bytes.len() > self.limit_bytes {
            return Some(Line { number, content: Content::TooLong });
        }
        let text = String::from_utf8_lossy(bytes);
        let repaired = matches!(text, Cow::Owned(_));
        Some(Line { number, content: Content::Text { text, repaired } })
    }

    /// How the file ended; `None` while there is more to read.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }
}
