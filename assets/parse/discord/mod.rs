//! Discord gateway frames, one JSON object per line.
//!
//! Two shapes are read: frames wrapped by a capture, `{"at_ms":…,"from":"server","frame":{"op":…,"t":…,"s":…,"d":…}}`,
//! and bare frames `{"op":…,"t":…,"s":…,"d":…}`. A bare frame does not say when it was received. Messages and joins
//! carry their own time and are kept; voice states, leaves and snapshots have none and are a [`Reason::NoTime`]
//! problem unless the reader was given an instant for such frames.
//!
//! Reading is lenient per event: an unknown event is counted, a malformed entry of a list costs only that entry, and
//! ids may be strings or numbers. Every frame from the server is evidence that the bot was connected then.

mod data;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::parse::{Ignored, Problem, Reason, plausible};
use data::{GuildData, MemberData, MemberEventData, MessageData, ReadyData, SessionToken, VoiceStateData};

/// Message types that somebody wrote: plain, reply, and the two kinds of application command.
const WRITTEN_MESSAGE_TYPES: [i64; 4] = [0, 19, 20, 23];

/// Something that happened in a guild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Where somebody is in voice, from now on.
    VoiceState(VoiceState),
    /// The complete list of who is in voice in a guild was received: everybody else is not.
    Snapshot {
        /// The guild.
        guild_id: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody wrote a message in a guild.
    Message(Message),
    /// Somebody joined or left a guild.
    Membership(Membership),
}

/// Where a user is in voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceState {
    /// The guild.
    pub guild_id: u64,
    /// The user.
    pub user_id: u64,
    /// The voice channel; `None` is none: the user left.
    pub channel_id: Option<u64>,
    /// Whether the channel was known to be the guild's AFK channel.
    pub afk: bool,
    /// Whether the user was known to be a bot.
    pub bot: bool,
    /// Discord's id of the voice session, an opaque word.
    pub voice_session: Option<String>,
    /// When it was received.
    pub at: DateTime<Utc>,
    /// Whether it is an entry of a snapshot rather than a change.
    pub snapshot: bool,
}

/// A message, as metadata. There is no field that could hold what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The guild.
    pub guild_id: u64,
    /// The channel.
    pub channel_id: u64,
    /// The message.
    pub message_id: u64,
    /// Who wrote it.
    pub user_id: u64,
    /// Whether a bot or a webhook did.
    pub bot: bool,
    /// How many characters (Unicode scalar values) it has; 0 when Discord withheld the text.
    pub characters: i32,
    /// When it was written.
    pub at: DateTime<Utc>,
}

/// A join or a leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The guild.
    pub guild_id: u64,
    /// The user.
    pub user_id: u64,
    /// Whether the user was known to be a bot.
    pub bot: bool,
    /// Joined, or left.
    pub joined: bool,
    /// When: for a join the guild's own record of it, for a leave the moment it was received.
    pub at: DateTime<Utc>,
}

/// What one line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// When the bot was connected, as this frame proves; `None` for frames without a time or sent by the client.
    pub evidence: Option<DateTime<Utc>>,
    /// The gateway's sequence number; 0 without one.
    pub sequence: i64,
    /// Whether the frame begins a connection whose predecessor may have missed events (`READY`).
    pub begins_connection: bool,
    /// What happened.
    pub events: Vec<Event>,
    /// Why the frame is no data, when it is none.
    pub ignored: Option<Ignored>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Reads frames in order, remembering what later frames leave out: AFK channels and who is a bot.
#[derive(Clone, Debug, Default)]
pub struct GatewayReader {
    instant_of_bare_frames: Option<DateTime<Utc>>,
    afk_channels: HashMap<u64, Option<u64>>,
    bots: HashSet<u64>,
}

impl GatewayReader {
    /// A reader; `instant_of_bare_frames` stands in for the time of reception that bare frames lack.
    #[must_use]
    pub fn new(instant_of_bare_frames: Option<DateTime<Utc>>) -> Self {
        Self { instant_of_bare_frames, ..Self::default() }
    }

    /// Reads one line.
    ///
    /// # Errors
    /// When the line is not JSON or not a frame. What is wrong inside a frame is in [`Frame::problems`].
    pub fn read(&mut self, line: &str) -> Result<Frame, Problem> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(Frame { ignored: Some(Ignored::Empty), ..Frame::default() });
        }
        let not_a_frame = Problem::new(Reason::NotAFrame, "frame");
        let envelope: Envelope<'_> = serde_json::from_str(line).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => not_a_frame,
            _ => Problem::new(Reason::NotJson, "frame"),
        })?;
        if value::<&str>(envelope.from) == Some("client") {
            return Ok(Frame { ignored: Some(Ignored::ClientFrame), ..Frame::default() });
        }
        let wrapped: Option<Payload<'_>> = match envelope.frame {
            Some(frame) => Some(serde_json::from_str(frame.get()).map_err(|_| not_a_frame)?),
            None => None,
        };
        let payload = wrapped.unwrap_or(Payload { op: envelope.op, t: envelope.t, s: envelope.s, d: envelope.d });
        let operation: i64 = value(payload.op).ok_or(not_a_frame)?;
        let mut frame = Frame { sequence: value(payload.s).unwrap_or_default(), ..Frame::default() };
        let received_at = match envelope.at_ms {
            None => self.instant_of_bare_frames,
            Some(milliseconds) => {
                let instant = value(Some(milliseconds)).and_then(DateTime::from_timestamp_millis).and_then(plausible);
                frame.evidence = instant;
                if instant.is_none() {
                    frame.problems.push(Problem::new(Reason::ImplausibleTime, "frame"));
                }
                instant
            }
        };
        if operation == 0 {
            self.dispatch(payload.t, payload.d, received_at, &mut frame);
        } else {
            frame.ignored = Some(Ignored::OtherFrame);
        }
        Ok(frame)
    }

    fn dispatch(
        &mut self,
        name: Option<&RawValue>,
        data: Option<&RawValue>,
        received_at: Option<DateTime<Utc>>,
        frame: &mut Frame,
    ) {
        let data = data.map_or("null", RawValue::get);
        let outcome = match value::<&str>(name) {
            Some("READY") => {
                frame.begins_connection = true;
                frame.ignored = Some(Ignored::OtherFrame);
                if let Ok(ReadyData { user: Some(user) }) = serde_json::from_str(data) {
                    self.bots.insert(user.id.0);
                }
                Ok(())
            }
            Some("GUILD_CREATE") => self.guild(data, received_at, frame),
            Some("GUILD_UPDATE") => {
                frame.ignored = Some(Ignored::OtherFrame);
                if let Ok(guild) = serde_json::from_str::<GuildData<'_>>(data) {
                    self.remember_afk_channel(&guild);
                }
                Ok(())
            }
            Some("VOICE_STATE_UPDATE") => self.voice_state(data, received_at, frame),
            Some("MESSAGE_CREATE") => self.message(data, received_at, frame),
            Some("GUILD_MEMBER_ADD") => self.membership(data, true, received_at, frame),
            Some("GUILD_MEMBER_REMOVE") => self.membership(data, false, received_at, frame),
            _ => {
                frame.ignored = Some(Ignored::OtherFrame);
                Ok(())
            }
        };
        if let Err(problem) = outcome {
            frame.problems.push(problem);
        }
    }

    fn remember_afk_channel(&mut self, guild: &GuildData<'_>) {
        if let (Some(id), Some(afk_channel)) = (guild.id, guild.afk_channel_id) {
            self.afk_channels.insert(id.0, afk_channel.map(|channel| channel.0));
        }
    }

    fn guild(&mut self, data: &str, received_at: Option<DateTime<Utc>>, frame: &mut Frame) -> Result<(), Problem> {
        const KIND: &str = "GUILD_CREATE";
        let guild: GuildData<'_> = parsed(data, KIND)?;
        let guild_id = guild.id.ok_or(Problem::new(Reason::MissingField, KIND))?.0;
        self.remember_afk_channel(&guild);
        for entry in guild.members.unwrap_or_default() {
            match parsed::<MemberData<'_>>(entry.get(), "GUILD_CREATE member") {
                Ok(MemberData { user: Some(user), joined_at }) => {
                    let bot = self.remember_bot(user.id.0, user.bot);
                    if let Some(at) = instant(joined_at) {
                        let user_id = user.id.0;
                        frame.events.push(Event::Membership(Membership { guild_id, user_id, bot, joined: true, at }));
                    }
                }
                Ok(_) => frame.problems.push(Problem::new(Reason::MissingField, "GUILD_CREATE member")),
                Err(problem) => frame.problems.push(problem),
            }
        }
        let Some(voice_states) = guild.voice_states else {
            // An unavailable guild, or a server that leaves the list out: nothing is known, so nobody is contradicted.
            return Ok(());
        };
        let at = received_at.ok_or(Problem::new(Reason::NoTime, KIND))?;
        for entry in voice_states {
            match parsed::<VoiceStateData<'_>>(entry.get(), "GUILD_CREATE voice state") {
                Ok(state) => {
                    if let Some(Some(channel)) = state.channel_id {
                        let state = self.voice_state_of(state, guild_id, Some(channel.0), at, true);
                        frame.events.push(Event::VoiceState(state));
                    }
                }
                Err(problem) => frame.problems.push(problem),
            }
        }
        frame.events.push(Event::Snapshot { guild_id, at });
        Ok(())
    }

    fn voice_state(
        &mut self,
        data: &str,
        received_at: Option<DateTime<Utc>>,
        frame: &mut Frame,
    ) -> Result<(), Problem> {
        const KIND: &str = "VOICE_STATE_UPDATE";
        let state: VoiceStateData<'_> = parsed(data, KIND)?;
        let Some(guild_id) = state.guild_id else {
            frame.ignored = Some(Ignored::DirectMessage);
            return Ok(());
        };
        let channel = state.channel_id.ok_or(Problem::new(Reason::MissingField, KIND))?;
        let at = received_at.ok_or(Problem::new(Reason::NoTime, KIND))?;
        let state = self.voice_state_of(state, guild_id.0, channel.map(|channel| channel.0), at, false);
        frame.events.push(Event::VoiceState(state));
        Ok(())
    }

    fn voice_state_of(
        &mut self,
        state: VoiceStateData<'_>,
        guild_id: u64,
        channel_id: Option<u64>,
        at: DateTime<Utc>,
        snapshot: bool,
    ) -> VoiceState {
        let user_id = state.user_id.0;
        let marked = state.member.and_then(|member| member.user).and_then(|user| user.bot);
        let bot = self.remember_bot(user_id, marked);
        let afk_channel = self.afk_channels.get(&guild_id).copied().flatten();
        let afk = channel_id.is_some() && channel_id == afk_channel;
        let voice_session = state.session_id.and_then(|SessionToken(token)| token);
        VoiceState { guild_id, user_id, channel_id, afk, bot, voice_session, at, snapshot }
    }

    fn message(&mut self, data: &str, received_at: Option<DateTime<Utc>>, frame: &mut Frame) -> Result<(), Problem> {
        const KIND: &str = "MESSAGE_CREATE";
        let message: MessageData<'_> = parsed(data, KIND)?;
        let Some(guild_id) = message.guild_id else {
            frame.ignored = Some(Ignored::DirectMessage);
            return Ok(());
        };
        if !WRITTEN_MESSAGE_TYPES.contains(&message.kind.unwrap_or(0)) {
            frame.ignored = Some(Ignored::SystemMessage);
            return Ok(());
        }
        let author = message.author.ok_or(Problem::new(Reason::MissingField, KIND))?;
        let bot = self.remember_bot(author.id.0, author.bot) || message.webhook_id.is_some();
        let at = instant(message.timestamp)
            .or_else(|| message.id.created_at())
            .or(received_at)
            .ok_or(Problem::new(Reason::NoTime, KIND))?;
        frame.events.push(Event::Message(Message {
            guild_id: guild_id.0,
            channel_id: message.channel_id.0,
            message_id: message.id.0,
            user_id: author.id.0,
            bot,
            characters: message.content.map_or(0, |count| count.0),
            at,
        }));
        Ok(())
    }

    fn membership(
        &mut self,
        data: &str,
        joined: bool,
        received_at: Option<DateTime<Utc>>,
        frame: &mut Frame,
    ) -> Result<(), Problem> {
        let kind = if joined { "GUILD_MEMBER_ADD" } else { "GUILD_MEMBER_REMOVE" };
        let event: MemberEventData<'_> = parsed(data, kind)?;
        let (Some(guild_id), Some(user)) = (event.guild_id, event.user) else {
            return Err(Problem::new(Reason::MissingField, kind));
        };
        let bot = self.remember_bot(user.id.0, user.bot);
        let recorded = if joined { instant(event.joined_at) } else { None };
        let at = recorded.or(received_at).ok_or(Problem::new(Reason::NoTime, kind))?;
        frame.events.push(Event::Membership(Membership { guild_id: guild_id.0, user_id: user.id.0, bot, joined, at }));
        Ok(())
    }

    fn remember_bot(&mut self, user_id: u64, marked: Option<bool>) -> bool {
        if marked == Some(true) {
            self.bots.insert(user_id);
        }
        self.bots.contains(&user_id)
    }
}

/// The outermost object. Values stay raw until their kind is known; they are borrowed from the line, never copied.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    at_ms: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow)]
    frame: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow)]
    t: Option<&'a RawValue>,
    #[serde(borrow)]
    s: Option<&'a RawValue>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow)]
    t: Option<&'a RawValue>,
    #[serde(borrow)]
    s: Option<&'a RawValue>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

/// The value, if it is there and of that type.
fn value<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// An RFC 3339 instant, if it is there and plausible.
fn instant(raw: Option<&RawValue>) -> Option<DateTime<Utc>> {
    let text: &str = value(raw)?;
    plausible(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// Reads the data of an event. The parser's own message is dropped: it may quote the line.
fn parsed<'a, T: Deserialize<'a>>(data: &'a str, kind: &'static str) -> Result<T, Problem> {
    serde_json::from_str(data).map_err(|_| Problem::new(Reason::MalformedField, kind))
}
