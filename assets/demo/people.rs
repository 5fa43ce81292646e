//! Who is in the demonstration community.

use std::fmt::Write;

use super::DAYS;
use super::random::Random;
use crate::account::{AccountId, SteamId};

/// How many people there are.
const PEOPLE: u32 = 340;

/// The game servers.
pub(super) const SERVERS: [&str; 3] = ["arena", "retakes", "deathmatch"];

/// Somebody.
pub(super) struct Person {
    pub(super) number: u32,
    pub(super) name: String,
    /// `None` for people who only ever play.
    pub(super) discord: Option<u64>,
    /// `None` for people who never play.
    pub(super) steam: Option<SteamId>,
    /// Whether somebody noted that both accounts are theirs.
    pub(super) is_linked: bool,
    /// The first and the last day on which they may be seen.
    pub(super) first_day: u32,
    pub(super) last_day: u32,
    /// Whether they leave the guild on the last day.
    pub(super) leaves: bool,
    /// How likely they are to be seen on an ordinary day, and then to write, talk and play, of a thousand.
    pub(super) seen: u32,
    pub(super) writes: u32,
    pub(super) talks: u32,
    pub(super) plays: u32,
    /// Which voice channel and server they like best.
    pub(super) favourite: u32,
}

/// Everybody.
pub(super) fn people() -> Vec<Person> {
    (0..PEOPLE).map(person).collect()
}

fn person(number: u32) -> Person {
    let random = &mut Random::for_purpose(1, u64::from(number));
    // The first third founds the community in its first week, the others come one by one.
    let first_day = if number < PEOPLE / 3 { random.between(0, 6) } else { random.between(3, DAYS - 2) };
    let (days, leaves) = match random.between(0, 99) {
        // Stay; fade away over some weeks; look in and are gone.
        0..=44 => (DAYS, false),
        45..=76 => (random.between(10, 60), random.chance(350)),
        _ => (random.between(0, 3), random.chance(600)),
    };
    let only_plays = random.chance(120);
    let only_talks = !only_plays && random.chance(350);
    let discord = 400_000_000_000_000_000 + u64::from(number) * 1_000_003 + u64::from(random.between(0, 999_999));
    let steam = SteamId::from_account_number(90_000_000 + number * 7_919 + random.between(0, 7_000));
    Person {
        number,
        name: name(random),
        discord: (!only_plays).then_some(discord),
        steam: steam.filter(|_| !only_talks),
        is_linked: !only_plays && !only_talks && random.chance(700),
        first_day,
        last_day: (first_day + days).min(DAYS - 1),
        leaves: leaves && !only_plays && first_day + days < DAYS - 1,
        seen: random.between(120, 800),
        writes: random.between(300, 950),
        talks: random.between(50, 700),
        plays: random.between(100, 700),
        favourite: random.between(0, 11),
    }
}

fn name(random: &mut Random) -> String {
    const SYLLABLES: [&str; 16] =
        ["ka", "mi", "ro", "ze", "lu", "fan", "tor", "bel", "nik", "sha", "dra", "vex", "jo", "pip", "win", "gar"];
    let mut name: String = (0..random.between(2, 3)).map(|_| random.one_of(&SYLLABLES)).collect();
    if random.chance(300) {
        // Writing to a text does not fail.
        let _ = write!(name, "{}", random.between(1, 99));
    }
    // Names are anything: some of these are what a careless parser stumbles over.
    if random.chance(30) {
        name = format!("<{name}> \"the quick\"");
    }
    name
}

/// The administrator's list of whose accounts belong together.
pub(super) fn links(people: &[Person]) -> String {
    let mut text = "account,same_as,source\n".to_owned();
    for person in people.iter().filter(|person| person.is_linked) {
        if let (Some(discord), Some(steam)) = (person.discord, person.steam) {
            let _ = writeln!(text, "{},{},profile", AccountId::discord(discord), AccountId::steam(steam));
        }
    }
    text
}
