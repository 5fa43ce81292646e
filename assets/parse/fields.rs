//! The fields of one comma-separated line.

use std::borrow::Cow;

/// Splits a line at its commas; quoted fields may hold commas and doubled quotes. White space around a field is cut.
///
/// `None` when the quoting is broken. A line without quotes, the usual case, costs no copy.
#[must_use]
pub fn split(line: &str) -> Option<Vec<Cow<'_, str>>> {
    if !line.contains('"') {
        return Some(line.split(',').map(|field| Cow::Borrowed(field.trim())).collect());
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .buffer_capacity(line.len().clamp(1, 64 * 1024))
        .from_reader(line.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(|field| Cow::Owned(field.to_owned())).collect())
}
