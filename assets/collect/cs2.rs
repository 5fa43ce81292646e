//! Counter-Strike log lines become game log events.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use karat::core::time::instant_of;

use super::batch::Batch;
use super::evidence::EvidenceThinner;
use super::tally::Tally;
use super::{Collector, as_bigint};
use crate::account::AccountId;
use crate::bronze::GameLogEvents;
use crate::parse::Parsed;
use crate::parse::cs2_log::{self, Event, Player};

/// Collects the log of one server. Give it the files in the order of time.
pub struct Cs2Collector {
    server: String,
    clock: ServerClock,
    alive: EvidenceThinner<u64>,
}

impl Cs2Collector {
    /// A collector for the server of that name, whose clock shows the time of `zone`.
    #[must_use]
    pub fn new(server: String, zone: Tz) -> Self {
        Self { server, clock: ServerClock { zone, latest: None }, alive: EvidenceThinner::new() }
    }

    fn server_event(&self, at: DateTime<Utc>, line: u64, kind: &str) -> GameLogEvents {
        GameLogEvents {
            account_id: String::new(),
            at,
            server: self.server.clone(),
            kind: kind.to_owned(),
            line: as_bigint(line),
            name: None,
            team: None,
            map: None,
            reason: None,
        }
    }

    fn player_event(&self, at: DateTime<Utc>, line: u64, kind: &str, player: Player) -> GameLogEvents {
        GameLogEvents {
            account_id: AccountId::steam(player.steam_id).into_string(),
            name: Some(player.name),
            ..self.server_event(at, line, kind)
        }
    }

    fn row(&self, at: DateTime<Utc>, line: u64, event: Event) -> GameLogEvents {
        match event {
            Event::Connected(player) => self.player_event(at, line, "connected", player),
            Event::Entered(player) => self.player_event(at, line, "entered", player),
            Event::Disconnected { player, reason } => {
                GameLogEvents { reason: Some(reason), ..self.player_event(at, line, "disconnected", player) }
            }
            Event::SwitchedTeam { player, team } => {
                GameLogEvents { team: Some(team.to_owned()), ..self.player_event(at, line, "switched_team", player) }
            }
            Event::MapLoaded { map } => GameLogEvents { map: Some(map), ..self.server_event(at, line, "map_loaded") },
            Event::LogStarted => self.server_event(at, line, "log_started"),
            Event::LogClosed => self.server_event(at, line, "log_closed"),
            Event::ServerShutdown => self.server_event(at, line, "shutdown"),
        }
    }
}

impl Collector for Cs2Collector {
    fn line_limit_bytes(&self) -> usize {
        64 * 1024
    }

    fn line(&mut self, number: u64, text: &str, batch: &mut Batch, tally: &mut Tally) {
        let line = match cs2_log::parse(text) {
            Ok(Parsed::Record(line)) => line,
            Ok(Parsed::Ignored(reason)) => return tally.ignored(reason),
            Err(problem) => return tally.bad(number, problem),
        };
        let at = self.clock.instant(line.at);
        // A log that begins says that the server was away before: the last sign of it must not be thinned away.
        let last_sign = if line.event == Ok(Event::LogStarted) { self.alive.interrupt() } else { None };
        for (at, number) in last_sign.into_iter().chain(self.alive.seen(at, number)) {
            batch.game_log_events.push(self.server_event(at, number, "alive"));
        }
        match line.event {
            Ok(event) => {
                tally.data();
                batch.game_log_events.push(self.row(at, number, event));
            }
            Err(reason) => tally.ignored(reason),
        }
    }

    fn end_of_file(&mut self, batch: &mut Batch) {
        if let Some((at, number)) = self.alive.interrupt() {
            batch.game_log_events.push(self.server_event(at, number, "alive"));
        }
    }
}

/// The clock of a server, read in order: in the hour that is repeated when summer time ends, a time that was reached
/// before belongs to the second pass.
struct ServerClock {
    zone: Tz,
    latest: Option<DateTime<Utc>>,
}

impl ServerClock {
    fn instant(&mut self, local: NaiveDateTime) -> DateTime<Utc> {
        /// Lines of one second, and of players whose messages took a while, come out of order.
        const DISORDER: TimeDelta = TimeDelta::minutes(1);
        let first = instant_of(local, self.zone);
        let second = self.zone.from_local_datetime(&local).latest().map(|instant| instant.to_utc());
        let instant = match (self.latest, second) {
            (Some(latest), Some(second)) if first + DISORDER < latest && latest <= second + DISORDER => second,
            _ => first,
        };
        self.latest = Some(self.latest.map_or(instant, |latest| latest.max(instant)));
        instant
    }
}
