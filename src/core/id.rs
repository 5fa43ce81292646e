//! Ids of runs and backfills, as people write them.

use uuid::Uuid;

/// The last eight characters of an id, by which it can be named. All sentences and tables for people have this form.
#[must_use]
pub fn short_id(id: Uuid) -> String {
    let text = id.simple().to_string();
    text[text.len() - 8..].to_owned()
}
