//! What the service says, in German.
//!
//! The service says it in English, with the facts beside the sentence; a German page words the facts, and never reads the
//! sentence. What was written down in the past, and what others wrote, stays as it is and is marked as English.

mod automation;
mod because;
mod freshness;
mod health;
mod obstacle;
mod partitions;
mod staleness;
mod tick;

use askama::Template;
use chrono::{DateTime, Utc};

use super::page::{Language, Page};
use crate::core::time::time_text;
use crate::core::told::Told;

/// Facts that can be said in German.
pub(crate) trait German {
    /// In German, with times of the page's zone.
    fn german(&self, page: &Page) -> String;
}

impl Page {
    /// The sentence in the page's language.
    pub(crate) fn told<F: German>(&self, told: &Told<F>) -> String {
        match (self.language, told.facts()) {
            (Language::German, Some(facts)) => facts.german(self),
            _ => told.to_string(),
        }
    }

    /// The sentences in the page's language, one after the other.
    pub(crate) fn told_all<'a, F: German + 'a>(
        &self,
        all: impl IntoIterator<Item = &'a Told<F>>,
        between: &str,
    ) -> String {
        all.into_iter().map(|told| self.told(told)).collect::<Vec<_>>().join(between)
    }

    /// An instant as sentences write it, German ones like English ones.
    fn instant(&self, instant: DateTime<Utc>) -> String {
        time_text(instant, self.zone)
    }

    /// What the tag of a text has that is English on every page: an error, a message that was written down, a report.
    pub(crate) fn in_english(&self) -> InEnglish {
        InEnglish { is_marked: self.language != Language::English }
    }
}

/// An attribute that says that the text is English, on pages that are not.
#[derive(Template)]
#[template(source = r#"{% if is_marked %} lang="en"{% endif %}"#, ext = "html")]
pub(crate) struct InEnglish {
    is_marked: bool,
}

// It is rendered, and so escaped, by its own template.
impl askama::filters::HtmlSafe for InEnglish {}
