//! Rows of external assets: how collectors and files write, exactly once, with the marks that make readers stale.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::Mutex;

use super::landing::{Landing, LandingError, land};
use super::marks::is_date;
use crate::asset::compute::{AssetError, RowSink, staging_table};
use crate::asset::declare::ExternalAsset;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::asset::statement::{column_list, date_literal, generated, identifier, instant_literal, text_literal};
use crate::clock::Clock;
use crate::core::count::counted;
use crate::core::key::AssetKey;
use crate::core::policy::WriteMode;
use crate::core::subset::PartitionSubset;
use crate::store::StoreError;
use crate::store::audit::NewAudit;
use crate::store::error::Context;
use crate::store::quarantine::{LateRows, quarantine_staged, record_decision, stage_waiting};
use crate::store::signal::{Signal, send};

/// Where rows from quarantine are staged.
const RELEASED_TABLE: &str = "pg_temp.karat_released";

/// Who brought rows that a person let in after all.
const RELEASED_WRITER: &str = "released from quarantine";

/// What became of rows that were offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Rows that were new.
    pub inserted: u64,
    /// Rows that were there already, by their natural key.
    pub duplicates: u64,
    /// Inserted rows that lie in no partition (before the calendar's first day): stored, but nothing reads them.
    pub outside: u64,
    /// Rows that came later than the asset's `LATE_LIMIT` allows: kept in quarantine, not inserted.
    pub quarantined: u64,
    /// The partitions in which new rows lie.
    pub partitions: PartitionSubset,
}

/// Why rows were not written; none of them was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The asset is not among the definitions.
    #[error("{0} is not defined as an external asset: register it with `Definitions::builder(…).external`")]
    NotExternal(String),
    /// A row could not be stored.
    #[error(transparent)]
    Row(#[from] AssetError),
    /// The database could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LandingError> for AppendError {
    fn from(error: LandingError) -> Self {
        match error {
            LandingError::Row(error) => Self::Row(error),
            LandingError::Store(error) => Self::Store(error),
        }
    }
}

/// Writes rows into the table of an external asset, in one transaction with the marks for the partitions they fall into.
///
/// A row whose natural key is there already is left as it is, so that the same input may be written any number of times,
/// by any number of processes; only rows that are really new make marks. Rows that come later than the asset's
/// `LATE_LIMIT` allows go into quarantine instead, once each. `writer` names the source in explanations.
///
/// # Errors
/// [`AppendError`]; nothing was written then.
pub async fn append_rows<R: ExternalAsset>(
    pool: &PgPool,
    definitions: &Definitions,
    clock: &dyn Clock,
    writer: &str,
    rows: &[R],
) -> Result<Appended, AppendError> {
    let asset = external(definitions, &R::KEY)?;
    if rows.is_empty() {
        return Ok(Appended::default());
    }
    let shared = Arc::new(Mutex::new(begin(pool, definitions).await?));
    let sink = RowSink::new(asset.clone(), shared.clone());
    for row in rows {
        sink.push(|encoder| row.encode(encoder)).await?;
    }
    sink.finish().await?;
    drop(sink);
    let Some(transaction) = Arc::into_inner(shared) else {
        return Err(AppendError::Row(AssetError::fatal("the rows' transaction is still in use")));
    };
    let mut transaction = transaction.into_inner();
    let now = clock.now();
    let quarantined = match late_rows(asset, now) {
        Some(late) => quarantine_staged(&mut transaction, &late, writer, now).await?,
        None => 0,
    };
    let landing = land(&mut transaction, asset, &staging_table(asset), &column_list(asset), writer, now).await?;
    transaction.commit().await.context("committing new rows")?;
    wake(pool, &landing).await;
    Ok(appended(landing, rows.len() as u64, quarantined))
}

/// Puts rows that wait in quarantine into the table after all, with marks; `None` for all that wait for `asset`.
///
/// Rows that are not waiting any more are left alone. A row that is in the table by now counts as duplicate. If any was
/// waiting, `audit` is recorded with how many.
///
/// # Errors
/// [`AppendError`]; nothing was released then.
pub async fn release_rows(
    pool: &PgPool,
    definitions: &Definitions,
    clock: &dyn Clock,
    asset: &AssetKey,
    ids: Option<&[i64]>,
    audit: Option<NewAudit<'_>>,
) -> Result<Appended, AppendError> {
    let asset = external(definitions, asset)?;
    let mut transaction = begin(pool, definitions).await?;
    let now = clock.now();
    let mut landing = Landing::default();
    let mut rows = 0;
    // Rows of one shape at a time: what a row does not say is left to the table's defaults.
    while let Some(staged) = stage_waiting(&mut transaction, asset.key.as_str(), RELEASED_TABLE, ids, now).await? {
        let columns: Vec<String> = staged.columns.iter().map(|column| identifier(column)).collect();
        let columns = columns.join(", ");
        landing = landing.and(&land(&mut transaction, asset, RELEASED_TABLE, &columns, RELEASED_WRITER, now).await?);
        rows += staged.rows;
        let drop = generated(format!("drop table {RELEASED_TABLE}"));
        sqlx::query(drop).execute(&mut *transaction).await.context("releasing rows from quarantine")?;
    }
    record_decision(&mut transaction, audit, rows).await?;
    transaction.commit().await.context("releasing rows from quarantine")?;
    wake(pool, &landing).await;
    Ok(appended(landing, rows, 0))
}

fn external<'d>(definitions: &'d Definitions, key: &AssetKey) -> Result<&'d Arc<AssetSpec>, AppendError> {
    definitions
        .asset(key)
        .filter(|spec| !spec.is_materializable())
        .ok_or_else(|| AppendError::NotExternal(key.to_string()))
}

/// Opens a transaction of a writer that makes its own marks.
async fn begin(pool: &PgPool, definitions: &Definitions) -> Result<Transaction<'static, Postgres>, AppendError> {
    let zone = text_literal(definitions.calendar().zone.name());
    let begin = format!("begin; set local timezone = {zone}; set local karat.marked = 'on'");
    Ok(pool.begin_with(generated(begin)).await.context("opening a transaction for new rows")?)
}

/// Tells those who wait for marks. Whoever misses it looks by itself a little later.
async fn wake(pool: &PgPool, landing: &Landing) {
    if !landing.partitions.is_empty()
        && let Err(error) = send(pool, Signal::Mark).await
    {
        tracing::debug!(%error, "nobody was told that rows landed");
    }
}

fn appended(landing: Landing, offered: u64, quarantined: u64) -> Appended {
    Appended {
        inserted: landing.inserted,
        duplicates: offered.saturating_sub(landing.inserted + quarantined),
        outside: landing.outside,
        quarantined,
        partitions: landing.partitions,
    }
}

/// Which staged rows come too late; `None` for an asset that takes all.
fn late_rows(asset: &AssetSpec, now: DateTime<Utc>) -> Option<LateRows> {
    let limit = asset.late_limit?;
    let time = asset.partitions.as_time()?;
    let cutoff = now.checked_sub_signed(TimeDelta::from_std(limit).ok()?)?;
    // The partition in which the limit lies ends within it.
    let first = time.at(cutoff);
    let start = if is_date(asset) {
        date_literal(asset.partitions.date(first)?)
    } else {
        instant_literal(asset.partitions.window(first)?.start)
    };
    Some(LateRows {
        asset_key: asset.key.to_string(),
        staging_table: staging_table(asset),
        condition: format!("{} < {start}", identifier(asset.partition_column.as_deref()?)),
        natural_key: match &asset.write_mode {
            WriteMode::ReplacePartition => Vec::new(),
            WriteMode::Append { natural_key } => natural_key.clone(),
        },
        reason: format!("its partition ended more than {} before it came", limit_text(limit)),
    })
}

/// A limit in words: `30 days`, `36 hours`.
pub(crate) fn limit_text(limit: Duration) -> String {
    let seconds = limit.as_secs();
    let (unit, size) = [("day", 86_400), ("hour", 3_600), ("minute", 60)]
        .into_iter()
        .find(|(_, size)| seconds >= *size && seconds.is_multiple_of(*size))
        .unwrap_or(("second", 1));
    counted(seconds / size, unit)
}
