//! Texts that somebody gave, as errors repeat them.

/// How much of a text is repeated.
const CHARACTERS: usize = 100;

/// The beginning of a text that somebody gave, without what a terminal would obey.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().take(CHARACTERS).flat_map(char::escape_debug).collect()
}
