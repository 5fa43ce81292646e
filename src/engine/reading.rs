//! Reading rows of assets' tables to show them: columns by declaration, filtered, sorted, page by page.
//!
//! Names come from the declaration and never from who asks; values go as parameters. A reading is one read-only
//! transaction, so that everything read in it is of one instant, and the server ends a statement that takes too long.

mod cell;
mod cursor;
mod statement;

use chrono::NaiveDate;
use chrono_tz::Tz;
use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};

pub use self::cursor::Cursor;
use self::statement::{Built, builder};
use crate::asset::spec::{AssetSpec, ColumnSpec};
use crate::asset::statement::{generated, text_literal};
use crate::core::subset::PartitionSubset;
use crate::store::error::sql_state;
use crate::store::{Store, StoreError};

/// How long a statement may take.
pub const STATEMENT_SECONDS: u64 = 5;

/// A page ends with the row that makes it longer than this.
const PAGE_BYTES: usize = 4 << 20;

/// A list of values to choose from is gathered from so many rows at most.
const ROWS_FOR_VALUES: u32 = 200_000;

/// Which rows count.
#[derive(Clone, Debug)]
pub enum Filter<'a> {
    /// Those of these partitions.
    Partitions(&'a PartitionSubset),
    /// Those with this value, as PostgreSQL writes it, in that column.
    Equals(&'a ColumnSpec, &'a str),
    /// Those whose date or instant lies in the local days from the first to before the second.
    Days(&'a ColumnSpec, Option<NaiveDate>, Option<NaiveDate>),
}

/// A page of rows that is asked for.
#[derive(Clone, Debug)]
pub struct RowQuery<'a> {
    /// The columns, in the order in which they are wanted.
    pub columns: Vec<&'a ColumnSpec>,
    /// What must hold of the rows.
    pub filters: Vec<Filter<'a>>,
    /// The column in whose order they come; null comes last. Rows that are alike in it come in an order of their own.
    pub order: &'a ColumnSpec,
    /// The greatest first.
    pub descending: bool,
    /// How many at most.
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

/// A page of rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The values of each row, in the order of the columns asked for.
    pub rows: Vec<Vec<Value>>,
    /// Where the next page begins; `None` when there is none.
    pub next: Option<Cursor>,
}

/// The mean of a column's figures at one weekday and hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourMean {
    /// From Monday, which is 1.
    pub weekday: i32,
    /// From 0 to 23, in the calendar's zone.
    pub hour: i32,
    /// The mean of the figures.
    pub mean: f64,
    /// How many there are.
    pub figures: i64,
}

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A cursor of another list, or none at all.
    #[error("the cursor does not belong to this list: begin again without it")]
    Cursor,
    /// A value that the column cannot have.
    #[error("no row can be found by a value that its column cannot have: {0}")]
    Value(String),
    /// It takes too long.
    #[error("{0} has too many rows to find these within {STATEMENT_SECONDS} s: ask for fewer partitions")]
    TooLong(String),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadError {
    fn new(asset: &AssetSpec, error: sqlx::Error) -> Self {
        match sql_state(&error).as_deref() {
            Some("57014") => Self::TooLong(asset.key.to_string()),
            // What was given as a value or a cursor is no such value: all else in the statement is declared.
            Some(code) if code.starts_with("22") => {
                let message = error.as_database_error().map_or_else(String::new, |error| error.message().to_owned());
                Self::Value(message)
            }
            _ => Self::Store(StoreError::new(format!("reading rows of {}", asset.key), error)),
        }
    }
}

/// One look at the tables: everything read through it is of the same instant.
pub struct Reading {
    transaction: Transaction<'static, Postgres>,
    zone: Tz,
}

impl Reading {
    /// Begins to read, with hours and days in `zone`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn begin(store: &Store, zone: Tz) -> Result<Self, StoreError> {
        let begin = format!(
            "begin isolation level repeatable read read only; set local timezone = {}; \
             set local statement_timeout = '{STATEMENT_SECONDS}s'; set local lock_timeout = '1s'; \
             set local search_path = public",
            text_literal(zone.name())
        );
        let transaction = store.pool().begin_with(generated(begin)).await;
        let transaction = transaction.map_err(|error| StoreError::new("beginning to read rows", error))?;
        Ok(Self { transaction, zone })
    }

    /// The zone of hours and days.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// A page of rows.
    ///
    /// # Errors
    /// When the cursor or a value cannot be, it takes too long, or the database does not answer.
    pub async fn rows(&mut self, asset: &AssetSpec, query: &RowQuery<'_>) -> Result<Rows, ReadError> {
        let Built { sql, arguments, keys } = builder(asset, self.zone).page(query)?;
        let statement = sqlx::query_with(generated(sql), arguments).persistent(false);
        let mut found = statement.fetch(&mut *self.transaction);
        let mut page = Rows::default();
        let (mut bytes, mut last): (usize, Option<PgRow>) = (0, None);
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        while let Some(row) = found.try_next().await.map_err(|error| ReadError::new(asset, error))? {
            if let Some(last) = &last
                && (page.rows.len() >= limit || bytes > PAGE_BYTES)
            {
                page.next = Some(Cursor::at(query, last, keys).map_err(|error| ReadError::new(asset, error))?);
                break;
            }
            bytes += (0..row.len())
                .map(|index| row.try_get_raw(index).map_or(0, |raw| raw.as_bytes().map_or(0, <[u8]>::len)))
                .sum::<usize>();
            let values = query.columns.iter().enumerate().map(|(index, column)| cell::value(&row, index, column));
            page.rows.push(values.collect::<Result<_, _>>().map_err(|error| ReadError::new(asset, error))?);
            last = Some(row);
        }
        Ok(page)
    }

    /// The mean of `figure` by weekday and hour of the instants `at`; where there is none, there is no row.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn hour_means(
        &mut self,
        asset: &AssetSpec,
        at: &ColumnSpec,
        figure: &ColumnSpec,
        filters: &[Filter<'_>],
    ) -> Result<Vec<HourMean>, ReadError> {
        let Built { sql, arguments, .. } = builder(asset, self.zone).hour_means(at, figure, filters);
        let read = async {
            let rows = sqlx::query_with(generated(sql), arguments).persistent(false);
            let rows = rows.fetch_all(&mut *self.transaction).await?;
            rows.iter()
                .map(|row| {
                    Ok(HourMean {
                        weekday: row.try_get(0)?,
                        hour: row.try_get(1)?,
                        mean: row.try_get(2)?,
                        figures: row.try_get(3)?,
                    })
                })
                .collect::<Result<Vec<_>, sqlx::Error>>()
        };
        read.await.map_err(|error| ReadError::new(asset, error))
    }

    /// The greatest value of a column of dates or instants, as a local date.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn newest_day(&mut self, asset: &AssetSpec, column: &ColumnSpec) -> Result<Option<NaiveDate>, ReadError> {
        let Built { sql, arguments, .. } = builder(asset, self.zone).newest_day(column);
        sqlx::query_scalar_with(generated(sql), arguments)
            .persistent(false)
            .fetch_one(&mut *self.transaction)
            .await
            .map_err(|error| ReadError::new(asset, error))
    }

    /// The first `limit` values of a column of texts, in order.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn values(
        &mut self,
        asset: &AssetSpec,
        column: &ColumnSpec,
        filters: &[Filter<'_>],
        limit: u32,
    ) -> Result<Vec<String>, ReadError> {
        let Built { sql, arguments, .. } = builder(asset, self.zone).values(column, filters, ROWS_FOR_VALUES, limit);
        sqlx::query_scalar_with(generated(sql), arguments)
            .persistent(false)
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(|error| ReadError::new(asset, error))
    }
}
