//! Reading upstreams from Rust: only declared ones, only the partitions that the mapping says, row by row.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::context::Context;
use super::declare::Asset;
use super::error::AssetError;
use super::statement::{self, column_list, identifier, partition_condition};
use super::upstream::Contains;

/// How many rows the first fetch asks for, when nothing is known of their size.
const FIRST_FETCH_ROWS: usize = 256;

/// No fetch asks for more rows.
const MOST_FETCH_ROWS: usize = 10_000;

/// About how many bytes a fetch should bring, judged by the one before.
const FETCH_BYTES: usize = 1 << 20;

/// Names of cursors need only differ within a transaction; counting through the process is simplest.
static CURSOR_COUNT: AtomicU64 = AtomicU64::new(0);

/// Reading the rows of an asset from the function of another that declares it upstream.
pub trait ReadUpstream: Asset {
    /// The rows of this asset that the partition being computed reads, as the declared mapping says, as they are in the
    /// attempt's snapshot.
    ///
    /// `Reader` and `Position` are found by the compiler: `UserActivity::read(&context)`.
    fn read<Reader, Position>(context: &Context<Reader>) -> UpstreamRows<'_, Reader, Self>
    where
        Reader: Asset,
        Reader::Upstream: Contains<Reader, Self, Position>,
    {
        UpstreamRows { context, order: Vec::new(), state: State::NotOpened, asset: PhantomData }
    }
}

impl<A: Asset> ReadUpstream for A {}

/// The rows of an upstream, fetched in batches while they are asked for.
#[must_use = "nothing is read before `next` or `collect` is called"]
pub struct UpstreamRows<'c, Reader, U> {
    context: &'c Context<Reader>,
    order: Vec<&'static str>,
    state: State,
    asset: PhantomData<fn() -> U>,
}

enum State {
    NotOpened,
    Open { cursor: String, batch: std::vec::IntoIter<PgRow>, next_fetch_rows: usize },
    Finished,
}

impl<Reader: Asset, U: Asset> UpstreamRows<'_, Reader, U> {
    /// The rows ordered by these columns; without it they come in any order.
    pub fn order_by(mut self, columns: &[&'static str]) -> Self {
        self.order = columns.to_vec();
        self
    }

    /// The next row, or `None` after the last.
    ///
    /// # Errors
    /// Database errors, a value that does not fit the row struct, and when the attempt was cancelled.
    pub async fn next(&mut self) -> Result<Option<U>, AssetError> {
        loop {
            match &mut self.state {
                State::Finished => return Ok(None),
                State::NotOpened => self.open().await?,
                State::Open { batch, .. } => match batch.next() {
                    Some(row) => return Ok(Some(U::from_row(&row)?)),
                    None => self.fetch().await?,
                },
            }
        }
    }

    /// All rows at once. They must fit into memory: prefer [`Self::next`] for large upstreams.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn collect(mut self) -> Result<Vec<U>, AssetError> {
        let mut rows = Vec::new();
        while let Some(row) = self.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    async fn open(&mut self) -> Result<(), AssetError> {
        let range = self.context.upstream(&U::KEY)?;
        let upstream = &range.asset;
        if let Some(unknown) = self.order.iter().find(|name| upstream.column(name).is_none()) {
            return Err(AssetError::fatal(format!("`{}` has no column `{unknown}` to be ordered by", upstream.key)));
        }
        let order: Vec<String> = self.order.iter().map(|name| identifier(name)).collect();
        let cursor = format!("karat_read_{}", CURSOR_COUNT.fetch_add(1, Ordering::Relaxed));
        let declare = format!(
            "declare {cursor} no scroll cursor for select {} from {} where {}{}{}",
            column_list(upstream),
            upstream.key,
            partition_condition(upstream, &range.partitions),
            if order.is_empty() { "" } else { " order by " },
            order.join(", "),
        );
        let mut transaction = self.context.untyped().transaction.lock().await;
        sqlx::raw_sql(statement::generated(declare)).execute(&mut **transaction).await?;
        self.state = State::Open { cursor, batch: Vec::new().into_iter(), next_fetch_rows: FIRST_FETCH_ROWS };
        Ok(())
    }

    async fn fetch(&mut self) -> Result<(), AssetError> {
        self.context.go_on()?;
        let State::Open { cursor, batch, next_fetch_rows } = &mut self.state else { return Ok(()) };
        let mut transaction = self.context.untyped().transaction.lock().await;
        // Prepared, because only then the values come in binary; not kept, because no other cursor has this name.
        let fetch = sqlx::query(statement::generated(format!("fetch forward {next_fetch_rows} from {cursor}")));
        let rows = fetch.persistent(false).fetch_all(&mut **transaction).await?;
        if rows.is_empty() {
            let close = statement::generated(format!("close {cursor}"));
            sqlx::raw_sql(close).execute(&mut **transaction).await?;
            self.state = State::Finished;
            return Ok(());
        }
        let bytes: usize = rows.iter().map(row_bytes).sum();
        *next_fetch_rows = (FETCH_BYTES * rows.len() / bytes.max(1)).clamp(1, MOST_FETCH_ROWS);
        *batch = rows.into_iter();
        Ok(())
    }
}

fn row_bytes(row: &PgRow) -> usize {
    (0..row.len()).filter_map(|index| row.try_get_raw(index).ok()?.as_bytes().ok().map(<[u8]>::len)).sum()
}
