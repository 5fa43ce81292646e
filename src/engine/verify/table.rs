//! The table of an asset compared with its row struct.

use std::collections::BTreeSet;

use super::catalog::{Index, Relation, TableColumn};
use super::report::{Problem, ProblemKind};
use crate::asset::spec::{AssetSpec, ColumnSpec};
use crate::asset::statement::identifier;
use crate::core::policy::{CheckRule, WriteMode};
use crate::core::suggest::did_you_mean;

/// PostgreSQL's types and the Rust types of their columns.
const TYPES: [(&str, &str); 13] = [
    ("bigint", "i64"),
    ("boolean", "bool"),
    ("bytea", "Vec<u8>"),
    ("date", "NaiveDate"),
    ("double precision", "f64"),
    ("integer", "i32"),
    ("jsonb", "Json"),
    ("real", "f32"),
    ("smallint", "i16"),
    ("text", "String"),
    ("time without time zone", "NaiveTime"),
    ("timestamp with time zone", "DateTime<Utc>"),
    ("timestamp without time zone", "NaiveDateTime"),
];

/// The type that a field must have for a column of this type, if there is one.
pub(super) fn rust_type(sql_type: &str) -> Option<String> {
    if sql_type == "uuid" {
        return Some("Uuid".to_owned());
    }
    if let Some(element) = sql_type.strip_suffix("[]") {
        return rust_type(element).map(|element| format!("Vec<{element}>"));
    }
    TYPES.iter().find(|(sql, _)| *sql == sql_type).map(|(_, rust)| (*rust).to_owned())
}

/// Writes names as they must be written in SQL.
pub(super) struct Names {
    pub(super) keywords: BTreeSet<String>,
}

impl Names {
    /// `name` with quotes only where PostgreSQL needs them.
    fn quoted(&self, name: &str) -> String {
        let is_plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
            && !self.keywords.contains(name);
        if is_plain { name.to_owned() } else { identifier(name) }
    }

    fn list(&self, names: &[String]) -> String {
        names.iter().map(|name| self.quoted(name)).collect::<Vec<_>>().join(", ")
    }

    fn column(&self, column: &ColumnSpec) -> String {
        let null = if column.nullable { "" } else { " not null" };
        format!("{} {}{null}", self.quoted(&column.name), column.sql_type)
    }

    fn key(&self, asset: &AssetSpec) -> String {
        format!("{}.{}", self.quoted(asset.key.schema()), self.quoted(asset.key.table()))
    }

    /// The statements that make the table of `asset` with the indexes it needs.
    pub(super) fn create_table(&self, asset: &AssetSpec) -> Vec<String> {
        let columns: Vec<String> = asset.columns.iter().map(|column| self.column(column)).collect();
        let key = self.key(asset);
        let mut statements = vec![
            format!("create schema if not exists {};", self.quoted(asset.key.schema())),
            format!("create table {key} (\n    {}\n);", columns.join(",\n    ")),
        ];
        let natural_key = natural_key(asset);
        if !natural_key.is_empty() {
            statements.push(format!("create unique index on {key} ({});", self.list(natural_key)));
        }
        if let Some(column) = &asset.partition_column
            && natural_key.first() != Some(column)
        {
            statements.push(format!("create index on {key} ({});", self.quoted(column)));
        }
        statements
    }
}

fn natural_key(asset: &AssetSpec) -> &[String] {
    match &asset.write_mode {
        WriteMode::ReplacePartition => &[],
        WriteMode::Append { natural_key } => natural_key,
    }
}

/// The problem that there is no table; `existing` are the tables that there are and that belong to no other asset.
pub(super) fn missing(asset: &AssetSpec, existing: &[String], names: &Names) -> Problem {
    let table = asset.key.table();
    let elsewhere = existing.iter().find(|name| name.rsplit_once('.').is_some_and(|(_, other)| other == table));
    let near = elsewhere.cloned().or_else(|| did_you_mean(asset.key.as_str(), existing));
    let create = names.create_table(asset).join("\n");
    let remedy = match near {
        Some(near) => format!("is it `{near}`? Otherwise make it in a migration:\n{create}"),
        None => format!("make it in a migration:\n{create}"),
    };
    Problem::error(ProblemKind::TableMissing, asset, format!("there is no table {}", asset.key), remedy)
}

/// Everything in which the relation is not what the row struct says.
pub(super) fn compare(asset: &AssetSpec, relation: &Relation, names: &Names) -> Vec<Problem> {
    let what = match relation.kind.as_str() {
        "r" | "p" => None,
        "v" => Some("a view"),
        "m" => Some("a materialized view"),
        "f" => Some("a foreign table"),
        _ => Some("no table"),
    };
    if let Some(what) = what {
        return vec![Problem::error(
            ProblemKind::NotATable,
            asset,
            format!("{} is {what}", asset.key),
            "the rows of an asset and the record of them are written in one transaction, which needs a table of this \
             database: rename one of the two, and make the table in a migration",
        )];
    }
    let comparison = Comparison { asset, relation, names };
    let mut problems = Vec::new();
    for column in &asset.columns {
        match relation.columns.iter().find(|found| found.name == column.name) {
            None => problems.push(comparison.column_missing(column)),
            Some(found) => problems.extend(comparison.column_differs(column, found)),
        }
    }
    problems.extend(comparison.columns_unfilled());
    problems.extend(comparison.indexes());
    problems
}

struct Comparison<'a> {
    asset: &'a AssetSpec,
    relation: &'a Relation,
    names: &'a Names,
}

impl Comparison<'_> {
    fn alter(&self, change: &str) -> String {
        format!("alter table {} {change};", self.names.key(self.asset))
    }

    fn column_missing(&self, column: &ColumnSpec) -> Problem {
        let others = self
            .relation
            .columns
            .iter()
            .filter(|found| self.asset.column(&found.name).is_none())
            .map(|found| &found.name);
        let add = self.alter(&format!("add column {}", self.names.column(column)));
        let remedy = match did_you_mean(&column.name, others) {
            Some(near) => {
                format!("is it the column `{near}`? Then name the field so. Otherwise add it in a migration:\n{add}")
            }
            None => format!("add it in a migration:\n{add}"),
        };
        Problem::error(
            ProblemKind::ColumnMissing,
            self.asset,
            format!("the table has no column `{}` for the field of `{}`", column.name, self.asset.type_name),
            remedy,
        )
    }

    fn column_differs(&self, column: &ColumnSpec, found: &TableColumn) -> Option<Problem> {
        let name = &column.name;
        let quoted = self.names.quoted(name);
        let type_name = self.asset.type_name;
        if found.is_computed {
            return Some(Problem::error(
                ProblemKind::ColumnGenerated,
                self.asset,
                format!("PostgreSQL computes column `{name}` itself and refuses values for it"),
                format!("take the field out of `{type_name}`, or make it an ordinary column"),
            ));
        }
        if found.sql_type != column.sql_type {
            let wanted = column.sql_type;
            let alter = self.alter(&format!("alter column {quoted} type {wanted} using {quoted}::{wanted}"));
            let remedy = match rust_type(&found.sql_type) {
                Some(rust_type) => {
                    format!("give the field the type `{rust_type}`, or change the column in a migration:\n{alter}")
                }
                None => format!("no field can have that type; change the column in a migration:\n{alter}"),
            };
            return Some(Problem::error(
                ProblemKind::ColumnType,
                self.asset,
                format!(
                    "column `{name}` of the table is `{}`, the field of `{type_name}` is `{wanted}`",
                    found.sql_type
                ),
                remedy,
            ));
        }
        match (column.nullable, found.not_null) {
            (false, true) | (true, false) => None,
            // What is checked before each publication needs no second guard.
            (false, false) if self.is_checked_not_null(name) => None,
            (false, false) => {
                // What comes from outside is there before anything could check it.
                let check = match self.asset.is_materializable() {
                    true => format!("add the blocking check `not_null(\"{name}\")`, "),
                    false => String::new(),
                };
                let alter = self.alter(&format!("alter column {quoted} set not null"));
                Some(Problem::error(
                    ProblemKind::ColumnNullability,
                    self.asset,
                    format!("column `{name}` of the table may be null, the field of `{type_name}` may not"),
                    format!(
                        "a null would be stored and could then not be read: make the field an `Option`, {check}or refuse \
                         nulls in a migration:\n{alter}"
                    ),
                ))
            }
            (true, true) => Some(Problem::warning(
                ProblemKind::ColumnNullability,
                self.asset,
                format!("the field `{name}` of `{type_name}` may be null, the column of the table may not"),
                format!(
                    "a row without a value would be refused: take the `Option` away, or allow nulls in a migration:\n{}",
                    self.alter(&format!("alter column {quoted} drop not null"))
                ),
            )),
        }
    }

    /// Whether a check keeps nulls from being published; the rows of external assets are not checked before.
    fn is_checked_not_null(&self, name: &str) -> bool {
        self.asset.is_materializable()
            && self
                .asset
                .checks
                .iter()
                .any(|check| check.blocking && matches!(&check.rule, CheckRule::NotNull { column } if column == name))
    }

    fn columns_unfilled(&self) -> impl Iterator<Item = Problem> {
        let must_be_filled = |found: &&TableColumn| found.not_null && !found.has_default && !found.is_computed;
        let unfilled = self.relation.columns.iter().filter(must_be_filled);
        unfilled.filter(|found| self.asset.column(&found.name).is_none()).map(|found| {
            let field = match rust_type(&found.sql_type) {
                Some(rust_type) => format!("add the field `{}: {rust_type}`", found.name),
                None => "give the column another type and add a field for it".to_owned(),
            };
            let alter = self.alter(&format!("alter column {} drop not null", self.names.quoted(&found.name)));
            Problem::error(
                ProblemKind::ColumnUnfilled,
                self.asset,
                format!(
                    "column `{}` of the table needs a value, but `{}` has no such field",
                    found.name, self.asset.type_name
                ),
                format!("{field}, or in a migration give it a default, or allow nulls:\n{alter}"),
            )
        })
    }

    fn indexes(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let has_column = |name: &String| self.relation.columns.iter().any(|found| found.name == *name);
        let key = self.names.key(self.asset);
        let natural_key = natural_key(self.asset);
        let wanted: BTreeSet<&String> = natural_key.iter().collect();
        let fits = |index: &Index| index.is_arbiter && index.columns.iter().collect::<BTreeSet<_>>() == wanted;
        if !natural_key.is_empty() && natural_key.iter().all(has_column) && !self.relation.indexes.iter().any(fits) {
            problems.push(Problem::error(
                ProblemKind::NaturalKeyIndex,
                self.asset,
                format!(
                    "no unique index of the table has exactly the columns of NATURAL_KEY ({})",
                    natural_key.join(", ")
                ),
                format!(
                    "it is what tells rows that are there already from new ones; make it in a migration:\n\
                     create unique index on {key} ({});",
                    self.names.list(natural_key)
                ),
            ));
        }
        if let Some(column) = &self.asset.partition_column
            && has_column(column)
            && natural_key.first() != Some(column)
            && !self.relation.indexes.iter().any(|index| index.columns.first() == Some(column))
        {
            problems.push(Problem::warning(
                ProblemKind::PartitionIndex,
                self.asset,
                format!("no index of the table begins with its partition column `{column}`"),
                format!(
                    "every attempt would read the whole table; make one in a migration:\n\
                     create index on {key} ({});",
                    self.names.quoted(column)
                ),
            ));
        }
        problems
    }
}
