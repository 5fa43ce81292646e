//! A sentence that still knows what it says.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An English sentence with the facts it is made of, so that whoever speaks another language words them anew instead of
/// reading the sentence.
///
/// Programs see the sentence alone: it is serialized as a text, and one that was read has no facts. Two that say the same
/// are equal.
#[derive(Clone, Debug)]
pub struct Told<F> {
    sentence: String,
    facts: Option<F>,
}

impl<F> Told<F> {
    /// The sentence that says `facts`.
    #[must_use]
    pub fn new(sentence: impl Into<String>, facts: F) -> Self {
        Self { sentence: sentence.into(), facts: Some(facts) }
    }

    /// The sentence, in English.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.sentence
    }

    /// What it says; `None` of a sentence that came from another process.
    #[must_use]
    pub const fn facts(&self) -> Option<&F> {
        self.facts.as_ref()
    }
}

impl<F: fmt::Display> From<F> for Told<F> {
    fn from(facts: F) -> Self {
        Self::new(facts.to_string(), facts)
    }
}

impl<F> Deref for Told<F> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.sentence
    }
}

impl<F> fmt::Display for Told<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.sentence)
    }
}

impl<F> PartialEq for Told<F> {
    fn eq(&self, other: &Self) -> bool {
        self.sentence == other.sentence
    }
}

impl<F> Eq for Told<F> {}

impl<F> Serialize for Told<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.sentence)
    }
}

impl<'de, F> Deserialize<'de> for Told<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { sentence: String::deserialize(deserializer)?, facts: None })
    }
}
