//! When anything of a run can have happened.
//!
//! What runs write is divided by days. The statements that read it are given the first and the last instant as values: from
//! those the planner sees which days are in question. From a subquery it would see that only while the statement runs, after
//! every day there is has been planned and opened.
//!
//! For the same reason a connection does not keep these statements (`persistent(false)`): one that is kept is planned for
//! any days, too, when it is used for the sixth time, and with some ninety days that takes longer than the page it is for.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::error::Context;
use super::{Store, StoreError};

/// Whatever the clocks of two machines differ by, it is less than this.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::days(1);

/// From when to when something of a run can have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunSpan {
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
}

/// When the first of some runs was asked for, and when the last ended; `None` for the end while one is live.
#[derive(FromRow)]
struct Ends {
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
}

impl Ends {
    fn span(&self) -> Option<RunSpan> {
        let first = self.first?;
        let ended = self.last.and_then(|last| last.checked_add_signed(CLOCKS_DIFFER));
        Some(RunSpan {
            first: first.checked_sub_signed(CLOCKS_DIFFER).unwrap_or(first),
            last: ended.or_else(|| Utc.with_ymd_and_hms(9999, 1, 1, 0, 0, 0).single())?,
        })
    }
}

impl Store {
    /// When anything of the run can have happened; `None` when there is no such run.
    pub(super) async fn run_span(&self, run_id: Uuid) -> Result<Option<RunSpan>, StoreError> {
        let ends: Option<Ends> =
            sqlx::query_as("select requested_at as first, finished_at as last from karat.run where run_id = $1")
                .bind(run_id)
                .fetch_optional(self.pool())
                .await
                .context("reading when the run was")?;
        Ok(ends.and_then(|ends| ends.span()))
    }

    /// The same of the runs that these steps belong to, taken together; `None` when there are none.
    pub(super) async fn span_of_steps(&self, steps: &[i64]) -> Result<Option<RunSpan>, StoreError> {
        let ends: Ends = sqlx::query_as(
            "select min(requested_at) as first, case when bool_and(finished_at is not null) then max(finished_at) end as last
             from karat.run
             where run_id in (select run_id from karat.step where step_id = any($1))",
        )
        .bind(steps)
        .fetch_one(self.pool())
        .await
        .context("reading when the runs were")?;
        Ok(ends.span())
    }
}
