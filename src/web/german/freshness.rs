//! How old an asset may get.

use super::German;
use crate::core::policy::{FreshnessPolicy, FreshnessRule};
use crate::web::page::Page;

impl German for FreshnessPolicy {
    fn german(&self, page: &Page) -> String {
        match self.rule {
            FreshnessRule::MaximumLag(lag) => format!("höchstens {} sind erlaubt", page.span(lag)),
            FreshnessRule::Deadline(expression) => format!("muss da sein zu jedem Zeitpunkt von `{expression}`"),
        }
    }
}
