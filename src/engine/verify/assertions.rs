//! The checks of an asset, each as the statement that an attempt would run.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::VerifyError;
use super::place::{SqlPlace, WithoutParameters};
use super::reads::{Reader, read_problems};
use super::report::{Problem, ProblemKind};
use super::select::{Selected, parameter_type, remedy};
use super::view;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::policy::{AssetCheck, CheckRule};
use crate::core::sql_text;
use crate::engine::checks;

/// Verifies one check; the asset's table has the columns that the row struct says.
pub(super) async fn verify_check(
    connection: &mut PgConnection,
    definitions: &Definitions,
    asset: &AssetSpec,
    check: &AssetCheck,
) -> Result<Selected, VerifyError> {
    // The statement is not run: any instant will do.
    let whole = checks::statement(asset, std::slice::from_ref(check), DateTime::<Utc>::UNIX_EPOCH);
    let written = match &check.rule {
        CheckRule::Sql { statement } => Some(sql_text::without_final_semicolon(statement)),
        _ => None,
    };
    let statement = WithoutParameters::new(&whole, |number| parameter_type(asset, number));
    let doing = format!("verifying check `{}` of {}", check.name, asset.key);
    match view::describe(connection, &statement, &doing).await? {
        Ok(view) => {
            let reader = Reader { definitions, asset, check: Some(&check.name), sql: written };
            let (problems, reads) = read_problems(&reader, &view.reads);
            Ok(Selected { problems, reads: Some(reads) })
        }
        Err(mut refusal) => {
            // From the statement around it to what the person wrote.
            let start = written.and_then(|written| whole.find(written));
            refusal.byte = refusal.byte.zip(start).and_then(|(byte, start)| byte.checked_sub(start));
            let sql = written.unwrap_or_default();
            let remedy = match written {
                Some(sql) => remedy(definitions, asset, sql, &refusal),
                None => "declare the check for columns of types that can be compared".to_owned(),
            };
            let problem = Problem::error(
                ProblemKind::Check,
                asset,
                format!("check `{}`: {}", check.name, refusal.message),
                remedy,
            );
            let problem = Problem {
                check: Some(check.name.clone()),
                database: Some(refusal.reason),
                ..problem.at(refusal.byte.map(|byte| SqlPlace::at(sql, byte)))
            };
            Ok(Selected { problems: vec![problem], reads: None })
        }
    }
}
