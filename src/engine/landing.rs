//! Staged rows on their way into the table of an external asset, with the marks for the partitions they fall into.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, Row};

use super::marks::{is_date, ordinals_of};
use super::write::statement;
use crate::asset::compute::AssetError;
use crate::asset::spec::AssetSpec;
use crate::asset::statement::{generated, identifier};
use crate::core::partition::{Ordinal, PartitionsDefinition};
use crate::core::policy::WriteMode;
use crate::core::subset::PartitionSubset;
use crate::core::time::start_of_day;
use crate::store::StoreError;
use crate::store::error::Context;
use crate::store::mark::{NewMark, append_marks};

/// What became of staged rows.
#[derive(Debug, Default)]
pub(super) struct Landing {
    /// Rows that were new.
    pub(super) inserted: u64,
    /// Of those, the ones that lie in no partition of the definition.
    pub(super) outside: u64,
    /// The partitions in which new rows lie.
    pub(super) partitions: PartitionSubset,
}

impl Landing {
    /// The same with what became of further rows.
    pub(super) fn and(self, more: &Self) -> Self {
        Self {
            inserted: self.inserted + more.inserted,
            outside: self.outside + more.outside,
            partitions: self.partitions.union(&more.partitions),
        }
    }
}

/// New rows of one place.
struct Landed {
    place: Option<Ordinal>,
    /// Values of the partition column that lie in no partition of the definition.
    stretch: Option<(DateTime<Utc>, DateTime<Utc>)>,
    row_count: i64,
}

/// Moves the rows of `staging_table` into the table, as far as they are new, and appends the marks.
///
/// Rows before the definition's first partition are marked too, under the number that their partition would have: when
/// the first day moves back, what reads them knows.
pub(super) async fn land(
    connection: &mut PgConnection,
    asset: &AssetSpec,
    staging_table: &str,
    columns: &str,
    writer: &str,
    now: DateTime<Utc>,
) -> Result<Landing, LandingError> {
    let stretch = staged_stretch(connection, asset, staging_table).await?;
    let landed = insert_new(connection, asset, staging_table, columns, &stretch).await?;
    let mut by_partition: BTreeMap<Ordinal, i64> = BTreeMap::new();
    let mut landing = Landing::default();
    for Landed { place, stretch, row_count } in landed {
        let rows = u64::try_from(row_count).unwrap_or(0);
        landing.inserted += rows;
        if place.is_none() {
            landing.outside += rows;
        }
        let outside = || stretch.and_then(|(first, last)| ordinals_of(asset, first, last));
        let (first, last) = place.map(|ordinal| (ordinal, ordinal)).or_else(outside).unwrap_or((0, -1));
        for ordinal in first..=last {
            *by_partition.entry(ordinal).or_default() += if ordinal == first { row_count } else { 0 };
        }
    }
    landing.partitions = asset.partitions.restrict(&PartitionSubset::from_ordinals(by_partition.keys().copied()));
    let marks: Vec<NewMark> = by_partition
        .into_iter()
        .map(|(ordinal, row_count)| NewMark {
            partition_key: asset.partitions.key(ordinal).as_str().to_owned(),
            ordinal,
            row_count,
        })
        .collect();
    append_marks(connection, asset.key.as_str(), writer, &marks, now).await?;
    Ok(landing)
}

/// Why staged rows did not land.
#[derive(Debug, thiserror::Error)]
pub(super) enum LandingError {
    #[error(transparent)]
    Row(#[from] AssetError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The partitions that the staged rows may fall into: a stretch of time, or the keys that occur.
enum Staged {
    Everything,
    Keys,
    Time(Vec<Ordinal>),
}

async fn staged_stretch(
    connection: &mut PgConnection,
    asset: &AssetSpec,
    staging_table: &str,
) -> Result<Staged, LandingError> {
    const DOING: &str = "reading the span of new rows";
    let column = match (&asset.partitions, &asset.partition_column) {
        (PartitionsDefinition::Unpartitioned, _) | (_, None) => return Ok(Staged::Everything),
        (PartitionsDefinition::Static(_), _) => return Ok(Staged::Keys),
        (PartitionsDefinition::Time(_), Some(column)) => identifier(column),
    };
    // What no calendar date can say is in no partition.
    let span = format!(
        "select min({column}), max({column}) from {staging_table} where {column} >= '0001-01-01' and {column} < '9999-12-31'"
    );
    let (first, last) = if is_date(asset) {
        let zone = asset.partitions.zone().unwrap_or(chrono_tz::UTC);
        let (first, last): (Option<NaiveDate>, Option<NaiveDate>) =
            sqlx::query_as(generated(span)).fetch_one(connection).await.context(DOING)?;
        (first.map(|date| start_of_day(date, zone)), last.map(|date| start_of_day(date, zone)))
    } else {
        sqlx::query_as(generated(span)).fetch_one(connection).await.context(DOING)?
    };
    let (Some(first), Some(last)) = (first, last) else { return Ok(Staged::Time(Vec::new())) };
    let within = |instant| asset.partitions.ordinal_at(instant);
    // Outside the definition on either side: begin or end with its own first or last partition.
    let from = within(first).unwrap_or_else(|| asset.partitions.first());
    let to = within(last).or_else(|| asset.partitions.last());
    let ordinals = to.map_or_else(Vec::new, |to| asset.partitions.range(from, to).iter().collect());
    Ok(Staged::Time(ordinals))
}

/// Moves the staged rows over and counts the new ones by place.
async fn insert_new(
    connection: &mut PgConnection,
    asset: &AssetSpec,
    staging_table: &str,
    columns: &str,
    staged: &Staged,
) -> Result<Vec<Landed>, LandingError> {
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
    let at = match staged {
        Staged::Everything | Staged::Keys => "null::timestamptz".to_owned(),
        Staged::Time(ordinals) => {
            let value = if is_date(asset) { format!("{column}::timestamp at time zone 'UTC'") } else { column.clone() };
            // Only rows before the first and after the last bound are told apart further.
            format!(
                "case when ({place}) in ('0', '{after}') and {column} >= '0001-01-01' and {column} < '9999-12-31' then {value} end",
                after = if ordinals.is_empty() { 0 } else { ordinals.len() + 1 },
            )
        }
    };
    let sql = format!(
        "with written as (insert into {table} ({columns}) select {columns} from {staging_table}{conflict} returning {returned})
         select place, count(*) as row_count, min(at) as first_at, max(at) as last_at
         from (select {place} as place, {at} as at from written) placed
         group by place, date_bin('15 minutes', at, timestamptz '2000-01-01 00:00+00')",
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
    const DOING: &str = "inserting new rows";
    let rows = statement(sql, arguments).fetch_all(connection).await.context(DOING)?;
    let mut landed = Vec::with_capacity(rows.len());
    for row in rows {
        let place: Option<String> = row.try_get("place").context(DOING)?;
        let first: Option<DateTime<Utc>> = row.try_get("first_at").context(DOING)?;
        let last: Option<DateTime<Utc>> = row.try_get("last_at").context(DOING)?;
        let place = match staged {
            Staged::Everything => Some(0),
            Staged::Keys => place.and_then(|key| key.parse().ok()).and_then(|key| asset.partitions.ordinal(&key).ok()),
            Staged::Time(ordinals) => place
                .and_then(|bucket| bucket.parse::<usize>().ok())
                .and_then(|bucket| bucket.checked_sub(1))
                .and_then(|position| ordinals.get(position))
                .copied(),
        };
        landed.push(Landed { place, stretch: first.zip(last), row_count: row.try_get("row_count").context(DOING)? });
    }
    Ok(landed)
}
