//! Words of closed sets, such as states: written in the source, and the same when they come from elsewhere.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer};

/// A word of a closed set.
pub type Word = &'static str;

/// The longest word, in bytes.
const LONGEST: usize = 200;

/// How many different words are read.
const MOST: usize = 10_000;

/// The words that were read. There are few of them, and each stays for as long as the process does.
static KNOWN: Mutex<BTreeSet<Word>> = Mutex::new(BTreeSet::new());

/// Reads a word that another process of Karat wrote.
///
/// # Errors
/// When it is no word, or when there have been more different ones than any set has.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    known(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// Reads a word or nothing.
///
/// # Errors
/// As [`read`].
pub fn read_some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Word>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(known).transpose().map_err(serde::de::Error::custom)
}

fn known(text: String) -> Result<Word, &'static str> {
    let mut words = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(word) = words.get(text.as_str()) {
        return Ok(word);
    }
    if text.len() > LONGEST || words.len() >= MOST {
        return Err("this is no word of a closed set");
    }
    let word: Word = Box::leak(text.into_boxed_str());
    words.insert(word);
    Ok(word)
}
