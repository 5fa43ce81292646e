//! Gateway frames become voice states, messages, members and evidence of the connection.

use chrono::{DateTime, Utc};

use super::batch::Batch;
use super::evidence::EvidenceThinner;
use super::tally::Tally;
use super::{Collector, as_bigint};
use crate::account::AccountId;
use crate::bronze::{DiscordConnection, DiscordMembers, DiscordMessages, DiscordVoiceStates};
use crate::parse::Ignored;
use crate::parse::discord::{Event, GatewayReader};

/// The guild of evidence that concerns the connection as a whole.
const EVERY_GUILD: i64 = 0;

/// Collects gateway frames. Give it the files in the order of time: AFK channels and bots are learned on the way.
pub struct DiscordCollector {
    reader: GatewayReader,
    connected: EvidenceThinner<()>,
}

impl DiscordCollector {
    /// A collector; `instant_of_bare_frames` stands in for the time of reception that bare frames lack.
    #[must_use]
    pub fn new(instant_of_bare_frames: Option<DateTime<Utc>>) -> Self {
        Self { reader: GatewayReader::new(instant_of_bare_frames), connected: EvidenceThinner::new() }
    }
}

impl Collector for DiscordCollector {
    fn line_limit_bytes(&self) -> usize {
        // The list of members, channels and voice states of a large guild is one frame.
        16 * 1024 * 1024
    }

    fn line(&mut self, number: u64, text: &str, batch: &mut Batch, tally: &mut Tally) {
        let frame = match self.reader.read(text) {
            Ok(frame) => frame,
            Err(problem) => return tally.bad(number, problem),
        };
        match (frame.events.is_empty(), frame.problems.split_first(), frame.ignored) {
            (false, _, _) => tally.data(),
            (true, Some((first, _)), _) => tally.bad(number, *first),
            (true, None, ignored) => tally.ignored(ignored.unwrap_or(Ignored::OtherFrame)),
        }
        let counted = usize::from(frame.events.is_empty());
        for problem in frame.problems.iter().skip(counted) {
            tally.problem(number, *problem);
        }
        // What came before a fresh list is the last that is known of the time before it: it must not be thinned away.
        let begins_anew =
            frame.begins_connection || frame.events.iter().any(|event| matches!(event, Event::Snapshot { .. }));
        if begins_anew {
            batch.connection.extend(self.connected.interrupt().map(|(at, ())| connected(at)));
        }
        if let Some(at) = frame.evidence {
            batch.connection.extend(self.connected.seen(at, ()).map(|(at, ())| connected(at)));
        }
        for event in frame.events {
            push(event, frame.sequence, batch);
        }
    }

    fn end_of_file(&mut self, batch: &mut Batch) {
        batch.connection.extend(self.connected.interrupt().map(|(at, ())| connected(at)));
    }
}

fn connected(at: DateTime<Utc>) -> DiscordConnection {
    DiscordConnection { at, guild_id: EVERY_GUILD, kind: "connected".to_owned() }
}

fn push(event: Event, sequence: i64, batch: &mut Batch) {
    let account = |user_id| AccountId::discord(user_id).into_string();
    match event {
        Event::VoiceState(state) => batch.voice_states.push(DiscordVoiceStates {
            account_id: account(state.user_id),
            at: state.at,
            guild_id: as_bigint(state.guild_id),
            sequence,
            channel_id: state.channel_id.map(as_bigint),
            afk: state.afk,
            bot: state.bot,
            snapshot: state.snapshot,
            voice_session: state.voice_session,
        }),
        Event::Snapshot { guild_id, at } => {
            batch.connection.push(DiscordConnection { at, guild_id: as_bigint(guild_id), kind: "snapshot".to_owned() });
        }
        Event::Message(message) => batch.messages.push(DiscordMessages {
            account_id: account(message.user_id),
            at: message.at,
            message_id: as_bigint(message.message_id),
            guild_id: as_bigint(message.guild_id),
            channel_id: as_bigint(message.channel_id),
            characters: message.characters,
            bot: message.bot,
        }),
        Event::Membership(membership) => batch.members.push(DiscordMembers {
            account_id: account(membership.user_id),
            at: membership.at,
            guild_id: as_bigint(membership.guild_id),
            change: if membership.joined { "joined" } else { "left" }.to_owned(),
            bot: membership.bot,
        }),
    }
}
