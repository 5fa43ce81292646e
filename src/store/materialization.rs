//! Materializations: which version of a partition is current, and what it was made of.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// The current version of a partition, as far as staleness needs it.
#[derive(Clone, Debug, FromRow)]
pub struct CurrentVersion {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// Its ordinal when it was built.
    pub ordinal: i64,
    /// Hash of the content.
    pub data_version: String,
    /// Hash of the declaration that built it.
    pub code_version: String,
    /// Upstream asset → digest of the versions read.
    pub input_versions: Value,
    /// Published before its window closed.
    pub open: bool,
    /// Required inputs were missing.
    pub incomplete: bool,
    /// Rows in it.
    pub row_count: i64,
    /// When it was published.
    pub materialized_at: DateTime<Utc>,
    /// The run that published it.
    pub run_id: Uuid,
    /// When that run ended, in the order of launches and ends of runs; later than anything while it is live, before
    /// anything when it is so old that it is not kept any more.
    pub run_finish_number: i64,
    /// What the attempt could see, as text (`xmin:xmax:xip,…`).
    pub snapshot: String,
}

/// A range of an asset's partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The asset.
    pub asset_key: String,
    /// First ordinal, inclusive.
    pub first: i64,
    /// Last ordinal, inclusive.
    pub last: i64,
}

const CURRENT_COLUMNS: &str = "m.asset_key, m.partition_key, m.ordinal, m.data_version, m.code_version, m.input_versions, \
     m.open, m.incomplete_inputs is not null as incomplete, m.row_count, m.materialized_at, m.run_id, \
     coalesce((select coalesce(r.finish_number, 9223372036854775807) from karat.run r where r.run_id = m.run_id), 0) \
     as run_finish_number, \
     m.snapshot::text as snapshot";

/// The current version of a partition, as far as somebody who reads it has to know.
#[derive(Clone, Debug)]
pub struct ReadVersion {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// Its ordinal when it was built.
    pub ordinal: i64,
    /// Hash of the content.
    pub data_version: String,
}

/// A version around an asset.
#[derive(Clone, Debug)]
pub enum FoundVersion {
    /// Of the asset itself.
    Own(CurrentVersion),
    /// Of something that it reads.
    Read(ReadVersion),
}

impl<'r> FromRow<'r, PgRow> for FoundVersion {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        // By position: names would be looked up for each of many rows.
        if row.try_get(4)? {
            return CurrentVersion::from_row(row).map(Self::Own);
        }
        Ok(Self::Read(ReadVersion {
            asset_key: row.try_get(0)?,
            partition_key: row.try_get(1)?,
            ordinal: row.try_get(2)?,
            data_version: row.try_get(3)?,
        }))
    }
}

/// The current versions in the ranges `own`, and those in the ranges `read`, as this transaction sees them: what lies in
/// several ranges is found for each.
///
/// Some read a long history: what nobody asks of it is neither computed nor sent.
///
/// # Errors
/// When the statement fails.
pub async fn versions_in(
    connection: &mut PgConnection,
    own: &[VersionRange],
    read: &[VersionRange],
) -> Result<Vec<FoundVersion>, StoreError> {
    sqlx::query_as(include_str!("sql/versions_in.sql"))
        .bind(own.iter().map(|range| range.asset_key.as_str()).collect::<Vec<_>>())
        .bind(own.iter().map(|range| range.first).collect::<Vec<_>>())
        .bind(own.iter().map(|range| range.last).collect::<Vec<_>>())
        .bind(read.iter().map(|range| range.asset_key.as_str()).collect::<Vec<_>>())
        .bind(read.iter().map(|range| range.first).collect::<Vec<_>>())
        .bind(read.iter().map(|range| range.last).collect::<Vec<_>>())
        .fetch_all(connection)
        .await
        .context("reading the versions of the inputs")
}

/// The snapshot that sees nothing: every mark is newer.
pub const SEES_NOTHING: &str = "3:3:";

/// A question whether rows landed in an external asset after a materialization looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkQuestion {
    /// Which answer belongs to which question.
    pub question: i64,
    /// The external asset.
    pub asset_key: String,
    /// Where in it.
    pub place: MarkPlace,
    /// What the materialization could see.
    pub snapshot: String,
}

/// A part of an external asset, as marks name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkPlace {
    /// Partitions made of time.
    Time {
        /// First ordinal, inclusive.
        first: i64,
        /// Last ordinal, inclusive.
        last: i64,
        /// From this value of the partition column on; of a `date` column the date as midnight in UTC.
        start: DateTime<Utc>,
        /// Up to this value, which is excluded.
        end: DateTime<Utc>,
    },
    /// A partition known by its key alone: its position may move.
    Key(String),
}

/// Rows that landed after a materialization looked.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct UnseenMarks {
    /// The question answered.
    pub question: i64,
    /// The external asset.
    pub asset_key: String,
    /// How many rows came.
    pub row_count: i64,
    /// How many rows went.
    pub rows_removed: i64,
    /// When the first of them came or went.
    pub since: DateTime<Utc>,
    /// When the newest of them did.
    pub newest: DateTime<Utc>,
    /// Who wrote them.
    pub writers: Vec<String>,
}

/// The marks that each questioned materialization could not see; questions without any have no answer.
///
/// # Errors
/// When the statement fails.
pub async fn unseen_marks(
    connection: &mut PgConnection,
    questions: &[MarkQuestion],
) -> Result<Vec<UnseenMarks>, StoreError> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let ordinals = |question: &MarkQuestion| match question.place {
        MarkPlace::Time { first, last, .. } => (first, last),
        MarkPlace::Key(_) => (i64::MIN, i64::MAX),
    };
    let stretch = |question: &MarkQuestion| match question.place {
        MarkPlace::Time { start, end, .. } => Some((start, end)),
        MarkPlace::Key(_) => None,
    };
    let key = |question: &MarkQuestion| match &question.place {
        MarkPlace::Time { .. } => None,
        MarkPlace::Key(key) => Some(key.clone()),
    };
    sqlx::query_as(include_str!("sql/unseen_marks.sql"))
        .bind(questions.iter().map(|question| question.question).collect::<Vec<_>>())
        .bind(questions.iter().map(|question| question.asset_key.as_str()).collect::<Vec<_>>())
        .bind(questions.iter().map(|question| ordinals(question).0).collect::<Vec<_>>())
        .bind(questions.iter().map(|question| ordinals(question).1).collect::<Vec<_>>())
        .bind(questions.iter().map(|question| stretch(question).map(|(start, _)| start)).collect::<Vec<_>>())
        .bind(questions.iter().map(|question| stretch(question).map(|(_, end)| end)).collect::<Vec<_>>())
        .bind(questions.iter().map(key).collect::<Vec<_>>())
        .bind(questions.iter().map(|question| question.snapshot.as_str()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await
        .context("looking for rows that landed later")
}

impl Store {
    /// The current versions of all partitions of `assets`, by asset, in order of ordinal.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn current_versions(&self, assets: &[&str]) -> Result<BTreeMap<String, Vec<CurrentVersion>>, StoreError> {
        let rows: Vec<CurrentVersion> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select {CURRENT_COLUMNS}
             from karat.materialization m
             -- said for the index, which is of versions with an ordinal: all have one
             where m.current and m.asset_key = any($1) and m.ordinal is not null
             order by m.asset_key, m.ordinal"
        )))
        .bind(assets)
        .fetch_all(&self.pool)
        .await
        .context("reading the current materializations")?;
        let mut by_asset: BTreeMap<String, Vec<CurrentVersion>> = BTreeMap::new();
        for row in rows {
            by_asset.entry(row.asset_key.clone()).or_default().push(row);
        }
        Ok(by_asset)
    }

    /// The keys of the partitions of an asset, with ordinals in `ranges` (first and last, inclusive), whose current version
    /// was published after `instant`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn published_after(
        &self,
        asset_key: &str,
        ranges: &[(i64, i64)],
        instant: DateTime<Utc>,
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "select m.partition_key from karat.current_versions($1, $2, $3) m where m.materialized_at > $4",
        )
        .bind(vec![asset_key; ranges.len()])
        .bind(ranges.iter().map(|range| range.0).collect::<Vec<_>>())
        .bind(ranges.iter().map(|range| range.1).collect::<Vec<_>>())
        .bind(instant)
        .fetch_all(&self.pool)
        .await
        .context("reading which inputs were built later")
    }

    /// [`unseen_marks`] on a connection of the pool.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unseen_marks(&self, questions: &[MarkQuestion]) -> Result<Vec<UnseenMarks>, StoreError> {
        let mut connection = self.pool.acquire().await.context("looking for rows that landed later")?;
        unseen_marks(&mut connection, questions).await
    }
}

/// When the content that a partition has now was published first.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ContentTime {
    /// The asset.
    pub asset_key: String,
    /// The partition.
    pub partition_key: String,
    /// Its ordinal when it was built.
    pub ordinal: i64,
    /// When; `None` when that is longer ago than history is kept.
    pub content_at: Option<DateTime<Utc>>,
}

impl Store {
    /// When the contents in `ranges` came to be, of each asset those that came to be after its instant in `since` if it has
    /// one there; a version with equal content does not count.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn content_times(
        &self,
        ranges: &[VersionRange],
        since: &[(&str, DateTime<Utc>)],
    ) -> Result<Vec<ContentTime>, StoreError> {
        sqlx::query_as(
            "select m.asset_key, m.partition_key, m.ordinal, c.content_at
             from karat.current_versions($1, $2, $3) m
             left join unnest($4::text[], $5::timestamptz[]) as s (asset_key, instant) on s.asset_key = m.asset_key
             cross join lateral (
                 select case when m.content_changed then m.materialized_at else (
                     select max(p.materialized_at) from karat.materialization p
                     where p.asset_key = m.asset_key and p.partition_key = m.partition_key
                       and not p.current and p.content_changed
                 ) end as content_at
             ) c
             where s.instant is null or c.content_at > s.instant",
        )
        .bind(ranges.iter().map(|range| range.asset_key.as_str()).collect::<Vec<_>>())
        .bind(ranges.iter().map(|range| range.first).collect::<Vec<_>>())
        .bind(ranges.iter().map(|range| range.last).collect::<Vec<_>>())
        .bind(since.iter().map(|(asset, _)| *asset).collect::<Vec<_>>())
        .bind(since.iter().map(|(_, instant)| *instant).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
        .context("reading when inputs changed")
    }
}

/// Partitions of an asset that are there: a stretch of ordinals, or one key of an asset not partitioned by time.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct PresentRange {
    /// The asset.
    pub asset_key: String,
    /// First ordinal as stored.
    pub first: i64,
    /// Last ordinal as stored, inclusive.
    pub last: i64,
    /// The first partition's key.
    pub first_key: String,
}

/// Rows that landed in one place of an external asset, over all marks that are kept.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Landed {
    /// The asset.
    pub asset_key: String,
    /// The partition; `None` where the marks are not filed under partitions yet.
    pub partition_key: Option<String>,
    /// Its ordinal as stored.
    pub ordinal: Option<i64>,
    /// The first value of the partition column, where there is no partition.
    pub first_at: Option<DateTime<Utc>>,
    /// The last value.
    pub last_at: Option<DateTime<Utc>>,
    /// Rows that came, less those that went.
    pub row_count: i64,
    /// When the newest of them came or went.
    pub newest_at: DateTime<Utc>,
}

impl Store {
    /// Which partitions have a current version: of `time_ranges`, at most one for each asset, as stretches; of
    /// `keyed_assets` one by one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn present_ranges(
        &self,
        time_ranges: &[VersionRange],
        keyed_assets: &[&str],
    ) -> Result<Vec<PresentRange>, StoreError> {
        sqlx::query_as(
            "select asset_key, min(ordinal) as first, max(ordinal) as last, min(partition_key) as first_key
             from (
                 select m.asset_key, m.partition_key, m.ordinal,
                        m.ordinal - row_number() over (partition by m.asset_key order by m.ordinal) as island
                 -- the lists are questions of their own: the server then plans once, not at each call for their length
                 from unnest((select $1::text[]), (select $2::bigint[]), (select $3::bigint[]))
                      as wanted (asset_key, first, last)
                 join karat.materialization m on m.current and m.asset_key = wanted.asset_key
                      and m.ordinal between wanted.first and wanted.last
             ) versions
             group by asset_key, island
             union all
             select keyed.asset_key, v.ordinal, v.ordinal, v.partition_key
             from unnest((select $4::text[])) as keyed (asset_key)
             cross join lateral (
                 select m.ordinal, m.partition_key from karat.materialization m
                 where m.current and m.asset_key = keyed.asset_key and m.ordinal is not null
                 offset 0
             ) v",
        )
        .bind(time_ranges.iter().map(|range| range.asset_key.as_str()).collect::<Vec<_>>())
        .bind(time_ranges.iter().map(|range| range.first).collect::<Vec<_>>())
        .bind(time_ranges.iter().map(|range| range.last).collect::<Vec<_>>())
        .bind(keyed_assets)
        .fetch_all(&self.pool)
        .await
        .context("reading which partitions exist")
    }

    /// Where rows landed in external assets.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn landed(&self, assets: &[&str]) -> Result<Vec<Landed>, StoreError> {
        sqlx::query_as(
            "select asset_key, partition_key, ordinal, min(first_at) as first_at, max(last_at) as last_at,
                    sum(row_count - rows_removed)::bigint as row_count, max(marked_at) as newest_at
             from karat.mark where asset_key = any($1)
             group by asset_key, partition_key, ordinal,
                      date_bin('15 minutes', first_at, timestamptz '2000-01-01 00:00+00')
             order by asset_key, ordinal, first_at",
        )
        .bind(assets)
        .fetch_all(&self.pool)
        .await
        .context("reading where rows landed")
    }
}
