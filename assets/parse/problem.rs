//! What can happen to a line besides becoming data.

use std::fmt;
use std::io;

use serde::Serialize;

/// Why a line, or an entry inside it, could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Longer than the source's limit.
    TooLong,
    /// The last line of a compressed file that ends in the middle.
    CutOff,
    /// Not JSON.
    NotJson,
    /// JSON, but no gateway frame.
    NotAFrame,
    /// Nothing says when it happened.
    NoTime,
    /// The time is malformed or outside the years 1970 to 2199.
    ImplausibleTime,
    /// Something that is needed is missing.
    MissingField,
    /// Something that is needed is there but malformed.
    MalformedField,
    /// Not the number of columns of this source.
    WrongColumns,
    /// The kind of the record is not one of this source.
    UnknownKind,
    /// An account id is malformed.
    MalformedAccount,
}

impl Reason {
    /// What is wrong and, where there is something to do, what.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::TooLong => "the line is longer than this source allows",
            Self::CutOff => "the file ends in the middle of this line",
            Self::NotJson => "the line is not JSON",
            Self::NotAFrame => "the line is JSON but no gateway frame",
            Self::NoTime => {
                "nothing in the line says when it happened; for Discord frames without `at_ms`, give the instant with --at"
            }
            Self::ImplausibleTime => "the time is malformed or outside the years 1970 to 2199",
            Self::MissingField => "something that is needed is missing",
            Self::MalformedField => "something that is needed is malformed",
            Self::WrongColumns => "the line does not have the columns of this source",
            Self::UnknownKind => "the kind of the record is unknown",
            Self::MalformedAccount => "an account id is malformed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.sentence())
    }
}

/// Why a file cannot be read, and what to do where that is known.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; check the path".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder; name the files in it".to_owned(),
        io::ErrorKind::PermissionDenied => "this account may not read it".to_owned(),
        _ => error.to_string(),
    }
}

/// A line, or an entry inside it, that could not be used; free of the line's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// What the line was taken for: a word from the parser, never from the line.
    pub kind: &'static str,
}

impl Problem {
    /// A problem with something of that kind.
    #[must_use]
    pub const fn new(reason: Reason, kind: &'static str) -> Self {
        Self { reason, kind }
    }
}

/// Why a readable line is, rightly, not data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignored {
    /// An empty line.
    Empty,
    /// A comment or column headings.
    Header,
    /// What somebody wrote: dropped unread.
    Chat,
    /// A remote console command: may hold passwords, addresses and chat.
    RemoteConsole,
    /// A server setting: may hold a password.
    Setting,
    /// A bot's doing.
    Bot,
    /// A player whose identity the server had already forgotten, or does not know.
    UnknownIdentity,
    /// A frame sent by the client.
    ClientFrame,
    /// A frame of a kind that no table is made of.
    OtherFrame,
    /// A message outside a guild.
    DirectMessage,
    /// A message that Discord wrote, such as a join notice.
    SystemMessage,
    /// A log line of a kind that no table is made of.
    OtherLine,
}

impl Ignored {
    /// The words for it in a report.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Header => "headings and comments",
            Self::Chat => "chat, dropped unread",
            Self::RemoteConsole => "remote console",
            Self::Setting => "server settings",
            Self::Bot => "bots",
            Self::UnknownIdentity => "players without an identity",
            Self::ClientFrame => "sent by the client",
            Self::OtherFrame => "other frames",
            Self::DirectMessage => "direct messages",
            Self::SystemMessage => "messages by Discord itself",
            Self::OtherLine => "other log lines",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.words())
    }
}
