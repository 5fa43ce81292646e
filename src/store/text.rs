//! Text from outside on its way into the database.

use std::borrow::Cow;

/// The text with each zero byte shown as `U+FFFD`: PostgreSQL stores none, and refuses the whole statement for it.
#[must_use]
pub fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
