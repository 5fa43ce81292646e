//! What the game servers would have logged of it all.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use karat::core::time::{local_time, start_of_day};

use super::days::Visit;
use super::people::Person;
use super::random::Random;
use super::{DAYS, Era, ZONE};

/// How often a server with players on it logs a round.
const ROUND: TimeDelta = TimeDelta::seconds(300);

/// The log of one server over all days.
pub(super) fn log(people: &[Person], visits: &[Visit], era: Era) -> String {
    let (begin, end) = (start_of_day(era.day(0), ZONE), start_of_day(era.day(DAYS), ZONE));
    let mut lines: Vec<(DateTime<Utc>, String)> = Vec::new();
    lines.push((begin, "Log file started (file \"logs/demo.log\") (game \"csgo\") (version \"10603\")".to_owned()));
    lines.push((begin, "Loading map \"de_dust2\"".to_owned()));
    for visit in visits {
        let number = usize::try_from(visit.person).unwrap_or(usize::MAX);
        if let Some(person) = people.get(number) {
            visit_lines(person, visit, &mut lines);
        }
    }
    written(lines, end)
}

/// The log of one visit alone.
pub(super) fn log_of_visit(person: &Person, visit: &Visit) -> String {
    let mut lines = Vec::new();
    visit_lines(person, visit, &mut lines);
    written(lines, DateTime::<Utc>::MAX_UTC)
}

/// The lines before `end` as the server writes them.
fn written(mut lines: Vec<(DateTime<Utc>, String)>, end: DateTime<Utc>) -> String {
    // Stable: lines of one instant stay in the order in which they were written.
    lines.sort_by_key(|(at, _)| at.timestamp());
    let mut text = String::new();
    for (at, line) in lines.into_iter().take_while(|(at, _)| *at < end) {
        // Writing to a text does not fail.
        let _ = writeln!(text, "L {}: {line}", local_time(at, ZONE).format("%m/%d/%Y - %H:%M:%S"));
    }
    text
}

fn visit_lines(person: &Person, visit: &Visit, lines: &mut Vec<(DateTime<Utc>, String)>) {
    let Some(steam_id) = person.steam else { return };
    let account = steam_id.steamid64() & 0xffff_ffff;
    let random = &mut Random::for_purpose(4, visit.from.timestamp().unsigned_abs() ^ account << 32);
    let slot = random.between(1, 24);
    let (name, team) = (&person.name, random.one_of(&["CT", "TERRORIST"]));
    let who = |team: &str| format!("\"{name}<{slot}><[U:1:{account}]><{team}>\"");
    let after = |seconds: u32| visit.from + TimeDelta::seconds(i64::from(seconds));
    let (host, port) = (random.between(1, 254), random.between(20_000, 60_000));
    lines.push((visit.from, format!("{} connected, address \"198.51.100.{host}:{port}\"", who(""))));
    lines.push((after(12), format!("{} entered the game", who(""))));
    lines.push((after(20), format!("\"{name}<{slot}><[U:1:{account}]>\" switched from team <Unassigned> to <{team}>")));
    let mut round = visit.from + ROUND;
    while round < visit.to {
        lines.push((round, "World triggered \"Round_Start\"".to_owned()));
        if random.chance(120) {
            lines.push((round, format!("{} say \"gg wp\"", who(team))));
        }
        round += ROUND;
    }
    let reason = random.one_of(&[
        "NETWORK_DISCONNECT_DISCONNECT_BY_USER",
        "NETWORK_DISCONNECT_DISCONNECT_BY_USER",
        "NETWORK_DISCONNECT_DISCONNECT_BY_USER",
        "NETWORK_DISCONNECT_TIMEDOUT",
        "NETWORK_DISCONNECT_LOOPDEACTIVATE",
    ]);
    lines.push((visit.to, format!("{} disconnected (reason \"{reason}\")", who(team))));
    lines.push((visit.to, format!("\"{name}<{slot}><STEAM_ID_PENDING>\" switched from team <{team}> to <Unassigned>")));
}
