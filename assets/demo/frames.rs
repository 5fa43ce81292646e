//! What the guild's bot would have captured of it all: gateway frames.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, NaiveTime, SecondsFormat, TimeDelta, Utc, Weekday};
use karat::core::time::{instant_of, start_of_day};
use serde_json::{Value, json};

use super::days::{AFK_CHANNEL, Happening, What};
use super::people::Person;
use super::random::Random;
use super::{DAYS, Era, ZONE};

/// The guild of the demonstration.
pub(super) const GUILD: u64 = 390_000_000_000_000_001;
const FIRST_TEXT_CHANNEL: u64 = 390_000_000_000_000_100;
const FIRST_VOICE_CHANNEL: u64 = 390_000_000_000_000_200;

/// How often the gateway is heard of when nothing happens.
const HEARTBEAT: TimeDelta = TimeDelta::seconds(240);

/// Everything the bot received, one frame a line.
pub(super) fn frames(people: &[Person], happenings: &[Happening], era: Era) -> String {
    let mut capture = Capture::new(people);
    let (begin, end) = (start_of_day(era.day(0), ZONE), start_of_day(era.day(DAYS), ZONE));
    let mut absences = absences(era).into_iter().peekable();
    let mut happenings = happenings.iter().filter(|happening| happening.at < end).peekable();
    let mut heartbeat = begin + HEARTBEAT;
    capture.identify(begin);
    loop {
        let next = happenings.peek().map_or(end, |happening| happening.at);
        // What happens while the bot is away goes on in the world, and is only seen in the list it gets afterwards.
        if let Some(&(gone, back)) = absences.peek()
            && gone <= next.min(heartbeat)
        {
            absences.next();
            while let Some(happening) = happenings.next_if(|happening| happening.at < back) {
                capture.happens(happening);
            }
            capture.identify(back);
            heartbeat = back + HEARTBEAT;
        } else if heartbeat < next {
            capture.alive(heartbeat);
            heartbeat += HEARTBEAT;
        } else if let Some(happening) = happenings.next() {
            capture.happens(happening);
            capture.received(happening);
        } else {
            return capture.text;
        }
    }
}

/// When the bot is away: for twenty seconds on Wednesday mornings, for more than an hour on one Friday evening, and for
/// twelve minutes on a Saturday evening.
fn absences(era: Era) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let at = |number, hour, minute| {
        let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or(NaiveTime::MIN);
        instant_of(era.day(number).and_time(time), ZONE)
    };
    let mut absences: Vec<_> = (0..DAYS)
        .filter(|&number| chrono::Datelike::weekday(&era.day(number)) == Weekday::Wed)
        .map(|number| (at(number, 5, 0), at(number, 5, 0) + TimeDelta::seconds(20)))
        .collect();
    absences.push((at(61, 20, 10), at(61, 21, 25)));
    absences.push((at(83, 21, 0), at(83, 21, 12)));
    absences.sort();
    absences
}

/// What the bot receives, as text.
pub(super) struct Capture<'a> {
    people: &'a [Person],
    text: String,
    sequence: u64,
    messages: u64,
    /// Members by person, with the time of joining.
    members: BTreeMap<u32, DateTime<Utc>>,
    /// Voice channels by person.
    voice: BTreeMap<u32, u32>,
}

impl<'a> Capture<'a> {
    /// Nothing was received yet.
    pub(super) const fn new(people: &'a [Person]) -> Self {
        Self { people, text: String::new(), sequence: 0, messages: 0, members: BTreeMap::new(), voice: BTreeMap::new() }
    }

    /// Messages are numbered from here on.
    pub(super) const fn number_messages_from(&mut self, number: u64) {
        self.messages = number;
    }

    /// What was received since this was last asked, one frame a line.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Nothing happened, and the connection is alive.
    pub(super) fn alive(&mut self, at: DateTime<Utc>) {
        self.frame(at, &json!({"op": 11}));
    }

    fn frame(&mut self, at: DateTime<Utc>, frame: &Value) {
        let line = json!({"at_ms": at.timestamp_millis(), "from": "server", "frame": frame});
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn dispatch(&mut self, at: DateTime<Utc>, name: &str, data: &Value) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.frame(at, &json!({"op": 0, "t": name, "s": sequence, "d": data}));
    }

    /// The bot connects and is told how things are.
    pub(super) fn identify(&mut self, at: DateTime<Utc>) {
        self.sequence = 0;
        self.dispatch(at, "READY", &json!({"user": {"id": "389000000000000007", "bot": true}}));
        let members: Vec<Value> = self
            .members
            .iter()
            .filter_map(|(&number, joined_at)| Some(json!({"user": self.user(number)?, "joined_at": text(*joined_at)})))
            .collect();
        let voice_states: Vec<Value> =
            self.voice.iter().filter_map(|(&number, &channel)| self.voice_state(number, Some(channel))).collect();
        let guild = json!({
            "id": GUILD.to_string(),
            "afk_channel_id": voice_channel(AFK_CHANNEL),
            "members": members,
            "voice_states": voice_states,
        });
        self.dispatch(at, "GUILD_CREATE", &guild);
    }

    /// The world moves on.
    pub(super) fn happens(&mut self, happening: &Happening) {
        match happening.what {
            What::Joins => {
                self.members.insert(happening.person, happening.at);
            }
            What::Leaves => {
                self.members.remove(&happening.person);
            }
            What::Talks { channel: Some(channel) } => {
                self.voice.insert(happening.person, channel);
            }
            What::Talks { channel: None } => {
                self.voice.remove(&happening.person);
            }
            What::Writes { .. } => {}
        }
    }

    /// The bot is told of it.
    pub(super) fn received(&mut self, happening: &Happening) {
        let Some(user) = self.user(happening.person) else { return };
        let at = happening.at;
        let guild = GUILD.to_string();
        match happening.what {
            What::Joins => {
                let data = json!({"guild_id": guild, "user": user, "joined_at": text(at)});
                self.dispatch(at, "GUILD_MEMBER_ADD", &data);
            }
            What::Leaves => self.dispatch(at, "GUILD_MEMBER_REMOVE", &json!({"guild_id": guild, "user": user})),
            What::Talks { channel } => {
                if let Some(data) = self.voice_state(happening.person, channel) {
                    self.dispatch(at, "VOICE_STATE_UPDATE", &data);
                }
            }
            What::Writes { channel, words } => {
                self.messages += 1;
                let data = json!({
                    "id": (410_000_000_000_000_000 + self.messages * 4_194_304).to_string(),
                    "guild_id": guild,
                    "channel_id": (FIRST_TEXT_CHANNEL + u64::from(channel)).to_string(),
                    "author": user,
                    "content": chatter(self.messages, words),
                    "timestamp": text(at),
                    "type": 0,
                });
                self.dispatch(at, "MESSAGE_CREATE", &data);
            }
        }
    }

    fn user(&self, number: u32) -> Option<Value> {
        let person = self.person(number)?;
        Some(json!({"id": person.discord?.to_string(), "username": person.name, "bot": false}))
    }

    fn voice_state(&self, number: u32, channel: Option<u32>) -> Option<Value> {
        let id = self.person(number)?.discord?;
        Some(json!({
            "guild_id": GUILD.to_string(),
            "user_id": id.to_string(),
            "channel_id": channel.map(voice_channel),
            "session_id": format!("{id:x}"),
        }))
    }

    fn person(&self, number: u32) -> Option<&Person> {
        usize::try_from(number).ok().and_then(|number| self.people.get(number))
    }
}

fn voice_channel(number: u32) -> String {
    (FIRST_VOICE_CHANNEL + u64::from(number)).to_string()
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Something to say. It is counted and forgotten, as everything that anybody says.
fn chatter(number: u64, words: u32) -> String {
    const WORDS: [&str; 12] =
        ["gg", "anyone", "up", "for", "a", "round", "later", "nice", "grüße", "see", "you", "tonight"];
    let random = &mut Random::for_purpose(3, number);
    (0..words).map(|_| random.one_of(&WORDS)).collect::<Vec<_>>().join(" ")
}
