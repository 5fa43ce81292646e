//! Two years of a small community, invented: what its collectors deliver, and when.
//!
//! Most of it arrives on the day it is about. Some batches come days late, a few a month and more, some lack a part that
//! follows later, and some are sent twice.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use community::bronze::{
    DiscordConnection, DiscordMembers, DiscordMessages, DiscordVoiceStates, GameLogEvents, IdentityLinks,
};
use karat::core::time::instant_of;

use crate::support::Random;

/// The zone in which these people live.
pub(super) const ZONE: Tz = Berlin;

const PEOPLE: u64 = 36;
const GUILD: i64 = 390_000_000_000_000_002;

/// Rows of one table.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    Messages(Vec<DiscordMessages>),
    Voice(Vec<DiscordVoiceStates>),
    Connection(Vec<DiscordConnection>),
    Members(Vec<DiscordMembers>),
    Games(Vec<GameLogEvents>),
    Links(Vec<IdentityLinks>),
}

/// Rows that arrive together.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) at: DateTime<Utc>,
    pub(super) rows: Rows,
}

/// Somebody.
struct Person {
    number: u64,
    /// The days, counted from the first, on which they may be seen.
    from: u64,
    to: u64,
    /// How likely they are seen on a day, of a hundred.
    seen: u64,
}

impl Person {
    fn discord(&self) -> String {
        format!("discord:{}", 400_000_000_000_000_000 + self.number)
    }

    fn steam(&self) -> String {
        format!("steam:{}", 76_561_197_960_265_728 + 1_000 + self.number)
    }
}

/// Everything that is delivered from `first` on for so many local days, in the order of arrival. The last arrive some
/// weeks after the last day.
pub(super) fn deliveries(first: NaiveDate, days: u64) -> Vec<Delivery> {
    let random = &mut Random::new(0x006b_6172_6174_0003);
    let people: Vec<Person> = (0..PEOPLE).map(|number| person(number, days, random)).collect();
    let mut deliveries = Vec::new();
    for number in 0..days {
        let day = first + Days::new(number);
        for batch in day_of_life(&people, number, day, random) {
            send(batch, random, &mut deliveries);
        }
    }
    deliveries.sort_by_key(|delivery| delivery.at);
    deliveries
}

fn person(number: u64, days: u64, random: &mut Random) -> Person {
    // A third is there from the first week on, the others come one by one; every other leaves again.
    let from = if number < PEOPLE / 3 { random.below(7) } else { random.below(days - 30) };
    let to = if number.is_multiple_of(2) { days } else { from + 20 + random.below(days) };
    Person { number, from, to, seen: 5 + random.below(25) }
}

fn at(day: NaiveDate, minute: u64) -> DateTime<Utc> {
    let midnight = instant_of(day.and_time(NaiveTime::MIN), ZONE);
    if minute >= 1_440 {
        return midnight + TimeDelta::minutes(i64::try_from(minute).unwrap());
    }
    let time = NaiveTime::from_num_seconds_from_midnight_opt(u32::try_from(minute * 60).unwrap(), 0).unwrap();
    instant_of(day.and_time(time), ZONE)
}

/// What the collectors see of a day, as the batches in which they would deliver it.
fn day_of_life(people: &[Person], number: u64, day: NaiveDate, random: &mut Random) -> Vec<Delivery> {
    let mut messages: [Vec<DiscordMessages>; 2] = Default::default();
    let mut voice: BTreeMap<NaiveDate, Vec<DiscordVoiceStates>> = BTreeMap::new();
    let mut connection: BTreeMap<NaiveDate, Vec<DiscordConnection>> = BTreeMap::new();
    let (mut members, mut games, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for person in people.iter().filter(|person| person.from <= number && number <= person.to) {
        if number == person.from || number == person.to {
            let change = if number == person.from { "joined" } else { "left" };
            members.push(DiscordMembers {
                account_id: person.discord(),
                at: at(day, 600 + person.number),
                guild_id: GUILD,
                change: change.to_owned(),
                bot: false,
            });
        }
        // Some weeks after they came, an administrator notes whose accounts belong together.
        if number == person.from + 60 && person.number.is_multiple_of(5) {
            links.push(IdentityLinks {
                account_id: person.discord(),
                same_as: person.steam(),
                source: "profile".to_owned(),
            });
        }
        if random.below(100) >= person.seen {
            continue;
        }
        for _ in 0..random.below(4) {
            let minute = 480 + random.below(960);
            let half = &mut messages[usize::from(minute >= 1_080)];
            half.push(DiscordMessages {
                account_id: person.discord(),
                at: at(day, minute),
                message_id: i64::try_from(number * 100_000 + person.number * 1_000).unwrap()
                    + i64::try_from(half.len()).unwrap() * 2
                    + i64::from(minute >= 1_080),
                guild_id: GUILD,
                channel_id: 31,
                characters: i32::try_from(1 + random.below(200)).unwrap(),
                bot: false,
            });
        }
        if random.below(3) == 0 {
            talk(person, day, random, &mut voice, &mut connection);
        }
        if random.below(3) == 0 {
            play(person, day, random, &mut games);
        }
    }
    let evening = at(day + Days::new(1), 0);
    let mut batches: Vec<Delivery> = Vec::new();
    let mut batch = |at: DateTime<Utc>, rows: Rows| batches.push(Delivery { at, rows });
    let [early, late] = messages;
    for (rows, at) in [(early, at(day, 1_080)), (late, evening)] {
        if !rows.is_empty() {
            batch(at, Rows::Messages(rows));
        }
    }
    // What runs past midnight is delivered with the next day.
    for (day, rows) in voice {
        batch(at(day + Days::new(1), 0), Rows::Voice(rows));
    }
    for (day, rows) in connection {
        batch(at(day + Days::new(1), 0), Rows::Connection(rows));
    }
    if !members.is_empty() {
        batch(evening, Rows::Members(members));
    }
    if !games.is_empty() {
        batch(evening, Rows::Games(games));
    }
    if !links.is_empty() {
        batch(at(day, 900), Rows::Links(links));
    }
    batches
}

/// An evening in voice, sometimes past midnight; the bot hears of the gateway every ten minutes meanwhile.
fn talk(
    person: &Person,
    day: NaiveDate,
    random: &mut Random,
    voice: &mut BTreeMap<NaiveDate, Vec<DiscordVoiceStates>>,
    connection: &mut BTreeMap<NaiveDate, Vec<DiscordConnection>>,
) {
    let from = at(day, 1_080 + random.below(330)) + TimeDelta::milliseconds(i64::try_from(person.number).unwrap());
    let to = from + TimeDelta::minutes(i64::try_from(5 + random.below(115)).unwrap());
    for (at, channel_id) in [(from, Some(20 + i64::try_from(person.number % 3).unwrap())), (to, None)] {
        voice.entry(local_day(at)).or_default().push(DiscordVoiceStates {
            account_id: person.discord(),
            at,
            guild_id: GUILD,
            sequence: 1,
            channel_id,
            afk: false,
            bot: false,
            snapshot: false,
            voice_session: None,
        });
    }
    let mut heard = from + TimeDelta::minutes(10);
    while heard < to {
        connection.entry(local_day(heard)).or_default().push(DiscordConnection {
            at: heard,
            guild_id: 0,
            kind: "connected".to_owned(),
        });
        heard += TimeDelta::minutes(10);
    }
}

/// A visit to the game server, over by midnight.
fn play(person: &Person, day: NaiveDate, random: &mut Random, games: &mut Vec<GameLogEvents>) {
    let from = 840 + random.below(500);
    let to = from + 4 + random.below(90);
    for (minute, kind) in [(from, "connected"), (from, "entered"), (to, "disconnected")] {
        games.push(GameLogEvents {
            account_id: person.steam(),
            at: at(day, minute),
            server: "arena".to_owned(),
            kind: kind.to_owned(),
            line: i64::try_from(games.len()).unwrap() + 1,
            name: None,
            team: None,
            map: None,
            reason: (kind == "disconnected").then(|| "by_user".to_owned()),
        });
    }
}

fn local_day(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&ZONE).date_naive()
}

/// The rows of all these deliveries, by table.
pub(super) fn together(deliveries: impl Iterator<Item = Delivery>) -> Vec<Rows> {
    let (mut messages, mut voice, mut connection) = (Vec::new(), Vec::new(), Vec::new());
    let (mut members, mut games, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for delivery in deliveries {
        match delivery.rows {
            Rows::Messages(rows) => messages.extend(rows),
            Rows::Voice(rows) => voice.extend(rows),
            Rows::Connection(rows) => connection.extend(rows),
            Rows::Members(rows) => members.extend(rows),
            Rows::Games(rows) => games.extend(rows),
            Rows::Links(rows) => links.extend(rows),
        }
    }
    vec![
        Rows::Messages(messages),
        Rows::Voice(voice),
        Rows::Connection(connection),
        Rows::Members(members),
        Rows::Games(games),
        Rows::Links(links),
    ]
}

/// How a batch arrives: mostly in time and once.
fn send(batch: Delivery, random: &mut Random, deliveries: &mut Vec<Delivery>) {
    let hours = |count: u64| TimeDelta::hours(i64::try_from(count).unwrap());
    match random.below(200) {
        // Days late; more than a month late.
        0..=3 => deliveries.push(Delivery { at: batch.at + hours(30 + random.below(200)), ..batch }),
        4 => deliveries.push(Delivery { at: batch.at + hours(500 + random.below(600)), ..batch }),
        // In two parts, the second days later.
        5..=6 => {
            let (now, later) = halves(batch.rows);
            deliveries.extend(now.map(|rows| Delivery { at: batch.at, rows }));
            deliveries.extend(later.map(|rows| Delivery { at: batch.at + hours(24 + random.below(100)), rows }));
        }
        // Sent again: the whole batch, twice.
        7..=9 => {
            deliveries.push(Delivery { at: batch.at + hours(1 + random.below(300)), ..batch.clone() });
            deliveries.push(batch);
        }
        _ => deliveries.push(batch),
    }
}

fn halves(rows: Rows) -> (Option<Rows>, Option<Rows>) {
    fn split<R>(mut rows: Vec<R>, of: fn(Vec<R>) -> Rows) -> (Option<Rows>, Option<Rows>) {
        let later = rows.split_off(rows.len() / 2);
        let some = |rows: Vec<R>| (!rows.is_empty()).then(|| of(rows));
        (some(rows), some(later))
    }
    match rows {
        Rows::Messages(rows) => split(rows, Rows::Messages),
        Rows::Voice(rows) => split(rows, Rows::Voice),
        Rows::Connection(rows) => split(rows, Rows::Connection),
        Rows::Members(rows) => split(rows, Rows::Members),
        Rows::Games(rows) => split(rows, Rows::Games),
        Rows::Links(rows) => split(rows, Rows::Links),
    }
}
