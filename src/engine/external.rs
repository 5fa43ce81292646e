//! Rows of external assets: how collectors and files write, exactly once, with the marks that make readers stale.

use std::sync::Arc;

use sqlx::{PgPool, Row};
use tokio::sync::Mutex;

use super::write::statement;
use crate::asset::compute::{AssetError, RowSink, STAGING_TABLE};
use crate::asset::declare::ExternalAsset;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::asset::statement::{DATE_TYPE, column_list, generated, identifier, text_literal};
use crate::clock::Clock;
use crate::core::partition::{Ordinal, PartitionsDefinition};
use crate::core::policy::WriteMode;
use crate::core::subset::PartitionSubset;
use crate::core::time::start_of_day;
use crate::store::StoreError;
use crate::store::error::Context;
use crate::store::mark::{NewMark, append_marks};

/// What became of rows that were offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Rows that were new.
    pub inserted: u64,
    /// Rows that were there already, by their natural key.
    pub duplicates: u64,
    /// Inserted rows that lie in no partition (before the calendar's first day): stored, but nothing reads them.
    pub outside: u64,
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

/// Writes rows into the table of an external asset, in one transaction with the marks for the partitions they fall into.
///
/// A row whose natural key is there already is left as it is, so that the same input may be written any number of times,
/// by any number of processes; only rows that are really new make marks. `writer` names the source in explanations.
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
    let asset = definitions
        .asset(&R::KEY)
        .filter(|spec| !spec.is_materializable())
        .ok_or_else(|| AppendError::NotExternal(R::KEY.to_string()))?;
    if rows.is_empty() {
        return Ok(Appended::default());
    }
    let zone = text_literal(definitions.calendar().zone.name());
    let transaction = pool
        .begin_with(generated(format!("begin; set local timezone = {zone}")))
        .await
        .context("opening a transaction for new rows")?;
    let shared = Arc::new(Mutex::new(transaction));
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
    let stretch = staged_stretch(&mut transaction, asset).await?;
    let landed = insert_new(&mut transaction, asset, &stretch).await?;
    let marks: Vec<NewMark> = landed
        .iter()
        .filter_map(|(ordinal, count)| {
            ordinal.map(|ordinal| NewMark {
                partition_key: asset.partitions.key(ordinal).as_str().to_owned(),
                ordinal,
                row_count: *count,
            })
        })
        .collect();
    append_marks(&mut transaction, asset.key.as_str(), writer, &marks, clock.now()).await?;
    transaction.commit().await.context("committing new rows")?;
    let count = |filter: fn(&Option<Ordinal>) -> bool| -> u64 {
        landed.iter().filter(|(ordinal, _)| filter(ordinal)).map(|(_, count)| u64::try_from(*count).unwrap_or(0)).sum()
    };
    let inserted = count(|_| true);
    Ok(Appended {
        inserted,
        duplicates: (rows.len() as u64).saturating_sub(inserted),
        outside: count(Option::is_none),
        partitions: PartitionSubset::from_ordinals(marks.iter().map(|mark| mark.ordinal)),
    })
}

/// The partitions that the staged rows may fall into: a stretch of time, or the keys that occur.
enum Staged {
    Everything,
    Keys,
    Time(Vec<Ordinal>),
}

async fn staged_stretch(connection: &mut sqlx::PgConnection, asset: &AssetSpec) -> Result<Staged, AppendError> {
    let column = match (&asset.partitions, &asset.partition_column) {
        (PartitionsDefinition::Unpartitioned, _) | (_, None) => return Ok(Staged::Everything),
        (PartitionsDefinition::Static(_), _) => return Ok(Staged::Keys),
        (PartitionsDefinition::Time(_), Some(column)) => identifier(column),
    };
    let (first, last) = if is_date(asset) {
        let zone = asset.partitions.zone().unwrap_or(chrono_tz::UTC);
        let (first, last): (Option<chrono::NaiveDate>, Option<chrono::NaiveDate>) =
            sqlx::query_as(generated(format!("select min({column}), max({column}) from {STAGING_TABLE}")))
                .fetch_one(connection)
                .await
                .context("reading the span of new rows")?;
        (first.map(|date| start_of_day(date, zone)), last.map(|date| start_of_day(date, zone)))
    } else {
        sqlx::query_as(generated(format!("select min({column}), max({column}) from {STAGING_TABLE}")))
            .fetch_one(connection)
            .await
            .context("reading the span of new rows")?
    };
    let (Some(first), Some(last)) = (first, last) else { return Ok(Staged::Time(Vec::new())) };
    let within = |instant| asset.partitions.ordinal_at(instant);
    // Outside the definition on either side: begin or end with its own first or last partition.
    let from = within(first).unwrap_or_else(|| asset.partitions.first());
    let to = within(last).or_else(|| asset.partitions.last());
    let ordinals = to.map_or_else(Vec::new, |to| asset.partitions.range(from, to).iter().collect());
    Ok(Staged::Time(ordinals))
}

fn is_date(asset: &AssetSpec) -> bool {
    asset
        .partition_column
        .as_ref()
        .and_then(|name| asset.column(name))
        .is_some_and(|column| column.sql_type == DATE_TYPE)
}

/// Moves the staged rows over and counts the new ones by partition; `None` counts those in no partition.
async fn insert_new(
    connection: &mut sqlx::PgConnection,
    asset: &AssetSpec,
    staged: &Staged,
) -> Result<Vec<(Option<Ordinal>, i64)>, AppendError> {
    let columns = column_list(asset);
    let conflict = match &asset.write_mode {
        WriteMode::ReplacePartition => String::new(),
        WriteMode::Append { natural_key } => {
            let key: Vec<String> = natural_key.iter().map(|column| identifier(column)).collect();
            format!(" on conflict ({}) do nothing", key.join(", "))
        }
    };
    let column = asset.partition_column.as_deref().map_or_else(|| "null".to_owned(), identifier);
    let place = match staged {
        Staged::Everything => "'0'".to_owned(),
        Staged::Keys => format!("{column}::text"),
        // No partition at all: `width_bucket` refuses an empty list of bounds.
        Staged::Time(ordinals) if ordinals.is_empty() => "'0'".to_owned(),
        Staged::Time(_) => format!("width_bucket({column}, $1)::text"),
    };
    let sql = format!(
        "with written as (insert into {table} ({columns}) select {columns} from {STAGING_TABLE}{conflict} returning {returned})
         select {place} as place, count(*) as row_count from written group by 1",
        table = asset.key,
        returned = asset.partition_column.as_deref().map_or_else(|| "1".to_owned(), identifier),
    );
    let mut arguments = sqlx::postgres::PgArguments::default();
    if let Staged::Time(ordinals) = staged
        && let Some(last) = ordinals.last()
    {
        let bounds = ordinals.iter().copied().chain([last + 1]);
        let added = if is_date(asset) {
            let dates: Vec<_> = bounds.filter_map(|ordinal| asset.partitions.date(ordinal)).collect();
            sqlx::Arguments::add(&mut arguments, dates)
        } else {
            let starts: Vec<_> =
                bounds.filter_map(|ordinal| asset.partitions.window(ordinal)).map(|window| window.start).collect();
            sqlx::Arguments::add(&mut arguments, starts)
        };
        added.map_err(AssetError::fatal)?;
    }
    let rows = statement(sql, arguments).fetch_all(connection).await.context("inserting new rows")?;
    let mut landed = Vec::with_capacity(rows.len());
    for row in rows {
        let place: Option<String> = row.try_get("place").context("counting new rows")?;
        let row_count: i64 = row.try_get("row_count").context("counting new rows")?;
        let ordinal = match staged {
            Staged::Everything => Some(0),
            Staged::Keys => place.and_then(|key| key.parse().ok()).and_then(|key| asset.partitions.ordinal(&key).ok()),
            Staged::Time(ordinals) => place
                .and_then(|bucket| bucket.parse::<usize>().ok())
                .and_then(|bucket| bucket.checked_sub(1))
                .and_then(|position| ordinals.get(position))
                .copied(),
        };
        landed.push((ordinal, row_count));
    }
    Ok(landed)
}
