//! Marks: the append-only notes that rows landed in a partition of an external asset.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use super::error::Context;

/// Rows that landed in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMark {
    /// The partition.
    pub partition_key: String,
    /// Its ordinal.
    pub ordinal: i64,
    /// How many rows.
    pub row_count: i64,
}

/// Appends marks in the transaction that wrote the rows: both commit together, under the same transaction id.
///
/// # Errors
/// When the statement fails.
pub async fn append_marks(
    connection: &mut PgConnection,
    asset_key: &str,
    writer: &str,
    marks: &[NewMark],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if marks.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into karat.mark (asset_key, partition_key, ordinal, row_count, writer, marked_at)
         select $1, m.partition_key, m.ordinal, m.row_count, $2, $3
         from unnest($4::text[], $5::bigint[], $6::bigint[]) as m (partition_key, ordinal, row_count)",
    )
    .bind(asset_key)
    .bind(writer)
    .bind(now)
    .bind(marks.iter().map(|mark| mark.partition_key.as_str()).collect::<Vec<_>>())
    .bind(marks.iter().map(|mark| mark.ordinal).collect::<Vec<_>>())
    .bind(marks.iter().map(|mark| mark.row_count).collect::<Vec<_>>())
    .execute(connection)
    .await
    .context("noting where rows landed")?;
    Ok(())
}
