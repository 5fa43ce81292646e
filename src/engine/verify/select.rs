//! The `select` of a sql asset: whether PostgreSQL accepts it, and whether its result is what the row struct says.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::VerifyError;
use super::catalog::{Function, ViewColumn};
use super::place::{self, SqlPlace, WithoutParameters};
use super::reads::{Reader, read_problems};
use super::report::{ColumnReads, Problem, ProblemKind};
use super::table::rust_type;
use super::view::{self, Refusal};
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::partition::PartitionsDefinition;
use crate::core::sql_text::{self, TokenKind};
use crate::core::suggest::did_you_mean;

/// Reserved words that stand for the present.
const PRESENT_WORDS: [&str; 5] = ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"];

/// Literals of dates and instants that PostgreSQL replaces by the present when it first sees the statement.
const PRESENT_LITERALS: [&str; 4] = ["'now'", "'today'", "'tomorrow'", "'yesterday'"];

/// The type of a parameter of the asset's statements.
pub(super) fn parameter_type(asset: &AssetSpec, number: u32) -> &'static str {
    match (&asset.partitions, number) {
        (PartitionsDefinition::Time(_), 1 | 2) => "timestamptz",
        (PartitionsDefinition::Time(_), _) => "date",
        (PartitionsDefinition::Static(_) | PartitionsDefinition::Unpartitioned, _) => "text",
    }
}

/// What came of one `select`.
pub(super) struct Selected {
    pub(super) problems: Vec<Problem>,
    /// What it reads of its upstreams; `None` when PostgreSQL refuses it.
    pub(super) reads: Option<ColumnReads>,
}

/// Verifies the `select` of a sql asset.
pub(super) async fn verify_select(
    connection: &mut PgConnection,
    definitions: &Definitions,
    asset: &AssetSpec,
    sql: &str,
) -> Result<Selected, VerifyError> {
    let statement =
        WithoutParameters::new(sql_text::without_final_semicolon(sql), |number| parameter_type(asset, number));
    match view::describe(connection, &statement, &format!("verifying the SQL of {}", asset.key)).await? {
        Err(refusal) => {
            let place = refusal.byte.map(|byte| SqlPlace::at(sql, byte));
            let remedy = remedy(definitions, asset, sql, &refusal);
            let mut problem = Problem::error(ProblemKind::Sql, asset, refusal.message, remedy).at(place);
            problem.database = Some(refusal.reason);
            Ok(Selected { problems: vec![problem], reads: None })
        }
        Ok(view) => {
            let mut problems = result_problems(asset, sql, &view.columns);
            let reader = Reader { definitions, asset, check: None, sql: Some(sql) };
            let (found, reads) = read_problems(&reader, &view.reads);
            problems.extend(found);
            problems.extend(unrepeatable(asset, sql, &view.functions));
            Ok(Selected { problems, reads: Some(reads) })
        }
    }
}

fn result_problems(asset: &AssetSpec, sql: &str, columns: &[ViewColumn]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut extra: BTreeSet<&str> =
        columns.iter().map(|column| column.name.as_str()).filter(|name| asset.column(name).is_none()).collect();
    let type_name = asset.type_name;
    for field in &asset.columns {
        let (name, wanted) = (&field.name, field.sql_type);
        match columns.iter().find(|column| column.name == *name) {
            None => {
                let near = did_you_mean(name, &extra);
                let place = near.as_ref().and_then(|near| place::find_result_column(sql, near));
                let remedy = match &near {
                    Some(near) => format!("did you mean `{near}`? Then name it `{name}`"),
                    None => format!("add `…::{wanted} as {name}` to the `select`, or take the field away"),
                };
                if let Some(near) = near {
                    extra.remove(near.as_str());
                }
                let problem = format!("its result has no column `{name}`, which is a field of `{type_name}`");
                problems.push(Problem::error(ProblemKind::ResultColumnMissing, asset, problem, remedy).at(place));
            }
            Some(column) if column.base_type != wanted => {
                let problem = format!(
                    "column `{name}` of its result is `{}`, the field of `{type_name}` is `{wanted}`",
                    column.sql_type
                );
                let remedy = match rust_type(&column.sql_type) {
                    Some(other) => format!("cast it: `(…)::{wanted} as {name}`, or give the field the type `{other}`"),
                    None => format!("cast it: `(…)::{wanted} as {name}`"),
                };
                let problem = Problem::error(ProblemKind::ResultColumnType, asset, problem, remedy);
                problems.push(problem.at(place::find_result_column(sql, name)));
            }
            Some(_) => {}
        }
    }
    for column in columns.iter().filter(|column| extra.contains(column.name.as_str())) {
        let name = &column.name;
        let (problem, remedy) = if name == "?column?" {
            ("its result has a column without a name".to_owned(), "name it with `as`, or leave it out".to_owned())
        } else {
            let field = rust_type(&column.sql_type).map(|field| format!(", or add the field `{name}: {field}`"));
            (
                format!("its result has the column `{name}`, which is no field of `{type_name}`"),
                format!("leave it out of the `select`{}", field.unwrap_or_default()),
            )
        };
        let problem = Problem::error(ProblemKind::ResultColumnExtra, asset, problem, remedy);
        problems.push(problem.at(place::find_result_column(sql, name)));
    }
    problems
}

/// Warnings about what makes the result depend on when the statement runs, or on chance.
fn unrepeatable(asset: &AssetSpec, sql: &str, functions: &[Function]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for function in functions {
        let name = &function.name;
        let (kind, problem, remedy) = if function.is_unrepeatable {
            (
                ProblemKind::Unrepeatable,
                format!("`{name}()` gives something else whenever it runs"),
                "take it from the rows or the partition's parameters: otherwise a rebuild changes the rows, and whatever \
                 reads them is rebuilt too",
            )
        } else {
            (
                ProblemKind::OpaqueFunction,
                format!("`{name}()` may read tables, and nobody sees which"),
                "changes of such tables make nothing stale: read them in the `select` itself, or declare the function \
                 `immutable` if it reads none",
            )
        };
        problems.push(Problem::warning(kind, asset, problem, remedy).at(place::find_call(sql, name)));
    }
    let tokens = sql_text::tokens(sql);
    let mut seen = BTreeSet::new();
    for (index, token) in tokens.iter().enumerate() {
        let text = token.text.to_lowercase();
        let before = index.checked_sub(1).map_or_else(String::new, |before| tokens[before].text.to_lowercase());
        let is_word = token.kind == TokenKind::Word
            && PRESENT_WORDS.contains(&text.as_str())
            && !matches!(before.as_str(), "." | "as");
        let is_time_type = |text: &str| matches!(text, "date" | "time" | "timetz" | "timestamp" | "timestamptz");
        let is_cast = tokens.get(index + 1).is_some_and(|next| next.text == "::")
            && tokens.get(index + 2).is_some_and(|cast| is_time_type(&cast.text.to_lowercase()));
        let is_literal = token.kind == TokenKind::String
            && PRESENT_LITERALS.contains(&text.as_str())
            && (is_cast || is_time_type(&before));
        if (is_word || is_literal) && seen.insert(text.clone()) {
            let problem = Problem::warning(
                ProblemKind::Unrepeatable,
                asset,
                format!("`{text}` depends on when it runs"),
                "use the partition's parameters: otherwise a rebuild changes the rows, and whatever reads them is \
                 rebuilt too",
            );
            problems.push(problem.at(Some(SqlPlace::at(sql, token.start))));
        }
    }
    problems
}

/// What to do about a statement that PostgreSQL refuses.
pub(super) fn remedy(definitions: &Definitions, asset: &AssetSpec, sql: &str, refusal: &Refusal) -> String {
    let name = refusal.byte.and_then(|byte| place::name_at(sql, byte));
    let simple = match refusal.reason.sql_state.as_str() {
        "42P01" => return unknown_table(definitions, name),
        "42703" => return unknown_column(definitions, asset, name),
        "42501" => "give the database user that right",
        "42601" => "correct the syntax here, or just before",
        "42701" => "give each column of the result its own name",
        "42702" => "write the table's name or alias before the column",
        "42803" => "put the column into `group by`, or aggregate it",
        "42804" | "42846" => "cast one of the values to the type of the other",
        "42883" => "correct the name, or cast the arguments to the types it takes",
        "42P18" => "cast it to the type it shall have",
        "0A000" => {
            "leave it out: the SQL of an asset must be such that a view could have it, and Karat does the deleting and inserting"
        }
        _ => "correct the SQL",
    };
    simple.to_owned()
}

fn unknown_table(definitions: &Definitions, name: Option<String>) -> String {
    let near = name.and_then(|name| did_you_mean(&name, definitions.assets().map(|asset| asset.key.as_str())));
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "read the table of an asset, and declare it in `type Upstream`".to_owned(),
    }
}

fn unknown_column(definitions: &Definitions, asset: &AssetSpec, name: Option<String>) -> String {
    let Some(name) = name else { return "correct the name".to_owned() };
    let column = name.rsplit_once('.').map_or(name.as_str(), |(_, column)| column);
    let upstreams: Vec<_> = asset.upstreams.iter().filter_map(|upstream| definitions.asset(&upstream.key)).collect();
    let declaring: Option<&AssetKey> =
        upstreams.iter().find(|upstream| upstream.column(column).is_some()).map(|upstream| &upstream.key);
    if let Some(key) = declaring {
        return format!("`{key}` declares such a column: if it is meant, see whether its table has it");
    }
    let names = upstreams.iter().flat_map(|upstream| upstream.columns.iter().map(|column| column.name.as_str()));
    match did_you_mean(column, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "correct the name".to_owned(),
    }
}
