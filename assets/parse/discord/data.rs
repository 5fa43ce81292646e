//! The shapes of event data: only the fields that tables are made of. Everything else is skipped unread.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde_json::value::RawValue;

use crate::account::snowflake;
use crate::parse::plausible;

/// Milliseconds from 1970 to the first second of 2015, where Discord's ids begin to count.
const DISCORD_EPOCH_MILLISECONDS: i64 = 1_420_070_400_000;

/// An id, written as a string or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snowflake(pub(super) u64);

impl Snowflake {
    /// When the thing was made, according to its id; `None` for ids too small to carry a time.
    pub(super) fn created_at(self) -> Option<DateTime<Utc>> {
        let milliseconds = i64::try_from(self.0 >> 22).ok().filter(|&milliseconds| milliseconds > 0)?;
        DateTime::from_timestamp_millis(DISCORD_EPOCH_MILLISECONDS + milliseconds).and_then(plausible)
    }
}

impl<'de> Deserialize<'de> for Snowflake {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SnowflakeVisitor;

        impl Visitor<'_> for SnowflakeVisitor {
            type Value = Snowflake;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an id from 1 to 2^63 - 1")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Snowflake, E> {
                if number > 0 && i64::try_from(number).is_ok() {
                    Ok(Snowflake(number))
                } else {
                    Err(E::invalid_value(Unexpected::Unsigned(number), &self))
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Snowflake, E> {
                snowflake(text).map(Snowflake).ok_or_else(|| E::invalid_value(Unexpected::Other("a text"), &self))
            }
        }

        deserializer.deserialize_any(SnowflakeVisitor)
    }
}

/// How many characters a string has, counted while it is read.
///
/// This is the only thing that the text of a message can be read into: whatever was written is gone when the
/// deserializer moves on, and no type of this crate could hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CharacterCount(pub(super) i32);

impl<'de> Deserialize<'de> for CharacterCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;

        impl Visitor<'_> for Counter {
            type Value = CharacterCount;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<CharacterCount, E> {
                // Every character has exactly one byte that does not continue another.
                let characters = bytes.iter().filter(|&&byte| byte & 0b1100_0000 != 0b1000_0000).count();
                Ok(CharacterCount(i32::try_from(characters).unwrap_or(i32::MAX)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<CharacterCount, E> {
                self.visit_bytes(text.as_bytes())
            }
        }

        // As bytes, because a string with half a surrogate pair is no text but still has a length.
        deserializer.deserialize_bytes(Counter)
    }
}

/// The id of a voice session, kept only if it is a short word; anything else is dropped unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionToken(pub(super) Option<String>);

impl<'de> Deserialize<'de> for SessionToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TokenVisitor;

        impl Visitor<'_> for TokenVisitor {
            type Value = SessionToken;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a session id")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SessionToken, E> {
                let word = !text.is_empty()
                    && text.len() <= 64
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
                Ok(SessionToken(word.then(|| text.to_owned())))
            }
        }

        deserializer.deserialize_str(TokenVisitor)
    }
}

#[derive(serde::Deserialize)]
pub(super) struct UserData {
    pub(super) id: Snowflake,
    pub(super) bot: Option<bool>,
}

#[derive(serde::Deserialize)]
pub(super) struct ReadyData {
    pub(super) user: Option<UserData>,
}

#[derive(serde::Deserialize)]
pub(super) struct MemberData<'a> {
    pub(super) user: Option<UserData>,
    #[serde(borrow)]
    pub(super) joined_at: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
pub(super) struct MemberEventData<'a> {
    pub(super) guild_id: Option<Snowflake>,
    pub(super) user: Option<UserData>,
    #[serde(borrow)]
    pub(super) joined_at: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
pub(super) struct VoiceStateData<'a> {
    pub(super) guild_id: Option<Snowflake>,
    pub(super) user_id: Snowflake,
    /// Outer `None`: not in the data; inner `None`: null.
    #[serde(default, deserialize_with = "present")]
    pub(super) channel_id: Option<Option<Snowflake>>,
    pub(super) session_id: Option<SessionToken>,
    #[serde(borrow)]
    pub(super) member: Option<MemberData<'a>>,
}

#[derive(serde::Deserialize)]
pub(super) struct MessageData<'a> {
    pub(super) id: Snowflake,
    pub(super) channel_id: Snowflake,
    pub(super) guild_id: Option<Snowflake>,
    pub(super) author: Option<UserData>,
    pub(super) webhook_id: Option<Snowflake>,
    #[serde(rename = "type")]
    pub(super) kind: Option<i64>,
    pub(super) content: Option<CharacterCount>,
    #[serde(borrow)]
    pub(super) timestamp: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
pub(super) struct GuildData<'a> {
    pub(super) id: Option<Snowflake>,
    /// Outer `None`: not in the data; inner `None`: the guild has no AFK channel.
    #[serde(default, deserialize_with = "present")]
    pub(super) afk_channel_id: Option<Option<Snowflake>>,
    #[serde(borrow)]
    pub(super) members: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) voice_states: Option<Vec<&'a RawValue>>,
}

/// Tells null from absent: only called when the field is there.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
