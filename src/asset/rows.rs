//! Rows from Rust on their way into the database: binary COPY with bounded memory.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::encode::IsNull;
use sqlx::postgres::PgArgumentBuffer;
use tokio::sync::Mutex;

use super::column::ColumnType;
use super::compute::SharedTransaction;
use super::error::{AssetError, RowError};
use super::spec::AssetSpec;
use super::statement::{self, column_list};

/// How many bytes of encoded rows are held before they are sent to the server.
pub const FLUSH_BYTES: usize = 1 << 20;

/// The temporary table in which rows of `asset` wait until a transaction has all of them.
///
/// It has the columns of the row struct in their order, without constraints. A connection keeps it, so that many small
/// transactions do not each write PostgreSQL's catalog; its rows vanish with the transaction. Another shape of the rows is
/// another table.
#[must_use]
pub fn staging_table(asset: &AssetSpec) -> String {
    let mut shape = Sha256::new();
    for text in std::iter::once(asset.key.as_str())
        .chain(asset.columns.iter().flat_map(|column| [column.name.as_str(), column.sql_type]))
    {
        shape.update(text);
        shape.update([0]);
    }
    let shape: String = shape.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("pg_temp.karat_stage_{shape}")
}

/// The header of PostgreSQL's binary COPY format: signature, flags, length of the header's extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The field count that ends binary COPY data.
const COPY_TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// The most bytes PostgreSQL takes in one value, and in one row of COPY data.
const MAXIMUM_ROW_BYTES: usize = 0x3fff_ffff;

/// Writes the values of one row in the order of its columns; a [`Table`](super::table::Table) uses it.
pub struct RowEncoder<'b> {
    buffer: &'b mut PgArgumentBuffer,
    start: usize,
}

/// A value that cannot be stored: the column and the reason.
#[derive(Debug)]
pub struct ValueError {
    column: &'static str,
    reason: String,
}

impl<'b> RowEncoder<'b> {
    fn new(buffer: &'b mut PgArgumentBuffer, columns: usize) -> Self {
        let start = buffer.len();
        let count = i16::try_from(columns).unwrap_or(i16::MAX);
        buffer.extend_from_slice(&count.to_be_bytes());
        Self { buffer, start }
    }

    /// Appends the value of `column`, or null.
    ///
    /// # Errors
    /// When the value cannot be stored: not a number, a zero byte in a text, a date beyond PostgreSQL's range, too large.
    pub fn value<T: ColumnType>(&mut self, column: &'static str, value: &T) -> Result<(), ValueError> {
        let refuse = |reason: String| ValueError { column, reason };
        if let Some(reason) = value.refusal() {
            return Err(refuse(reason));
        }
        let length_at = self.buffer.len();
        self.buffer.extend_from_slice(&(-1_i32).to_be_bytes());
        let is_null = value.encode_by_ref(self.buffer).map_err(|error| refuse(error.to_string()))?;
        if matches!(is_null, IsNull::No) {
            let length = self.buffer.len() - length_at - 4;
            let total = self.buffer.len() - self.start;
            if total > MAXIMUM_ROW_BYTES {
                return Err(refuse(format!(
                    "the row has more than {total} bytes, PostgreSQL takes at most 1 GiB: store less"
                )));
            }
            let length = i32::try_from(length).map_err(|error| refuse(error.to_string()))?;
            self.buffer[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

/// Collects the rows of one transaction as binary COPY data and sends them to the [`staging_table`] whenever [`FLUSH_BYTES`]
/// are full, so that the memory it takes does not grow with the number of rows.
///
/// Clones share the same rows. It does not look at which partition a row belongs to: the engine does, in SQL.
#[derive(Clone)]
pub struct RowSink {
    asset: Arc<AssetSpec>,
    transaction: SharedTransaction,
    state: Arc<Mutex<SinkState>>,
}

#[derive(Default)]
struct SinkState {
    buffer: PgArgumentBuffer,
    rows_pushed: u64,
    rows_staged: u64,
    is_table_there: bool,
}

impl RowSink {
    /// An empty sink that will write within `transaction`.
    #[must_use]
    pub fn new(asset: Arc<AssetSpec>, transaction: SharedTransaction) -> Self {
        Self { asset, transaction, state: Arc::default() }
    }

    /// Adds one row; `encode` writes its values.
    ///
    /// # Errors
    /// [`RowError`] (fatal) when a value cannot be stored, in which case the row is left out whole; database errors when
    /// the buffer was full and could not be sent.
    pub async fn push(
        &self,
        encode: impl FnOnce(&mut RowEncoder<'_>) -> Result<(), ValueError>,
    ) -> Result<(), AssetError> {
        let mut state = self.state.lock().await;
        self.encode(&mut state, encode)?;
        if state.buffer.len() >= FLUSH_BYTES {
            self.flush(&mut state).await?;
        }
        Ok(())
    }

    /// Sends what is left and returns how many rows are staged in all. After it, the [`staging_table`] exists.
    ///
    /// # Errors
    /// Database errors.
    pub async fn finish(&self) -> Result<u64, AssetError> {
        let mut state = self.state.lock().await;
        self.flush(&mut state).await?;
        Ok(state.rows_staged)
    }

    /// How many rows have been pushed so far.
    pub async fn rows_pushed(&self) -> u64 {
        self.state.lock().await.rows_pushed
    }

    fn encode(
        &self,
        state: &mut SinkState,
        encode: impl FnOnce(&mut RowEncoder<'_>) -> Result<(), ValueError>,
    ) -> Result<(), RowError> {
        if state.buffer.is_empty() {
            state.buffer.extend_from_slice(COPY_HEADER);
        }
        let row_start = state.buffer.len();
        let mut encoder = RowEncoder::new(&mut state.buffer, self.asset.columns.len());
        encode(&mut encoder).map_err(|error| {
            state.buffer.truncate(row_start);
            RowError {
                asset: self.asset.key.to_string(),
                row_number: state.rows_pushed + 1,
                column: error.column,
                reason: error.reason,
            }
        })?;
        state.rows_pushed += 1;
        Ok(())
    }

    async fn flush(&self, state: &mut SinkState) -> Result<(), AssetError> {
        let mut transaction = self.transaction.lock().await;
        let columns = column_list(&self.asset);
        let staging_table = staging_table(&self.asset);
        if !state.is_table_there {
            let asked = sqlx::query_scalar("select to_regclass($1) is not null").bind(&staging_table);
            if !asked.fetch_one(&mut **transaction).await? {
                let create = format!(
                    "create temporary table {staging_table} on commit delete rows as select {columns} from {} with no data",
                    self.asset.key
                );
                sqlx::raw_sql(statement::generated(create)).execute(&mut **transaction).await?;
            }
            state.is_table_there = true;
        }
        if state.rows_pushed == state.rows_staged {
            return Ok(());
        }
        // A fresh argument buffer per batch: the old one also remembers a patch for every JSON value it has seen.
        let mut buffer = std::mem::take(&mut state.buffer);
        buffer.extend_from_slice(&COPY_TRAILER);
        let bytes = std::mem::take(&mut *buffer);
        let copy = format!("copy {staging_table} ({columns}) from stdin with (format binary)");
        let mut copy_in = transaction.copy_in_raw(&copy).await?;
        if let Err(error) = copy_in.send(bytes).await {
            // The connection must leave COPY before the error goes up; its own failure would say less than `error`.
            let _ = copy_in.abort("the rows could not be sent").await;
            return Err(error.into());
        }
        copy_in.finish().await?;
        state.rows_staged = state.rows_pushed;
        Ok(())
    }
}
