//! Requests that are carried out once however often they are sent.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::{Service, ServiceError};
use crate::store::text::storable;

/// How long a key is remembered.
const REMEMBERED: TimeDelta = TimeDelta::days(1);

/// Whether a request with a key is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once {
    /// It is: nobody else carries out one with this key. [`Service::answered`] is to follow.
    First,
    /// It was, and this was answered.
    Answered(RecordedAnswer),
    /// An equal one is being carried out, or the process that did so died over it.
    InProgress,
    /// The key belongs to another request.
    OtherRequest,
}

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAnswer {
    /// The status.
    pub status: u16,
    /// The media type of the text.
    pub media_type: Option<String>,
    /// The text.
    pub text: String,
}

/// A key of one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Who asks.
    pub caller: String,
    /// The key.
    pub key: String,
}

impl Service {
    /// Whether a request is to be carried out that consists of `parts`. Keys are remembered for a day.
    ///
    /// # Errors
    /// When the state cannot be used; the request is not to be carried out then.
    pub async fn once(&self, key: &RequestKey, parts: &[&[u8]]) -> Result<Once, ServiceError> {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length, so that no two lists of parts are the same text.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: Vec<u8> = hash.finalize().to_vec();
        let now = self.now();
        let before = self.store.claim_key(&key.caller, &key.key, &hash, now - REMEMBERED, now).await?;
        let Some(before) = before else { return Ok(Once::First) };
        if before.request_hash != hash {
            return Ok(Once::OtherRequest);
        }
        let status = before.status.and_then(|status| u16::try_from(status).ok());
        Ok(match status.zip(before.answer) {
            Some((status, text)) => Once::Answered(RecordedAnswer { status, media_type: before.media_type, text }),
            None => Once::InProgress,
        })
    }

    /// Remembers the answer to the request for which [`once`](Self::once) said [`Once::First`].
    ///
    /// # Errors
    /// When the state cannot be used: whoever sends the request again is told that it may have been carried out.
    pub async fn answered(&self, key: &RequestKey, answer: &RecordedAnswer) -> Result<(), ServiceError> {
        let status = i16::try_from(answer.status).unwrap_or(i16::MAX);
        let (media_type, text) = (answer.media_type.as_deref(), storable(&answer.text));
        Ok(self.store.answer_key(&key.caller, &key.key, status, media_type, &text, self.now()).await?)
    }

    /// Forgets a key whose request was refused before anything was done.
    ///
    /// # Errors
    /// When the state cannot be used.
    pub async fn forget(&self, key: &RequestKey) -> Result<(), ServiceError> {
        Ok(self.store.release_key(&key.caller, &key.key).await?)
    }
}
