//! The statements that read rows.

use std::fmt::Write;

use chrono_tz::Tz;
use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use super::cursor::Cursor;
use super::{Filter, ReadError, RowQuery};
use crate::asset::spec::{AssetSpec, ColumnSpec};
use crate::asset::statement::{DATE_TYPE, date_literal, identifier, instant_literal, partition_condition};
use crate::core::policy::{CheckRule, WriteMode};
use crate::core::time::start_of_day;

/// A statement with its parameters.
pub(super) struct Built {
    pub(super) sql: String,
    pub(super) arguments: PgArguments,
    /// How many texts at the end of each row say where it stands in the order.
    pub(super) keys: usize,
}

/// What tells rows apart that are alike in the column they are ordered by: an expression and its type.
struct Key {
    expression: String,
    sql_type: &'static str,
}

pub(super) struct Builder<'a> {
    asset: &'a AssetSpec,
    zone: Tz,
    arguments: PgArguments,
    count: usize,
}

pub(super) fn builder(asset: &AssetSpec, zone: Tz) -> Builder<'_> {
    Builder { asset, zone, arguments: PgArguments::default(), count: 0 }
}

impl Builder<'_> {
    pub(super) fn page(mut self, query: &RowQuery<'_>) -> Result<Built, ReadError> {
        let ties = ties(self.asset, query.order);
        let order = identifier(&query.order.name);
        let mut conditions = self.conditions(&query.filters);
        if let Some(after) = &query.after {
            let condition = self.after(query, after, &ties)?;
            conditions.push_str(" and ");
            conditions.push_str(&condition);
        }
        let keys = std::iter::once(&order).chain(ties.iter().map(|tie| &tie.expression));
        let selected: Vec<String> = query
            .columns
            .iter()
            .map(|column| identifier(&column.name))
            .chain(keys.map(|key| format!("({key})::text")))
            .enumerate()
            .map(|(index, expression)| format!("{expression} as c{index}"))
            .collect();
        let direction = if query.descending { "desc" } else { "asc" };
        let nulls = if query.order.nullable { " nulls last" } else { "" };
        let mut order_by = format!("{order} {direction}{nulls}");
        for tie in &ties {
            // Writing to a text does not fail.
            let _ = write!(order_by, ", {} {direction}", tie.expression);
        }
        let sql = format!(
            "select {} from {} where {conditions} order by {order_by} limit {}",
            selected.join(", "),
            self.asset.key,
            u64::from(query.limit) + 1
        );
        Ok(Built { sql, arguments: self.arguments, keys: ties.len() + 1 })
    }

    pub(super) fn hour_means(mut self, at: &ColumnSpec, figure: &ColumnSpec, filters: &[Filter<'_>]) -> Built {
        let conditions = self.conditions(filters);
        let (at, figure) = (identifier(&at.name), identifier(&figure.name));
        let sql = format!(
            "select extract(isodow from {at})::integer, extract(hour from {at})::integer,
                 avg({figure})::double precision, count({figure})
             from {} where {conditions} and {figure} is not null group by 1, 2 order by 1, 2",
            self.asset.key
        );
        Built { sql, arguments: self.arguments, keys: 0 }
    }

    pub(super) fn values(mut self, column: &ColumnSpec, filters: &[Filter<'_>], rows: u32, limit: u32) -> Built {
        let conditions = self.conditions(filters);
        let column = identifier(&column.name);
        let sql = format!(
            "select distinct value from (select {column} as value from {} where {conditions} limit {rows}) as some_rows
             where value is not null order by 1 limit {limit}",
            self.asset.key
        );
        Built { sql, arguments: self.arguments, keys: 0 }
    }

    pub(super) fn newest_day(self, column: &ColumnSpec) -> Built {
        let column = identifier(&column.name);
        // Infinity is a date in PostgreSQL, and no day here.
        let sql = format!("select max({column})::date from {} where isfinite({column})", self.asset.key);
        Built { sql, arguments: self.arguments, keys: 0 }
    }

    /// What all filters together ask for; there is always something.
    fn conditions(&mut self, filters: &[Filter<'_>]) -> String {
        let mut conditions = "true".to_owned();
        for filter in filters {
            let condition = match filter {
                Filter::Partitions(partitions) => format!("({})", partition_condition(self.asset, partitions)),
                Filter::Equals(column, value) => {
                    format!("{} = {}", identifier(&column.name), self.parameter(value, column.sql_type))
                }
                Filter::Days(column, from, until) => {
                    let bound = |day| match column.sql_type {
                        DATE_TYPE => date_literal(day),
                        _ => instant_literal(start_of_day(day, self.zone)),
                    };
                    let name = identifier(&column.name);
                    let from = from.map(|day| format!("{name} >= {}", bound(day)));
                    let until = until.map(|day| format!("{name} < {}", bound(day)));
                    from.into_iter()
                        .chain(until)
                        .reduce(|from, until| format!("{from} and {until}"))
                        .unwrap_or_else(|| "true".to_owned())
                }
            };
            conditions.push_str(" and ");
            conditions.push_str(&condition);
        }
        conditions
    }

    /// What is true of the rows after that place in the order.
    fn after(&mut self, query: &RowQuery<'_>, after: &Cursor, ties: &[Key]) -> Result<String, ReadError> {
        let (order, sql_type) = (identifier(&query.order.name), query.order.sql_type);
        let [first, rest @ ..] = after.keys(query)? else { return Err(ReadError::Cursor) };
        if rest.len() != ties.len() {
            return Err(ReadError::Cursor);
        }
        let comparison = if query.descending { "<" } else { ">" };
        let mut tie_values = Vec::with_capacity(ties.len());
        for (tie, value) in ties.iter().zip(rest) {
            tie_values.push(self.parameter(value.as_deref().ok_or(ReadError::Cursor)?, tie.sql_type));
        }
        let tie_names: Vec<&str> = ties.iter().map(|tie| tie.expression.as_str()).collect();
        let Some(first) = first else {
            let later = match ties {
                [] => "false".to_owned(),
                _ => format!("({}) {comparison} ({})", tie_names.join(", "), tie_values.join(", ")),
            };
            return Ok(format!("{order} is null and {later}"));
        };
        let value = self.parameter(first, sql_type);
        let names = std::iter::once(order.as_str()).chain(tie_names).collect::<Vec<_>>().join(", ");
        let values = std::iter::once(value.as_str()).chain(tie_values.iter().map(String::as_str));
        let later = format!("({names}) {comparison} ({})", values.collect::<Vec<_>>().join(", "));
        Ok(if query.order.nullable {
            format!("({later} or {order} is null)")
        } else {
            // Said once more for an index on this column alone.
            format!("{order} {comparison}= {value} and {later}")
        })
    }

    fn parameter(&mut self, value: &str, sql_type: &str) -> String {
        self.count += 1;
        // A text can always be encoded.
        let _ = self.arguments.add(value.to_owned());
        format!("${}::{sql_type}", self.count)
    }
}

/// What tells the rows of `asset` apart besides `order`: the columns that are declared to be unique, or else the place of
/// the row in the table, which is unique until the row is written again.
fn ties(asset: &AssetSpec, order: &ColumnSpec) -> Vec<Key> {
    let natural_key = match &asset.write_mode {
        WriteMode::Append { natural_key } => Some(natural_key),
        WriteMode::ReplacePartition => None,
    };
    let unique = asset.checks.iter().filter(|check| check.blocking).filter_map(|check| match &check.rule {
        CheckRule::Unique { columns } => Some(columns),
        _ => None,
    });
    // A check looks at one partition: over all of them its columns are unique together with the partition's.
    let partition_column = asset.partition_column.iter().filter(|_| natural_key.is_none());
    let declared = natural_key.into_iter().chain(unique).find_map(|names| {
        let mut names: Vec<&String> = names.iter().collect();
        names.extend(partition_column.clone().filter(|name| !names.contains(name)).collect::<Vec<_>>());
        let columns: Option<Vec<&ColumnSpec>> = names.iter().map(|name| asset.column(name)).collect();
        columns.filter(|columns| !columns.is_empty() && columns.iter().all(|column| !column.nullable))
    });
    match declared {
        Some(columns) => columns
            .into_iter()
            .filter(|column| column.name != order.name)
            .map(|column| Key { expression: identifier(&column.name), sql_type: column.sql_type })
            .collect(),
        None => vec![Key { expression: "ctid".to_owned(), sql_type: "tid" }],
    }
}
