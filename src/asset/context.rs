//! What the function of a rust asset works with.

use std::marker::PhantomData;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use super::calendar::Calendar;
use super::compute::{ComputeContext, UpstreamRange};
use super::declare::Asset;
use super::error::AssetError;
use super::partitions::TimePartitions;
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::time::TimeWindow;

/// One attempt at one partition of the asset `A`.
pub struct Context<A> {
    untyped: ComputeContext,
    /// Empty for partitions that are not made of time; then no method shows it.
    window: TimeWindow,
    date: NaiveDate,
    asset: PhantomData<fn() -> A>,
}

impl<A: Asset> Context<A> {
    /// The typed form of what the engine hands over.
    #[must_use]
    pub fn new(untyped: ComputeContext) -> Self {
        let window = untyped.window.unwrap_or(TimeWindow { start: untyped.now, end: untyped.now });
        let date = untyped.asset.partitions.date(untyped.ordinal).unwrap_or(untyped.calendar.first_day);
        Self { untyped, window, date, asset: PhantomData }
    }

    /// The partition to compute.
    #[must_use]
    pub const fn partition(&self) -> &PartitionKey {
        &self.untyped.partition
    }

    /// The installation's calendar.
    #[must_use]
    pub const fn calendar(&self) -> Calendar {
        self.untyped.calendar
    }

    /// When the attempt began: the only present that an asset should know, so that a test can set it.
    #[must_use]
    pub const fn now(&self) -> DateTime<Utc> {
        self.untyped.now
    }

    /// Adds one row. It reaches the table when the attempt succeeds as a whole; until then it takes little memory.
    ///
    /// # Errors
    /// When a value cannot be stored (fatal: the row, column and reason), when the database refuses, and when the attempt
    /// was cancelled. Pass the error on with `?`.
    pub async fn push(&self, row: A) -> Result<(), AssetError> {
        self.go_on()?;
        self.untyped.rows.push(|encoder| row.encode(encoder)).await
    }

    /// Adds many rows.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub async fn extend<I>(&self, rows: I) -> Result<(), AssetError>
    where
        I: IntoIterator<Item = A>,
        I::IntoIter: Send,
    {
        for row in rows {
            self.push(row).await?;
        }
        Ok(())
    }

    /// Reports a value about this partition: it is stored with the materialization and shown on its page.
    pub fn metadata(&self, name: &str, value: impl Into<Value>) {
        self.untyped.metadata.set(name, value);
    }

    /// Whether the attempt should end early; whatever is pushed afterwards is refused.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.untyped.cancelled.is_cancelled()
    }

    /// Waits until the attempt should end early: for `select!` beside something slow.
    pub async fn cancelled(&self) {
        self.untyped.cancelled.cancelled().await;
    }

    pub(super) fn go_on(&self) -> Result<(), AssetError> {
        if self.is_cancelled() { Err(AssetError::cancelled()) } else { Ok(()) }
    }

    pub(super) fn upstream(&self, key: &AssetKey) -> Result<&UpstreamRange, AssetError> {
        self.untyped.upstream_windows.get(key).ok_or_else(|| {
            AssetError::fatal(format!("the attempt was started without saying which partitions of `{key}` it reads"))
        })
    }

    pub(super) const fn untyped(&self) -> &ComputeContext {
        &self.untyped
    }
}

impl<A: Asset<Partitions: TimePartitions>> Context<A> {
    /// The window of the partition, as instants.
    #[must_use]
    pub const fn window(&self) -> TimeWindow {
        self.window
    }

    /// The first local date of the partition.
    #[must_use]
    pub const fn date(&self) -> NaiveDate {
        self.date
    }
}
