//! Log lines of Counter-Strike 2 and CS:GO servers: who connected, entered, switched teams, disconnected; which map.
//!
//! Time stamps are local to the server and come as `L MM/DD/YYYY - HH:MM:SS: `, with milliseconds, without the `L `
//! (HTTP), with ` - ` instead of `: `, and behind a prefix of journald or docker.
//!
//! A player is `"name<slot><identity><team>"`, and a name may hold anything, quotes and angle brackets included. So the
//! identity is read from the end: it is the one directly in front of the words of the event. Chat is told from the
//! front, before anything else is looked at, and dropped; what a chat line quotes can therefore not pass for an event.
//!
//! Not kept by design: chat, remote console commands, settings, addresses, and reasons that are not a plain word.

use chrono::{NaiveDate, NaiveDateTime};

use crate::account::SteamId;
use crate::parse::{Ignored, Parsed, Problem, Reason};

/// How far into a line a time stamp behind a foreign prefix is looked for, in bytes.
const MAX_PREFIX_BYTES: usize = 128;

/// The longest player name kept, in characters.
const MAX_NAME_CHARACTERS: usize = 128;

/// A player as a log line names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// The account; slots are reused, this is the identity.
    pub steam_id: SteamId,
    /// The name at that moment, without control characters.
    pub name: String,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A player connected.
    Connected(Player),
    /// A player finished loading and is in the game.
    Entered(Player),
    /// A player disconnected.
    Disconnected {
        /// Who.
        player: Player,
        /// Why, in the engine's word, or `other`.
        reason: String,
    },
    /// A player changed sides.
    SwitchedTeam {
        /// Who.
        player: Player,
        /// The side taken.
        team: &'static str,
    },
    /// The server loads a map: nobody is on it yet.
    MapLoaded {
        /// The map.
        map: String,
    },
    /// The server opened this log.
    LogStarted,
    /// The server closed this log.
    LogClosed,
    /// The server was told to quit.
    ServerShutdown,
}

/// One line with a time stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The local time of the server.
    pub at: NaiveDateTime,
    /// What it says, or why that is no data.
    pub event: Result<Event, Ignored>,
}

/// Reads one line. Lines without a time stamp that are empty or begin with `#` are no log lines.
///
/// # Errors
/// When there is no time stamp, or an impossible one.
pub fn parse(line: &str) -> Result<Parsed<LogLine>, Problem> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Parsed::Ignored(Ignored::Empty));
    }
    if line.starts_with('#') {
        return Ok(Parsed::Ignored(Ignored::Header));
    }
    let (at, body) = time_stamp(line)?;
    Ok(Parsed::Record(LogLine { at, event: event(body) }))
}

/// The time stamp and what follows it.
fn time_stamp(line: &str) -> Result<(NaiveDateTime, &str), Problem> {
    let bytes = line.as_bytes();
    let shaped = |start: usize| shaped_like(bytes, start, b"00/00/0000 - 00:00:00");
    let start = if shaped(0) {
        0
    } else {
        (0..bytes.len().min(MAX_PREFIX_BYTES))
            .find(|&start| bytes.get(start..start + 2) == Some(b"L ") && shaped(start + 2))
            .map(|start| start + 2)
            .ok_or(Problem::new(Reason::NoTime, "log line"))?
    };
    let number = |offset: usize, length: usize| -> u32 {
        let digits = bytes.get(start + offset..start + offset + length).unwrap_or_default();
        digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0')))
    };
    let mut end = start + 21;
    let mut milliseconds = 0;
    if shaped_like(bytes, end, b".000") {
        milliseconds = number(22, 3);
        end += 4;
    }
    let at = NaiveDate::from_ymd_opt(number(6, 4).cast_signed(), number(0, 2), number(3, 2))
        .filter(|date| (1970..2200).contains(&chrono::Datelike::year(date)))
        .and_then(|date| date.and_hms_milli_opt(number(13, 2), number(16, 2), number(19, 2), milliseconds))
        .ok_or(Problem::new(Reason::ImplausibleTime, "log line"))?;
    // Everything up to `end` is ASCII from `start` on, so this is a character boundary.
    let rest = line.get(end..).unwrap_or_default();
    let body = rest.strip_prefix(": ").or_else(|| rest.strip_prefix(" - ")).or_else(|| rest.strip_prefix(':'));
    Ok((at, body.unwrap_or(rest)))
}

/// Whether the bytes at `start` look like `shape`, where `0` stands for any digit.
fn shaped_like(bytes: &[u8], start: usize, shape: &[u8]) -> bool {
    bytes.get(start..start + shape.len()).is_some_and(|found| {
        found.iter().zip(shape).all(|(byte, expected)| match expected {
            b'0' => byte.is_ascii_digit(),
            _ => byte == expected,
        })
    })
}

fn event(body: &str) -> Result<Event, Ignored> {
    if let Some(player_line) = body.strip_prefix('"') {
        return player_event(player_line);
    }
    if body.starts_with("rcon from ") {
        return Err(Ignored::RemoteConsole);
    }
    if body.starts_with("server_cvar: ") || body.starts_with("server cvars ") {
        return Err(Ignored::Setting);
    }
    if body.starts_with("Log file started") {
        return Ok(Event::LogStarted);
    }
    if body.starts_with("Log file closed") {
        return Ok(Event::LogClosed);
    }
    if body.starts_with("server_message: \"quit\"") || body.starts_with("Server shutting down") {
        return Ok(Event::ServerShutdown);
    }
    if let Some(map) = body.strip_prefix("Loading map \"").and_then(|rest| rest.split('"').next()) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
        let plain = !map.is_empty() && map.len() <= 128 && map.bytes().all(allowed);
        return Ok(Event::MapLoaded { map: if plain { map.to_owned() } else { "other".to_owned() } });
    }
    Err(Ignored::OtherLine)
}

/// What follows a quote at the start of a line: a player's doing, or a setting.
fn player_event(line: &str) -> Result<Event, Ignored> {
    let first = identities(line).next();
    let Some(first) = first else {
        return Err(if line.contains("\" = \"") { Ignored::Setting } else { Ignored::OtherLine });
    };
    let words = line.get(first.end..).unwrap_or_default().trim_start_matches('"').trim_start();
    if ["say ", "say_team ", "say_party "].iter().any(|verb| words.starts_with(verb)) {
        return Err(Ignored::Chat);
    }
    if let Some(player) = line.strip_suffix(" entered the game") {
        return Ok(Event::Entered(player_before(player)?));
    }
    if let Some((player, address)) = line.rsplit_once(" connected, address \"") {
        return match address.strip_suffix('"') {
            Some(address) if !address.contains(['"', '<', '>']) => Ok(Event::Connected(player_before(player)?)),
            _ => Err(Ignored::OtherLine),
        };
    }
    if let Some((player, reason)) = line.rsplit_once(" disconnected (reason \"") {
        return match reason.strip_suffix("\")") {
            Some(reason) => {
                Ok(Event::Disconnected { player: player_before(player)?, reason: reason_word(reason).to_owned() })
            }
            None => Err(Ignored::OtherLine),
        };
    }
    if let Some((player, teams)) = line.rsplit_once(" switched from team <") {
        let team = teams.strip_suffix('>').and_then(|teams| teams.split_once("> to <")).and_then(|(_, to)| team(to));
        return match team {
            Some(team) => Ok(Event::SwitchedTeam { player: player_before(player)?, team }),
            None => Err(Ignored::OtherLine),
        };
    }
    Err(Ignored::OtherLine)
}

/// `<slot><identity>` or `<slot><identity><team>`, each followed by a quote, somewhere in a line.
struct Identity<'a> {
    /// Where the name in front of it ends.
    start: usize,
    /// Where it ends; there is a quote.
    end: usize,
    text: &'a str,
}

/// All places of a line that have the shape of an identity, from the left.
fn identities(line: &str) -> impl Iterator<Item = Identity<'_>> {
    line.match_indices('<').filter_map(|(start, _)| identity_at(line, start))
}

fn identity_at(line: &str, start: usize) -> Option<Identity<'_>> {
    let (slot, rest) = in_angles(line.get(start..)?, 6)?;
    if slot.is_empty() || !slot.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (text, rest) = in_angles(rest, 64)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'[' | b']' | b'-' | b'.');
    if text.is_empty() || !text.bytes().all(plain) {
        return None;
    }
    let rest = if rest.starts_with('<') {
        let (team, rest) = in_angles(rest, 32)?;
        if !team.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        rest
    } else {
        rest
    };
    rest.starts_with('"').then(|| Identity { start, end: line.len() - rest.len(), text })
}

/// What stands between `<` and the next `>`, if that is at most `limit_bytes`, and what follows. The limit keeps a
/// line full of `<` from costing the square of its length.
fn in_angles(text: &str, limit_bytes: usize) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let end = inner.bytes().take(limit_bytes + 1).position(|byte| byte == b'>')?;
    Some((inner.get(..end)?, inner.get(end + 1..)?))
}

/// The player whose quoted description ends `text`; the opening quote is gone already.
fn player_before(text: &str) -> Result<Player, Ignored> {
    let last = identities(text).filter(|identity| identity.end + 1 == text.len()).last();
    let identity = last.ok_or(Ignored::OtherLine)?;
    let name = text.get(..identity.start).unwrap_or_default();
    if name.contains("\" say") {
        return Err(Ignored::Chat);
    }
    match SteamId::parse(identity.text) {
        Some(steam_id) => Ok(Player { steam_id, name: clean_name(name) }),
        None if identity.text == "BOT" => Err(Ignored::Bot),
        None => Err(Ignored::UnknownIdentity),
    }
}

fn clean_name(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(MAX_NAME_CHARACTERS).collect()
}

/// The engine's reasons are one word in capitals; older engines write sentences that may quote what an administrator
/// wrote, of which only the two harmless ones are kept.
fn reason_word(reason: &str) -> &str {
    let word = !reason.is_empty()
        && reason.len() <= 64
        && reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    match reason {
        _ if word => reason,
        "Disconnect" | "Disconnect by user." => "DISCONNECT_BY_USER",
        "Server shutting down" => "SERVER_SHUTDOWN",
        _ => "other",
    }
}

fn team(name: &str) -> Option<&'static str> {
    match name {
        "CT" => Some("ct"),
        "TERRORIST" => Some("terrorist"),
        "Spectator" => Some("spectator"),
        "Unassigned" => Some("unassigned"),
        _ => None,
    }
}
