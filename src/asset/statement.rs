//! The one place where SQL text is put together from declarations: quoting, column lists, partition conditions.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use sqlx::AssertSqlSafe;

use super::spec::AssetSpec;
use crate::core::partition::{Ordinal, PartitionsDefinition};
use crate::core::subset::PartitionSubset;

/// PostgreSQL's name of the type of an instant, as `format_type` prints it.
pub const INSTANT_TYPE: &str = "timestamp with time zone";

/// PostgreSQL's name of the type of a date.
pub const DATE_TYPE: &str = "date";

/// PostgreSQL's name of the type of a text.
pub const TEXT_TYPE: &str = "text";

/// A statement that this crate or an asset's declaration wrote.
///
/// Every name in it went through [`identifier`] and every value through [`text_literal`], or is an
/// [`AssetKey`](crate::core::key::AssetKey), which needs no quoting.
#[must_use]
pub fn generated(sql: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql)
}

/// `name` as a quoted identifier.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as a string literal, whatever `standard_conforming_strings` says.
#[must_use]
pub fn text_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// `instant` as a `timestamptz` literal.
#[must_use]
pub fn instant_literal(instant: DateTime<Utc>) -> String {
    format!("timestamptz '{}'", instant.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// `date` as a `date` literal.
#[must_use]
pub fn date_literal(date: NaiveDate) -> String {
    format!("date '{date}'")
}

/// The quoted columns of the asset's row struct, in order, separated by commas.
#[must_use]
pub fn column_list(asset: &AssetSpec) -> String {
    let columns: Vec<String> = asset.columns.iter().map(|column| identifier(&column.name)).collect();
    columns.join(", ")
}

/// The SQL condition that is true for exactly the rows of `asset` that lie in `partitions`.
///
/// A `timestamptz` column is compared with the instants of the windows, a `date` column with their local dates, a
/// text column with the keys. Contiguous partitions become one range. No partition at all gives `false`, an
/// unpartitioned asset `true`. Null in the column is in no partition.
#[must_use]
pub fn partition_condition(asset: &AssetSpec, partitions: &PartitionSubset) -> String {
    if partitions.is_empty() {
        return "false".to_owned();
    }
    let Some(name) = &asset.partition_column else { return "true".to_owned() };
    let column = identifier(name);
    let is_date = asset.column(name).is_some_and(|column| column.sql_type == DATE_TYPE);
    let conditions: Vec<String> = match &asset.partitions {
        PartitionsDefinition::Unpartitioned => return "true".to_owned(),
        PartitionsDefinition::Static(_) => {
            let keys: Vec<String> =
                partitions.iter().map(|ordinal| text_literal(asset.partitions.key(ordinal).as_str())).collect();
            vec![format!("{column} in ({})", keys.join(", "))]
        }
        PartitionsDefinition::Time(_) => partitions
            .ranges()
            .iter()
            .filter_map(
                |&(first, last)| {
                    if is_date { date_bounds(asset, first, last) } else { instant_bounds(asset, first, last) }
                },
            )
            .map(|(start, end)| format!("{column} >= {start} and {column} < {end}"))
            .collect(),
    };
    match conditions.as_slice() {
        [] => "false".to_owned(),
        [one] => one.clone(),
        several => format!("(({}))", several.join(") or (")),
    }
}

fn instant_bounds(asset: &AssetSpec, first: Ordinal, last: Ordinal) -> Option<(String, String)> {
    let start = asset.partitions.window(first)?.start;
    let end = asset.partitions.window(last)?.end;
    Some((instant_literal(start), instant_literal(end)))
}

fn date_bounds(asset: &AssetSpec, first: Ordinal, last: Ordinal) -> Option<(String, String)> {
    let start = asset.partitions.date(first)?;
    let end = asset.partitions.date(last.saturating_add(1))?;
    Some((date_literal(start), date_literal(end)))
}

/// The statements that keep the declaration's descriptions as comments in the database: one for the table, one per
/// column; an empty description removes the comment.
#[must_use]
pub fn comment_statements(asset: &AssetSpec) -> Vec<String> {
    let comment = |text: &str| if text.is_empty() { "null".to_owned() } else { text_literal(text) };
    let table = &asset.key;
    std::iter::once(format!("comment on table {table} is {}", comment(&asset.description)))
        .chain(asset.columns.iter().map(|column| {
            format!("comment on column {table}.{} is {}", identifier(&column.name), comment(&column.description))
        }))
        .collect()
}
