//! Checks: assertions on the new rows, evaluated in the attempt's transaction by one statement.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

use super::write::{self, Stretch};
use crate::asset::compute::AssetError;
use crate::asset::spec::AssetSpec;
use crate::asset::statement::{identifier, instant_literal, text_literal};
use crate::core::count::counted;
use crate::core::policy::{AssetCheck, CheckRule};
use crate::core::sql_text;

/// What one check found on a stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check_name: String,
    pub(super) blocking: bool,
    pub(super) passed: bool,
    pub(super) offending_rows: i64,
    pub(super) message: String,
}

/// Evaluates all checks of `asset` on the rows that are now in `stretch`.
///
/// Errors when the statement fails: a check whose SQL is wrong fails the attempt, whether blocking or not.
pub(super) async fn evaluate(
    connection: &mut PgConnection,
    asset: &AssetSpec,
    stretch: &Stretch,
    now: DateTime<Utc>,
) -> Result<Vec<Finding>, AssetError> {
    if asset.checks.is_empty() {
        return Ok(Vec::new());
    }
    let reference = stretch.bounds().map_or(now, |(_, end)| end.min(now));
    let sql = statement(asset, &asset.checks, reference);
    let rows = write::statement(sql, stretch.arguments(asset, false)?).fetch_all(connection).await?;
    let mut findings = Vec::with_capacity(rows.len());
    for row in rows {
        let position: i32 = row.try_get("position")?;
        let offending: i64 = row.try_get("offending")?;
        let found: Option<String> = row.try_get("found")?;
        let Some(check) = usize::try_from(position).ok().and_then(|position| asset.checks.get(position)) else {
            continue;
        };
        findings.push(Finding {
            check_name: check.name.clone(),
            blocking: check.blocking,
            passed: offending == 0,
            offending_rows: offending,
            message: message(&check.rule, offending, found.as_deref()),
        });
    }
    Ok(findings)
}

/// The statement that evaluates `checks` of `asset`, with a row for each; its parameters are those of a stretch. What must
/// be fresh is compared with `reference`.
pub(super) fn statement(asset: &AssetSpec, checks: &[AssetCheck], reference: DateTime<Utc>) -> String {
    let selects: Vec<String> = checks
        .iter()
        .enumerate()
        .map(|(position, check)| {
            let (offending, found) = expressions(check, reference);
            format!("select {position} as position, ({offending})::bigint as offending, ({found})::text as found")
        })
        .collect();
    format!(
        "with partition_rows as not materialized (select * from {} where {}) {}",
        asset.key,
        write::condition(asset),
        selects.join(" union all ")
    )
}

/// Two scalar expressions over `partition_rows`: how many rows offend, and what was found instead.
fn expressions(check: &AssetCheck, reference: DateTime<Utc>) -> (String, String) {
    let nothing = || "null".to_owned();
    match &check.rule {
        CheckRule::NotNull { column } => {
            (format!("select count(*) from partition_rows where {} is null", identifier(column)), nothing())
        }
        CheckRule::Unique { columns } => {
            let columns: Vec<String> = columns.iter().map(|column| identifier(column)).collect();
            let columns = columns.join(", ");
            (
                format!(
                    "select coalesce(sum(copies - 1), 0) from
                     (select count(*) as copies from partition_rows group by {columns} having count(*) > 1) as repeated"
                ),
                nothing(),
            )
        }
        CheckRule::AcceptedValues { column, values } => {
            let values: Vec<String> = values.iter().map(|value| text_literal(value)).collect();
            let offends = format!(
                "{0} is not null and {0}::text <> all (array[{1}]::text[])",
                identifier(column),
                values.join(", ")
            );
            (
                format!("select count(*) from partition_rows where {offends}"),
                format!("select min({}::text) from partition_rows where {offends}", identifier(column)),
            )
        }
        CheckRule::RowCount { at_least, at_most } => {
            let too_many = at_most.map_or_else(|| "false".to_owned(), |at_most| format!("count(*) > {at_most}"));
            (
                format!("select case when count(*) < {at_least} or {too_many} then 1 else 0 end from partition_rows"),
                "select count(*) from partition_rows".to_owned(),
            )
        }
        CheckRule::References { column, asset: referred, target } => {
            let offends = format!(
                "p.{column} is not null and not exists (select from {referred} r where r.{target} = p.{column})",
                column = identifier(column),
                target = identifier(target),
            );
            (
                format!("select count(*) from partition_rows p where {offends}"),
                format!("select min(p.{}::text) from partition_rows p where {offends}", identifier(column)),
            )
        }
        CheckRule::Freshness { column, maximum_age } => {
            let newest = format!("max({})", identifier(column));
            (
                format!(
                    "select case when {newest} >= {} - interval '{} seconds' then 0 else 1 end from partition_rows",
                    instant_literal(reference),
                    maximum_age.as_secs(),
                ),
                format!("select {newest} from partition_rows"),
            )
        }
        CheckRule::Sql { statement } => (
            format!("select count(*) from ({}\n) as offending", sql_text::without_final_semicolon(statement)),
            nothing(),
        ),
    }
}

fn message(rule: &CheckRule, offending: i64, found: Option<&str>) -> String {
    // Values are shown shortened: they come from data.
    let found: String = found.map_or_else(|| "nothing".to_owned(), |found| found.chars().take(100).collect());
    let rows = counted(offending, "row");
    let rows_there = || counted(found.parse::<u64>().unwrap_or(0), "row");
    match (rule, offending) {
        (CheckRule::RowCount { .. }, 0) => rows_there(),
        (CheckRule::Freshness { column, .. }, 0) => format!("newest `{column}` is {found}"),
        (_, 0) => "passed".to_owned(),
        (CheckRule::NotNull { column }, _) => format!("`{column}` is null in {rows}"),
        (CheckRule::Unique { columns }, _) => {
            format!("the value of ({}) is repeated in {rows}", columns.join(", "))
        }
        (CheckRule::AcceptedValues { column, values }, _) => {
            format!("`{column}` has other values than {} in {rows}, for example `{found}`", values.join(", "))
        }
        (CheckRule::RowCount { at_least, at_most }, _) => {
            let bound = at_most.map_or_else(|| format!("at least {at_least}"), |most| format!("{at_least} to {most}"));
            format!("{} where {bound} are expected", rows_there())
        }
        (CheckRule::References { column, asset, target }, _) => {
            format!("`{column}` of {rows} is not in {asset}.{target}, for example `{found}`")
        }
        (CheckRule::Freshness { column, maximum_age }, _) => format!(
            "newest `{column}` is {found}, more than {} before the end of the partition",
            humantime::format_duration(*maximum_age)
        ),
        (CheckRule::Sql { .. }, _) => counted(offending, "offending row"),
    }
}
