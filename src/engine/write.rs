//! Writing rows: one statement deletes a stretch of partitions, one inserts it and tells what was inserted.
//!
//! Statements are the same text for every partition of an asset, so that the server plans them once per connection.
//! Parameters are numbered as in an asset's own `select`: for time partitions `$1` and `$2` are the instants of the
//! stretch, `$3` its first date, `$4` the date after its last, `$5` the boundaries of its partitions; for static
//! partitions `$1` is the key.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Arguments, PgConnection, Postgres, Row};

use crate::asset::compute::{AssetError, staging_table};
use crate::asset::spec::AssetSpec;
use crate::asset::statement::{DATE_TYPE, column_list, generated, identifier};
use crate::core::count::counted;
use crate::core::partition::{Ordinal, PartitionsDefinition};
use crate::core::policy::WriteMode;
use crate::core::sql_text;

/// Where new rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowSource {
    /// The asset's `select`.
    Select,
    /// The rows a rust asset pushed.
    Staged,
    /// A rust asset that pushed nothing.
    Nothing,
}

/// The stretch of adjacent partitions that a statement is about, in every form a statement may want.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) ordinals: Vec<Ordinal>,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Everything,
    Key(String),
    Time { start: DateTime<Utc>, end: DateTime<Utc>, dates: Vec<NaiveDate>, instants: Vec<DateTime<Utc>> },
}

/// What is in one partition after writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) row_count: i64,
    pub(super) data_version: String,
}

impl Stretch {
    /// The partitions of `asset` with these ordinals, which are adjacent and in order.
    ///
    /// Errors (fatal) when an ordinal is no partition of a time-partitioned asset.
    pub(super) fn new(asset: &AssetSpec, ordinals: Vec<Ordinal>) -> Result<Self, AssetError> {
        let place = match &asset.partitions {
            PartitionsDefinition::Unpartitioned => Place::Everything,
            PartitionsDefinition::Static(_) => Place::Key(asset.partitions.key(ordinals[0]).as_str().to_owned()),
            definition @ PartitionsDefinition::Time(_) => {
                let windows: Option<Vec<_>> = ordinals.iter().map(|&ordinal| definition.window(ordinal)).collect();
                let dates: Option<Vec<_>> = ordinals.iter().map(|&ordinal| definition.date(ordinal)).collect();
                let after = ordinals.last().and_then(|&last| definition.date(last + 1));
                match (windows, dates, after) {
                    (Some(windows), Some(mut dates), Some(after)) if !windows.is_empty() => {
                        let start = windows[0].start;
                        let end = windows[windows.len() - 1].end;
                        let instants = windows.iter().map(|window| window.start).chain([end]).collect();
                        // An hour's "date after" is the day after its date, as a date column cannot say more.
                        dates.push(if after > dates[dates.len() - 1] {
                            after
                        } else {
                            after.succ_opt().unwrap_or(after)
                        });
                        Place::Time { start, end, dates, instants }
                    }
                    _ => return Err(AssetError::fatal(format!("{} has no such partition", asset.key))),
                }
            }
        };
        Ok(Self { ordinals, place })
    }

    /// Instants of the whole stretch; `None` unless partitioned by time.
    pub(super) const fn bounds(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        match &self.place {
            Place::Time { start, end, .. } => Some((*start, *end)),
            _ => None,
        }
    }

    /// The parameters of a statement about this stretch; `boundaries` adds `$5`.
    pub(super) fn arguments(&self, asset: &AssetSpec, boundaries: bool) -> Result<PgArguments, AssetError> {
        let mut arguments = PgArguments::default();
        let added = match &self.place {
            Place::Everything => Ok(()),
            Place::Key(key) => arguments.add(key.as_str()),
            Place::Time { start, end, dates, instants } => arguments
                .add(*start)
                .and_then(|()| arguments.add(*end))
                .and_then(|()| arguments.add(dates[0]))
                .and_then(|()| arguments.add(dates[dates.len() - 1]))
                .and_then(|()| match (boundaries, is_date_column(asset)) {
                    (false, _) => Ok(()),
                    (true, true) => arguments.add(dates.as_slice()),
                    (true, false) => arguments.add(instants.as_slice()),
                }),
        };
        added.map_err(AssetError::fatal)?;
        Ok(arguments)
    }
}

fn is_date_column(asset: &AssetSpec) -> bool {
    asset
        .partition_column
        .as_ref()
        .and_then(|name| asset.column(name))
        .is_some_and(|column| column.sql_type == DATE_TYPE)
}

/// The condition that holds for the rows of a stretch.
pub(super) fn condition(asset: &AssetSpec) -> String {
    match (&asset.partitions, &asset.partition_column) {
        (PartitionsDefinition::Unpartitioned, _) | (_, None) => "true".to_owned(),
        (PartitionsDefinition::Static(_), Some(column)) => format!("{} = $1", identifier(column)),
        (PartitionsDefinition::Time(_), Some(column)) => {
            let (from, to) = if is_date_column(asset) { ("$3", "$4") } else { ("$1", "$2") };
            format!("{0} >= {from} and {0} < {to}", identifier(column))
        }
    }
}

/// An expression that numbers the partitions of a stretch from 1; anything else is outside.
fn bucket(asset: &AssetSpec) -> String {
    match (&asset.partitions, &asset.partition_column) {
        (PartitionsDefinition::Unpartitioned, _) | (_, None) => "1".to_owned(),
        (PartitionsDefinition::Static(_), Some(column)) => {
            format!("case when {} = $1 then 1 else 0 end", identifier(column))
        }
        (PartitionsDefinition::Time(_), Some(column)) => {
            format!("coalesce(width_bucket({}, $5), 0)", identifier(column))
        }
    }
}

/// Deletes the rows of the stretch, unless the asset keeps what it has.
pub(super) async fn delete(
    connection: &mut PgConnection,
    asset: &AssetSpec,
    stretch: &Stretch,
) -> Result<(), AssetError> {
    if asset.write_mode != WriteMode::ReplacePartition {
        return Ok(());
    }
    let sql = format!("delete from {} where {}", asset.key, condition(asset));
    statement(sql, stretch.arguments(asset, false)?).execute(connection).await?;
    Ok(())
}

/// Inserts the new rows and returns what each partition of the stretch then holds.
///
/// Errors (fatal) when a row lies outside the stretch; the caller rolls back.
pub(super) async fn insert(
    connection: &mut PgConnection,
    asset: &AssetSpec,
    stretch: &Stretch,
    source: RowSource,
) -> Result<Vec<Content>, AssetError> {
    let rows = match source {
        RowSource::Nothing => None,
        RowSource::Staged => Some(staging_table(asset)),
        RowSource::Select => {
            let select = asset.sql.as_deref().unwrap_or_default();
            Some(format!("({}\n) as source", sql_text::without_final_semicolon(select)))
        }
    };
    let columns = column_list(asset);
    let conflict = match &asset.write_mode {
        WriteMode::ReplacePartition => String::new(),
        WriteMode::Append { natural_key } => {
            let key: Vec<String> = natural_key.iter().map(|column| identifier(column)).collect();
            format!(" on conflict ({}) do nothing", key.join(", "))
        }
    };
    let written = match rows {
        None => Vec::new(),
        Some(rows) => {
            // Only a number and a hash leave the insertion: whole rows would be copied once more.
            let sql = format!(
                "with written as (
                     insert into {table} ({columns}) select {columns} from {rows}{conflict}
                     returning {bucket} as bucket, hash_record_extended(row({columns}), 0) as hash
                 )
                 select bucket, count(*) as row_count, sum(hash)::text as hash from written group by 1",
                table = asset.key,
                bucket = bucket(asset),
            );
            statement(sql, stretch.arguments(asset, true)?).fetch_all(&mut *connection).await?
        }
    };
    let contents = contents(asset, stretch, &written)?;
    if asset.write_mode == WriteMode::ReplacePartition {
        return Ok(contents);
    }
    // Appended rows are only part of the partition: its version is that of all its rows.
    let sql = format!(
        "select {bucket} as bucket, count(*) as row_count, sum(hash_record_extended(row({columns}), 0))::text as hash
         from {table} where {condition} group by 1",
        bucket = bucket(asset),
        table = asset.key,
        condition = condition(asset),
    );
    let present = statement(sql, stretch.arguments(asset, true)?).fetch_all(&mut *connection).await?;
    self::contents(asset, stretch, &present)
}

fn contents(asset: &AssetSpec, stretch: &Stretch, rows: &[sqlx::postgres::PgRow]) -> Result<Vec<Content>, AssetError> {
    let mut contents = vec![Content { row_count: 0, data_version: data_version(0, "0") }; stretch.ordinals.len()];
    let mut outside = 0;
    for row in rows {
        let bucket: i32 = row.try_get("bucket")?;
        let row_count: i64 = row.try_get("row_count")?;
        let hash: String = row.try_get("hash")?;
        match usize::try_from(bucket).ok().and_then(|bucket| bucket.checked_sub(1)).and_then(|at| contents.get_mut(at))
        {
            Some(content) => *content = Content { row_count, data_version: data_version(row_count, &hash) },
            None => outside += row_count,
        }
    }
    if outside > 0 {
        let first = asset.partitions.key(stretch.ordinals[0]);
        let last = asset.partitions.key(stretch.ordinals[stretch.ordinals.len() - 1]);
        let partition = if first == last { first.to_string() } else { format!("{first}..{last}") };
        return Err(AssetError::fatal(RowsOutsidePartition {
            asset: asset.key.to_string(),
            column: asset.partition_column.clone().unwrap_or_default(),
            partition,
            rows: outside,
            file: asset.source_file,
        }));
    }
    Ok(contents)
}

/// Rows that do not belong to the partition that was being built.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} of {asset} outside partition {partition}: `{column}` is null or belongs to another partition. \
     Restrict the rows to the partition's window ($1 <= time < $2) in {file}; nothing was written",
    counted(*.rows, "row")
)]
pub(super) struct RowsOutsidePartition {
    asset: String,
    column: String,
    partition: String,
    rows: i64,
    file: &'static str,
}

/// The count and the order-independent hash of the rows (the sum of PostgreSQL's record hashes, which depend on neither
/// time zone nor output format), modulo 2^64.
fn data_version(row_count: i64, hash_sum: &str) -> String {
    let sum = hash_sum.parse::<i128>().unwrap_or(0);
    let low = u64::try_from(sum.rem_euclid(1 << 64)).unwrap_or(0);
    format!("{row_count}:{low:016x}")
}

/// A statement of ours with its parameters.
pub(super) fn statement(sql: String, arguments: PgArguments) -> Query<'static, Postgres, PgArguments> {
    sqlx::query_with(generated(sql), arguments)
}
