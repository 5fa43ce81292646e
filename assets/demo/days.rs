//! What everybody does, day by day.

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc, Weekday};
use karat::core::time::instant_of;

use super::people::{Person, SERVERS};
use super::random::Random;
use super::{DAYS, Era, ZONE};

/// Something that happens in the guild.
pub(super) struct Happening {
    pub(super) at: DateTime<Utc>,
    /// Who, by number.
    pub(super) person: u32,
    pub(super) what: What,
}

/// What happens.
pub(super) enum What {
    Joins,
    Leaves,
    /// Writes a message of so many words in a text channel.
    Writes {
        channel: u32,
        words: u32,
    },
    /// Is in a voice channel from now on; `None` is none.
    Talks {
        channel: Option<u32>,
    },
}

/// The voice channel that is the guild's AFK channel.
pub(super) const AFK_CHANNEL: u32 = 4;

/// Somebody on a game server, from connecting to disconnecting.
pub(super) struct Visit {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) person: u32,
}

/// All that happens, in the order of time.
pub(super) struct Life {
    pub(super) guild: Vec<Happening>,
    /// By server.
    pub(super) visits: [Vec<Visit>; SERVERS.len()],
}

/// Lets everybody live through all days.
pub(super) fn life(people: &[Person], era: Era) -> Life {
    let mut life = Life { guild: Vec::new(), visits: Default::default() };
    for person in people {
        for number in person.first_day..=person.last_day {
            live(person, number, era, &mut life);
        }
    }
    life.guild.sort_by_key(|happening| (happening.at, happening.person));
    for visits in &mut life.visits {
        visits.sort_by_key(|visit| (visit.from, visit.person));
    }
    life
}

fn live(person: &Person, number: u32, era: Era, life: &mut Life) {
    let random = &mut Random::for_purpose(2, u64::from(person.number) << 16 | u64::from(number));
    let guild = &mut life.guild;
    let is_first_day = number == person.first_day;
    if is_first_day && person.discord.is_some() {
        guild.push(Happening { at: moment(era, number, 600, random), person: person.number, what: What::Joins });
    }
    if number == person.last_day && person.leaves {
        guild.push(Happening { at: moment(era, number, 1_430, random), person: person.number, what: What::Leaves });
        return;
    }
    // Weekends are busy, the middle of the week is not.
    let rhythm = match era.day(number).weekday() {
        Weekday::Fri | Weekday::Sun => 130,
        Weekday::Sat => 150,
        Weekday::Tue | Weekday::Wed => 75,
        Weekday::Mon | Weekday::Thu => 90,
    };
    if !is_first_day && !random.chance(person.seen * rhythm / 100) {
        return;
    }
    if person.discord.is_some() && (is_first_day || random.chance(person.writes)) {
        for _ in 0..random.between(1, 8) {
            let at = moment(era, number, random.between(620, 1_425), random);
            let what = What::Writes { channel: random.between(0, 2), words: random.between(1, 20) };
            guild.push(Happening { at, person: person.number, what });
        }
    }
    if person.discord.is_some() && random.chance(person.talks) {
        talk(person, number, era, random, guild);
    }
    if person.steam.is_some() && random.chance(person.plays) {
        // Never in two places: at most one visit begins in an evening, and it ends before the next.
        let from = moment(era, number, random.between(1_020, 1_410), random);
        let to = from + TimeDelta::seconds(i64::from(random.between(240, 9_000)));
        let server = if random.chance(700) { person.favourite } else { random.between(0, 11) };
        if let Some(visits) =
            usize::try_from(server).ok().and_then(|server| life.visits.get_mut(server % SERVERS.len()))
        {
            visits.push(Visit { from, to, person: person.number });
        }
    }
}

/// An evening in voice: in, perhaps to another channel, perhaps forgotten in the AFK channel, out.
fn talk(person: &Person, number: u32, era: Era, random: &mut Random, guild: &mut Vec<Happening>) {
    let mut at = moment(era, number, random.between(1_050, 1_410), random);
    let mut push = |at, channel| {
        guild.push(Happening { at, person: person.number, what: What::Talks { channel } });
    };
    push(at, Some(person.favourite % AFK_CHANNEL));
    at += TimeDelta::seconds(i64::from(random.between(300, 7_200)));
    if random.chance(250) {
        push(at, Some((person.favourite + 1) % AFK_CHANNEL));
        at += TimeDelta::seconds(i64::from(random.between(300, 5_400)));
    }
    if random.chance(80) {
        push(at, Some(AFK_CHANNEL));
        at += TimeDelta::seconds(i64::from(random.between(600, 10_800)));
    }
    push(at, None);
}

/// A moment in that local minute of the day.
fn moment(era: Era, number: u32, minute: u32, random: &mut Random) -> DateTime<Utc> {
    let second = minute * 60 + random.between(0, 59);
    let time = NaiveTime::from_num_seconds_from_midnight_opt(second, 0).unwrap_or(NaiveTime::MIN);
    let number = number.min(DAYS - 1);
    instant_of(era.day(number).and_time(time), ZONE) + TimeDelta::milliseconds(i64::from(random.between(0, 999)))
}
