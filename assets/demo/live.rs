//! The demonstration goes on while somebody looks: people write and talk now, and what game servers logged on days past
//! comes late.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use karat::core::key::AssetKey;
use karat::core::time::{instant_of, local_time};
use karat::engine::external::AppendError;

use super::days::{Happening, Visit, What, life};
use super::frames::Capture;
use super::logs::log_of_visit;
use super::people::{Person, people};
use super::random::Random;
use super::{DAYS, Era, ZONE, put_right};
use crate::collect::Collector;
use crate::collect::batch::{Batch, TableCount, Writer};
use crate::collect::cs2::Cs2Collector;
use crate::collect::discord::DiscordCollector;
use crate::collect::tally::Tally;

/// How often something happens.
const PACE: Duration = Duration::from_secs(15);

/// At which turns the log of an evening past comes in: after half a minute, and then every minute and a half.
const FIRST_LATE: u64 = 2;
const LATE_EVERY: u64 = 6;

/// At which turns what went wrong is put right: after five minutes, and then as often in case the database was away.
const PUT_RIGHT: u64 = 20;

/// How many days back late logs reach.
const LATE_DAYS: u32 = 9;

/// The server whose logs come late.
const LATE_SERVER: &str = "surf";

/// Lets the demonstration in that database go on until it is dropped.
pub async fn live(writer: Writer, era: Era) {
    let people = people();
    let mut guild = Guild::new(&people, era, writer.clock.now());
    let mut turns = tokio::time::interval(PACE);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for turn in 0.. {
        turns.tick().await;
        let now = writer.clock.now();
        let happened = one_turn(&writer, &people, &mut guild, turn, now).await;
        // A database that is away for a moment is no reason to end; what was not written then never happened.
        if let Err(error) = happened {
            tracing::warn!(%error, "the demonstration could not go on");
        }
    }
}

async fn one_turn(
    writer: &Writer,
    people: &[Person],
    guild: &mut Guild<'_>,
    turn: u64,
    now: DateTime<Utc>,
) -> Result<(), AppendError> {
    let mut batch = guild.happens(now);
    if turn >= FIRST_LATE && (turn - FIRST_LATE).is_multiple_of(LATE_EVERY) {
        let random = &mut Random::for_purpose(6, now.timestamp_millis().unsigned_abs());
        batch.game_log_events = late_log(people, now, random).game_log_events;
    }
    if turn > 0 && turn.is_multiple_of(PUT_RIGHT) {
        match put_right(&writer.pool).await {
            Ok(true) => tracing::info!("the message of negative length was taken back"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the message of negative length could not be taken back"),
        }
    }
    let mut counts: BTreeMap<AssetKey, TableCount> = BTreeMap::new();
    writer.write(&batch, &mut counts).await
}

/// The guild as the bot sees it from now on.
struct Guild<'a> {
    capture: Capture<'a>,
    collector: DiscordCollector,
    line: u64,
    /// Those who are still there, by number.
    members: Vec<u32>,
    /// Those in voice, with their channel.
    voice: BTreeMap<u32, u32>,
    favourites: BTreeMap<u32, u32>,
}

impl<'a> Guild<'a> {
    fn new(people: &'a [Person], era: Era, now: DateTime<Utc>) -> Self {
        let mut capture = Capture::new(people);
        for happening in &life(people, era).guild {
            if matches!(happening.what, What::Joins | What::Leaves) {
                capture.happens(happening);
            }
        }
        capture.number_messages_from(now.timestamp_millis().unsigned_abs());
        capture.identify(now);
        let stays = |person: &&Person| person.discord.is_some() && person.last_day == DAYS - 1;
        Self {
            capture,
            collector: DiscordCollector::new(None),
            line: 0,
            members: people.iter().filter(stays).map(|person| person.number).collect(),
            voice: BTreeMap::new(),
            favourites: people.iter().map(|person| (person.number, person.favourite)).collect(),
        }
    }

    /// What happens in one turn: some write, one comes to a voice channel or leaves it.
    fn happens(&mut self, now: DateTime<Utc>) -> Batch {
        let random = &mut Random::for_purpose(5, now.timestamp_millis().unsigned_abs());
        self.capture.alive(now);
        for _ in 0..random.between(1, 4) {
            let what = What::Writes { channel: random.between(0, 2), words: random.between(1, 20) };
            self.happened(now, random, what);
        }
        if random.chance(300) {
            let person = self.somebody(random);
            let leaves = self.voice.remove(&person).is_some();
            let channel = (!leaves).then(|| self.favourites.get(&person).copied().unwrap_or(0) % 4);
            if let Some(channel) = channel {
                self.voice.insert(person, channel);
            }
            self.received(Happening { at: now, person, what: What::Talks { channel } });
        }
        let (mut batch, mut tally) = (Batch::default(), Tally::default());
        for line in self.capture.take().lines() {
            self.line += 1;
            self.collector.line(self.line, line, &mut batch, &mut tally);
        }
        batch
    }

    fn happened(&mut self, at: DateTime<Utc>, random: &mut Random, what: What) {
        let person = self.somebody(random);
        self.received(Happening { at, person, what });
    }

    fn received(&mut self, happening: Happening) {
        self.capture.happens(&happening);
        self.capture.received(&happening);
    }

    fn somebody(&self, random: &mut Random) -> u32 {
        let index = usize::try_from(random.next() % (self.members.len().max(1) as u64)).unwrap_or(0);
        self.members.get(index).copied().unwrap_or_default()
    }
}

/// What a server logged of one player on an evening some days ago.
fn late_log(people: &[Person], now: DateTime<Utc>, random: &mut Random) -> Batch {
    let players: Vec<&Person> = people.iter().filter(|person| person.steam.is_some()).collect();
    let index = usize::try_from(random.next() % (players.len().max(1) as u64)).unwrap_or(0);
    let (mut batch, mut tally) = (Batch::default(), Tally::default());
    let Some(player) = players.get(index) else { return batch };
    let day = local_time(now, ZONE).date() - Days::new(u64::from(random.between(1, LATE_DAYS)));
    let second = random.between(64_800, 79_200);
    let time = NaiveTime::from_num_seconds_from_midnight_opt(second, 0).unwrap_or_default();
    let from = instant_of(day.and_time(time), ZONE);
    let to = from + TimeDelta::seconds(i64::from(random.between(600, 5_400)));
    let log = log_of_visit(player, &Visit { from, to, person: player.number });
    let mut collector = Cs2Collector::new(LATE_SERVER.to_owned(), ZONE);
    for (number, line) in (1..).zip(log.lines()) {
        collector.line(number, line, &mut batch, &mut tally);
    }
    collector.end_of_file(&mut batch);
    batch
}
