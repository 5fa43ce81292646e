//! The languages of the pages.

/// A language that every text of the pages exists in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// The text in this language.
    #[must_use]
    pub const fn pick<'text>(self, english: &'text str, german: &'text str) -> &'text str {
        match self {
            Self::English => english,
            Self::German => german,
        }
    }
}
