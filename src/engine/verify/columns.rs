//! Where the columns of a `select` come from.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{Column, Connection, Executor, PgConnection, SqlSafeStr, Statement};

use super::place::WithoutParameters;
use super::select::{parameter_type, verify_select};
use super::{ColumnReads, LOCK_LIMIT, VerifyError};
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::asset::statement::{generated, text_literal};
use crate::core::key::AssetKey;
use crate::core::sql_text;

/// How long PostgreSQL may think about one statement.
const STATEMENT_LIMIT: Duration = Duration::from_secs(3);

/// Which columns of its upstreams feed an asset, and which of its own are taken over from them as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSources {
    /// The columns that are read of each upstream.
    pub reads: ColumnReads,
    /// Columns of the asset that are a column of an upstream and no more: the upstream and its column. All others are
    /// computed.
    pub taken: BTreeMap<String, (AssetKey, String)>,
}

/// Where the columns of an asset come from, as PostgreSQL understands its `select`; `None` when it refuses it. A rust
/// asset reads whole rows and computes all columns; an external one reads nothing.
///
/// Takes the locks of a reader for a moment, waits for none longer than a second, and changes nothing.
///
/// # Errors
/// When the database could not be asked.
pub async fn column_sources(
    connection: &mut PgConnection,
    definitions: &Definitions,
    asset: &AssetSpec,
) -> Result<Option<ColumnSources>, VerifyError> {
    let sql = match (&asset.sql, asset.kind) {
        (Some(sql), _) => sql,
        (None, AssetKind::External) => return Ok(Some(ColumnSources::default())),
        (None, _) => {
            let upstreams = asset.upstreams.iter().filter_map(|upstream| definitions.asset(&upstream.key));
            let names = |spec: &AssetSpec| spec.columns.iter().map(|column| column.name.clone()).collect();
            let reads = upstreams.map(|spec| (spec.key.clone(), names(spec))).collect();
            return Ok(Some(ColumnSources { reads, taken: BTreeMap::new() }));
        }
    };
    let doing = format!("finding where the columns of {} come from", asset.key);
    let failed = |error| VerifyError::database(&doing, error);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let settings = format!(
        "set local lock_timeout = {}; set local statement_timeout = {}; set local timezone = {}",
        LOCK_LIMIT.as_millis(),
        STATEMENT_LIMIT.as_millis(),
        text_literal(definitions.calendar().zone.name()),
    );
    sqlx::raw_sql(generated(settings)).execute(&mut *transaction).await.map_err(failed)?;
    let reads = verify_select(&mut transaction, definitions, asset, sql).await?.reads;
    let sources = match reads {
        None => None,
        Some(reads) => {
            let statement =
                WithoutParameters::new(sql_text::without_final_semicolon(sql), |number| parameter_type(asset, number));
            let text = generated(statement.text().to_owned()).into_sql_str();
            let prepared = (&mut *transaction).prepare(text).await.map_err(failed)?;
            let taken = prepared.columns().iter().filter_map(|column| {
                let origin = column.origin();
                let origin = origin.table_column()?;
                let upstream = upstream_named(asset, &origin.table)?;
                Some((column.name().to_owned(), (upstream.clone(), origin.name.to_string())))
            });
            Some(ColumnSources { reads, taken: taken.collect() })
        }
    };
    transaction.rollback().await.map_err(failed)?;
    Ok(sources)
}

/// The upstream whose table PostgreSQL calls so: without the schema where the search path finds it, and in quotes where
/// the name is a key word.
fn upstream_named<'a>(asset: &'a AssetSpec, table: &str) -> Option<&'a AssetKey> {
    let table = table.replace('"', "");
    let keys = || asset.upstreams.iter().map(|upstream| &upstream.key);
    keys().find(|key| key.as_str() == table).or_else(|| keys().find(|key| key.table() == table))
}
