//! Chat metadata of an IRC log: `day,hhmm,kind,nick_id,other_nick_id`, times in UTC.
//!
//! A `message` line has a minute and one nick; a `rename` line has two nicks and often no time. The format holds no
//! text that anybody wrote, and no column for it exists here either.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use crate::account::AccountId;
use crate::parse::{Ignored, Parsed, Problem, Reason, fields, plausible};

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Somebody wrote something in that minute.
    Message {
        /// The start of the minute.
        at: DateTime<Utc>,
        /// Who.
        account: AccountId,
    },
    /// One nick became another: both are one person.
    Rename {
        /// The former nick.
        account: AccountId,
        /// The nick taken.
        same_as: AccountId,
    },
}

/// Reads one line. The heading, empty lines and lines that start with `#` are no records.
///
/// # Errors
/// When the line does not have five columns, or the day, minute, kind or a nick is malformed, or a message has no
/// minute.
pub fn parse(line: &str) -> Result<Parsed<Record>, Problem> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Parsed::Ignored(Ignored::Empty));
    }
    if line.starts_with('#') {
        return Ok(Parsed::Ignored(Ignored::Header));
    }
    let columns = fields::split(line).ok_or(Problem::new(Reason::WrongColumns, "chat"))?;
    let [day, minute, kind, nick, other] = columns.as_slice() else {
        return Err(Problem::new(Reason::WrongColumns, "chat"));
    };
    if day == "day" {
        return Ok(Parsed::Ignored(Ignored::Header));
    }
    let account = |nick: &str, kind| AccountId::irc(nick).map_err(|_| Problem::new(Reason::MalformedAccount, kind));
    match kind.as_ref() {
        "message" => {
            if minute.is_empty() {
                return Err(Problem::new(Reason::NoTime, "message"));
            }
            let at = instant(day, minute).ok_or(Problem::new(Reason::ImplausibleTime, "message"))?;
            Ok(Parsed::Record(Record::Message { at, account: account(nick, "message")? }))
        }
        "rename" => {
            Ok(Parsed::Record(Record::Rename { account: account(nick, "rename")?, same_as: account(other, "rename")? }))
        }
        _ => Err(Problem::new(Reason::UnknownKind, "chat")),
    }
}

fn instant(day: &str, minute: &str) -> Option<DateTime<Utc>> {
    // The shapes are checked first: chrono also takes signs, white space and single digits.
    let shaped = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, expected)| match expected {
                b'0' => byte.is_ascii_digit(),
                _ => byte == expected,
            })
    };
    if !shaped(day, "0000-00-00") || !shaped(minute, "00:00") {
        return None;
    }
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    let time = NaiveTime::parse_from_str(minute, "%H:%M").ok()?;
    plausible(day.and_time(time).and_utc())
}
